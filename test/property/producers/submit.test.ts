// Proves by drawn faults that no caller is lied to, and that order and acceptance survive whatever a broker does.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Submission } from '../../../producers/partition-queue.ts';
import type { CommandId } from '../../../shared/command/identity.ts';
import { GOES_WELL, type Fate } from '../../support/producers/faulty-transport.ts';
import { submitBundle, type SubmitBundle } from '../../support/producers/submit-bundle.ts';

const fates: fc.Arbitrary<readonly Fate[]> = fc.array(
  fc.record({
    stored: fc.nat({ max: 4 }),
    rest: fc.constantFrom('stored', 'stored', 'refused', 'refused-for-good', 'unknown'),
    answer: fc.constantFrom('given', 'given', 'lost'),
    refusedFirst: fc.boolean(),
  }),
  { maxLength: 30 },
);

/** Subjects of commands, and turns of the event loop between them. */
const story = fc.array(fc.tuple(fc.integer({ min: 1, max: 6 }), fc.nat({ max: 2 })), { minLength: 1, maxLength: 60 });

interface Told {
  readonly id: CommandId;
  readonly partition: number;
  readonly submission: Submission;
}

async function run(
  bundle: SubmitBundle,
  drawn: { readonly steps: readonly (readonly [number, number])[]; readonly fates: readonly Fate[] },
) {
  const left = [...drawn.fates];
  bundle.transport.fate = () => left.shift() ?? GOES_WELL;
  const all: Promise<Told>[] = [];
  for (const [subject, turns] of drawn.steps) {
    const sealed = bundle.seal(String(subject));
    all.push(
      bundle.submitter
        .submit(sealed)
        .then((submission) => ({ id: sealed.id, partition: sealed.partition, submission })),
    );
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  const told = await Promise.all(all);
  await bundle.submitter.close(10_000);
  return told;
}

describe('whatever the broker does', () => {
  it('accepted is in the log, not accepted is not, and the log keeps the order of submission', async () => {
    await fc.assert(
      fc.asyncProperty(story, fates, async (steps, drawn) => {
        const bundle = await submitBundle({ partitions: 2, limits: { graceMs: 60, flightMs: 5_000, batchEntries: 4 } });
        const told = await run(bundle, { steps, fates: drawn });
        expect(bundle.transport.overlaps).toEqual([]);
        const inLog = new Set(bundle.allIds());
        for (const { id, submission } of told) {
          if (submission.kind === 'accepted') expect(inLog).toContain(id);
          if (submission.kind === 'not-accepted') expect(inLog).not.toContain(id);
        }
        for (const partition of bundle.log.partitions) {
          const first = [...new Set(bundle.idsOf(partition))];
          const submitted = told
            .filter((each) => each.partition === partition && first.includes(each.id))
            .map((each) => each.id);
          expect(first).toEqual(submitted);
        }
        expect(bundle.submitter.held()).toEqual({ entries: 0, bytes: 0 });
      }),
      { numRuns: 60 },
    );
  });

  it('a position that a caller is told is that of the command', async () => {
    await fc.assert(
      fc.asyncProperty(story, fates, async (steps, drawn) => {
        const bundle = await submitBundle({ partitions: 2, limits: { graceMs: 60, batchEntries: 4 } });
        for (const { id, partition, submission } of await run(bundle, { steps, fates: drawn })) {
          if (submission.kind !== 'accepted' || submission.position === null) continue;
          const at = bundle.log.partitions[partition];
          if (at !== undefined) expect(bundle.idsOf(at)[Number(submission.position)]).toBe(id);
        }
      }),
      { numRuns: 30 },
    );
  });
});
