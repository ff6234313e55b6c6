// Owns what stands in a log: the entry as delivered, and what it turned out to be.
import { createHash } from 'node:crypto';
import {
  trustedEntryHash,
  type CommandId,
  type ContentHash,
  type EntryHash,
  type Json,
  type Position,
  type ResourceKey,
  type ResourceTypeName,
  type Revision,
} from './identity.ts';

/** Header names in lower case; values as text (an adapter turns other bytes into `base64:…`). */
export type Headers = Readonly<Record<string, string>>;

export interface Command {
  readonly kind: 'command';
  readonly id: CommandId;
  readonly source: string;
  readonly type: ResourceTypeName;
  readonly subject: string;
  readonly key: ResourceKey;
  /** The command's own name: `deposit` of `account.deposit`. */
  readonly name: string;
  readonly data: Json;
  /** 0: the resource must not exist. null: nothing expected. */
  readonly expectedRevision: Revision | null;
  /** Milliseconds since 1970: the event's own time, else when it was appended. */
  readonly timeMs: number;
  readonly content: ContentHash;
}

export type StrayReason = 'unreadable' | 'misrouted' | 'id-conflict' | 'operator-entry-unknown';

/** An entry that no resource can be blamed for. Kept with its bytes; holds nothing. */
export interface Stray {
  readonly kind: 'stray';
  readonly reason: StrayReason;
  readonly detail: string;
}

/** What a transport hands out. */
export interface Delivery {
  readonly position: Position;
  readonly bytes: Uint8Array;
  readonly headers: Headers;
  readonly appendedAt: Date;
  /** The same bytes as text, where they and all that came with them are ASCII: the transport has read it at once. */
  readonly text?: string | null;
}

/** A delivery, read once. */
export interface Entry {
  readonly delivery: Delivery;
  readonly body: Command | Stray;
}

/** The headers that our own publishers set. */
export const HEADER = {
  /** The id of the system that published; a foreign one halts the lane. */
  system: 'onelane-system',
  /** The number of the partition layout the entry was routed with. */
  layout: 'onelane-layout',
} as const;

/** SHA-256 of an entry's headers (sorted by name) and bytes. */
export function entryHash(delivery: Pick<Delivery, 'bytes' | 'headers'>): EntryHash {
  const names = Object.keys(delivery.headers).sort();
  // The count first: no bytes can then be taken for one header more.
  const hash = createHash('sha256').update(`${names.length};`);
  for (const name of names) {
    const value = delivery.headers[name] ?? '';
    hash.update(`${name.length}:${name}${value.length}:${value}`);
  }
  return trustedEntryHash(hash.update(delivery.bytes).digest('hex'));
}
