// Owns what every adapter refuses before it sends: entries too large for any broker, partitions that do not exist, and what
// would leave a gap behind a refused entry of the same partition.
import type { Partition } from '../command/identity.ts';
import type { PublishResult, Routed } from './transport.ts';

/** Bytes of one entry with its headers. Commands are at most 256 KiB; what a broker takes at its defaults is 1 MB. */
export const ENTRY_BYTES_MAX = 900 * 1024;

export type Refusal = Extract<PublishResult, { readonly kind: 'refused' }>;

/** Why an entry cannot be sent, or null, in the order of the batch. Of one partition's entries only a prefix is admitted. */
export function admit(batch: readonly Routed[], partitions: number): readonly (Refusal | null)[] {
  const closed = new Set<Partition>();
  return batch.map((routed) => {
    const refusal = closed.has(routed.partition) ? BEHIND_REFUSED : refusalOf(routed, partitions);
    if (refusal !== null) closed.add(routed.partition);
    return refusal;
  });
}

export const BEHIND_REFUSED: Refusal = {
  kind: 'refused',
  reason: 'an earlier entry of this partition was refused in the same call',
  retry: true,
};

function refusalOf(routed: Routed, partitions: number): Refusal | null {
  if (routed.partition < 0 || routed.partition >= partitions) {
    return { kind: 'refused', reason: `partition ${routed.partition} does not exist`, retry: false };
  }
  // A cheap upper bound first: headers are counted only for entries that come near.
  if (routed.bytes.length > ENTRY_BYTES_MAX - HEADERS_BYTES_MAX && entryBytes(routed) > ENTRY_BYTES_MAX) {
    return {
      kind: 'refused',
      reason: `the entry has more than ${ENTRY_BYTES_MAX} bytes`,
      retry: false,
    };
  }
  return null;
}

const HEADERS_BYTES_MAX = 16 * 1024;

/** Size on the wire, headers included; at most a few bytes off. */
export function entryBytes(entry: Pick<Routed, 'bytes' | 'headers'>): number {
  let size = entry.bytes.length;
  for (const name in entry.headers) size += name.length + (entry.headers[name] ?? '').length;
  return size;
}
