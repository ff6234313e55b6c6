// Owns how publish calls become parcels: calls that wait together go together, and each gets its results in its own order.
import type { Partition, Position } from '../command/identity.ts';
import type { Clock } from '../process/time.ts';
import { BEHIND_REFUSED, admit, entryBytes } from './admission.ts';
import type { PublishResult, Routed } from './transport.ts';

/** What became of one partition's entries of a parcel. `stored`: the positions that they got, in order. `mixed`: not the same of all. */
export type Fate =
  | { readonly kind: 'stored'; readonly positionOf: (index: number) => Position | null }
  | { readonly kind: 'mixed'; readonly resultOf: (index: number) => PublishResult }
  | Exclude<PublishResult, { readonly kind: 'stored' }>;

/** What became of one of them. */
export function resultOf(fate: Fate, index: number): PublishResult {
  switch (fate.kind) {
    case 'stored':
      return { kind: 'stored', position: fate.positionOf(index) };
    case 'mixed':
      return fate.resultOf(index);
    default:
      return fate;
  }
}

/** Entries of one send, by partition, each in the order of their calls. */
export type Parcel = ReadonlyMap<Partition, readonly Routed[]>;

export interface PublishQueueGiven {
  readonly partitions: number;
  /** Never rejects. A partition that it does not tell about is unknown. */
  readonly send: (parcel: Parcel) => Promise<ReadonlyMap<Partition, Fate>>;
  /** Sends at a time. */
  readonly sendsMax: number;
  readonly limits: ParcelLimits;
  /** What an entry counts against the limits; by default its bytes and headers. */
  readonly sizeOf?: (entry: Routed) => number;
  readonly clock: Clock;
}

/** Of one send, unless one entry alone is larger. */
export interface ParcelLimits {
  readonly entries: number;
  readonly bytes: number;
  readonly partitionBytes: number;
}

const CLOSE_GRACE_MS = 2_000;

/** One publish() call on its way. Its entries go in parcels, one after the other. */
interface Call {
  readonly batch: readonly Routed[];
  readonly results: (PublishResult | null)[];
  readonly resolve: (results: readonly PublishResult[]) => void;
  /** Index of the first entry that was not sent yet. */
  next: number;
}

interface Loaded {
  readonly calls: readonly { readonly call: Call; readonly from: number; readonly to: number }[];
  readonly parcel: Map<Partition, Routed[]>;
}

export class PublishQueue {
  readonly #given: PublishQueueGiven;
  readonly #waiting: Call[] = [];
  readonly #sending = new Set<Promise<void>>();
  /** Of `#sending`, those that will still look for what waits. */
  #looking = 0;
  #isClosed = false;
  /** Nothing is sent any more. */
  #isBrokenOff = false;

  constructor(given: PublishQueueGiven) {
    this.#given = given;
  }

  publish(batch: readonly Routed[]): Promise<readonly PublishResult[]> {
    const results: (PublishResult | null)[] = [...admit(batch, this.#given.partitions)];
    if (this.#isClosed) return Promise.resolve(results.map((known) => known ?? CLOSED));
    return new Promise((resolve) => {
      this.#waiting.push({ batch, results, resolve, next: 0 });
      if (this.#looking < this.#given.sendsMax) this.#startSending();
    });
  }

  /** Waits a while for what is on its way, then has it broken off by `breakOff`; resolves when everybody has an answer. */
  async close(breakOff: () => Promise<void>): Promise<void> {
    this.#isClosed = true;
    const sent = new AbortController();
    const sending = Promise.all(this.#sending).finally(() => {
      sent.abort();
    });
    await this.#given.clock.sleep(CLOSE_GRACE_MS, sent.signal);
    this.#isBrokenOff = true;
    await breakOff();
    await sending;
  }

  #startSending(): void {
    this.#looking++;
    const sending = this.#sendAll().finally(() => this.#sending.delete(sending));
    this.#sending.add(sending);
  }

  /** Never rejects. Ends when nothing waits, and has then said so before anybody can publish again. */
  async #sendAll(): Promise<void> {
    // Calls made in the same turn share the first send.
    await Promise.resolve();
    while (this.#waiting.length > 0 && !this.#isBrokenOff) {
      const loaded = this.#load();
      if (loaded.parcel.size > 0) land(loaded, await this.#given.send(loaded.parcel));
      for (const { call } of loaded.calls) this.#goOn(call);
    }
    this.#looking--;
    for (const { results, resolve } of this.#waiting.splice(0)) resolve(results.map((known) => known ?? CLOSED));
  }

  #goOn(call: Call): void {
    if (call.next < call.batch.length) this.#waiting.unshift(call);
    else call.resolve(call.results.map((known) => known ?? CLOSED));
  }

  #load(): Loaded {
    const calls: { call: Call; from: number; to: number }[] = [];
    const parcel = new Map<Partition, Routed[]>();
    const room = openRoom(this.#given.limits, this.#given.sizeOf ?? entryBytes);
    for (let call = this.#waiting[0]; call !== undefined && room.entries > 0; call = this.#waiting[0]) {
      const from = call.next;
      const fits = fill(call, parcel, room);
      if (call.next > from || call.batch.length === 0) calls.push({ call, from, to: call.next });
      this.#waiting.shift();
      if (!fits) {
        // The rest of a call waits until its beginning has been answered.
        if (call.next === from) this.#waiting.unshift(call);
        break;
      }
    }
    return { calls, parcel };
  }
}

const CLOSED: PublishResult = { kind: 'refused', reason: 'the publisher is closed', retry: false };
const NOT_TOLD: Fate = { kind: 'unknown', cause: new Error('the answer did not tell about this partition') };

interface Room {
  entries: number;
  bytes: number;
  readonly partitionBytes: Map<Partition, number>;
  readonly partitionBytesMax: number;
  readonly sizeOf: (entry: Routed) => number;
}

function openRoom(limits: ParcelLimits, sizeOf: Room['sizeOf']): Room {
  const { entries, bytes, partitionBytes } = limits;
  return { entries, bytes, partitionBytes: new Map(), partitionBytesMax: partitionBytes, sizeOf };
}

/** Moves the call's next entries into the parcel; false when not all of them fit. */
function fill(call: Call, parcel: Map<Partition, Routed[]>, room: Room): boolean {
  for (; call.next < call.batch.length; call.next++) {
    const routed = call.batch[call.next];
    if (routed === undefined || call.results[call.next] !== null) continue;
    const size = room.sizeOf(routed);
    const used = room.partitionBytes.get(routed.partition) ?? 0;
    const list = parcel.get(routed.partition);
    if (parcel.size > 0 && (room.entries <= 0 || room.bytes < size)) return false;
    if (list !== undefined && used + size > room.partitionBytesMax) return false;
    if (list === undefined) parcel.set(routed.partition, [routed]);
    else list.push(routed);
    room.entries--;
    room.bytes -= size;
    room.partitionBytes.set(routed.partition, used + size);
  }
  return true;
}

/** Of a call with anything that was not stored, nothing later is sent: it could overtake. */
function land({ calls }: Loaded, fates: ReadonlyMap<Partition, Fate>): void {
  const taken = new Map<Partition, number>();
  for (const { call, from, to } of calls) {
    let isWhole = true;
    for (let index = from; index < to; index++) {
      const routed = call.batch[index];
      if (routed === undefined || call.results[index] !== null) continue;
      const at = taken.get(routed.partition) ?? 0;
      taken.set(routed.partition, at + 1);
      const result = resultOf(fates.get(routed.partition) ?? NOT_TOLD, at);
      isWhole &&= result.kind === 'stored';
      call.results[index] = result;
    }
    if (!isWhole) abandonRest(call, to);
  }
}

function abandonRest(call: Call, from: number): void {
  for (let index = from; index < call.batch.length; index++) call.results[index] ??= BEHIND_REFUSED;
  call.next = call.batch.length;
}
