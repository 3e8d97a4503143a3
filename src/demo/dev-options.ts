export interface DevOptions {
  /** A file with the schema, and rows if wanted, to start with instead of the demonstration. */
  readonly sql?: string | undefined;
  /** Begin anew. */
  readonly reset?: boolean | undefined;
  readonly postgresPort?: number | undefined;
  /** Options of the daemon itself, as on its command line. */
  readonly daemonArgs: readonly string[];
}
