/** Credential of a connection (mutations-auth.md §5.2). */
export type Auth =
  | {readonly kind: 'none'}
  | {readonly kind: 'opaque'; readonly token: string}
  | {readonly kind: 'jwt'; readonly token: string; readonly claims: Readonly<Record<string, unknown>>};
