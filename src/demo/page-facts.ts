/** What the server tells the page; shared by both. */
export interface PageFacts {
  readonly version: string;
  /** For psql; the owner of the tables, who is no superuser. */
  readonly connectionString: string;
  /** What to try with it; null in a database that is the user's. */
  readonly example: string | null;
  /** `demo`, or the path of the SQL file that filled the database. */
  readonly from: string;
  /** What there is to look at. */
  readonly tables: readonly PageTable[];
}

export interface PageTable {
  readonly name: string;
  /** Names of columns; empty: clients cannot have the table. */
  readonly key: readonly string[];
  readonly columns: readonly {
    readonly name: string;
    readonly type: 'string' | 'number' | 'boolean' | 'json';
    readonly optional: boolean;
    /** PostgreSQL's name of the type. */
    readonly dataType: string;
  }[];
}
