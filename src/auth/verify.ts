import {
  createRemoteJWKSet,
  importJWK,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  jwtVerify,
} from 'jose';
import type {ZeroConfig} from '../config/config.ts';
import {protocolError} from '../protocol/error-body.ts';
import type {Auth} from '../sync/types.ts';

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
      const {payload} = await jwtVerify(token, await key(), options);
      return payload;
    } catch (error) {
      throw protocolError(
        'AuthInvalidated',
        `The auth token is not valid: ${(error as {code?: string}).code ?? 'unknown reason'}.`,
        {
          cause: error,
        },
      );
    }
  };
};

const keyOf = ({jwk, jwksUrl, secret}: ZeroConfig['auth']): (() => Promise<JWTVerifyGetKey>) | null => {
  if (jwksUrl) {
    const remote = createRemoteJWKSet(new URL(jwksUrl));
    return async () => remote;
  }
  if (jwk) {
    const key = importJWK(JSON.parse(jwk));
    return async () => {
      const imported = await key;
      return async () => imported;
    };
  }
  if (!secret) return null;
  const bytes = new TextEncoder().encode(secret);
  return async () => async () => bytes;
};
