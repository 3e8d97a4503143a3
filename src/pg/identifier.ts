/** Quotes an SQL identifier, for PostgreSQL and SQLite alike. */
export const ident = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** Quotes an SQL string literal under `standard_conforming_strings`. */
export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;
