// Owns draining in a process of its own: what it is told, and what it tells when nothing is left.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { Round } from './measure.ts';
import { residentPeakBytes } from './resident-peak.ts';

/** What a consumer process needs, as it is wired. */
export interface LanesOrder {
  readonly url: string;
  readonly schema: string;
  readonly tables: string;
  /** Settings of its transport, by their variables. */
  readonly env: Readonly<Record<string, string>>;
  readonly count: number;
}

export interface Drained extends Round {
  /** Of the draining process alone. */
  readonly cpuMs: number;
  readonly residentPeakBytes: number;
}

/** `child`: the file's name without its ending. */
export async function drainedBy(child: string, order: object): Promise<Drained> {
  const process_ = fork(new URL(`./${child}.js`, import.meta.url), [JSON.stringify(order)]);
  let drained: Drained | null = null;
  process_.on('message', (message: Drained) => (drained = message));
  const [code] = await once(process_, 'exit');
  if (drained === null) throw new Error(`the draining process ended with ${String(code)} and without a word`);
  return drained;
}

/** In the draining process; `drain` resolves when nothing is left. Returns what is to be told. */
export async function measured(count: number, drain: () => Promise<unknown>): Promise<Drained> {
  const cpuFrom = process.cpuUsage();
  const from = performance.now();
  await drain();
  const ms = performance.now() - from;
  const cpu = process.cpuUsage(cpuFrom);
  return { count, ms, cpuMs: (cpu.user + cpu.system) / 1_000, residentPeakBytes: residentPeakBytes() };
}

export function tell(drained: Drained): void {
  process.send?.(drained);
  process.disconnect();
}
