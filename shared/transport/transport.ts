// Owns the transport seam: what hides the broker. An adapter is done when the conformance suite passes, not before.
import type { Delivery, Headers } from '../command/entry.ts';
import type { CommandId, EntryHash, Epoch, Partition, Position, ResourceKey } from '../command/identity.ts';

/**
 * Adapters are stupid: retrying, batching, ordering policy and reconnecting callers live above this seam. What an adapter
 * owes: order within a partition, durability before `stored`, and the truth about what it does not know.
 */
export interface Transport {
  readonly traits: {
    /** `stored`: a position means the same to every process for ever. `lane`: only within one Lane object; never stored. */
    readonly positions: 'stored' | 'lane';
    /** `by-lease`: the caller says through `mine` which partitions to read. `itself`: the broker's group does, `mine` is ignored. */
    readonly assigns: 'itself' | 'by-lease';
    /** What a caller is told that cannot be reached, or has not answered: `the database`. */
    readonly carriedBy: string;
  };
  /** Makes the log with this many partitions, or checks that it is the one we know. Idempotent, safe when two start at once. */
  provision(partitions: number): Promise<void>;
  /** Throws when the broker is away; the caller waits and calls again. */
  openPublisher(): Promise<Publisher>;
  /** `mine`: the partitions leased to this process, each item replacing the one before. Its end closes every lane. */
  openSubscription(mine: AsyncIterable<ReadonlySet<Partition>>): Promise<Subscription>;
  /** One per partition, in their order. Lag is computed above, with the lanes' own figures. */
  ends(): Promise<readonly PartitionEnd[]>;
  /** Releases what the transport itself holds; after its publishers and subscriptions were closed. Idempotent. */
  close(): Promise<void>;
}

export interface PartitionEnd {
  readonly partition: Partition;
  /** Position that the next entry will get. Null where positions are the lane's own: then `waiting` counts what is there. */
  readonly next: Position | null;
  /** Entries in the log that no lane has settled, where the broker knows; else null. */
  readonly waiting: number | null;
}

/** A sealed command on its way: its partition is decided, its bytes are final. */
export interface Routed {
  readonly partition: Partition;
  readonly key: ResourceKey;
  readonly id: CommandId;
  readonly bytes: Uint8Array;
  readonly headers: Headers;
}

export interface Publisher {
  /**
   * Appends in the order given, per partition; one call at a time per partition (the caller sees to it). Results are in the order
   * of the input. Never rejects: what the adapter does not know is `unknown`, and after an unknown the adapter itself makes a new
   * producer or channel, so that the caller may send the same entries again. Of one partition's entries only a prefix is stored.
   */
  publish(batch: readonly Routed[]): Promise<readonly PublishResult[]>;
  /** Whether the broker takes entries, as far as it has said so; without this it does whenever it can be reached. */
  takes?(): boolean;
  close(): Promise<void>;
}

export type PublishResult =
  | { readonly kind: 'stored'; readonly position: Position | null }
  /** Not stored for certain. `retry`: the same entry may be taken later. */
  | { readonly kind: 'refused'; readonly reason: string; readonly retry: boolean }
  /** May have been stored. Publish the same again before anything later of that partition. */
  | { readonly kind: 'unknown'; readonly cause: Error };

export interface Subscription {
  /** Yields a lane when its partition becomes ours; ends after `stop`, when every lane has been released. */
  lanes(stop: AbortSignal): AsyncIterable<Lane>;
  close(): Promise<void>;
}

/** Calls come in this order: start, then next and settle …, release. One caller. */
export interface Lane {
  readonly partition: Partition;
  /** The broker took it away, or is about to; or it left `mine`; or the subscription stops. The holder finishes and releases. */
  readonly lost: AbortSignal;
  /** Positions the lane and checks that the log is still the one we know; rejects with LogDiverged when it is not. */
  start(at: Resume): Promise<void>;
  /**
   * At least one delivery as soon as there is one, at most `limit`; [] when nothing came within `waitMs`, and at once when `lost`
   * aborts. Consecutive, in order, never one twice. Rejects when the broker is away; the caller waits and calls again.
   */
  next(limit: {
    readonly count: number;
    readonly bytes: number;
    readonly waitMs: number;
  }): Promise<readonly Delivery[]>;
  /** Everything up to and with `through` is committed in the database. A hint: failing is an event, not an error. */
  settle(through: Position, commits: bigint): Promise<void>;
  /** After the last commit, also after `lost`. Still ours? Then `lanes()` yields the partition anew. Idempotent. */
  release(): Promise<void>;
}

/** Where a lane goes on, as the tenure row knows it. */
export interface Resume {
  /** Position to read next; null: this partition was never read. */
  readonly next: Position | null;
  readonly last: { readonly position: Position; readonly hash: EntryHash } | null;
  /** Transactions committed for this partition, ever. */
  readonly commits: bigint;
  /** Of the claim under which the lane reads on; without it nothing is concluded from epochs. */
  readonly epoch?: Epoch;
}

export type { Delivery, Headers };
