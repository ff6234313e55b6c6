// Owns the transports' ratios: publishing and draining, against a bare table with a row per entry, in one run.
import pg from 'pg';
import { HEADER } from '../../shared/command/entry.ts';
import { newCommandId, partition, position, trustedKey } from '../../shared/command/identity.ts';
import { quoted } from '../../shared/postgres/schema-name.ts';
import { systemClock } from '../../shared/process/time.ts';
import { createMemoryLog, memoryTransport } from '../../shared/transport/memory/index.ts';
import { postgresTransport } from '../../shared/transport/postgres/index.ts';
import type { Publisher, Routed, Transport } from '../../shared/transport/transport.ts';
import { Consumer, Mine } from '../conformance/suite/consumer.ts';
import { freshDatabase, type TestDatabase } from '../support/database.ts';
import type { BenchGiven } from './main.ts';
import { median, printFigures, judged, takeTurns, timed, type Contender, type Round, type Judged } from './measure.ts';

const ENTRIES = 50_000;
const BATCH = 1_000;
const ENTRY_BYTES = 250;
const SINGLES = 200;
const PATIENCE_MS = 60_000;
const ZERO = partition(0);

export async function benchLog({ rounds }: BenchGiven): Promise<readonly Judged[]> {
  const test = await freshDatabase({ partitions: 1, transport: 'postgres', sql: BARE_TABLE });
  try {
    const overPostgres = () =>
      postgresTransport({
        database: test.database,
        systemId: test.system.id,
        logRetentionMs: 86_400_000,
        inboxBytesMax: 64 * 1024 * 1024,
        observe: () => undefined,
        clock: systemClock,
      });
    const bare = new BareLog(test);
    const log = createMemoryLog({ settledEntriesKept: 1_000 });
    const contenders = [
      ...bothWays('memory', () => memoryTransport(log)),
      ...bothWays('postgres', overPostgres),
      ...bare.contenders(),
    ];
    const figures = await takeTurns(contenders, rounds);
    printFigures(`The log: ${BATCH} entries of ${ENTRY_BYTES} bytes per call, one partition`, figures);
    const delay = await wakeMs(overPostgres());
    await bare.close();
    const [, , publish, drain, insert, select] = figures.map((figure) => figure.median);
    return [
      judged('postgres: publishing against a row per entry', ratio(publish, insert), { atLeast: 1 }),
      judged('postgres: draining against reading a row per entry', ratio(drain, select), { atLeast: 1 }),
      judged('postgres: stored to delivered, in milliseconds', delay, { atMost: 5 }),
    ];
  } finally {
    await test.close();
  }
}

/** What was published in a round is drained in the same round. */
function bothWays(name: string, open: () => Transport): readonly Contender[] {
  return [
    { name: `${name}: publish`, run: () => withPublisher(open(), publishAll) },
    { name: `${name}: drain`, run: () => drainAll(open()) },
  ];
}

async function withPublisher(transport: Transport, work: (publisher: Publisher) => Promise<Round>): Promise<Round> {
  await transport.provision(1);
  const publisher = await transport.openPublisher();
  try {
    await publisher.publish([entry()]);
    return await work(publisher);
  } finally {
    await publisher.close();
    await transport.close();
  }
}

function publishAll(publisher: Publisher): Promise<Round> {
  const batch = Array.from({ length: BATCH }, entry);
  return timed(ENTRIES, async () => {
    for (let sent = 0; sent < ENTRIES; sent += BATCH) {
      const results = await publisher.publish(batch);
      if (results.some((result) => result.kind !== 'stored')) throw new Error('not stored');
    }
  });
}

/** The newest entries of the log, however long it has become. */
async function drainAll(transport: Transport): Promise<Round> {
  const consumer = await Consumer.open(transport, new Mine([ZERO]), PATIENCE_MS);
  try {
    const end = (await transport.ends())[0]?.next ?? 0n;
    const lane = await consumer.lane(ZERO);
    const next = position(end - BigInt(ENTRIES));
    return await timed(ENTRIES, async () => {
      await lane.start({ next, last: null, commits: 0n });
      for (let read = 0; read < ENTRIES;) {
        const batch = await lane.next({ count: 500, bytes: 1024 * 1024, waitMs: PATIENCE_MS });
        const last = batch.at(-1);
        if (last !== undefined) await lane.settle(last.position, 0n);
        read += batch.length;
      }
    });
  } finally {
    await consumer.close();
    await transport.close();
  }
}

/** From the answer of a publish call to the delivery in a lane that waits for it. */
async function wakeMs(transport: Transport): Promise<number> {
  const consumer = await Consumer.open(transport, new Mine([ZERO]), PATIENCE_MS);
  const publisher = await transport.openPublisher();
  try {
    const lane = await consumer.lane(ZERO);
    await lane.start({ next: (await transport.ends())[0]?.next ?? null, last: null, commits: 0n });
    const delays: number[] = [];
    for (let single = 0; single < SINGLES; single++) {
      const delivered = lane.next({ count: 10, bytes: 1024 * 1024, waitMs: PATIENCE_MS });
      await publisher.publish([entry()]);
      const from = performance.now();
      await delivered;
      delays.push(performance.now() - from);
    }
    return median(delays);
  } finally {
    await publisher.close();
    await consumer.close();
    await transport.close();
  }
}

/** The obvious table: a row per entry, numbered by the writer, who is alone. */
const BARE_TABLE = `
create table {tables}.log (
  position bigint primary key,
  bytes bytea not null,
  headers text not null,
  appended_at timestamptz not null default clock_timestamp()
)`;

class BareLog {
  readonly #client: pg.Client;
  readonly #table: string;
  #end = 0;

  constructor(test: TestDatabase) {
    this.#client = new pg.Client({ connectionString: test.url });
    this.#table = `${quoted(test.tables)}.log`;
  }

  contenders(): readonly Contender[] {
    return [
      { name: 'bare table: insert, a row per entry', run: () => this.#insert() },
      { name: 'bare table: select, a row per entry', run: () => this.#select() },
    ];
  }

  close(): Promise<void> {
    return this.#client.end();
  }

  async #insert(): Promise<Round> {
    if (this.#end === 0) await this.#client.connect();
    const batch = Array.from({ length: BATCH }, entry);
    const bytes = batch.map((each) => each.bytes);
    const headers = batch.map((each) => JSON.stringify(each.headers));
    return timed(ENTRIES, async () => {
      for (let sent = 0; sent < ENTRIES; sent += BATCH, this.#end += BATCH) {
        await this.#client.query({
          name: 'insert',
          text: `insert into ${this.#table} (position, bytes, headers)
select $1 + ordinality - 1, bytes, headers from unnest($2::bytea[], $3::text[]) with ordinality as e (bytes, headers)`,
          values: [this.#end, bytes, headers],
        });
      }
    });
  }

  #select(): Promise<Round> {
    return timed(ENTRIES, async () => {
      for (let at = this.#end - ENTRIES; at < this.#end; at += BATCH) {
        await this.#client.query({
          name: 'select',
          text: `select position, bytes, headers, appended_at from ${this.#table} where position >= $1 order by position limit ${BATCH}`,
          values: [at],
        });
      }
    });
  }
}

const SYSTEM = newCommandId();
const HEADERS = { [HEADER.layout]: '1', 'x-source': SYSTEM };

function entry(): Routed {
  return {
    partition: ZERO,
    key: trustedKey('account/1'),
    id: SYSTEM,
    bytes: Buffer.alloc(ENTRY_BYTES, '{"specversion":"1.0"}'),
    headers: HEADERS,
  };
}

const ratio = (a: number | undefined, b: number | undefined): number => (a ?? Number.NaN) / (b ?? Number.NaN);
