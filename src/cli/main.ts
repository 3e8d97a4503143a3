#!/usr/bin/env node
import {config as loadDotEnv} from 'dotenv';
import {helpText} from '../config/help-text.ts';
import {isConfigured, parseConfig} from '../config/parse-config.ts';
import {withTaskID} from '../config/task-id.ts';
import {runDaemon} from '../daemon/run-daemon.ts';
import {ConfigError, DaemonError} from '../errors.ts';
import {VERSION} from '../version.ts';
import {commandOf} from './commands.ts';

const main = async (argv: readonly string[]): Promise<number> => {
  const [first, ...rest] = argv;
  if (first === 'help' && rest.length > 0) return main([...rest, '--help']);
  if (first === 'help' || (first?.startsWith('-') && (argv.includes('--help') || argv.includes('-h')))) {
    process.stdout.write(helpText(process.stdout.columns ?? 100, {color: Boolean(process.stdout.isTTY)}));
    return 0;
  }
  if (first === '--version' || first === '-v') {
    process.stdout.write(`${VERSION}\n`);
    return 0;
  }
  const {error} = loadDotEnv({quiet: true});
  const {code} = (error ?? {code: 'ENOENT'}) as NodeJS.ErrnoException;
  // Without its options another server would start than was meant.
  if (code !== 'ENOENT') throw new ConfigError([`.env in this folder cannot be read (${code})`]);
  const command = await commandOf(first);
  if (command) return command(rest);
  if (!isConfigured(argv, process.env)) return (await import('../demo/run-demo.ts')).runDemo();
  const unnamed: string[] = [];
  const env = await withTaskID(process.env, text => unnamed.push(text));
  const {config, warnings, notices} = parseConfig(argv, env);
  return runDaemon({
    config,
    version: VERSION,
    remarks: [
      ...[...unnamed, ...warnings].map(text => ({level: 'warn' as const, text})),
      ...notices.map(text => ({level: 'info' as const, text})),
    ],
  });
};

main(process.argv.slice(2)).then(
  code => process.exit(code),
  (error: unknown) => {
    process.stderr.write(complaint(error));
    process.exit(1);
  },
);

/** What we know is said in words; what we do not know needs its stack. */
const complaint = (error: unknown): string => {
  if (!(error instanceof DaemonError)) return `${(error as Error).stack ?? String(error)}\n`;
  const help = error instanceof ConfigError ? 'See zerostream --help.\n' : '';
  return `zerostream cannot start:\n${error.message.replaceAll(/^/gm, '  ')}\n${help}`;
};
