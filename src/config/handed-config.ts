import {PipelineBug} from '../errors.ts';
import type {ZeroConfig} from './config.ts';

// Apart from parsing, so that child processes load no option table.

/** A finished configuration as text, for a child process. It holds secrets: hand it over by IPC, never log it. */
export const serializeConfig = (config: ZeroConfig): string => JSON.stringify(config);

/**
 * What {@link serializeConfig} wrote, in a process of the same release. It was checked by the parent and is not checked
 * again; options without a value are absent, which reads the same as undefined. @throws PipelineBug
 */
export const deserializeConfig = (text: string): ZeroConfig => {
  const value = parsed(text);
  if (typeof value === 'object' && value !== null && 'upstream' in value && 'taskID' in value)
    return value as ZeroConfig;
  throw new PipelineBug('a child process got something else than a configuration');
};

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
