import {expect, test} from 'vitest';
import {Catalog} from '../../src/pg/catalog.ts';
import {connections, createDatabase} from '../helpers/postgres.ts';
import {until} from '../helpers/until.ts';

test('who waits for a transaction to be seen when the chain ends is told so, and no connection is left', async () => {
  await using db = await createDatabase('CREATE PUBLICATION everything FOR ALL TABLES');
  const catalog = new Catalog(db.url, ['everything']);
  let ended: unknown = null;
  // A transaction that does not come.
  catalog.read(2 ** 31 - 1).catch(error => {
    ended = error;
  });
  await until(async () => (await connections(db, 'schema')) === 1, 'the catalog is read');
  catalog.close();
  await until(() => ended !== null, 'the reader is told');
  expect(ended).toBeInstanceOf(Error);
  await until(async () => (await connections(db, 'schema')) === 0, 'the connection is closed');
});
