#!/usr/bin/env node
import {runFixtureReplay} from './fixture-replay.ts';

process.exitCode = await runFixtureReplay(process.argv.slice(2));
