// Owns what the lanes of a process share: connections to read with, the byte budget, and being woken when something was appended.
import type { Partition, Position, Uuid } from '../../command/identity.ts';
import { partition as partitionAt } from '../../command/identity.ts';
import type { Database } from '../../postgres/database.ts';
import { appendedChannel, openListener, type Listener } from '../../postgres/notify.ts';
import type { Observe } from '../../process/events.ts';
import type { Clock } from '../../process/time.ts';
import { InboxBudget } from '../inbox.ts';
import { LaneRoster, type Hold } from '../lane-roster.ts';
import type { Lane, Subscription } from '../transport.ts';
import type { Appended } from './append.ts';
import { openLogClients, type LogClients } from './clients.ts';
import { logEnds, readHints } from './heads.ts';
import { PostgresLane } from './lane.ts';
import type { PageStatements } from './page.ts';
import { LogPruner } from './prune.ts';

/** For pages, and now and then for looking where the log ends and for pruning. */
const READERS_MAX = 4;
/** The fallback when a hint got lost. */
const POLL_MS = 500;

export interface SubscriptionGiven {
  readonly database: Database;
  readonly statements: PageStatements;
  readonly partitions: number;
  readonly systemId: Uuid;
  readonly logRetentionMs: number;
  readonly inboxBytesMax: number;
  readonly observe: Observe;
  readonly clock: Clock;
}

export class PostgresSubscription implements Subscription {
  readonly budget: InboxBudget;
  readonly #given: SubscriptionGiven;
  readonly #clients: LogClients;
  readonly #listener: Listener;
  readonly #pruner: LogPruner;
  readonly #roster: LaneRoster;
  readonly #lanes = new Map<Partition, PostgresLane>();
  readonly #closing = new AbortController();
  readonly #polling: Promise<void>;

  constructor(mine: AsyncIterable<ReadonlySet<Partition>>, given: SubscriptionGiven) {
    const { database, observe, clock } = given;
    this.#given = given;
    this.budget = new InboxBudget({ bytesMax: given.inboxBytesMax, inboxesMax: given.partitions });
    this.#clients = openLogClients({
      url: database.url,
      what: 'log readers',
      max: READERS_MAX,
      observe,
      clock,
      onLost: () => {
        for (const lane of this.#lanes.values()) lane.doubt();
      },
    });
    this.#pruner = new LogPruner({
      clients: this.#clients,
      schema: database.schema,
      retentionMs: given.logRetentionMs,
      clock,
      observe,
    });
    this.#roster = new LaneRoster(mine, (hold) => this.#open(hold));
    this.#listener = openListener({
      url: database.url,
      channel: appendedChannel(database.schema),
      onNotification: (payload) => {
        for (const [partition, end] of readHints(payload)) this.hint(partition, end);
      },
      // What was said while nobody listened was not heard.
      onConnected: () => {
        for (const lane of this.#lanes.values()) lane.hint(null);
      },
      observe,
      clock,
    });
    this.#polling = this.#poll();
  }

  lanes(stop: AbortSignal): AsyncIterable<Lane> {
    return this.#roster.lanes(stop);
  }

  /** What this process appended goes to its own lane, without being read back. False: no lane here has taken it. */
  handOver(appended: Appended): boolean {
    const lane = this.#lanes.get(appended.partition);
    if (lane === undefined || lane.lost.aborted) return false;
    if (lane.handOver(appended)) return true;
    lane.hint(appended.first + appended.entries.length);
    return false;
  }

  hint(partition: Partition, end: number): void {
    this.#lanes.get(partition)?.hint(end);
  }

  async close(): Promise<void> {
    this.#roster.stop();
    this.#closing.abort();
    await Promise.all([this.#clients.close(), this.#polling, this.#listener.close(), this.#pruner.close()]);
  }

  #open(hold: Hold): Lane {
    const lane = new PostgresLane(hold, {
      clients: this.#clients,
      statements: this.#given.statements,
      budget: this.budget,
      systemId: this.#given.systemId,
      clock: this.#given.clock,
      observe: this.#given.observe,
      onSettled: (partition: Partition, through: Position) => {
        this.#pruner.settled(partition, through);
      },
      lose: (partition) => {
        this.#roster.lose(partition);
      },
      onReleased: () => this.#lanes.delete(hold.partition),
    });
    this.#lanes.set(hold.partition, lane);
    return lane;
  }

  /** Never rejects: while the database is away, the lanes' own reads tell so. */
  async #poll(): Promise<void> {
    const { clock } = this.#given;
    for (;;) {
      await clock.sleep(POLL_MS, this.#closing.signal);
      if (this.#closing.signal.aborted) return;
      const idle = [...this.#lanes.values()].filter((lane) => lane.readTo !== null);
      if (idle.length > 0) await this.#lookForMore().catch(() => undefined);
    }
  }

  async #lookForMore(): Promise<void> {
    const { schema } = this.#given.database;
    const ends = await this.#clients.use((client) => logEnds(client, schema));
    ends.forEach((end, index) => {
      const lane = this.#lanes.get(partitionAt(index));
      // An end before what was read: the log went back in time. Reading finds out how far.
      if (lane !== undefined && lane.readTo !== null && lane.readTo !== end) lane.hint(end < lane.readTo ? null : end);
    });
  }
}
