import {createHash, timingSafeEqual} from 'node:crypto';
import type {ZeroConfig} from '../config/config.ts';

/** Whether a text is the admin's password; in development an empty one will do where none is configured. */
export const isAdminPassword = (
  {adminPassword, development}: Pick<ZeroConfig, 'adminPassword' | 'development'>,
  given: string,
): boolean => (adminPassword ? sameText(given, adminPassword) : development && given === '');

/** What a tool says that was refused, with or without a password. */
export const passwordRefused = (given: boolean): string =>
  given
    ? 'it has another admin password than --password or ZERO_ADMIN_PASSWORD say.'
    : 'it wants its admin password: give --password or set ZERO_ADMIN_PASSWORD.';

/** Takes the same time wherever the texts differ. */
const sameText = (a: string, b: string): boolean => {
  const digest = (value: string) => createHash('sha256').update(value).digest();
  return timingSafeEqual(digest(a), digest(b));
};
