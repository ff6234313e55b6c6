// Owns a whole system for a fault run: a server of its own, an API and consumers as processes, and clients that never give up.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { startEmbeddedServer, type EmbeddedServer } from '../../../shared/postgres/embedded/server.ts';
import { startChild, type Child } from '../processes/child.ts';
import type { ChildGiven } from '../processes/protocol.ts';
import { postgresCarrier, type Carrier } from './carrier.ts';
import { differences } from './history-check.ts';
import { askOutcomes, repeatCommand, sendHistory, type Answered, type ClientTold } from './history-client.ts';
import { commandId, loadHistory, prefixes, type History } from './history.ts';
import { Ticker } from './ticker.ts';

export interface Size {
  readonly prefixes: number;
  /** Changes of the history that are sent under each. */
  readonly changes: number;
  readonly partitions: number;
  readonly batchSize: number;
}

export interface HistoryGiven {
  readonly size: Size;
  /** Closed with the system. Default: the log in the same database. */
  readonly carrier?: Carrier;
}

export const FULL: Size = { prefixes: 50, changes: Infinity, partitions: 16, batchSize: 500 };

const CONFIG = fileURLToPath(new URL('../../../examples/history/onelane.config.ts', import.meta.url));
const SCHEMA = 'onelane';
const LINES_MAX = 4_000;
/** A small run is many requests, too. */
const REQUESTS_MIN = 20;
/** Of each prefix, how many commands are asked for. */
const SAMPLE = 20;
const POLL_MS = 100;
/** So much is sent at full speed, whether or not the blows have fallen; then a trickle keeps the lanes at work. */
const SHARE_BEFORE_BLOWS = 0.5;

export class HistorySystem {
  readonly schema = SCHEMA;
  readonly ticker = new Ticker();
  readonly told: ClientTold = { accepted: 0, lostRequests: 0, sentAgain: 0 };
  readonly total: number;
  readonly #history: History;
  readonly #size: Size;
  readonly #carrier: Carrier;
  readonly #directory: string;
  readonly #stop = new AbortController();
  #server: EmbeddedServer;
  #api: Child | null = null;
  readonly #children = new Set<Child>();
  readonly #clients: Promise<void>[] = [];
  #areBlowsDealt = false;

  private constructor(given: HistoryGiven, directory: string, server: EmbeddedServer) {
    const { size, carrier = postgresCarrier } = given;
    this.#size = size;
    this.#carrier = carrier;
    this.#directory = directory;
    this.#server = server;
    this.#history = loadHistory(size.changes);
    this.total = this.#history.changes.length * size.prefixes;
  }

  static async open(given: HistoryGiven): Promise<HistorySystem> {
    const directory = await mkdtemp(join(tmpdir(), 'onelane-faults-'));
    return new HistorySystem(given, directory, await startServer(directory));
  }

  async startApi(): Promise<void> {
    this.#api = await this.#start('api');
  }

  async killApi(): Promise<void> {
    if (this.#api !== null) await this.end(this.#api, 'SIGKILL');
  }

  startConsumer(): Promise<Child> {
    return this.#start('consumer');
  }

  /** A client that sends everything, or one of several that share the prefixes; its failure is the run's. */
  startClient(share: { readonly index: number; readonly of: number } = { index: 0, of: 1 }): void {
    const own = prefixes(this.#size.prefixes).filter((_, at) => at % share.of === share.index);
    const given = {
      url: () => this.#api?.url ?? '',
      prefixes: own,
      changes: this.#history.changes,
      stop: this.#stop.signal,
      linesMax: Math.min(LINES_MAX, this.total / REQUESTS_MIN),
      pace: () => this.#pace(),
    };
    const client = sendHistory(given, this.told);
    client.catch(() => undefined); // whoever waits for the end gets it
    this.#clients.push(client);
  }

  get partitions(): number {
    return this.#size.partitions;
  }

  /** Part of the commands that have no outcome yet, asked of the ledger itself. */
  async pendingShare(): Promise<number> {
    const rows = await this.query<{ count: number }>(`select count(*)::integer as count from ${SCHEMA}.ledger`);
    return 1 - (rows[0]?.count ?? 0) / this.total;
  }

  /** What the API answers about a sample of commands: the first of each prefix, which are the first to have an outcome. */
  answers(): Promise<ReadonlyMap<string, Answered>> {
    const sample = this.#history.changes.slice(0, SAMPLE);
    const ids = prefixes(this.#size.prefixes).flatMap((prefix) => sample.map((change) => commandId(prefix, change)));
    return askOutcomes(this.#api?.url ?? '', ids);
  }

  /** The status that the API answers to the very first command, once more; null: it does not answer. */
  repeatFirst(): Promise<number | null> {
    const [prefix] = prefixes(this.#size.prefixes);
    const [change] = this.#history.changes;
    if (prefix === undefined || change === undefined) throw new Error('a run has a command');
    return repeatCommand(this.#api?.url ?? '', prefix, change);
  }

  async endAll(how: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const ending = [...this.#children];
    this.#children.clear();
    await Promise.all(ending.map((child) => child.end(how)));
  }

  async end(child: Child, how: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.#children.delete(child);
    await child.end(how);
  }

  killServer(): Promise<void> {
    return this.#server.kill();
  }

  async restartServer(): Promise<void> {
    this.#server = await startServer(this.#directory);
  }

  /** For whoever must find out why a run stands still. */
  state(): string {
    const held = [...this.#children].map(
      (child) => `${child.name} holds ${this.ticker.heldBy(child.name).join(' ') || 'nothing'}`,
    );
    return JSON.stringify({
      total: this.total,
      ...this.told,
      ...this.ticker.tally,
      held,
      violations: this.ticker.violations,
    });
  }

  /** The clients need hold nothing back any more. */
  blowsDealt(): void {
    this.#areBlowsDealt = true;
  }

  #pace(): 'full' | 'trickle' {
    return this.#areBlowsDealt || this.told.accepted < SHARE_BEFORE_BLOWS * this.total ? 'full' : 'trickle';
  }

  /** Resolves when all clients are done and every lane has read its log to the end. */
  async finished(): Promise<void> {
    await Promise.all(this.#clients);
    while ((await this.#carrier.behind(this)) > 0) await sleep(POLL_MS);
  }

  differences(): Promise<readonly string[]> {
    const given = { schema: SCHEMA, history: this.#history, prefixes: prefixes(this.#size.prefixes) };
    return this.#connected((client) => differences({ ...given, client }));
  }

  readonly query = <Row extends pg.QueryResultRow>(text: string): Promise<readonly Row[]> =>
    this.#connected(async (client) => (await client.query<Row>(text)).rows);

  /** Leaves nothing: no process, no directory. */
  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#clients);
    await this.endAll('SIGKILL');
    await this.#server.kill();
    await this.#carrier.close();
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  async #start(entry: 'api' | 'consumer'): Promise<Child> {
    const { partitions, batchSize } = this.#size;
    const given: ChildGiven = {
      databaseUrl: this.#server.url,
      schema: SCHEMA,
      configFile: CONFIG,
      partitions,
      port: 0,
      batchSize,
      settings: this.#carrier.settings,
    };
    const child = await startChild({ entry, given, onTold: (name, said) => this.ticker.hear(name, said) });
    this.#children.add(child);
    return child;
  }

  async #connected<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client({ connectionString: this.#server.url, application_name: 'onelane-fault-run' });
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }
}

function startServer(dataDirectory: string): Promise<EmbeddedServer> {
  return startEmbeddedServer({ dataDirectory, observe: () => undefined });
}
