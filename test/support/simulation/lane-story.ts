// Owns the stories that a lane lives through in memory: deaths, freezes and lost connections at drawn signals, until all is applied.
import { decideGate } from '../../../consumers/decide-gate.ts';
import { parkAndWait } from '../../../consumers/failure/policies.ts';
import type { BatchStore, Tenure } from '../../../consumers/lane/batch-store.ts';
import { runLane } from '../../../consumers/lane/run-lane.ts';
import type { LaneEnd, LaneGiven } from '../../../consumers/lane/lane-given.ts';
import type { LanePlace } from '../../../consumers/lane/read-batch.ts';
import { newUuid, type EntryHash } from '../../../shared/command/identity.ts';
import type { OnelaneEvent } from '../../../shared/process/events.ts';
import type { LaneSignal } from '../../../shared/process/test-signal.ts';
import type { Clock } from '../../../shared/process/time.ts';
import type { ResourceTypes } from '../../../shared/resources/resource-type.ts';
import type { Lane } from '../../../shared/transport/transport.ts';
import type { ModelLog, Positions } from './model-log.ts';
import { seededRandom } from './random.ts';

/** One blow: at the nth time that `signal` is reached in a holder's life, and what becomes of the holder. */
export interface Blow {
  readonly signal: LaneSignal;
  readonly nth: number;
  /** `dies`: kill -9. `freezes`: stopped past its lease, woken after its successor has worked on. */
  readonly act: 'dies' | 'freezes';
  /** How many signals a successor passes before a frozen holder wakes. */
  readonly wakesAfter: number;
  /** In thousandths: how far back the log is read again, where positions are the lane's own. */
  readonly backTo: number;
}

export interface Stage {
  readonly log: ModelLog;
  /** A new process: its store, and what its death does beside stopping it. */
  hire(): Holder;
  readonly types: ResourceTypes;
  readonly place: LanePlace;
  readonly positions: Positions;
  /** A saboteur may stand between lane and store, or lane and log. */
  sabotage?(lane: Lane, store: BatchStore): { readonly lane: Lane; readonly store: BatchStore };
  readonly seed: number;
}

export interface Holder {
  readonly store: BatchStore;
  /** Resolves when nothing of it can happen any more. */
  die(): Promise<void> | void;
}

export interface Told {
  readonly ends: readonly LaneEnd[];
  readonly events: readonly OnelaneEvent[];
  /** Holders that were stopped, woken, and then saw a commit of theirs succeed. */
  readonly zombieCommits: number;
  readonly unapplied: number;
  /** How many holders were struck while an entry was marked, the struck holder's own mark or one that it found. */
  readonly deaths: ReadonlyMap<EntryHash, number>;
}

/** Holders that a story may need; a system that makes no progress at all ends here. */
const HOLDERS_MAX = 200;

export async function tellStory(stage: Stage, blows: readonly Blow[]): Promise<Told> {
  const ends: LaneEnd[] = [];
  const events: OnelaneEvent[] = [];
  const zombies: Zombie[] = [];
  const random = seededRandom(stage.seed);
  const deaths = new Map<EntryHash, number>();
  let process = stage.hire();
  const frozen = { wake: () => undefined as void, inSignals: Infinity, successor: 0 };
  for (let holder = 0; holder < HOLDERS_MAX; holder++) {
    const blow = blows[holder] ?? null;
    frozen.successor = holder;
    const marked: Marked = { entry: null };
    const life = liveOnce(stage, { blow, holder, process, marked, random, frozen, events });
    const end = await life.ended;
    if (end === 'dead' || end === 'frozen') {
      if (marked.entry !== null) deaths.set(marked.entry, (deaths.get(marked.entry) ?? 0) + 1);
      if (end === 'dead') await process.die();
      else zombies.push(life.zombie);
      // Who only lost its tenure claims again in the same process.
      process = stage.hire();
      continue;
    }
    ends.push(end);
    if (end.kind === 'halted') break;
    if (stage.log.isSettled && holder >= blows.length) break;
  }
  frozen.wake();
  for (const zombie of zombies) ends.push(await zombie.ended);
  return {
    ends,
    events,
    zombieCommits: zombies.reduce((sum, zombie) => sum + zombie.commits, 0),
    unapplied: stage.log.pending,
    deaths,
  };
}

interface Zombie {
  readonly ended: Promise<LaneEnd>;
  /** Since it woke. */
  commits: number;
}

/** Mutable within one holder's life: the entry that its death would be laid at the door of. */
interface Marked {
  entry: EntryHash | null;
}

interface Life {
  readonly blow: Blow | null;
  readonly process: Holder;
  readonly marked: Marked;
  readonly random: () => number;
  readonly holder: number;
  /** Only signals of the successor bring the waking nearer: it has claimed, so that who wakes is no holder any more. */
  readonly frozen: { wake: () => void; inSignals: number; successor: number };
  readonly events: OnelaneEvent[];
}

function liveOnce(
  stage: Stage,
  life: Life,
): { readonly ended: Promise<LaneEnd | 'dead' | 'frozen'>; readonly zombie: Zombie } {
  const { blow, frozen, process } = life;
  let strike: (how: 'dead' | 'frozen') => void = () => undefined;
  const struck = new Promise<'dead' | 'frozen'>((resolve) => (strike = resolve));
  let countdown = blow?.nth ?? Infinity;
  let isWoken = false;
  const reach = (signal: LaneSignal): Promise<void> | undefined => {
    if (life.holder === frozen.successor && --frozen.inSignals === 0) frozen.wake();
    if (signal === 'committed' && isWoken) zombie.commits++;
    if (signal !== blow?.signal || --countdown !== 0) return undefined;
    if (blow.act === 'dies') {
      strike('dead');
      return new Promise(() => undefined); // it never comes back
    }
    frozen.wake();
    frozen.inSignals = blow.wakesAfter;
    return new Promise((resolve) => {
      frozen.wake = () => {
        isWoken = true;
        resolve();
      };
      strike('frozen');
    });
  };
  const lane = stage.log.lane(stage.place.partition, {
    positions: stage.positions,
    backTo: blow?.backTo ?? 1000,
    batchSize: () => 1 + Math.floor(life.random() * 12),
  });
  const cast = stage.sabotage?.(lane, process.store) ?? { lane, store: process.store };
  const whole = runLane(
    cast.lane,
    given(stage, noting(cast.store, life.marked), { reach, random: life.random, events: life.events }),
  );
  const zombie: Zombie = { ended: whole, commits: 0 };
  return { ended: Promise.race([whole, struck]), zombie };
}

function noting(store: BatchStore, marked: Marked): BatchStore {
  const note = (tenure: Tenure): Tenure => {
    marked.entry = tenure.marker?.entry ?? null;
    return tenure;
  };
  return {
    ...store,
    claim: async (partition, by) => note(await store.claim(partition, by)),
    mark: async (tenure, entry) => {
      // It may stand there although its answer never came.
      marked.entry = entry;
      return note(await store.mark(tenure, entry));
    },
  };
}

function given(
  stage: Stage,
  store: BatchStore,
  own: {
    readonly reach: NonNullable<LaneGiven['reach']>;
    readonly random: () => number;
    readonly events: OnelaneEvent[];
  },
): LaneGiven {
  return {
    store,
    types: stage.types,
    contractHash: 'any',
    policy: parkAndWait(own.random),
    gate: decideGate(),
    limits: { batchCountMax: 20, batchBytesMax: 1_000_000, lingerMs: 0, renewedMs: 0 },
    system: { partitions: stage.place.partitions },
    schema: 'onelane',
    databaseAnswers: () => Promise.resolve(true),
    newOwner: newUuid,
    observe: (event) => own.events.push(event),
    clock: hurriedClock,
    random: own.random,
    reach: own.reach,
  };
}

/** Time passes as fast as it is waited for. */
const hurriedClock: Clock = {
  now: () => new Date(0),
  monotonicMs: () => performance.now(),
  sleep: () => new Promise((resolve) => setImmediate(resolve)),
};
