import * as z from 'zod';
import {PermissionsUnreadable} from '../errors.ts';
import {conditionSchema} from '../protocol/ast-schema.ts';
import type {Condition} from '../zql/ast.ts';

/** Rules one of which must hold; none: nobody may (mutations-auth.md §4.1). */
export type Policy = readonly (readonly ['allow', Condition])[];

export interface Asset {
  readonly select?: Policy | undefined;
  readonly insert?: Policy | undefined;
  readonly update?:
    | {readonly preMutation?: Policy | undefined; readonly postMutation?: Policy | undefined}
    | undefined;
  readonly delete?: Policy | undefined;
}

export interface Permissions {
  readonly tables: Readonly<
    Record<
      string,
      {readonly row?: Asset | undefined; readonly cell?: Readonly<Record<string, Asset>> | undefined}
    >
  >;
}

const policy = z.array(z.tuple([z.literal('allow'), conditionSchema])).optional();
const asset = z.object({
  select: policy,
  insert: policy,
  update: z.object({preMutation: policy, postMutation: policy}).optional(),
  delete: policy,
});
const schema = z.object({
  tables: z
    .record(z.string(), z.object({row: asset.optional(), cell: z.record(z.string(), asset).optional()}))
    .default({}),
});

/** Nothing deployed: nobody may do anything. */
export const NO_PERMISSIONS: Permissions = {tables: {}};

/** @throws PermissionsUnreadable */
const parsePermissions = (json: string): Permissions => {
  try {
    return schema.parse(JSON.parse(json));
  } catch (error) {
    throw new PermissionsUnreadable('The deployed permissions are not in a form this server knows.', {
      cause: error,
    });
  }
};

/** Parses again only when the hash changes. */
export class PermissionsCache {
  readonly #read: () => {readonly hash: string; readonly json: string} | null;
  #hash: string | null = null;
  #parsed: Permissions = NO_PERMISSIONS;

  constructor(read: () => {readonly hash: string; readonly json: string} | null) {
    this.#read = read;
  }

  current(): Permissions {
    const row = this.#read();
    if (!row) return NO_PERMISSIONS;
    if (row.hash !== this.#hash) {
      this.#parsed = parsePermissions(row.json);
      this.#hash = row.hash;
    }
    return this.#parsed;
  }
}
