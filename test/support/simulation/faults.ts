// Owns the five faults: what each does to a running system at its drawn signals, and what must be seen of it by the end of the run.
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { LaneSignal } from '../../../shared/process/test-signal.ts';
import type { Child } from '../processes/child.ts';
import type { HistorySystem } from './history-system.ts';
import { drawInteger, drawOne } from './random.ts';

export interface Struck extends Blow {
  readonly signal: LaneSignal;
}

/** One blow, dealt. */
export interface Blow {
  /** Part of all commands that had no outcome when the fault struck. */
  readonly pendingShare: number;
  /** null: it may pass without a trace. */
  readonly trace: Trace | null;
}

/** What a blow leaves behind when it really fell. */
export interface Trace {
  readonly sentence: string;
  /** Asked when the run has come to its end. */
  readonly isSeen: () => boolean | Promise<boolean>;
}

export interface FaultGiven {
  readonly system: HistorySystem;
  readonly random: () => number;
  readonly strikes: number;
}

/** Clients and consumers run already when it begins; resolves when the last blow was dealt and everything is up again. */
export type Fault = (given: FaultGiven, consumers: readonly Child[]) => Promise<readonly Struck[]>;

/** Everything, the server included, is killed with -9 and started again. */
export const everythingKilled: Fault = (given, first) => {
  let consumers = first;
  return strikeEach(given, async (signal, nth) => {
    const { system, random } = given;
    const pendingShare = await strike(system, drawn(random, consumers), signal, nth);
    await Promise.all([system.endAll('SIGKILL'), system.killServer()]);
    await system.restartServer();
    const killed = consumers;
    const started = await Promise.all([system.startConsumer(), system.startConsumer(), system.startApi()]);
    consumers = [started[0], started[1]];
    return { pendingShare, trace: takenOver(system, killed) };
  });
};

/** A second client sends every line again, beginning at a drawn signal. What was answered before it began is answered again at the end. */
export const everyLineTwice: Fault = ({ system, random }, consumers) =>
  strikeEach({ system, random, strikes: 1 }, async (signal, nth) => {
    const consumer = drawn(random, consumers);
    const pendingShare = await strike(system, consumer, signal, nth);
    const first = [...(await system.answers())].filter(([, { status }]) => status === 'applied');
    system.startClient();
    consumer.go();
    const { tally } = system.ticker;
    const isSeen = async () => {
      const second = await system.answers();
      const isSame = first.every(([id, answer]) => isDeepStrictEqual(second.get(id), answer));
      return isSame && first.length > second.size / 2 && tally.repeated >= system.total;
    };
    const sentence = `every command came again as a repeat, and the second answer was the first for ${first.length} asked`;
    return { pendingShare, trace: { sentence, isSeen } };
  });

/** Two more consumers come, take their share, and go: one in good order, one killed. */
export const consumersComeAndGo: Fault = (given) =>
  strikeEach(given, async (signal, nth) => {
    const { system, random } = given;
    const guests = await Promise.all([system.startConsumer(), system.startConsumer()]);
    await system.ticker.until(() => guests.every((guest) => system.ticker.heldBy(guest.name).length > 0));
    const [killed, leaving] = random() < 0.5 ? guests : [guests[1], guests[0]];
    const pendingShare = await strike(system, killed, signal, nth);
    await Promise.all([system.end(killed, 'SIGKILL'), system.end(leaving, 'SIGTERM')]);
    const over = takenOver(system, [killed]);
    const handedOn = () => system.ticker.succeeded(leaving.name, 'released') > 0;
    const sentence = `${over.sentence}, and ${leaving.name} released what others claimed then`;
    return { pendingShare, trace: { sentence, isSeen: async () => (await over.isSeen()) && handedOn() } };
  });

/** The longest is past every lease: lanes are lost and claimed anew. The shortest is a restart. */
const LONG_DOWN_MS = 6_000;
const DOWN_MS = [0, 500, LONG_DOWN_MS] as const;

export const serverKilled: Fault = (given, consumers) => {
  let nth = 0;
  return strikeEach(given, async (signal, at) => {
    const { system, random } = given;
    const consumer = drawn(random, consumers);
    const pendingShare = await strike(system, consumer, signal, at);
    const { tally } = system.ticker;
    const before = tally.lost + tally.repeated;
    await system.killServer();
    consumer.go();
    // The first is always long: whatever is drawn, one outage is longer than a lease.
    const downMs = nth++ === 0 ? LONG_DOWN_MS : drawOne(random, DOWN_MS);
    await sleep(downMs);
    await system.restartServer();
    // Lanes may sit out a short one: nothing is lost then, and nothing comes again.
    if (downMs < LONG_DOWN_MS) return { pendingShare, trace: null };
    const isSeen = () => tally.lost + tally.repeated > before;
    return { pendingShare, trace: { sentence: 'a tenure was lost, or entries were repeated', isSeen } };
  });
};

/** A consumer is stopped until others have all its partitions, and woken: it finds its tenures lost and writes nothing. */
export const consumerFrozen: Fault = consumerSilent({ begin: (child) => child.freeze(), end: (child) => child.wake() });

/** The same with its event loop blocked: it runs, and says nothing to anybody, its broker included. */
export const consumerBlocked: Fault = consumerSilent({
  begin: (child) => child.block(),
  end: (child) => child.unblock(),
});

interface Silence {
  begin(child: Child): void;
  end(child: Child): void;
}

function consumerSilent(silence: Silence): Fault {
  return (given, consumers) =>
    strikeEach(given, async (signal, nth) => {
      const { system, random } = given;
      const { ticker } = system;
      const silent = drawn(random, consumers);
      const pendingShare = await strike(system, silent, signal, nth);
      const lost = () => ticker.succeeded(silent.name, 'lost');
      const before = lost();
      const held = ticker.heldBy(silent.name);
      silence.begin(silent);
      await ticker.until(() => ticker.heldBy(silent.name).length === 0);
      // Whoever carries the commands has given it up as well: others get what it had.
      await ticker.until(() => held.some((partition) => ticker.lastApplied(partition) !== silent.name));
      silence.end(silent);
      silent.go();
      const died = silent.ended.then(() => Promise.reject(new Error(`${silent.name} has ended in place of going on`)));
      died.catch(() => undefined); // it ends some day in any case
      await Promise.race([ticker.until(() => lost() > before), died]);
      const sentence = `${silent.name} found tenures lost that others had claimed`;
      return { pendingShare, trace: { sentence, isSeen: () => lost() > before } };
    });
}

/** Blows fall while between a twentieth and six tenths are applied, each in its own stretch. */
const FROM = 0.05;
const TO = 0.6;
const NTH_MAX = 8;

export async function strikeEach(
  { system, random, strikes }: FaultGiven,
  blow: (signal: LaneSignal, nth: number) => Promise<Blow>,
): Promise<readonly Struck[]> {
  const signals = shuffled(random);
  const struck: Struck[] = [];
  for (let index = 0; index < strikes; index++) {
    const share = FROM + ((TO - FROM) * (index + random() / 2)) / strikes;
    await system.ticker.until(() => system.ticker.tally.applied >= share * system.total);
    const signal = signals[index % signals.length] ?? 'taken';
    struck.push({ signal, ...(await blow(signal, drawInteger(random, 1, NTH_MAX))) });
  }
  return struck;
}

export async function strike(system: HistorySystem, child: Child, signal: LaneSignal, nth: number): Promise<number> {
  await system.ticker.until(() => system.ticker.heldBy(child.name).length > 0);
  await child.reach(signal, nth);
  return system.pendingShare();
}

/** One of them waited at a signal when it was killed, so it held a tenure, and could tell no end of it. */
export function takenOver({ ticker }: HistorySystem, killed: readonly Child[]): Trace {
  const names = killed.map(({ name }) => name);
  return {
    sentence: `a tenure was claimed over the killed ${names.join(' or ')}`,
    isSeen: () => names.some((name) => ticker.succeeded(name, 'open') > 0),
  };
}

export function drawn(random: () => number, consumers: readonly Child[]): Child {
  const [first, ...others] = consumers;
  if (first === undefined) throw new Error('a fault needs a consumer to strike');
  return drawOne(random, [first, ...others]);
}

/** Each signal once before any comes again. */
function shuffled(random: () => number): readonly LaneSignal[] {
  const signals: LaneSignal[] = ['taken', 'planned', 'before-commit', 'committed', 'before-settle'];
  return signals
    .map((signal) => ({ signal, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ signal }) => signal);
}
