import {
  createRemoteJWKSet,
  importJWK,
  type JWK,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  jwtVerify,
} from 'jose';
import type {ZeroConfig} from '../config/config.ts';
import {ProtocolError, protocolError} from '../protocol/error-body.ts';
import type {Auth} from './auth.ts';

export interface TokenVerifier {
  /** @throws ProtocolError `Unauthorized` or `AuthInvalidated` (protocol.md §1.8, mutations-auth.md §5.2). */
  verify(token: string | null, userID: string | null): Promise<Auth>;
}

/** JWTs are verified when one of jwk, secret or jwksUrl is set; otherwise tokens are opaque and only forwarded. */
export const createTokenVerifier = (config: Pick<ZeroConfig, 'auth' | 'mutate' | 'query'>): TokenVerifier => {
  const check = jwtCheck(config.auth);
  const forwarded = Boolean(config.mutate.url?.length && config.query.url?.length);
  return {
    verify: async (token, userID) => {
      if (!token) return {kind: 'none'};
      if (userID === null) throw protocolError('Unauthorized', 'An auth token was given without a userID.');
      if (check) return {kind: 'jwt', token, claims: await check(token, userID)};
      if (forwarded) return {kind: 'opaque', token};
      throw protocolError(
        'Unauthorized',
        'The server cannot check auth tokens: set one of ZERO_AUTH_JWK, ZERO_AUTH_SECRET or ZERO_AUTH_JWKS_URL, or both ZERO_MUTATE_URL and ZERO_QUERY_URL.',
      );
    },
  };
};

type Check = (token: string, userID: string) => Promise<JWTPayload>;

const jwtCheck = (auth: ZeroConfig['auth']): Check | null => {
  const key = keyOf(auth);
  if (!key) return null;
  return async (token, userID) => {
    const options: JWTVerifyOptions = {subject: userID};
    if (auth.issuer) options.issuer = auth.issuer;
    if (auth.audience) options.audience = auth.audience;
    try {
      const {payload} = await jwtVerify(token, key, options);
      return payload;
    } catch (cause) {
      if (cause instanceof ProtocolError) throw cause;
      const code = (cause as {code?: string}).code ?? 'unknown reason';
      throw protocolError('AuthInvalidated', `The auth token is not valid: ${code}.`, {cause});
    }
  };
};

const keyOf = ({jwk, jwksUrl, secret}: ZeroConfig['auth']): JWTVerifyGetKey | null => {
  // With several of them set, tokens are opaque (mutations-auth.md §5.2).
  if ([jwk, jwksUrl, secret].filter(Boolean).length !== 1) return null;
  if (jwksUrl) return remoteKeys(new URL(jwksUrl));
  if (jwk) {
    // The only key is meant, whatever name a token gives its key.
    const key = JSON.parse(jwk) as JWK;
    return async ({alg}) => importJWK(key, key.alg ?? alg);
  }
  const bytes = new TextEncoder().encode(secret);
  return async () => bytes;
};

/** The set is fetched when it is first needed and kept for the life of the process. */
const remoteKeys = (url: URL): JWTVerifyGetKey => {
  const keys = createRemoteJWKSet(url);
  return async (header, token) => {
    try {
      return await keys(header, token);
    } catch (error) {
      // Whatever else goes wrong is not the token's fault.
      if (
        /^ERR_(JWKS_NO_MATCHING|JWKS_MULTIPLE|JOSE_NOT_SUPPORTED)/.test((error as {code?: string}).code ?? '')
      )
        throw error;
      throw keysUnreachable(error);
    }
  };
};

/** Clients come back by themselves, where an auth error would ask their users to log in again. */
const keysUnreachable = (cause: unknown): ProtocolError =>
  new ProtocolError(
    {
      kind: 'ServerOverloaded',
      message: 'The keys that verify auth tokens cannot be fetched now.',
      origin: 'zeroCache',
    },
    {cause},
  );
