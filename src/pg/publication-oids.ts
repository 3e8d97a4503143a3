import type pg from 'pg';

/** The publications by name; an object that was dropped and created again has another OID. */
export const readPublicationOids = async (
  client: pg.Client | pg.Pool,
  names: readonly string[],
): Promise<Readonly<Record<string, number>>> => {
  const {rows} = await client.query<{pubname: string; oid: number}>(
    'SELECT pubname, oid::int8::float8 AS oid FROM pg_publication WHERE pubname = ANY($1)',
    [names],
  );
  return Object.fromEntries(rows.map(({pubname, oid}) => [pubname, oid]));
};
