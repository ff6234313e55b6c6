// Owns the seam that a developer implements: what a resource is, how a command changes it, where its rows lie.
import type { Contract, NamedCommand } from '../command/contract.ts';
import type { CommandId, Json, ResourceKey, ResourceTypeName, Revision } from '../command/identity.ts';
import type { RowStore } from './row-store.ts';

export interface CommandContext {
  readonly id: CommandId;
  readonly key: ResourceKey;
  /** The command's own time; `decide` has no clock. */
  readonly time: Date;
  /** The resource's revision before this command; 0 when it never existed. */
  readonly revision: Revision;
}

export type Decision<State> =
  /** null deletes the row. */
  | { readonly kind: 'change'; readonly state: State | null; readonly reply?: Json }
  | { readonly kind: 'unchanged'; readonly reply?: Json }
  | { readonly kind: 'reject'; readonly code: string; readonly detail: string };

/**
 * `decide` is pure and synchronous: no I/O, no clock, no randomness; what it is given is frozen. Throwing parks the command.
 * `state` is null when there is no such row.
 */
export interface ResourceType<State, C extends NamedCommand = NamedCommand> {
  readonly contract: Contract<C>;
  decide(state: State | null, command: C, about: CommandContext): Decision<State>;
  readonly rows: RowStore<State>;
}

/** Types erased at one place: lanes and producers handle every type alike; `defineConfig` made sure that the parts fit. */
export type AnyResourceType = ResourceType<unknown, NamedCommand>;
export type ResourceTypes = ReadonlyMap<ResourceTypeName, AnyResourceType>;
