// Owns running one case against a fixture, with or without vitest around it.
import type { ConformanceFixture, Need } from './fixture.ts';
import { Stage } from './stage.ts';

export interface ConformanceCase {
  /** A sentence about behaviour. */
  readonly name: string;
  /** Applies to fixtures that declare all of it. */
  readonly needs?: readonly Need[];
  /** 4 by default. */
  readonly partitions?: number;
  run(stage: Stage): Promise<void>;
}

export function applies(each: ConformanceCase, fixture: ConformanceFixture): boolean {
  const declared = new Set<Need>(fixture.abilities);
  if (fixture.traits.positions === 'stored') declared.add('stored-positions');
  if (fixture.traits.assigns === 'by-lease') declared.add('by-lease');
  return (each.needs ?? []).every((need) => declared.has(need));
}

/** Rejects when the adapter breaks the promise, or when something cannot be closed. */
export async function runCase(each: ConformanceCase, fixture: ConformanceFixture): Promise<void> {
  const stage = await Stage.open(fixture, each.partitions ?? 4);
  try {
    await each.run(stage);
  } catch (cause) {
    // What a broken case leaves behind may not close; its own failure is what counts.
    await stage.close().catch(() => undefined);
    throw cause;
  }
  await stage.close();
}
