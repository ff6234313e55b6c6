// Owns this process's membership of the consumer group: joined, rebuilt after every crash, and left on close.
import type { Consumer, EachBatchPayload } from 'kafkajs';
import { partition as partitionAt, type Partition } from '../../command/identity.ts';
import { asError, type OnelaneError } from '../../process/errors.ts';
import { backoffMs, inTime, type Clock, type Random } from '../../process/time.ts';
import { BrokerAway } from '../broker-away.ts';
import type { Claims } from './assignment.ts';
import type { KafkaClient } from './client.ts';
import { connectMember, REJOIN_MS, type Member } from './group-member.ts';
import { LaneSilent } from './lane-silent.ts';

export interface GroupGiven {
  readonly topic: string;
  readonly groupId: string;
  readonly partitions: number;
  /** How long the group waits for a silent member. */
  readonly sessionMs: number;
  readonly fetch: { readonly partitionBytes: number; readonly bytes: number };
  readonly open: () => KafkaClient;
  readonly explain: (thrown: unknown) => OnelaneError;
  readonly clock: Clock;
  readonly random: Random;
  readonly on: GroupListener;
}

/** What becomes of a membership, told in the turn in which it happens or is heard of; none of it may throw or wait. */
export interface GroupNews {
  /** A new generation. Nothing has been fetched in it yet, and every partition is where the group last committed. */
  assigned(partitions: ReadonlySet<Partition>): void;
  /** kafkajs has asked where the partitions are: now and then, and after errors that it keeps to itself. The topic may be another one. */
  doubted(): void;
  /** Records that are nobody's entries, such as the markers of a transaction. */
  skipped(partition: Partition, first: number, last: number): void;
  /** Not a member any more; it joins again by itself. */
  lost(cause: OnelaneError): void;
}

export interface GroupListener extends GroupNews {
  /** For the group to go by when it shares out anew. */
  claims(): Claims;
  /** The partition is fetched again when it resolves. */
  fetched(batch: EachBatchPayload): Promise<void>;
  /** Whether the group counts on us, as it has just said or as we fear. */
  known(is: 'known' | 'unknown'): void;
}

const AGAIN = { firstMs: 100, maxMs: 2_000 };
/** For what a person must put right: whoever joins and falls out again and again holds up the others. */
const NEEDS_SOMEBODY_MS = 15_000;
const LEAVE_GRACE_MS = 1_500;
const LOOK_EVERY_MS = 1_000;

//   joining ──▶ member ──(crash, silence, rest)──▶ waiting ──▶ joining     only a member fetches
//      └──────────┴──────────(close)─────────────────┴───────▶ left
export class Group {
  readonly #given: GroupGiven;
  readonly #closing = new AbortController();
  #member: Member | null = null;
  #serving: Promise<void> | null = null;
  /** When the group last knew of us; null: it does not. */
  #knownMs: number | null = null;
  /** The newest name that the group gave us. */
  #memberId: string | null = null;
  #connecting: KafkaClient | null = null;
  /** What ended the last membership does not pass by itself. */
  #needsSomebody = false;

  constructor(given: GroupGiven) {
    this.#given = given;
  }

  /** Rejects with a sentence when no broker can be reached at first; from then on it looks after itself. */
  async start(): Promise<void> {
    try {
      this.#serving = this.#serve(await this.#connect());
    } catch (thrown) {
      throw this.#given.explain(thrown);
    }
  }

  /** Fetches from `offset` on. Without a membership nothing happens: a new one begins with `assigned`. */
  readFrom(partition: Partition, offset: number): void {
    const { topic } = this.#given;
    this.#tell((consumer) => consumer.seek({ topic, partition, offset: String(offset) }));
    this.resume(partition);
  }

  resume(partition: Partition): void {
    this.#tell((consumer) => consumer.resume([{ topic: this.#given.topic, partitions: [partition] }]));
  }

  pause(partition: Partition): void {
    this.#tell((consumer) => consumer.pause([{ topic: this.#given.topic, partitions: [partition] }]));
  }

  /** A hint for whoever looks at the group: everything before these offsets is applied. */
  async commit(offsets: ReadonlyMap<Partition, bigint>): Promise<void> {
    const { topic } = this.#given;
    const all = [...offsets].map(([partition, offset]) => ({ topic, partition, offset: String(offset) }));
    await this.#joined()?.commitOffsets(all);
  }

  /** Leaves, so that others take over, and joins again after a while. */
  rest(cause: OnelaneError): void {
    if (this.#member !== null) this.#down(this.#member, cause);
  }

  /** Idempotent. Does not wait for a broker that does not answer. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#member?.over.abort();
    this.#connecting?.breakOff();
    await this.#serving;
  }

  /** Never throws: between a crash and the word of it, kafkajs does. */
  #tell(what: (consumer: Consumer) => void): void {
    const consumer = this.#joined();
    if (consumer === null) return;
    try {
      what(consumer);
    } catch {
      // It is a member no more, and a new membership begins anew.
      this.#know(null);
    }
  }

  #joined(): Consumer | null {
    return this.#knownMs === null ? null : (this.#member?.consumer ?? null);
  }

  /** Never rejects. One membership after the other. */
  async #serve(first: Member): Promise<void> {
    const { clock, random } = this.#given;
    let next: Member | null = first;
    for (let failures = 1; next !== null || !this.#closing.signal.aborted; failures++) {
      if (next !== null) {
        if ((await this.#run(next)) === 'joined') failures = 1;
        await this.#leave(next);
      }
      const waitMs = this.#needsSomebody ? NEEDS_SOMEBODY_MS : backoffMs(failures, random, AGAIN);
      await clock.sleep(waitMs, this.#closing.signal);
      next = this.#closing.signal.aborted ? null : await this.#connectOrTell();
    }
  }

  async #connectOrTell(): Promise<Member | null> {
    try {
      return await this.#connect();
    } catch (thrown) {
      const cause = this.#given.explain(thrown);
      this.#needsSomebody = !(cause instanceof BrokerAway);
      this.#given.on.lost(cause);
      return null;
    }
  }

  async #connect(): Promise<Member> {
    const client = this.#given.open();
    this.#connecting = client;
    try {
      return await connectMember(client, this.#given, this.#memberId);
    } catch (thrown) {
      client.breakOff();
      throw thrown;
    } finally {
      this.#connecting = null;
    }
  }

  /** Resolves when the membership is over, for whatever reason. */
  async #run(member: Member): Promise<'joined' | 'never'> {
    const { on, clock, partitions } = this.#given;
    this.#member = member;
    const startedMs = clock.monotonicMs();
    this.#listen(member);
    // Not waited for: a join can take as long as somebody else's session.
    void member.consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      // All of a fetch at once: each is waited for by itself.
      partitionsConsumedConcurrently: partitions,
      eachBatch: (batch) => (member.over.signal.aborted ? Promise.resolve() : on.fetched(batch)),
    });
    let lastMs = startedMs;
    while (!member.over.signal.aborted && !this.#closing.signal.aborted) {
      await clock.sleep(LOOK_EVERY_MS, member.over.signal);
      lastMs = this.#knownMs ?? lastMs;
      if (clock.monotonicMs() - lastMs > this.#silenceMs) this.#down(member, silent(this.#silenceMs));
    }
    return lastMs === startedMs ? 'never' : 'joined';
  }

  /** A session, and then a rebalance that waits for somebody else's. */
  get #silenceMs(): number {
    return this.#given.sessionMs + REJOIN_MS;
  }

  #listen(member: Member): void {
    const { on, topic, clock } = this.#given;
    const { consumer, over } = member;
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      if (over.signal.aborted) return;
      this.#know(clock.monotonicMs());
      this.#memberId = payload.memberId;
      const own = payload.memberAssignment[topic] ?? [];
      // Named one by one: pausing a topic as a whole would end with the first partition that is paused by itself.
      consumer.pause([{ topic, partitions: own }]);
      on.assigned(new Set(own.map(partitionAt)));
    });
    consumer.on(consumer.events.HEARTBEAT, () => {
      if (!over.signal.aborted) this.#know(clock.monotonicMs());
    });
    consumer.on(consumer.events.REQUEST, ({ payload }) => {
      if (payload.apiName === 'Metadata' && !over.signal.aborted && this.#knownMs !== null) on.doubted();
    });
    // A crash is told only after everything is stopped; from then on kafkajs throws whatever it is told.
    consumer.on(consumer.events.STOP, () => {
      if (!over.signal.aborted) this.#know(null);
    });
    consumer.on(consumer.events.CRASH, ({ payload }) => this.#down(member, this.#given.explain(payload.error)));
    consumer.on(consumer.events.START_BATCH_PROCESS, ({ payload }) => {
      if (over.signal.aborted || payload.batchSize > 0) return;
      on.skipped(partitionAt(payload.partition), Number(payload.firstOffset), Number(payload.lastOffset));
    });
  }

  #down(member: Member, cause: OnelaneError): void {
    if (member.over.signal.aborted) return;
    this.#needsSomebody = !(cause instanceof BrokerAway || cause instanceof LaneSilent);
    this.#forget();
    member.over.abort();
    this.#given.on.lost(cause);
  }

  #forget(): void {
    this.#know(null);
    this.#member = null;
  }

  #know(atMs: number | null): void {
    this.#knownMs = atMs;
    this.#given.on.known(atMs === null ? 'unknown' : 'known');
  }

  /** Never rejects. In good order while the broker answers, else broken off. */
  async #leave({ client, consumer, over }: Member): Promise<void> {
    this.#forget();
    over.abort();
    const left = consumer.disconnect().catch((thrown: unknown) => void asError(thrown));
    await inTime(left, LEAVE_GRACE_MS, this.#given.clock);
    client.breakOff();
    await inTime(left, LEAVE_GRACE_MS, this.#given.clock);
  }
}

function silent(ms: number): OnelaneError {
  return new BrokerAway(`the group coordinator has not answered for ${ms} ms: the membership is made anew`);
}
