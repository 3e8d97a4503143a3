import {createHash, timingSafeEqual} from 'node:crypto';
import type {ZeroConfig} from '../config/config.ts';

/** Whether a text is the admin's password; in development an empty one will do where none is configured. */
export const isAdminPassword = (
  {adminPassword, development}: Pick<ZeroConfig, 'adminPassword' | 'development'>,
  given: string,
): boolean => (adminPassword ? sameText(given, adminPassword) : development && given === '');

/** Takes the same time wherever the texts differ. */
const sameText = (a: string, b: string): boolean => {
  const digest = (value: string) => createHash('sha256').update(value).digest();
  return timingSafeEqual(digest(a), digest(b));
};
