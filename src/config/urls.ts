/**
 * A PostgreSQL URL. `user@/database?host=/socket` is fine for pg, though no URL by the standard. With an @ in its path it is
 * none: a password with a bare / or # is read as host and path then, and would be told in messages.
 */
export const isDatabaseUrl = (text: string): boolean => {
  const standard = text.replace('@/', '@localhost/');
  if (!/^postgres(ql)?:\/\//.test(text) || !URL.canParse(standard)) return false;
  const {pathname, hash} = new URL(standard);
  return !`${pathname}${hash}`.includes('@');
};

export const DATABASE_URL =
  'a URL such as postgres://user:password@host:5432/database; characters like @, / and # in the password are percent-encoded';

/** A URL whose protocol (with its colon) matches. */
export const isUrl = (text: string, protocol: RegExp): boolean =>
  URL.canParse(text) && protocol.test(new URL(text).protocol);

/**
 * Whether a text has the shape of an http URL pattern: a URL once its wildcards, groups and names are replaced by a plain
 * word. The runtime's own `URLPattern` would be stricter, but does not exist before Node 23.8.
 */
export const isUrlPattern = (pattern: string): boolean => {
  const scheme = /^(https?|http\{s\}\?|\*):\/\//;
  if (!scheme.test(pattern) || !isBalanced(pattern)) return false;
  const rest = pattern
    .replace(scheme, '')
    .replace(/\([^()]*\)[?*+]?/g, 'x')
    .replace(/[{}]/g, '')
    .replace(/:[a-z_]\w*/gi, 'x')
    .replace(/:\*/, ':1')
    .replaceAll('*', 'x');
  return URL.canParse(`http://${rest}`);
};

const isBalanced = (pattern: string): boolean => {
  const awaited: string[] = [];
  for (const sign of pattern) {
    if (sign === '{') awaited.push('}');
    else if (sign === '(') awaited.push(')');
    else if ((sign === '}' || sign === ')') && awaited.pop() !== sign) return false;
  }
  return awaited.length === 0;
};

/** Whether a database URL looks like that of a connection pooler, by its port or host name. */
export const looksPooled = (text: string): boolean => {
  if (!URL.canParse(text)) return false;
  const {hostname, port} = new URL(text);
  return port === '6432' || port === '6543' || /(^|[-.])pooler([-.]|$)|pgbouncer/.test(hostname);
};
