// Owns what a developer's config file exports: resource types, and the SQL files that make their tables.
import { dirname, resolve } from 'node:path';
import type { Contract, NamedCommand } from '../command/contract.ts';
import { OnelaneError } from '../process/errors.ts';
import type { AnyResourceType, CommandContext, Decision, ResourceType, ResourceTypes } from './resource-type.ts';
import type { RowStore } from './row-store.ts';

export interface OnelaneConfig {
  readonly kind: 'onelane-config';
  readonly types: ResourceTypes;
  /** As written: relative to the config file; see sqlFiles. */
  readonly sql: readonly string[];
}

export class ConfigMalformed extends OnelaneError {
  readonly code = 'config-malformed' as const;
}

/** What the developer writes; `decide` is typed by contract and rows, and adds nothing to what they say. */
export interface ResourceTypeParts<State, C extends NamedCommand> {
  readonly contract: Contract<C>;
  readonly rows: RowStore<State>;
  decide(state: NoInfer<State> | null, command: NoInfer<C>, about: CommandContext): Decision<NoInfer<State>>;
}

/** `resourceType({ contract, rows, decide(state, command, about) { … } })`. */
export function resourceType<State, C extends NamedCommand>(
  parts: ResourceTypeParts<State, C>,
): ResourceType<State, C> {
  return parts;
}

/** Throws ConfigMalformed with the sentence that the developer needs; a config file exports what this returns as its default. */
export function defineConfig(given: {
  readonly resources: readonly AnyResourceType[];
  readonly sql?: readonly string[];
}): OnelaneConfig {
  // Plain JavaScript configs come here too: nothing is taken for granted.
  if (!Array.isArray(given.resources) || given.resources.length === 0) {
    throw new ConfigMalformed('defineConfig needs at least one resource type: defineConfig({ resources: [account] })');
  }
  const types = new Map<AnyResourceType['contract']['type'], AnyResourceType>();
  for (const [index, type] of given.resources.entries()) {
    refuseMalformed(type, index);
    const name = type.contract.type;
    if (types.has(name)) throw new ConfigMalformed(`resource type "${name}" is defined twice: give each its own name`);
    types.set(name, type);
  }
  const sql = given.sql ?? [];
  if (!Array.isArray(sql) || sql.some((file) => typeof file !== 'string' || file === '')) {
    throw new ConfigMalformed("sql names files: defineConfig({ …, sql: ['./tables.sql'] })");
  }
  return { kind: 'onelane-config', types, sql: [...sql] };
}

/** The SQL files of a config, as absolute paths. */
export function sqlFiles(config: OnelaneConfig, configFile: string): readonly string[] {
  return config.sql.map((file) => resolve(dirname(configFile), file));
}

/** What a loaded module exported, if it is a config; a copy of Onelane elsewhere may have made it, so its class says nothing. */
export function isConfig(exported: unknown): exported is OnelaneConfig {
  return typeof exported === 'object' && exported !== null && Reflect.get(exported, 'kind') === 'onelane-config';
}

function refuseMalformed(type: unknown, index: number): void {
  const part = (name: string): unknown => (typeof type === 'object' && type !== null ? Reflect.get(type, name) : null);
  const has = (whole: unknown, names: readonly string[]): boolean =>
    typeof whole === 'object' && whole !== null && names.every((name) => Reflect.get(whole, name) !== undefined);
  const missing = [
    has(part('contract'), ['type', 'commands', 'fingerprint']) ? '' : 'contract: contract(…)',
    typeof part('decide') === 'function' ? '' : 'decide(state, command, about) { … }',
    has(part('rows'), ['table', 'key', 'encode', 'decode']) ? '' : 'rows: tableRows(…)',
  ].filter((each) => each !== '');
  if (missing.length > 0) throw new ConfigMalformed(`resource type number ${index + 1} lacks ${missing.join(' and ')}`);
}
