// Owns one call to the publisher: the micro-batches of several partitions that go together.
import type { PublishResult } from '../shared/transport/transport.ts';
import type { Held, PartitionQueue } from './partition-queue.ts';

export interface PublishCall {
  readonly sinceMs: number;
  readonly parts: readonly CallPart[];
  readonly entries: number;
  readonly bytes: number;
}

export interface CallPart {
  readonly queue: PartitionQueue;
  readonly entries: readonly Held[];
}

export function emptyCall(sinceMs: number): PublishCall {
  return { sinceMs, parts: [], entries: 0, bytes: 0 };
}

export function withPart(call: PublishCall, part: CallPart): PublishCall {
  if (part.entries.length === 0) return call;
  const bytes = part.entries.reduce((sum, entry) => sum + entry.sealed.bytes.length, 0);
  return {
    sinceMs: call.sinceMs,
    parts: [...call.parts, part],
    entries: call.entries + part.entries.length,
    bytes: call.bytes + bytes,
  };
}

/** Why a publish did not go well, from the first result that says so. */
export function causeOf(results: readonly PublishResult[]): Error {
  for (const each of results) {
    if (each.kind === 'unknown') return each.cause;
    if (each.kind === 'refused') return new Error(each.reason);
  }
  return new Error('the transport gave no result');
}
