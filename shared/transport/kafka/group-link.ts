// Owns the lanes' end of the group, whose member lives in a thread of its own: orders go there, and what it says comes back in order.
import { Worker } from 'node:worker_threads';
import type { Partition } from '../../command/identity.ts';
import { asError, BrokenInvariant, unreachable, type OnelaneError } from '../../process/errors.ts';
import { inTime, type Clock } from '../../process/time.ts';
import { BrokerAway } from '../broker-away.ts';
import type { Claims } from './assignment.ts';
import type { Fetched, Taken } from './fetched.ts';
import type { GroupNews } from './group.ts';
import { heardError, sharedMs, tellError, type FromGroup, type GroupOrder, type ToGroup } from './group-messages.ts';
import { RecordPage } from './records.ts';

export interface GroupLinkGiven extends GroupOrder {
  readonly clock: Clock;
  readonly on: LinkListener;
}

export interface LinkListener extends GroupNews {
  /** Says how much of it was taken. */
  fetched(fetched: Fetched): Taken;
}

/** Compiled also where the sources run as they are: a thread reads no types. */
const THREAD = new URL(
  import.meta.url.endsWith('.ts') ? '../../../dist/shared/transport/kafka/group-thread.js' : './group-thread.js',
  import.meta.url,
);

/** Longer than leaving takes when no broker answers. */
const CLOSE_MS_MAX = 6_000;

/** A thread has the options of its process, those for the network above all; but of a program that was given as text it refuses them. */
const OPTIONS = process.execArgv.some((each) => each.startsWith('--input-type')) ? { execArgv: [] } : {};

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (cause: Error) => void;
}

export class GroupLink {
  readonly #given: GroupLinkGiven;
  /** Of each partition, how often it was told where to be read: what was fetched before is not what was asked for. */
  readonly #turns = new Map<Partition, number>();
  readonly #commits = new Map<number, Waiting>();
  readonly #closed: Promise<void>;
  #isClosed: () => void = () => undefined;
  #isClosing = false;
  #starting: Waiting | null = null;
  #worker: Worker | null = null;
  #commitsMade = 0;
  /** On the clock of all threads; null: the group does not know us. */
  #knownAt: number | null = null;

  constructor(given: GroupLinkGiven) {
    this.#given = given;
    this.#closed = new Promise((resolve) => (this.#isClosed = resolve));
  }

  /** Rejects with a sentence when no broker can be reached at first; from then on it looks after itself. */
  async start(): Promise<void> {
    if (this.#isClosing) throw new BrokerAway('the consumer group was left before it was joined');
    const { client, topic, groupId, partitions, sessionMs, fetch } = this.#given;
    const order: GroupOrder = { client, topic, groupId, partitions, sessionMs, fetch };
    const worker = new Worker(THREAD, { name: 'onelane-kafka', workerData: order, ...OPTIONS });
    this.#worker = worker;
    worker.on('message', (message: FromGroup) => this.#hear(message));
    worker.once('error', (thrown) => this.#over(asError(thrown)));
    worker.once('exit', () => this.#over(null));
    try {
      await new Promise<void>((resolve, reject) => (this.#starting = { resolve, reject }));
    } finally {
      this.#starting = null;
    }
  }

  /** Whether the group still counts on us, as far as can be known: a process that stood still for a session must ask first. */
  isKnown(): boolean {
    return this.#knownAt !== null && sharedMs() - this.#knownAt < this.#given.sessionMs;
  }

  /** Fetches from `offset` on. Without a membership nothing happens: a new one begins with `assigned`. */
  readFrom(partition: Partition, offset: number): void {
    const turn = this.#turnOf(partition) + 1;
    this.#turns.set(partition, turn);
    this.#tell({ kind: 'read-from', partition, offset, turn });
  }

  resume(partition: Partition): void {
    this.#tell({ kind: 'resume', partition });
  }

  pause(partition: Partition): void {
    this.#tell({ kind: 'pause', partition });
  }

  /** For the group to go by when it shares out anew. */
  claim(claims: Claims): void {
    this.#tell({ kind: 'claims', claims });
  }

  /** A hint for whoever looks at the group: everything before these offsets is applied. */
  async commit(offsets: ReadonlyMap<Partition, bigint>): Promise<void> {
    if (this.#worker === null) return;
    const nth = ++this.#commitsMade;
    await new Promise<void>((resolve, reject) => {
      this.#commits.set(nth, { resolve, reject });
      this.#tell({ kind: 'commit', offsets, nth });
    });
  }

  /** Leaves, so that others take over, and joins again after a while. */
  rest(cause: OnelaneError): void {
    this.#tell({ kind: 'rest', cause: tellError(cause) });
  }

  /** Idempotent. Does not wait for a broker that does not answer. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#tell({ kind: 'close' });
    if (this.#worker !== null) await inTime(this.#closed, CLOSE_MS_MAX, this.#given.clock);
    await this.#worker?.terminate();
  }

  #tell(message: ToGroup): void {
    this.#worker?.postMessage(message);
  }

  #hear(message: FromGroup): void {
    const { on } = this.#given;
    switch (message.kind) {
      case 'started':
        this.#starting?.resolve();
        return;
      case 'not-started':
        this.#isClosing = true;
        this.#starting?.reject(heardError(message.cause));
        void this.#worker?.terminate();
        return;
      case 'known':
        this.#knownAt = message.at;
        return;
      case 'assigned':
        on.assigned(new Set(message.partitions));
        return;
      case 'doubted':
        on.doubted();
        return;
      case 'fetched':
        this.#tell({ kind: 'taken', nth: message.nth, through: this.#take(message) });
        return;
      case 'skipped':
        if (message.turn === this.#turnOf(message.partition))
          on.skipped(message.partition, message.first, message.last);
        return;
      case 'lost':
        on.lost(heardError(message.cause));
        return;
      case 'committed':
        this.#committed(message);
        return;
      case 'closed':
        void this.#worker?.terminate();
        return;
      default:
        unreachable(message);
    }
  }

  #take({ partition, first, last, page, turn }: Extract<FromGroup, { kind: 'fetched' }>): Taken {
    if (turn !== this.#turnOf(partition)) return null;
    return this.#given.on.fetched({ partition, first, last, page: new RecordPage(page) });
  }

  #committed({ nth, cause }: Extract<FromGroup, { kind: 'committed' }>): void {
    const waiting = this.#commits.get(nth);
    this.#commits.delete(nth);
    if (cause === null) waiting?.resolve();
    else waiting?.reject(heardError(cause));
  }

  /** `cause`: what nobody caught there. Unless it was asked for, it ends the process, as it would here. */
  #over(cause: Error | null): void {
    if (this.#worker === null) return;
    this.#worker = null;
    this.#knownAt = null;
    for (const { resolve } of this.#commits.values()) resolve();
    this.#commits.clear();
    this.#isClosed();
    const broken = this.#isClosing
      ? new BrokerAway('the consumer group was left while it was joined')
      : new BrokenInvariant('the thread of the consumer group has ended', { cause });
    if (this.#starting !== null) this.#starting.reject(broken);
    else if (!this.#isClosing) throw broken;
  }

  #turnOf(partition: Partition): number {
    return this.#turns.get(partition) ?? 0;
  }
}
