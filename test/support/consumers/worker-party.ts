// Owns consumers over one log in memory and one lease table; their lanes read and remember, and do nothing else.
import { haltRecords } from '../../../consumers/worker/halts.ts';
import type { LaneEnd } from '../../../consumers/lane/lane-given.ts';
import { openLeases, type Leases, type LeaseTimes } from '../../../consumers/leases.ts';
import { openFollowingLeases } from '../../../consumers/leases/following-leases.ts';
import { consumerWorker, type ConsumerWorker } from '../../../consumers/worker.ts';
import { newCommandId, newUuid, partition, position, trustedKey } from '../../../shared/command/identity.ts';
import type { Partition } from '../../../shared/command/identity.ts';
import type { OnelaneEvent } from '../../../shared/process/events.ts';
import { stopAll } from '../../../shared/process/service.ts';
import { systemClock, type Clock } from '../../../shared/process/time.ts';
import { createMemoryLog, memoryTransport, type MemoryLog } from '../../../shared/transport/memory/index.ts';
import type { Lane, Resume } from '../../../shared/transport/transport.ts';
import { freshDatabase, type TestDatabase } from '../database.ts';

export interface Worker {
  readonly worker: ConsumerWorker;
  readonly leases: Leases;
  readonly events: readonly OnelaneEvent[];
  /** Worker first, then leases, as a process does. */
  stop(deadlineMs: number): Promise<void>;
}

export interface WorkerOptions {
  readonly url?: string;
  readonly clock?: Clock;
  readonly times?: LeaseTimes;
  /** What a broker's group gives to this one; its leases follow. Default: leases decide. */
  readonly group?: AsyncIterable<ReadonlySet<Partition>>;
  readonly runLane?: (lane: Lane, serve: () => Promise<LaneEnd>) => Promise<LaneEnd>;
}

export class WorkerParty {
  readonly database: TestDatabase;
  readonly log: MemoryLog;
  /** Per partition, what lanes were given, in the order in which they were given it. */
  readonly seen = new Map<Partition, bigint[]>();
  readonly #workers: Worker[] = [];
  readonly #resume = new Map<Partition, Resume>();
  #watching: (() => void)[] = [];

  constructor(database: TestDatabase) {
    this.database = database;
    this.log = createMemoryLog({ partitions: database.system.partitions });
  }

  static async open(partitions: number): Promise<WorkerParty> {
    return new WorkerParty(await freshDatabase({ partitions }));
  }

  async start(options: WorkerOptions = {}): Promise<Worker> {
    const events: OnelaneEvent[] = [];
    const observe = (event: OnelaneEvent) => {
      events.push(event);
      this.changed();
    };
    const clock = options.clock ?? systemClock;
    const { url, schema } = this.database;
    const { group } = options;
    const leases = (group === undefined ? openLeases : openFollowingLeases)({
      database: { url: options.url ?? url, schema },
      me: { id: newUuid(), host: 'test', pid: process.pid },
      ...(options.times === undefined ? {} : { times: options.times }),
      observe,
      clock,
      random: Math.random,
    });
    const run = options.runLane ?? ((_lane, serve) => serve());
    const transport = memoryTransport(this.log);
    const worker = consumerWorker({
      transport: { openSubscription: (mine) => transport.openSubscription(group ?? mine) },
      leases,
      runLane: (lane) => run(lane, () => this.#serve(lane)),
      halts: haltRecords(this.database.database),
      observe,
      clock,
      random: Math.random,
    });
    await leases.start();
    await worker.start();
    const stop = async (deadlineMs: number) => {
      await stopAll([leases, worker], deadlineMs);
      this.changed();
    };
    const started = { worker, leases, events, stop };
    this.#workers.push(started);
    return started;
  }

  append(to: Partition, count: number): void {
    const entry = {
      partition: to,
      key: trustedKey('thing/1'),
      id: newCommandId(),
      bytes: Buffer.from('{}'),
      headers: {},
    };
    this.log.append(
      Array.from({ length: count }, () => entry),
      new Date(),
    );
  }

  seenOf(number: number): readonly bigint[] {
    return this.seen.get(partition(number)) ?? [];
  }

  /** As soon as it holds, looked at whenever a lane was given something or anything was observed. */
  when(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!holds()) return;
        this.#watching = this.#watching.filter((each) => each !== look);
        resolve();
      };
      this.#watching.push(look);
      look();
    });
  }

  changed(): void {
    for (const look of this.#watching) look();
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((each) => each.stop(3_000)));
    await this.database.close();
  }

  async #serve(lane: Lane): Promise<LaneEnd> {
    await lane.start(this.#resume.get(lane.partition) ?? { next: null, last: null, commits: 0n });
    this.changed();
    while (!lane.lost.aborted) {
      const deliveries = await lane.next({ count: 10, bytes: 1_000_000, waitMs: 500 });
      const last = deliveries.at(-1);
      if (last === undefined) continue;
      this.#resume.set(lane.partition, { next: position(last.position + 1n), last: null, commits: 1n });
      const before = this.seen.get(lane.partition) ?? [];
      this.seen.set(lane.partition, [...before, ...deliveries.map((each) => each.position)]);
      await lane.settle(last.position, 1n);
      this.changed();
    }
    await lane.release();
    return { kind: 'released' };
  }
}
