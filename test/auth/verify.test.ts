import {once} from 'node:events';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {exportJWK, generateKeyPair, SignJWT} from 'jose';
import {expect, test} from 'vitest';
import type {Auth} from '../../src/auth/auth.ts';
import {resolveAuth} from '../../src/auth/resolve-auth.ts';
import {createTokenVerifier} from '../../src/auth/verify.ts';
import {ProtocolError} from '../../src/protocol/error-body.ts';
import {testConfig} from '../helpers/config.ts';

const config = testConfig({url: 'postgres://h/d', appID: 'a'}, '/tmp');
const verifierOf = (auth: Partial<(typeof config)['auth']>, more: object = {}) =>
  createTokenVerifier({...config, auth: {...config.auth, ...auth}, ...more});
const secret = 'a secret of some length for HS256';
const key = new TextEncoder().encode(secret);
const signed = (claims: object = {}, header: object = {}) =>
  new SignJWT({sub: 'u', ...claims}).setProtectedHeader({alg: 'HS256', ...header}).sign(key);

const kindOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'accepted',
    error => (error instanceof ProtocolError ? error.body.kind : String(error)),
  );

test('a secret: signature, subject, issuer, audience and times are checked', async () => {
  const verifier = verifierOf({secret, issuer: 'me', audience: 'you'});
  const good = {iss: 'me', aud: ['them', 'you']};
  expect(await verifier.verify(await signed(good), 'u')).toMatchObject({
    kind: 'jwt',
    claims: {sub: 'u', iss: 'me'},
  });
  const hour = Math.floor(Date.now() / 1000) + 3600;
  for (const [claims, userID] of [
    [good, 'somebody else'],
    [{...good, iss: 'not me'}, 'u'],
    [{...good, aud: 'them'}, 'u'],
    [{aud: 'you'}, 'u'],
    [{...good, exp: 1}, 'u'],
    [{...good, nbf: hour}, 'u'],
  ] as const)
    expect(await kindOf(verifier.verify(await signed(claims), userID))).toBe('AuthInvalidated');
  const other = new SignJWT({sub: 'u', ...good}).setProtectedHeader({alg: 'HS256'});
  expect(await kindOf(verifier.verify(await other.sign(new Uint8Array(32)), 'u'))).toBe('AuthInvalidated');
  expect(await kindOf(verifier.verify('not.a.token', 'u'))).toBe('AuthInvalidated');
  expect(await kindOf(verifier.verify(await signed(good), null))).toBe('Unauthorized');
  expect(await verifier.verify('', 'u')).toEqual({kind: 'none'});
  expect(await verifier.verify(null, null)).toEqual({kind: 'none'});
});

test.each(['PS256', 'ES256', 'EdDSA'])(
  'a public key as a JWK (%s), with and without its algorithm and name',
  async alg => {
    const {publicKey, privateKey} = await generateKeyPair(alg, {extractable: true});
    const jwk = await exportJWK(publicKey);
    const token = await new SignJWT({sub: 'u'}).setProtectedHeader({alg, kid: 'mine'}).sign(privateKey);
    for (const more of [{}, {alg, kid: 'theirs', use: 'sig'}])
      expect(await kindOf(verifierOf({jwk: JSON.stringify({...jwk, ...more})}).verify(token, 'u'))).toBe(
        'accepted',
      );
    // Signed with the public key as if it were a secret.
    const forged = await new SignJWT({sub: 'u'})
      .setProtectedHeader({alg: 'HS256'})
      .sign(new TextEncoder().encode(JSON.stringify(jwk).padEnd(32)));
    expect(await kindOf(verifierOf({jwk: JSON.stringify(jwk)}).verify(forged, 'u'))).toBe('AuthInvalidated');
  },
);

test('a key set by its address; while it cannot be had, clients are to come back', async () => {
  const {publicKey, privateKey} = await generateKeyPair('ES256', {extractable: true});
  const keys = [{...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256'}];
  let up = true;
  const server = createServer((_, response) => {
    response.statusCode = up ? 200 : 500;
    response.end(JSON.stringify({keys}));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const jwksUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
  const token = (kid: string) =>
    new SignJWT({sub: 'u'}).setProtectedHeader({alg: 'ES256', kid}).sign(privateKey);
  const verifier = verifierOf({jwksUrl});
  expect(await kindOf(verifier.verify(await token('k'), 'u'))).toBe('accepted');
  expect(await kindOf(verifier.verify(await token('unknown'), 'u'))).toBe('AuthInvalidated');
  up = false;
  expect(await kindOf(verifierOf({jwksUrl}).verify(await token('k'), 'u'))).toBe('ServerOverloaded');
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
  expect(await kindOf(verifierOf({jwksUrl}).verify(await token('k'), 'u'))).toBe('ServerOverloaded');
  expect(await kindOf(verifier.verify(await token('k'), 'u'))).toBe('accepted');
});

test('without a key, or with several, tokens are forwarded if the app has both endpoints', async () => {
  const url = {...config.mutate, url: ['http://app/']};
  const both = {mutate: url, query: url};
  expect(await verifierOf({}, both).verify('any', 'u')).toEqual({kind: 'opaque', token: 'any'});
  expect(await verifierOf({secret, jwksUrl: 'http://keys/'}, both).verify('any', 'u')).toMatchObject({
    kind: 'opaque',
  });
  expect(await kindOf(verifierOf({}, {mutate: url}).verify('any', 'u'))).toBe('Unauthorized');
  expect(await kindOf(verifierOf({}, both).verify('any', null))).toBe('Unauthorized');
});

const none: Auth = {kind: 'none'};
const opaque = (token: string): Auth => ({kind: 'opaque', token});
const jwt = (claims: object): Auth => ({
  kind: 'jwt',
  token: JSON.stringify(claims),
  claims: {sub: 'u', ...claims},
});

/** The table of mutations-auth.md §5.2. */
test.each<[string, Auth, Auth, 'previous' | 'incoming' | 'Unauthorized']>([
  ['none → none', none, none, 'previous'],
  ['none → opaque', none, opaque('a'), 'incoming'],
  ['opaque → none', opaque('a'), none, 'Unauthorized'],
  ['jwt → opaque', jwt({}), opaque('a'), 'Unauthorized'],
  ['opaque → jwt', opaque('a'), jwt({}), 'Unauthorized'],
  ['the same opaque', opaque('a'), opaque('a'), 'previous'],
  ['another opaque', opaque('a'), opaque('b'), 'incoming'],
  ['another sub', jwt({iat: 1}), jwt({iat: 2, sub: 'x'}), 'Unauthorized'],
  ['no iat before', jwt({}), jwt({iat: 2}), 'incoming'],
  ['no iat any more', jwt({iat: 1}), jwt({}), 'Unauthorized'],
  ['newer', jwt({iat: 1}), jwt({iat: 2}), 'incoming'],
  ['equally old', jwt({iat: 2}), jwt({iat: 2, role: 'x'}), 'previous'],
  ['older', jwt({iat: 2}), jwt({iat: 1}), 'previous'],
])('a new token: %s', async (_, previous, incoming, outcome) => {
  if (outcome === 'Unauthorized')
    return expect(await kindOf(Promise.resolve().then(() => resolveAuth(previous, incoming)))).toBe(outcome);
  expect(resolveAuth(previous, incoming)).toBe({previous, incoming}[outcome]);
});
