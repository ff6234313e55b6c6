// Owns a system of a test over Kafka: a fresh database, a topic, and consumers as the product puts them together.
import type pg from 'pg';
import { assembleConsumer } from '../../../operators/wiring/consumer.ts';
import type { Foundation } from '../../../operators/wiring/foundation.ts';
import { newUuid } from '../../../shared/command/identity.ts';
import { readPartitions, type PartitionStatus } from '../../../shared/postgres/status-reads.ts';
import type { OnelaneEvent } from '../../../shared/process/events.ts';
import { startAll, stopAll } from '../../../shared/process/service.ts';
import { parseSettings } from '../../../shared/process/settings.ts';
import type { ReachSignal } from '../../../shared/process/test-signal.ts';
import { systemClock } from '../../../shared/process/time.ts';
import type { KafkaTransportGiven } from '../../../shared/transport/kafka/index.ts';
import { freshDatabase, type TestDatabase } from '../database.ts';
import { routedAll, type Sent } from '../lane-bundle.ts';
import { SCENARIO_SQL, scenarioTypes } from '../lane-types.ts';
import { openTestLog, type TestLog } from './log.ts';

export interface PartyConsumer {
  readonly events: readonly OnelaneEvent[];
  /** Partitions whose lanes run here, in order. */
  held(): readonly number[];
  stop(): Promise<void>;
}

export interface ConsumerOptions {
  readonly transport?: Partial<KafkaTransportGiven>;
  readonly reach?: ReachSignal;
  readonly batchSize?: number;
}

const STOP_MS = 8_000;

export class KafkaParty {
  readonly db: TestDatabase;
  readonly log: TestLog;
  readonly #consumers: PartyConsumer[] = [];
  readonly #watching = new Set<() => void>();

  private constructor(db: TestDatabase, log: TestLog) {
    this.db = db;
    this.log = log;
  }

  /** The topic is not made yet. */
  static async open(brokers: readonly string[], partitions: number): Promise<KafkaParty> {
    const topic = `party-${newUuid()}`;
    const db = await freshDatabase({
      partitions,
      transport: 'kafka',
      channel: topic,
      sql: SCENARIO_SQL,
      lanePoolMax: 8,
    });
    return new KafkaParty(db, await openTestLog({ brokers, topic, systemId: db.system.id }));
  }

  async provision(): Promise<void> {
    await this.log.open().provision(this.db.system.partitions);
  }

  /** As a process of its own would; joins and reads. */
  async consumer(options: ConsumerOptions = {}): Promise<PartyConsumer> {
    const events: OnelaneEvent[] = [];
    const held = new Set<number>();
    const observe = (event: OnelaneEvent): void => {
      events.push(event);
      if (event.kind === 'lane-claimed') held.add(event.partition);
      if (event.kind === 'lane-released' || event.kind === 'tenure-lost' || event.kind === 'lane-halted')
        held.delete(event.partition);
      this.#changed();
    };
    const transport = this.log.open({ observe, ...options.transport });
    const { services } = assembleConsumer({
      foundation: this.#foundation(transport),
      settings: parseSettings({
        env: { ONELANE_BATCH_SIZE: String(options.batchSize ?? 500) },
        flags: {},
        readFile: () => '',
      }),
      observe,
      clock: systemClock,
      random: Math.random,
      reach: options.reach ?? null,
    });
    await startAll(services, STOP_MS);
    let stopped: Promise<unknown> | undefined;
    const stop = async () => {
      await (stopped ??= stopAll(services, STOP_MS));
    };
    const consumer = { events, stop, held: () => [...held].sort((a, b) => a - b) };
    this.#consumers.push(consumer);
    return consumer;
  }

  /** As our own API would; every entry is stored. */
  async publish(commands: readonly Omit<Sent, 'id'>[]): Promise<readonly Sent[]> {
    const { sent, routed } = routedAll(commands, this.db.system);
    const publisher = await this.log.open().openPublisher();
    const results = await publisher.publish(routed);
    await publisher.close();
    const lost = results.find((result) => result.kind !== 'stored');
    if (lost !== undefined) throw new Error(`not stored: ${lost.kind}`);
    return sent;
  }

  async sql<Row extends pg.QueryResultRow>(text: string): Promise<readonly Row[]> {
    const own = text.replaceAll('{tables}', this.db.tables).replaceAll('{schema}', this.db.schema);
    return (await this.db.database.pool.query<Row>(own)).rows;
  }

  /** Balances by account id. */
  async balances(): Promise<Readonly<Record<string, number>>> {
    const rows = await this.sql<{ id: string; balance: string }>('select id, balance from {tables}.account');
    return Object.fromEntries(rows.map(({ id, balance }) => [id, Number(balance)]));
  }

  partitions(): Promise<readonly PartitionStatus[]> {
    return readPartitions(this.db.database);
  }

  /** As soon as it holds, looked at whenever a consumer observed anything. */
  when(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!holds()) return;
        this.#watching.delete(look);
        resolve();
      };
      this.#watching.add(look);
      look();
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#consumers.map((each) => each.stop()));
    await this.log.close();
    await this.db.close();
  }

  #changed(): void {
    for (const look of this.#watching) look();
  }

  #foundation(transport: Foundation['transport']): Foundation {
    const { database, system, tables } = this.db;
    return {
      database,
      system,
      transport,
      config: { file: 'none', types: scenarioTypes(tables), sql: [] },
      close: () => Promise.resolve(),
    };
  }
}
