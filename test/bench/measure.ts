// Owns the measuring: rounds taken in turn, so that a machine that changes its speed changes it for all; medians and ratios, never a lone time.

export interface Contender {
  readonly name: string;
  /** Does one round and says how many operations it did in how many milliseconds. */
  run(): Promise<Round>;
}

export interface Round {
  readonly count: number;
  readonly ms: number;
}

export interface Figure {
  readonly name: string;
  /** Operations per second: the median over the rounds, and the extremes. */
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** Every contender once per round, in the order given. */
export async function takeTurns(contenders: readonly Contender[], rounds: number): Promise<readonly Figure[]> {
  const rates = contenders.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, contender] of contenders.entries()) {
      const { count, ms } = await contender.run();
      rates[index]?.push((count * 1_000) / ms);
    }
  }
  return contenders.map(({ name }, index) => figureOf(name, rates[index] ?? []));
}

export async function timed(count: number, act: () => Promise<unknown>): Promise<Round> {
  const from = performance.now();
  await act();
  return { count, ms: performance.now() - from };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** A ratio and what the product promises of it. */
export interface Judged {
  readonly line: string;
  readonly isMet: boolean;
}

export function judged(
  what: string,
  ratio: number,
  goal: { readonly atLeast?: number; readonly atMost?: number },
): Judged {
  const { atLeast, atMost } = goal;
  const isMet = (atLeast === undefined || ratio >= atLeast) && (atMost === undefined || ratio <= atMost);
  const wanted = atLeast === undefined ? `≤ ${atMost ?? ''}` : `≥ ${atLeast}`;
  return { isMet, line: `${isMet ? 'met   ' : 'MISSED'}  ${ratio.toFixed(2).padStart(8)}  (goal ${wanted})  ${what}` };
}

export function printFigures(title: string, figures: readonly Figure[]): void {
  console.log(`\n${title}`);
  for (const { name, median: middle, low, high } of figures) {
    const range = `${Math.round(low).toLocaleString('en')} – ${Math.round(high).toLocaleString('en')}`;
    console.log(`  ${name.padEnd(44)} ${Math.round(middle).toLocaleString('en').padStart(9)} /s   (${range})`);
  }
}

function figureOf(name: string, rates: readonly number[]): Figure {
  return { name, median: median(rates), low: Math.min(...rates), high: Math.max(...rates) };
}
