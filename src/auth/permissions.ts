import * as z from 'zod';
import {PermissionsUnreadable} from '../errors.ts';
import {conditionSchema} from '../protocol/ast-schema.ts';
import {comeBackLater, type ProtocolError} from '../protocol/error-body.ts';
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

/** A client comes back so soon to see whether permissions can be read again. */
const COME_BACK_MS = 5000;

/** Nothing deployed: nobody may do anything. */
export const NO_PERMISSIONS: Permissions = {tables: {}};

const parsePermissions = (json: string): Permissions | PermissionsUnreadable => {
  try {
    return schema.parse(JSON.parse(json));
  } catch (error) {
    const where = error instanceof z.ZodError ? error.issues[0]?.path.join('.') : '';
    return new PermissionsUnreadable(
      `The deployed permissions are not in a form that this server knows${where ? ` (at ${where})` : ''}: deploy them again with the zero-deploy-permissions of @rocicorp/zero 1.9. Until then clients keep what they have, and their queries and writes wait.`,
      {cause: error},
    );
  }
};

/** What clients are told: no place within the rules, which are not theirs to know. */
export const unreadableNow = (cause: PermissionsUnreadable): ProtocolError =>
  comeBackLater(
    'The deployed permissions cannot be read (M001): deploy them again with a matching zero-deploy-permissions. Nothing is lost.',
    COME_BACK_MS,
    {cause},
  );

/** Parses again only when what is deployed changes. */
export class PermissionsCache {
  readonly #read: () => {readonly hash: string; readonly json: string} | null;
  #row: {readonly hash: string; readonly json: string} | null = null;
  #parsed: Permissions | PermissionsUnreadable = NO_PERMISSIONS;

  constructor(read: () => {readonly hash: string; readonly json: string} | null) {
    this.#read = read;
  }

  /** @throws PermissionsUnreadable: nobody may do anything, and nobody should take that for what was meant. */
  current(): Permissions {
    const parsed = this.#look();
    if (parsed instanceof PermissionsUnreadable) throw parsed;
    return parsed;
  }

  /** What is wrong with what is deployed now. */
  get fault(): PermissionsUnreadable | null {
    const parsed = this.#look();
    return parsed instanceof PermissionsUnreadable ? parsed : null;
  }

  #look(): Permissions | PermissionsUnreadable {
    const row = this.#read();
    if (!row) this.#parsed = NO_PERMISSIONS;
    else if (row.hash !== this.#row?.hash || row.json !== this.#row.json)
      this.#parsed = parsePermissions(row.json);
    this.#row = row;
    return this.#parsed;
  }
}
