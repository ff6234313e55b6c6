// Owns the generator of blows that a lane may be dealt.
import fc from 'fast-check';
import type { Blow } from '../support/simulation/lane-story.ts';

const anyBlow: fc.Arbitrary<Blow> = fc.record({
  signal: fc.constantFrom('taken', 'planned', 'before-commit', 'committed', 'before-settle'),
  nth: fc.integer({ min: 1, max: 4 }),
  act: fc.constantFrom('dies', 'freezes'),
  wakesAfter: fc.integer({ min: 1, max: 12 }),
  backTo: fc.integer({ min: 0, max: 1000 }),
});

/** One holder after the other ends at the same place of the log: what a command that kills its consumer looks like. */
const deadlyBlow: fc.Arbitrary<Blow> = fc.record({
  signal: fc.constantFrom('planned', 'before-commit'),
  nth: fc.constant(1),
  act: fc.constant('dies'),
  wakesAfter: fc.constant(1),
  backTo: fc.constant(1000),
});

const dealt = (blow: fc.Arbitrary<Blow>): fc.Arbitrary<readonly Blow[]> =>
  fc.array(blow, { minLength: 1, maxLength: 12, size: 'max' });

export const blows: fc.Arbitrary<readonly Blow[]> = fc.oneof(
  { weight: 4, arbitrary: dealt(anyBlow) },
  { weight: 1, arbitrary: fc.tuple(dealt(anyBlow), dealt(deadlyBlow)).map(([some, deadly]) => [...some, ...deadly]) },
);
