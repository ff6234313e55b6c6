// Owns the contract of a resource type: the names of its commands and the schemas of their payloads, shared with producers.
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { canonicalJson } from './canonical.ts';
import { isResourceTypeName, type Json, type ResourceTypeName } from './identity.ts';
import { RESERVED_TYPE } from './type-names.ts';
import { OnelaneError } from '../process/errors.ts';

/** What `decide` is given: the command's name and its payload as the schema printed it. */
export interface NamedCommand {
  readonly name: string;
  readonly data: unknown;
}

export interface Contract<C extends NamedCommand = NamedCommand> {
  readonly type: ResourceTypeName;
  readonly commands: ReadonlyMap<C['name'], z.ZodType<C['data']>>;
  /** Canonical JSON schema of the whole contract; equal text, equal contract. */
  readonly fingerprint: string;
}

type CommandOf<Schemas extends Record<string, z.ZodType>> = {
  [Name in keyof Schemas & string]: { readonly name: Name; readonly data: z.output<Schemas[Name]> };
}[keyof Schemas & string];

export type CommandsOf<T> = T extends Contract<infer C> ? C : never;

export class ContractMalformed extends OnelaneError {
  readonly code = 'contract-malformed' as const;
}

const COMMAND_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,62}$/;

/**
 * Declares a resource type's commands: `contract('account', { open: z.strictObject({}), deposit: z.strictObject({ amount: … }) })`.
 * Throws ContractMalformed for a name that cannot stand in a CloudEvents type, or a schema without a JSON schema (a transform, a date).
 */
export function contract<Schemas extends Record<string, z.ZodType>>(
  type: string,
  commands: Schemas,
): Contract<CommandOf<Schemas>> {
  if (!isResourceTypeName(type) || type === RESERVED_TYPE) {
    throw new ContractMalformed(
      `resource type "${type}" cannot be used: choose letters, digits, - and _, beginning with a letter, and not "${RESERVED_TYPE}"`,
    );
  }
  const names = Object.keys(commands);
  const bad = names.find((name) => !COMMAND_NAME.test(name));
  if (bad !== undefined) {
    throw new ContractMalformed(
      `command name "${type}.${bad}" cannot be used: choose letters, digits, . - and _, beginning with a letter`,
    );
  }
  const schemas = names.map((name) => [name, jsonSchemaOf(type, name, commands[name])] as const);
  return {
    type,
    // The map is built from the record that CommandOf was derived from: names and schemas agree by construction.
    commands: new Map(Object.entries(commands)) as unknown as Contract<CommandOf<Schemas>>['commands'],
    fingerprint: canonicalJson({ type, commands: Object.fromEntries(schemas) }),
  };
}

/** One hash for all contracts of a process: a consumer that claims with another one may know more commands. Hex. */
export function contractsHash(contracts: Iterable<Contract>): string {
  const prints = [...contracts].map((each) => each.fingerprint).sort();
  return createHash('sha256').update(prints.join('\n')).digest('hex');
}

function jsonSchemaOf(type: string, name: string, schema: z.ZodType | undefined): Json {
  try {
    // Throws for a transform, whose input alone would look plain.
    z.toJSONSchema(schema ?? z.never(), { io: 'output' });
    // toJSONSchema prints plain JSON by its own contract.
    return z.toJSONSchema(schema ?? z.never(), { io: 'input' }) as unknown as Json;
  } catch (cause) {
    throw new ContractMalformed(
      `the schema of "${type}.${name}" has no JSON schema: use plain types (strings for dates and big numbers), no transforms`,
      { cause },
    );
  }
}
