// Owns a consumer's work: one subscription kept open, one loop per lane it yields, all of them drained on stop.
import { asError } from '../shared/process/errors.ts';
import type { Observe } from '../shared/process/events.ts';
import type { Service } from '../shared/process/service.ts';
import { backoffMs, type Clock, type Random } from '../shared/process/time.ts';
import type { Lane, Subscription, Transport } from '../shared/transport/transport.ts';
import type { LaneEnd } from './lane/lane-given.ts';
import type { Leases } from './leases.ts';
import type { Halts } from './worker/halts.ts';
import { OpenLanes, type LaneStatus } from './worker/open-lanes.ts';

export type { LaneStatus } from './worker/open-lanes.ts';

export interface WorkerGiven {
  readonly transport: Pick<Transport, 'openSubscription'>;
  /** That decide or that follow, as the transport needs it. Started and stopped by whoever made them: started before the worker, stopped after it. */
  readonly leases: Leases;
  /** Claims, serves and releases one yielded lane; must not reject. */
  readonly runLane: (lane: Lane) => Promise<LaneEnd>;
  readonly halts: Halts;
  readonly observe: Observe;
  readonly clock: Clock;
  readonly random: Random;
}

export interface ConsumerWorker extends Service {
  /** Joined, with lanes or without. */
  isReady(): boolean;
  lanes(): readonly LaneStatus[];
}

const OPEN_AGAIN = { firstMs: 100, maxMs: 5_000 };
/** A subscription that lived so long is opened again at once. */
const LIVED_WELL_MS = 10_000;
/** Of a stop's time this much is left to those who stop after us: the leases must still be given back. */
const LEAVE_OVER_MS = 500;

/** `start` resolves at once: a broker or database that is away is waited for, for ever, and `isReady` tells. */
export function consumerWorker(given: WorkerGiven): ConsumerWorker {
  return new Worker(given);
}

class Worker implements ConsumerWorker {
  readonly name = 'consumer-worker';
  readonly #given: WorkerGiven;
  readonly #lanes: OpenLanes;
  readonly #stop = new AbortController();
  #running: Promise<void> | null = null;
  #isOpen = false;
  #isAway = false;

  constructor(given: WorkerGiven) {
    this.#given = given;
    this.#lanes = new OpenLanes({ ...given, isOurs: (partition) => given.leases.isSafe(partition) });
  }

  start(): Promise<void> {
    if (!this.#stop.signal.aborted) this.#running ??= this.#serve();
    return Promise.resolve();
  }

  /** First nothing new is fetched, then running batches finish, and each lane's lease goes with its lane. */
  async stop(deadlineMs: number): Promise<void> {
    this.#given.leases.leave();
    this.#stop.abort();
    this.#lanes.close();
    if (this.#running === null) return;
    const inTime = new AbortController();
    const limitMs = deadlineMs - Math.min(LEAVE_OVER_MS, deadlineMs / 10);
    await Promise.race([this.#running, this.#given.clock.sleep(limitMs, inTime.signal)]);
    inTime.abort();
  }

  isReady(): boolean {
    return this.#isOpen && this.#given.leases.status().isMember;
  }

  lanes(): readonly LaneStatus[] {
    return this.#lanes.status();
  }

  /** Never rejects. */
  async #serve(): Promise<void> {
    const { clock, random } = this.#given;
    const stop = this.#stop.signal;
    for (let failures = 0; !stop.aborted;) {
      const startedMs = clock.monotonicMs();
      const failure = await this.#serveOnce();
      if (stop.aborted) return;
      this.#observeAway(failure);
      failures = clock.monotonicMs() - startedMs >= LIVED_WELL_MS ? 1 : failures + 1;
      await clock.sleep(backoffMs(failures, random, OPEN_AGAIN), stop);
    }
  }

  /** One subscription from its opening to its end; every lane is released when this resolves. */
  async #serveOnce(): Promise<Error> {
    const { transport, leases } = this.#given;
    try {
      const subscription = await transport.openSubscription(leases.mine);
      try {
        await this.#enterLanes(subscription);
      } finally {
        this.#isOpen = false;
        leases.leave();
        await subscription.close();
        await this.#lanes.drained();
      }
      return new Error('the subscription has ended');
    } catch (thrown) {
      return asError(thrown);
    }
  }

  async #enterLanes(subscription: Subscription): Promise<void> {
    // Only who can read asks for partitions: otherwise they would lie idle while others could serve them.
    if (!this.#stop.signal.aborted) this.#given.leases.join();
    this.#isOpen = true;
    if (this.#isAway) this.#given.observe({ kind: 'connection-restored', what: 'subscription' });
    this.#isAway = false;
    for await (const lane of subscription.lanes(this.#stop.signal)) this.#lanes.enter(lane);
  }

  #observeAway(cause: Error): void {
    if (!this.#isAway) this.#given.observe({ kind: 'connection-lost', what: 'subscription', cause });
    this.#isAway = true;
  }
}
