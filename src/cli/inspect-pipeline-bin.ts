#!/usr/bin/env node
import {runInspectPipeline} from './inspect-pipeline.ts';

process.exitCode = await runInspectPipeline(process.argv.slice(2));
