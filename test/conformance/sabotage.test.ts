// Owns the test of the tests: an adapter that breaks a promise must not pass the suite.
import { describe, expect, test } from 'vitest';
import { memoryFixture } from './memory-fixture.ts';
import { sabotages, type Sabotage } from './sabotages.ts';
import { conformanceCases } from './suite/cases.ts';
import type { ConformanceFixture } from './suite/fixture.ts';
import { applies, runCase } from './suite/run-case.ts';

/** What a broken adapter never does is not waited for as long as what an honest one does late. */
const PATIENCE_MS = 1_000;

function bundle(sabotage: Pick<Sabotage, 'wrap'>): ConformanceFixture {
  return { ...memoryFixture(sabotage.wrap), patienceMs: PATIENCE_MS };
}

/** The names of these cases that fail. */
async function failures(fixture: ConformanceFixture, names: readonly string[]): Promise<readonly string[]> {
  const cases = conformanceCases.filter((each) => names.includes(each.name) && applies(each, fixture));
  expect(cases.map((each) => each.name).sort()).toEqual([...names].sort());
  const failed = await Promise.all(
    cases.map((each) =>
      runCase(each, fixture).then(
        () => [],
        () => [each.name],
      ),
    ),
  );
  return failed.flat();
}

describe('the suite fails for an adapter that', () => {
  for (const sabotage of sabotages) {
    test(sabotage.name, { concurrent: true }, async () => {
      const failed = await failures(bundle(sabotage), sabotage.caughtBy);
      expect([...failed].sort()).toEqual([...sabotage.caughtBy].sort());
    });
  }
});

test('the same cases pass for an adapter that does nothing wrong', async () => {
  const honest = bundle({ wrap: (transport) => transport });
  const names = [...new Set(sabotages.flatMap((each) => each.caughtBy))];
  expect(await failures({ ...honest, patienceMs: 10_000 }, names)).toEqual([]);
});
