/** Where `fixture-replay record` attaches to a running server, and the Upgrade token by which it asks. */
export const RECORD_PATH = '/record';
export const RECORD_PROTOCOL = 'zerostream-record';
