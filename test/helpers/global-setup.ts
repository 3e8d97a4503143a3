import {execFileSync} from 'node:child_process';
import type {TestProject} from 'vitest/node';
import {startPostgres} from './postgres-server.ts';

/** One PostgreSQL server for the whole run, and a fresh bundle for the tests that start daemons. */
export default async (project: TestProject) => {
  execFileSync(process.execPath, ['src/build.mjs'], {stdio: 'inherit'});
  const server = await startPostgres();
  project.provide('postgresUrl', server.url);
  return () => server.stop();
};

declare module 'vitest' {
  export interface ProvidedContext {
    postgresUrl: string;
  }
}
