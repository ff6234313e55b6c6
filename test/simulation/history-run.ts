// Owns one fault run from its start to its verdict; the tests beside it only choose size and fault.
import { expect } from 'vitest';
import type { Fault, Struck } from '../support/simulation/faults.ts';
import { HistorySystem, type HistoryGiven } from '../support/simulation/history-system.ts';
import { drawnSeed, seededRandom } from '../support/simulation/random.ts';

export interface RunWanted extends HistoryGiven {
  readonly name: string;
  readonly fault: Fault;
  readonly strikes: number;
  /** `one`: a fault that brings its own second. */
  readonly clients: 'one' | 'two';
  readonly consumers: number;
}

const PENDING_SHARE_MIN = 0.2;
const TELLING_MS = 10_000;

/** Fails unless the end is exact, the blows fell early enough, and each left the trace that it must leave. */
export async function runFault(wanted: RunWanted): Promise<void> {
  const seed = drawnSeed(wanted.name);
  const system = await HistorySystem.open(wanted);
  const startedMs = performance.now();
  try {
    const starting = Array.from({ length: wanted.consumers }, () => system.startConsumer());
    const [consumers] = await Promise.all([Promise.all(starting), system.startApi()]);
    const clients = wanted.clients === 'one' ? 1 : 2;
    for (let index = 0; index < clients; index++) system.startClient({ index, of: clients });
    const given = { system, random: seededRandom(seed), strikes: wanted.strikes };
    const struck = await wanted.fault(given, consumers);
    system.blowsDealt();
    await system.finished();
    const { tally } = system.ticker;
    report(wanted, system, struck, performance.now() - startedMs);
    expect(await system.differences()).toEqual([]);
    expect(system.ticker.violations).toEqual([]);
    for (const { pendingShare } of struck) expect(pendingShare).toBeGreaterThanOrEqual(PENDING_SHARE_MIN);
    expect(struck.length).toBe(wanted.strikes);
    // What the database shows already, a process may still be about to tell.
    await expect.poll(() => unseen(struck), { timeout: TELLING_MS }).toEqual([]);
    // A run of short outages alone would prove nothing.
    expect(struck.some(({ trace }) => trace !== null)).toBe(true);
    expect({ rejected: tally.rejected, parked: tally.parked, strays: tally.strays }).toEqual({
      rejected: 0,
      parked: 0,
      strays: 0,
    });
  } catch (cause) {
    throw new Error(`${wanted.name} failed at: ${system.state()}`, { cause });
  } finally {
    await system.close();
  }
}

async function unseen(struck: readonly Struck[]): Promise<readonly string[]> {
  const sentences: string[] = [];
  for (const { signal, trace } of struck) {
    if (trace !== null && !(await trace.isSeen()))
      sentences.push(`struck at ${signal}, and nobody saw: ${trace.sentence}`);
  }
  return sentences;
}

function report({ name }: RunWanted, system: HistorySystem, struck: readonly Struck[], ms: number): void {
  const blows = struck.map((each) => `${each.signal} (${Math.round(each.pendingShare * 100)} % pending)`).join(', ');
  const { tally, told } = { tally: system.ticker.tally, told: system.told };
  process.stdout.write(
    `${name}: ${system.total} commands in ${(ms / 1000).toFixed(1)} s; struck at ${blows}; repeated ${tally.repeated}, ` +
      `tenures lost ${tally.lost}; clients: ${told.lostRequests} requests lost, ${told.sentAgain} lines sent again\n`,
  );
}
