import {count, flag, json, list, number, type Option, text} from '../option.ts';

/** Value of each option of an app endpoint. */
export interface EndpointOptions {
  readonly url: Option<readonly string[] | undefined>;
  readonly apiKey: Option<string | undefined>;
  readonly forwardCookies: Option<boolean>;
  readonly allowedClientHeaders: Option<readonly string[] | undefined>;
  readonly allowedRequestHeaders: Option<readonly string[] | undefined>;
}

/** How long an answer may take. The deprecated groups do not have it. */
const timeoutMs = (what: string) =>
  number({
    ...count,
    min: 1,
    ours: true,
    default: 60_000,
    about: `Milliseconds after which your server is taken for down if it has not answered a request to ${what}; the client is told, and tries again.`,
  });

/** `current` is the group to use instead. */
const endpoint = (what: string, current?: string): EndpointOptions => {
  const instead = (field: string): {readonly deprecated?: string} =>
    current ? {deprecated: `Use ${current}_${field}.`} : {};
  return {
    url: list({
      ...instead('URL'),
      about: `Addresses of your server that ${what}, as URL patterns. The first is where requests go unless a client asks for another one that matches. Query string and fragment play no part in matching.`,
    }),
    apiKey: text({
      ...instead('API_KEY'),
      secret: true,
      about:
        'Sent to your server with each such request as X-Api-Key, so that it can tell the daemon from others.',
    }),
    forwardCookies: flag({
      ...instead('FORWARD_COOKIES'),
      default: false,
      about: "Pass the cookies of the client's connection on with each such request.",
    }),
    allowedClientHeaders: list({
      ...instead('ALLOWED_CLIENT_HEADERS'),
      defaultText: 'none',
      about:
        'Headers chosen by the client application that are passed on with each such request, in any case.',
    }),
    allowedRequestHeaders: list({
      ...instead('ALLOWED_REQUEST_HEADERS'),
      defaultText: 'none',
      about:
        "Headers of the client's connection request that are passed on with each such request, in any case.",
    }),
  };
};

/** The app's own server, mutations, and who the user is (config-ops.md §1.4). */
export const appServerOptions = {
  mutate: {...endpoint('run custom mutators'), timeoutMs: timeoutMs('run custom mutators')},
  query: {...endpoint('name and permit queries'), timeoutMs: timeoutMs('name and permit queries')},
  push: endpoint('run custom mutators', 'ZERO_MUTATE'),
  getQueries: endpoint('name and permit queries', 'ZERO_QUERY'),
  enableCrudMutations: flag({
    default: true,
    about:
      'Write the built-in create, update and delete mutations straight to PostgreSQL. Switch it off when all mutations go through your server; connections to upstream are then not needed for mutations.',
  }),
  perUserMutationLimit: {
    max: number({
      ...count,
      defaultText: 'no limit',
      about:
        'Most mutations of one user within the window below. Further ones wait until there is room again.',
    }),
    windowMs: number({
      ...count,
      min: 1,
      default: 60_000,
      about: 'Length in milliseconds of the sliding window in which mutations of a user are counted.',
    }),
  },
  auth: {
    jwk: json({
      secret: true,
      deprecated: 'Verify users in your own server behind ZERO_MUTATE_URL and ZERO_QUERY_URL.',
      about: 'Public key as a JWK that verifies the tokens of clients.',
    }),
    jwksUrl: text({
      deprecated: 'Verify users in your own server behind ZERO_MUTATE_URL and ZERO_QUERY_URL.',
      about: 'Address of the key set (JWKS) that verifies the tokens of clients.',
    }),
    secret: text({
      secret: true,
      deprecated: 'Verify users in your own server behind ZERO_MUTATE_URL and ZERO_QUERY_URL.',
      about: 'Symmetric key that verifies the tokens of clients.',
    }),
    issuer: text({
      deprecated: 'Verify users in your own server behind ZERO_MUTATE_URL and ZERO_QUERY_URL.',
      about: 'Issuer (iss) that tokens must name.',
    }),
    audience: text({
      deprecated: 'Verify users in your own server behind ZERO_MUTATE_URL and ZERO_QUERY_URL.',
      about: 'Audience (aud) that tokens must name.',
    }),
    revalidateIntervalSeconds: number({
      min: 0,
      default: 300,
      about: 'Seconds between checks with your server that a connected user is still logged in.',
    }),
    retransformIntervalSeconds: number({
      min: 0,
      default: 300,
      about:
        "Seconds between asking your server again what a client group's queries mean, so that changed permissions take hold.",
    }),
  },
};
