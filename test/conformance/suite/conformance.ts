// Owns the suite as vitest runs it: one call in an adapter's test file, and the adapter is done when it passes.
import { describe, test } from 'vitest';
import { conformanceCases } from './cases.ts';
import type { ConformanceFixture } from './fixture.ts';
import { applies, runCase } from './run-case.ts';

export function conformance(fixture: ConformanceFixture): void {
  describe(`the ${fixture.name} transport`, () => {
    for (const each of conformanceCases) {
      test.runIf(applies(each, fixture))(each.name, { concurrent: true }, () => runCase(each, fixture));
    }
  });
}
