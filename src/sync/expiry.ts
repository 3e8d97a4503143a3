import type {Auth} from '../auth/auth.ts';

/** setTimeout's longest; a later expiry is looked at again then. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** Calls `onExpired` when the `exp` of a verified token is past; tokens without one, and opaque ones, never expire here. */
export class ExpiryTimer {
  readonly #onExpired: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(onExpired: () => void) {
    this.#onExpired = onExpired;
  }

  watch(auth: Auth): void {
    this.stop();
    const exp = auth.kind === 'jwt' ? auth.claims['exp'] : undefined;
    if (typeof exp !== 'number') return;
    const delay = exp * 1000 - Date.now();
    this.#timer = setTimeout(
      () => (delay > MAX_DELAY_MS ? this.watch(auth) : this.#onExpired()),
      Math.min(Math.max(delay, 0), MAX_DELAY_MS),
    ).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
