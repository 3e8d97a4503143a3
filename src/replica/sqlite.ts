import {createRequire} from 'node:module';
import type BetterSqlite3 from 'better-sqlite3';

/**
 * better-sqlite3 13, which comes ready made for each platform, needs Node 22. Built by what comes with Node 24.19 and later,
 * version 12 ends the process when statements are collected while it is idle (an assertion in `node::ObjectWrap`), so it serves
 * Node 20 and platforms that 13 is not made for. npm installs of the two what the running Node can have.
 */
const candidates = (): readonly string[] =>
  Number.parseInt(process.versions.node, 10) >= 22
    ? ['better-sqlite3-13', 'better-sqlite3']
    : ['better-sqlite3'];

const load = (): typeof BetterSqlite3 => {
  const require = createRequire(import.meta.url);
  const causes: unknown[] = [];
  for (const name of candidates())
    try {
      const found = require(name) as typeof BetterSqlite3;
      // The native part is loaded with the first database.
      new found(':memory:').close();
      return found;
    } catch (error) {
      causes.push(error);
    }
  throw new Error(
    `SQLite cannot be loaded: ${causes.map(cause => (cause as Error).message.split('\n')[0]).join('; ')}. Install again with this version of Node (npm ci); what npm could not build, \`npm rebuild better-sqlite3\` says why.`,
    {cause: causes[0]},
  );
};

const Database: typeof BetterSqlite3 = load();
type Database = BetterSqlite3.Database;

export default Database;
