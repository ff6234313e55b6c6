// Owns the generator of blows that a lane may be dealt.
import fc from 'fast-check';
import type { Blow } from '../support/simulation/lane-story.ts';

export const blows: fc.Arbitrary<readonly Blow[]> = fc.array(
  fc.record({
    signal: fc.constantFrom('taken', 'planned', 'before-commit', 'committed', 'before-settle'),
    nth: fc.integer({ min: 1, max: 4 }),
    act: fc.constantFrom('dies', 'freezes'),
    wakesAfter: fc.integer({ min: 1, max: 12 }),
    backTo: fc.integer({ min: 0, max: 1000 }),
  }),
  { minLength: 1, maxLength: 12, size: 'max' },
);
