// Owns the suite as vitest runs it: one call in an adapter's test file, and the adapter is done when it passes.
import { describe, test } from 'vitest';
import { conformanceCases } from './cases.ts';
import type { ConformanceFixture } from './fixture.ts';
import { applies, runCase } from './run-case.ts';

export function conformance(fixture: ConformanceFixture): void {
  describe(`the ${fixture.name} transport`, () => {
    // What an adapter declares decides which cases there are; none is skipped.
    for (const each of conformanceCases.filter((one) => applies(one, fixture))) {
      test(each.name, { concurrent: true }, () => runCase(each, fixture));
    }
  });
}
