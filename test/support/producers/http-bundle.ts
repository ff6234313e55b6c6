// Owns a fresh producers' server for each test: real HTTP, real PostgreSQL, the log in memory.
import { producerServer, type ProducerServer, type ProducerServerGiven } from '../../../producers/http/server.ts';
import { ensureLedgerPartitions } from '../../../shared/postgres/ledger-partitions.ts';
import type { OnelaneEvent } from '../../../shared/process/events.ts';
import { systemClock } from '../../../shared/process/time.ts';
import {
  createMemoryLog,
  memoryTransport,
  type MemoryLog,
  type PublishFault,
} from '../../../shared/transport/memory/index.ts';
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

export async function httpBundle(limits: ProducerServerGiven['limits'] = {}, partitions = 4): Promise<HttpBundle> {
  const db = await freshDatabase({ sql: ACCOUNT_SQL, partitions });
  const day = 24 * 3600 * 1000;
  await ensureLedgerPartitions(db.database, new Date(Date.now() - day), new Date(Date.now() + day), 30 * day);
  const log = createMemoryLog({ partitions });
  const events: OnelaneEvent[] = [];
  const state: { fault: PublishFault } = { fault: 'none' };
  const server = producerServer({
    host: '127.0.0.1',
    port: 0,
    database: db.database,
    system: db.system,
    transport: memoryTransport(log, { onPublish: () => state.fault }),
    types: testTypes(db.tables),
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
