// Owns the thread in which the group's member lives: what is fetched is decoded here, while the lanes' thread decides and writes.
import { parentPort, workerData, type Transferable } from 'node:worker_threads';
import type { EachBatchPayload } from 'kafkajs';
import { partition as partitionAt, type Partition } from '../../command/identity.ts';
import { invariant, unreachable, type OnelaneError } from '../../process/errors.ts';
import { systemClock } from '../../process/time.ts';
import type { Claims } from './assignment.ts';
import { explain } from './broker-errors.ts';
import { openKafkaClient } from './client.ts';
import { refuseUnreadable } from './compression.ts';
import type { Taken } from './fetched.ts';
import { Group, type GroupListener } from './group.ts';
import { heardError, sharedMs, tellError, type FromGroup, type GroupOrder, type ToGroup } from './group-messages.ts';
import { memoryOf, RecordReader } from './records.ts';

// The far end of a GroupLink, which ends this thread.
invariant(parentPort !== null, 'the group has a thread of its own');
const port = parentPort;
// Written by GroupLink, which made this thread.
const order = workerData as GroupOrder;

const clock = systemClock;
const about = { connection: order.client.connection, topic: order.topic, groupId: order.groupId };
refuseUnreadable(order.topic);

class Messenger implements GroupListener {
  /** Those who wait for a lane to take what was fetched. */
  readonly #waiting = new Map<number, (through: Taken) => void>();
  readonly #readers = new Map<Partition, RecordReader>();
  readonly #turns = new Map<Partition, number>();
  #claims: Claims = { held: [], stuck: [] };
  #fetches = 0;

  claimsAre(claims: Claims): void {
    this.#claims = claims;
  }

  turnIs(partition: Partition, turn: number): void {
    this.#turns.set(partition, turn);
  }

  taken(nth: number, through: Taken): void {
    this.#waiting.get(nth)?.(through);
    this.#waiting.delete(nth);
  }

  /** Nobody has to wait any more. */
  letGo(): void {
    for (const nth of [...this.#waiting.keys()]) this.taken(nth, null);
  }

  claims(): Claims {
    return this.#claims;
  }

  assigned(partitions: ReadonlySet<Partition>): void {
    this.letGo();
    for (const partition of [...this.#readers.keys()]) if (!partitions.has(partition)) this.#readers.delete(partition);
    tell({ kind: 'assigned', partitions: [...partitions] });
  }

  doubted(): void {
    tell({ kind: 'doubted' });
  }

  async fetched({ batch, isStale, resolveOffset }: EachBatchPayload): Promise<void> {
    if (isStale()) return;
    const partition = partitionAt(batch.partition);
    const page = this.#readerOf(partition).page(batch.messages).parts;
    const nth = ++this.#fetches;
    const [first, last] = [Number(batch.firstOffset()), Number(batch.lastOffset())];
    tell({ kind: 'fetched', partition, first, last, page, turn: this.#turnOf(partition), nth }, memoryOf(page));
    const through = await new Promise<Taken>((resolve) => this.#waiting.set(nth, resolve));
    if (through !== null) resolveOffset(String(through));
  }

  skipped(partition: Partition, first: number, last: number): void {
    tell({ kind: 'skipped', partition, first, last, turn: this.#turnOf(partition) });
  }

  lost(cause: OnelaneError): void {
    this.letGo();
    tell({ kind: 'lost', cause: tellError(cause) });
  }

  known(is: 'known' | 'unknown'): void {
    tell({ kind: 'known', at: is === 'known' ? sharedMs() : null });
  }

  #turnOf(partition: Partition): number {
    return this.#turns.get(partition) ?? 0;
  }

  #readerOf(partition: Partition): RecordReader {
    const reader = this.#readers.get(partition) ?? new RecordReader();
    this.#readers.set(partition, reader);
    return reader;
  }
}

const messenger = new Messenger();
const group = new Group({
  ...order,
  open: () => openKafkaClient(order.client, Math.random),
  explain: (thrown) => explain(thrown, about),
  clock,
  random: Math.random,
  on: messenger,
});

port.on('message', (message: ToGroup) => {
  switch (message.kind) {
    case 'read-from':
      messenger.turnIs(message.partition, message.turn);
      group.readFrom(message.partition, message.offset);
      return;
    case 'resume':
      group.resume(message.partition);
      return;
    case 'pause':
      group.pause(message.partition);
      return;
    case 'taken':
      messenger.taken(message.nth, message.through);
      return;
    case 'claims':
      messenger.claimsAre(message.claims);
      return;
    case 'commit':
      void commit(message.nth, message.offsets);
      return;
    case 'rest':
      group.rest(heardError(message.cause));
      return;
    case 'close':
      void close();
      return;
    default:
      unreachable(message);
  }
});
void start();

function tell(message: FromGroup, transfer: Transferable[] = []): void {
  port.postMessage(message, transfer);
}

async function start(): Promise<void> {
  try {
    await group.start();
    tell({ kind: 'started' });
  } catch (thrown) {
    tell({ kind: 'not-started', cause: tellError(explain(thrown, about)) });
  }
}

async function commit(nth: number, offsets: ReadonlyMap<Partition, bigint>): Promise<void> {
  try {
    await group.commit(offsets);
    tell({ kind: 'committed', nth, cause: null });
  } catch (thrown) {
    tell({ kind: 'committed', nth, cause: tellError(explain(thrown, about)) });
  }
}

async function close(): Promise<void> {
  messenger.letGo();
  await group.close();
  tell({ kind: 'closed' });
}
