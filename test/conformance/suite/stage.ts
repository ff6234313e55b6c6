// Owns what a case works with: processes, publishers and consumers over one log, all closed when the case ends.
import assert from 'node:assert/strict';
import { entryHash, HEADER, type Delivery } from '../../../shared/command/entry.ts';
import {
  newCommandId,
  partition as partitionAt,
  position,
  trustedKey,
  type Partition,
} from '../../../shared/command/identity.ts';
import { LogDiverged } from '../../../shared/transport/log-diverged.ts';
import type { Lane, Publisher, PublishResult, Resume, Routed, Transport } from '../../../shared/transport/transport.ts';
import { Consumer, Mine, take } from './consumer.ts';
import type { ConformanceFixture, LogUnderTest, ProcessUnderTest } from './fixture.ts';
import { within } from './within.ts';

export class Stage {
  readonly fixture: ConformanceFixture;
  readonly log: LogUnderTest;
  readonly partitions: readonly Partition[];
  readonly #closing: (() => Promise<void>)[] = [];

  private constructor(fixture: ConformanceFixture, log: LogUnderTest, partitions: number) {
    this.fixture = fixture;
    this.log = log;
    this.partitions = Array.from({ length: partitions }, (_, index) => partitionAt(index));
  }

  static async open(fixture: ConformanceFixture, partitions: number): Promise<Stage> {
    return new Stage(fixture, await fixture.bundle({ partitions }), partitions);
  }

  /** What was opened last is closed first. Everything is tried, the first failure is told. */
  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (const close of [...this.#closing.splice(0).reverse(), () => this.log.close()]) {
      await within(this.fixture.patienceMs, 'closing', close).catch((cause: unknown) => failures.push(cause));
    }
    if (failures.length > 0) throw failures[0];
  }

  /** Provisioned. */
  async process(options?: { readonly inboxBytesMax?: number }): Promise<ProcessUnderTest> {
    const process = await this.bareProcess(options);
    await process.transport.provision(this.partitions.length);
    return process;
  }

  async bareProcess(options?: { readonly inboxBytesMax?: number }): Promise<ProcessUnderTest> {
    const process = await this.log.openProcess(options);
    this.#closing.push(async () => {
      await process.transport.close();
      await process.close();
    });
    return process;
  }

  async publisher(transport: Transport): Promise<Publisher> {
    const publisher = await transport.openPublisher();
    this.#closing.push(() => publisher.close());
    return publisher;
  }

  /** Of these partitions, by default all; who gets them without leases, the broker decides. */
  async consumer(transport: Transport, mine: Iterable<Partition> = this.partitions): Promise<Consumer> {
    const consumer = await Consumer.open(transport, new Mine(mine), this.fixture.patienceMs);
    this.#closing.push(() => consumer.close());
    return consumer;
  }

  /** A publisher, and a started lane of partition 0 that reads from the log's first entry. */
  async readyLane(): Promise<{
    readonly process: ProcessUnderTest;
    readonly publisher: Publisher;
    readonly consumer: Consumer;
    readonly lane: Lane;
    readonly partition: Partition;
  }> {
    const process = await this.process();
    const publisher = await this.publisher(process.transport);
    const consumer = await this.consumer(process.transport);
    const partition = this.at(0);
    const lane = await this.start(consumer, partition, null);
    return { process, publisher, consumer, lane, partition };
  }

  /** The partition's next lane, started after `last`. */
  async start(consumer: Consumer, partition: Partition, last: Delivery | null): Promise<Lane> {
    const lane = await consumer.lane(partition);
    await within(this.fixture.patienceMs, `partition ${partition} to start`, () => lane.start(this.resumeAfter(last)));
    return lane;
  }

  /** What the tenure row would say after `last` was applied. Positions of a lane's own are never stored. */
  resumeAfter(last: Delivery | null): Resume {
    if (last === null || this.fixture.traits.positions === 'lane') return { next: null, last: null, commits: 0n };
    const applied = { position: last.position, hash: entryHash(last) };
    return { next: position(last.position + 1n), last: applied, commits: 1n };
  }

  take(lane: Lane, count: number): Promise<readonly Delivery[]> {
    return take(lane, count, this.fixture.patienceMs);
  }

  /** Nothing comes for a while. */
  async expectQuiet(lane: Lane): Promise<void> {
    const batch = await lane.next({ count: 10, bytes: 1024 * 1024, waitMs: this.fixture.quietMs });
    assert.deepEqual(texts(batch), [], 'nothing should have come');
  }

  /** `start`, or the first `next`, rejects with LogDiverged. Nothing is delivered. */
  async expectDiverged(lane: Lane, at: Resume): Promise<void> {
    const read = async () => {
      await lane.start(at);
      return take(lane, 1, this.fixture.patienceMs);
    };
    await assert.rejects(read, LogDiverged, 'the lane should have found that the log is another one');
  }

  at(index: number): Partition {
    return partitionAt(index % this.partitions.length);
  }

  /** One past the last. */
  get beyond(): Partition {
    return partitionAt(this.partitions.length);
  }

  /** An entry as our own publishers make them. */
  entry(partition: Partition, text: string, headers: Readonly<Record<string, string>> = {}): Routed {
    return this.rawEntry(partition, Buffer.from(text), {
      [HEADER.system]: this.log.systemId,
      [HEADER.layout]: '1',
      ...headers,
    });
  }

  rawEntry(partition: Partition, bytes: Uint8Array, headers: Readonly<Record<string, string>>): Routed {
    return { partition, key: trustedKey(`test/${partition}`), id: newCommandId(), bytes, headers };
  }

  entries(partition: Partition, prefix: string, count: number): readonly Routed[] {
    return numbered(prefix, count).map((text) => this.entry(partition, text));
  }
}

/** `a0`, `a1`, … */
export function numbered(prefix: string, count: number, from = 0): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${from + index}`);
}

export function texts(deliveries: readonly Delivery[]): readonly string[] {
  return deliveries.map((each) => Buffer.from(each.bytes).toString());
}

export function last(deliveries: readonly Delivery[]): Delivery {
  const delivery = deliveries.at(-1);
  assert.ok(delivery !== undefined, 'something was delivered');
  return delivery;
}

/** Every entry was stored. */
export async function store(publisher: Publisher, batch: readonly Routed[]): Promise<readonly PublishResult[]> {
  const results = await publisher.publish(batch);
  assert.equal(results.length, batch.length, 'one result for each entry');
  for (const result of results)
    assert.equal(
      result.kind,
      'stored',
      JSON.stringify(result, (_, v) => String(v)),
    );
  return results;
}
