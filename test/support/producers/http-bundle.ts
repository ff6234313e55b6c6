// Owns a fresh producers' server for each test: real HTTP, real PostgreSQL, the log in memory.
import { producerServer, type ProducerServer, type ProducerServerGiven } from '../../../producers/http/server.ts';
import type { Database } from '../../../shared/postgres/database.ts';
import { ensureLedgerPartitions } from '../../../shared/postgres/ledger-partitions.ts';
import type { OnelaneEvent } from '../../../shared/process/events.ts';
import { systemClock } from '../../../shared/process/time.ts';
import {
  createMemoryLog,
  memoryTransport,
  type MemoryLog,
  type PublishFault,
} from '../../../shared/transport/memory/index.ts';
import type { ResourceTypes } from '../../../shared/resources/resource-type.ts';
import type { Transport } from '../../../shared/transport/transport.ts';
import { freshDatabase, type TestDatabase } from '../database.ts';
import { ACCOUNT_SQL, testTypes } from './account-type.ts';
import { pretendLane, type PretendLane } from './pretend-lane.ts';

export interface HttpBundle {
  readonly url: string;
  readonly server: ProducerServer;
  readonly log: MemoryLog;
  readonly lane: PretendLane;
  readonly db: TestDatabase;
  readonly events: readonly OnelaneEvent[];
  /** What the next publishes do; 'none' when unset. */
  fault: PublishFault;
  /** While set, publishes wait for it. */
  gate: Promise<void> | null;
  call(path: string, init?: RequestInit): Promise<Answer>;
  post(body: unknown, headers?: Record<string, string>): Promise<Answer>;
  close(): Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; tests look into it freely. */
  readonly body: Record<string, unknown>;
}

export interface HttpBundleOptions {
  readonly types?: (tables: string) => ResourceTypes;
  /** `{tables}` stands for the schema. */
  readonly sql?: string;
}

const DAY_MS = 24 * 3_600_000;

/** A pretended lane writes ledger rows, and does not make room for them. */
export async function ledgerFromTodayOn(database: Database): Promise<void> {
  await ensureLedgerPartitions(database, new Date(Date.now() - DAY_MS), new Date(Date.now() + DAY_MS), 30 * DAY_MS);
}

export async function httpBundle(
  limits: ProducerServerGiven['limits'] = {},
  { types = testTypes, sql = ACCOUNT_SQL }: HttpBundleOptions = {},
): Promise<HttpBundle> {
  const partitions = 4;
  const db = await freshDatabase({ sql, partitions });
  await ledgerFromTodayOn(db.database);
  const log = createMemoryLog({ partitions });
  const events: OnelaneEvent[] = [];
  const state: { fault: PublishFault; gate: Promise<void> | null } = { fault: 'none', gate: null };
  const server = producerServer({
    host: '127.0.0.1',
    port: 0,
    database: db.database,
    system: db.system,
    transport: gated(memoryTransport(log, { onPublish: () => state.fault }), state),
    types: types(db.tables),
    metrics: { contentType: 'text/plain', text: async () => 'a_metric 1\n' },
    observe: (event) => void events.push(event),
    clock: systemClock,
    random: Math.random,
    limits,
  });
  await server.start();
  const url = server.url() ?? '';
  const call = async (path: string, init: RequestInit = {}): Promise<Answer> => answerOf(await fetch(url + path, init));
  return {
    url,
    server,
    log,
    lane: pretendLane(db.database, log),
    db,
    events,
    get fault() {
      return state.fault;
    },
    set fault(fault) {
      state.fault = fault;
    },
    get gate() {
      return state.gate;
    },
    set gate(gate) {
      state.gate = gate;
    },
    call,
    post: (body, headers = {}) =>
      call('/v1/commands', {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    close: async () => {
      await server.stop(2_000);
      await db.close();
    },
  };
}

function gated(transport: Transport, state: { readonly gate: Promise<void> | null }): Transport {
  return {
    ...transport,
    openPublisher: async () => {
      const publisher = await transport.openPublisher();
      return {
        publish: async (batch) => {
          if (state.gate !== null) await state.gate;
          return await publisher.publish(batch);
        },
        close: () => publisher.close(),
      };
    },
  };
}

async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text();
  const isJson =
    /json/.test(response.headers.get('content-type') ?? '') &&
    !/ndjson/.test(response.headers.get('content-type') ?? '');
  return {
    status: response.status,
    headers: response.headers,
    text,
    // A test that reads a member which is not there sees undefined, and fails.
    body: isJson && text !== '' ? (JSON.parse(text) as Record<string, unknown>) : {},
  };
}
