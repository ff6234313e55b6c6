// Whole lanes that die, freeze, wake and lose their connection at any signal: what they leave equals what the interpreter says.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Positions } from '../support/simulation/model-log.ts';
import { drawnSeed } from '../support/simulation/random.ts';
import { laneIsExact } from './lane-property.ts';

const seed = drawnSeed('property of the lane');
const numRuns = Number(process.env['ONELANE_RUNS'] ?? 300);

test.each<Positions>(['stored', 'lane'])(
  'whatever befalls its holders, a lane over a log with "%s" positions is exact',
  async (positions) => {
    let redelivered = 0;
    let blamed = 0;
    const onRedelivered = (count: number) => void (redelivered += count);
    const onBlamed = (count: number) => void (blamed += count);
    await fc.assert(laneIsExact({ positions, fence: 'kept', onRedelivered, onBlamed }), { seed, numRuns });
    expect(redelivered).toBeGreaterThan(0);
    expect(blamed, 'commands that were blamed').toBeGreaterThan(0);
  },
);
