import type {TestDatabase} from './postgres.ts';

/** A role that may replicate, read everything and create schemas, and owns nothing: no event triggers for it. */
export const limitedRole = async (db: TestDatabase) => {
  const role = `limited_${db.name}`;
  await db.query(`CREATE ROLE ${role} LOGIN REPLICATION PASSWORD 'secret' IN ROLE pg_read_all_data;
    GRANT CREATE ON DATABASE "${db.name}" TO ${role}`);
  const url = new URL(db.url);
  url.username = role;
  url.password = 'secret';
  return {
    url: url.href,
    [Symbol.asyncDispose]: async () =>
      void (await db.query(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`)),
  };
};
