import type {OptionValues} from './option-table.ts';
import {looksPooled} from './urls.ts';

/** Settings that are allowed but probably not meant, one line each. */
export const doubtsOf = ({
  upstream,
  mutate,
  push,
  query,
  getQueries,
  litestream,
}: OptionValues): readonly string[] => [
  ...when(
    upstream.db !== undefined && looksPooled(upstream.db),
    'ZERO_UPSTREAM_DB (--upstream-db): looks like a connection pooler; logical replication needs a direct connection to PostgreSQL',
  ),
  ...when(
    push.url !== undefined && mutate.url !== undefined,
    'ZERO_MUTATE_URL (--mutate-url): ZERO_PUSH_URL is set too and wins; remove it',
  ),
  ...when(
    getQueries.url !== undefined && query.url !== undefined,
    'ZERO_GET_QUERIES_URL (--get-queries-url): ZERO_QUERY_URL is set too and wins, with all its group; remove this one',
  ),
  ...when(
    litestream.backupUsingV5 && litestream.vfsQueryExecutable === undefined,
    'ZERO_LITESTREAM_BACKUP_USING_V5 (--litestream-backup-using-v5): asks for ZERO_LITESTREAM_VFS_QUERY_EXECUTABLE too',
  ),
];

const when = (holds: boolean, doubt: string): readonly string[] => (holds ? [doubt] : []);
