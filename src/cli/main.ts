#!/usr/bin/env node
import {config as loadDotEnv} from 'dotenv';
import {helpText} from '../config/help-text.ts';
import {isConfigured, parseConfig} from '../config/parse-config.ts';
import {runDaemon} from '../daemon/run-daemon.ts';
import {ConfigError} from '../errors.ts';
import {VERSION} from '../version.ts';

const main = async (argv: readonly string[]): Promise<number> => {
  const [first, ...rest] = argv;
  if (first === 'inspect-pipeline') return (await import('./inspect-pipeline.ts')).runInspectPipeline(rest);
  if (first === 'fixture-replay') return (await import('./fixture-replay.ts')).runFixtureReplay(rest);
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(helpText(process.stdout.columns ?? 100, {color: Boolean(process.stdout.isTTY)}));
    return 0;
  }
  if (argv.includes('--version')) {
    process.stdout.write(`${VERSION}\n`);
    return 0;
  }
  loadDotEnv({quiet: true});
  if (!isConfigured(argv, process.env)) return (await import('../demo/run-demo.ts')).runDemo();
  const {config, warnings, notices} = parseConfig(argv, process.env);
  return runDaemon({
    config,
    version: VERSION,
    remarks: [
      ...warnings.map(text => ({level: 'warn' as const, text})),
      ...notices.map(text => ({level: 'info' as const, text})),
    ],
  });
};

main(process.argv.slice(2)).then(
  code => process.exit(code),
  (error: unknown) => {
    if (error instanceof ConfigError) {
      process.stderr.write(
        `zerostream cannot start:\n${error.message.replaceAll(/^/gm, '  ')}\nSee zerostream --help.\n`,
      );
      process.exit(1);
    }
    process.stderr.write(`${(error as Error).stack ?? String(error)}\n`);
    process.exit(1);
  },
);
