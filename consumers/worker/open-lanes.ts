// Owns the lanes that a process has open: each runs by itself, none spins, a halted one rests.
import type { Partition } from '../../shared/command/identity.ts';
import { asError } from '../../shared/process/errors.ts';
import type { Observe } from '../../shared/process/events.ts';
import { backoffMs, type Clock, type Random } from '../../shared/process/time.ts';
import type { Lane } from '../../shared/transport/transport.ts';
import type { Holder, LaneEnd } from '../lane/lane-given.ts';
import type { Halt, Halts } from './halts.ts';

export interface OpenLanesGiven {
  /** Claims, serves and releases one lane; see lane/run-lane. */
  readonly runLane: (lane: Lane) => Promise<LaneEnd>;
  readonly leases: {
    laneOpened(partition: Partition): void;
    laneReleased(partition: Partition): void;
  };
  /** May this process act for the partition right now? Asked once more before each claim. */
  readonly isOurs: (partition: Partition) => boolean;
  readonly halts: Halts;
  readonly observe: Observe;
  readonly clock: Clock;
  readonly random: Random;
}

export interface LaneStatus {
  readonly partition: Partition;
  /** `waiting`: before it is claimed again. `halted`: until this process restarts, or another consumer has claimed the partition. */
  readonly state: 'waiting' | 'running' | 'halted';
  readonly since: Date;
  readonly halt: Halt | null;
}

interface Halted {
  readonly halt: Halt;
  /** Resolves when it is recorded, or never will be. */
  readonly recorded: Promise<void>;
}

/** A lane that ends again and again is claimed again after so long, random so that two holders do not chase each other. */
const CLAIM_AGAIN = { firstMs: 100, maxMs: 5_000 };
/** Who has served so long has earned a fresh count. */
const SERVED_WELL_MS = 10_000;
const RECORD_AGAIN = { firstMs: 200, maxMs: 10_000 };

//   yielded ──▶ waiting ──▶ running ──▶ released       waiting: only after an end that the broker or a lease did not ask for
//      └──────▶ halted ──(lost)───────▶ released       halted: its partition's lane halted earlier in this process, and nobody
//                                                              has claimed the partition since
export class OpenLanes {
  readonly #given: OpenLanesGiven;
  /** The newest lane of each partition, from its yielding to its end. */
  readonly #lives = new Map<Partition, Promise<void>>();
  readonly #status = new Map<Partition, LaneStatus>();
  readonly #halted = new Map<Partition, Halted>();
  readonly #fruitless = new Map<Partition, number>();
  readonly #closing = new AbortController();

  constructor(given: OpenLanesGiven) {
    this.#given = given;
  }

  /** Returns at once; the lane lives on by itself until it is released. */
  enter(lane: Lane): void {
    const { leases } = this.#given;
    const { partition } = lane;
    leases.laneOpened(partition);
    // A released partition can be yielded anew before its last lane's loop has come to its end and told what became of it.
    const before = this.#lives.get(partition) ?? Promise.resolve();
    const life = before
      .then(() => this.#live(lane))
      .then(() => {
        if (this.#lives.get(partition) !== life) return;
        this.#lives.delete(partition);
        this.#status.delete(partition);
        leases.laneReleased(partition);
      });
    this.#lives.set(partition, life);
  }

  /** Resolves when no lane is open. They end by themselves once they are lost. */
  async drained(): Promise<void> {
    while (this.#lives.size > 0) await Promise.all(this.#lives.values());
  }

  /** No more attempts to record halts. */
  close(): void {
    this.#closing.abort();
  }

  status(): readonly LaneStatus[] {
    return [...this.#status.values()].sort((a, b) => a.partition - b.partition);
  }

  /** Never rejects. */
  async #live(lane: Lane): Promise<void> {
    try {
      if (await this.#isHalted(lane)) await this.#rest(lane);
      else if (await this.#mayRun(lane)) await this.#run(lane);
      else await lane.release();
    } catch (thrown) {
      this.#unreleased(lane, thrown);
    }
  }

  /** What cannot be released is lost with its connection. */
  #unreleased(lane: Lane, thrown: unknown): void {
    this.#given.observe({ kind: 'connection-lost', what: `lane ${lane.partition}`, cause: asError(thrown) });
  }

  /** Only the record knows whether somebody else has served the partition meanwhile. While nobody can be asked it is halted. */
  async #isHalted({ partition, lost }: Lane): Promise<boolean> {
    const { halts, clock, random } = this.#given;
    const halted = this.#halted.get(partition);
    if (halted === undefined) return false;
    this.#enterState(partition, 'halted', halted.halt);
    await Promise.race([halted.recorded, aborted(lost)]);
    for (let attempt = 1; !lost.aborted; attempt++) {
      const stands = await halts.stands(partition).catch(() => 'unknown');
      if (stands === true) return true;
      if (stands === false) {
        this.#halted.delete(partition);
        return false;
      }
      await clock.sleep(backoffMs(attempt, random, RECORD_AGAIN), lost);
    }
    return true;
  }

  async #rest(lane: Lane): Promise<void> {
    await aborted(lane.lost);
    await lane.release();
  }

  async #mayRun(lane: Lane): Promise<boolean> {
    const { clock, random, isOurs } = this.#given;
    const fruitless = this.#fruitless.get(lane.partition) ?? 0;
    if (fruitless > 0) {
      this.#enterState(lane.partition, 'waiting', null);
      await clock.sleep(backoffMs(fruitless, random, CLAIM_AGAIN), lane.lost);
    }
    if (lane.lost.aborted) return false;
    if (isOurs(lane.partition)) return true;
    this.#fruitless.set(lane.partition, fruitless + 1);
    return false;
  }

  async #run(lane: Lane): Promise<void> {
    const { clock } = this.#given;
    const { partition } = lane;
    this.#enterState(partition, 'running', null);
    const startedMs = clock.monotonicMs();
    const end = await this.#runToEnd(lane);
    const servedWell = clock.monotonicMs() - startedMs >= SERVED_WELL_MS;
    const before = servedWell ? 0 : (this.#fruitless.get(partition) ?? 0);
    if (end.kind === 'released' && lane.lost.aborted) this.#fruitless.delete(partition);
    else this.#fruitless.set(partition, before + 1);
    if (end.kind === 'halted') this.#halt(partition, { code: end.code, detail: end.detail }, end.holder);
  }

  async #runToEnd(lane: Lane): Promise<LaneEnd> {
    const { runLane, observe } = this.#given;
    try {
      return await runLane(lane);
    } catch (thrown) {
      // It promises never to reject. What breaks its promise is a bug, and a bug halts its lane and no other.
      const detail = `the lane's loop ended with an error, please report it: ${asError(thrown).message}`;
      observe({ kind: 'lane-halted', partition: lane.partition, code: 'broken-invariant', detail });
      await lane.release().catch((cause: unknown) => this.#unreleased(lane, cause));
      return { kind: 'halted', code: 'broken-invariant', detail, holder: null };
    }
  }

  #halt(partition: Partition, halt: Halt, holder: Holder | null): void {
    this.#halted.set(partition, { halt, recorded: this.#record(partition, halt, holder) });
  }

  /** Never rejects; tries until it is recorded, somebody else has claimed the partition, or the process ends. */
  async #record(partition: Partition, halt: Halt, holder: Holder | null): Promise<void> {
    const { halts, observe, clock, random } = this.#given;
    for (let attempt = 1; ; attempt++) {
      const answer = await halts.record(partition, halt, holder).catch(() => 'unknown');
      if (answer === 'claimed-since') observe({ kind: 'halt-outdated', partition, code: halt.code });
      if (answer !== 'unknown' || this.#closing.signal.aborted) return;
      await clock.sleep(backoffMs(attempt, random, RECORD_AGAIN), this.#closing.signal);
    }
  }

  #enterState(partition: Partition, state: LaneStatus['state'], halt: Halt | null): void {
    this.#status.set(partition, { partition, state, since: this.#given.clock.now(), halt });
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener(
      'abort',
      () => {
        resolve();
      },
      { once: true },
    );
  });
}
