// Proves that whatever the edge lets pass, a lane can read: no accepted command becomes a stray.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readDraft } from '../../../producers/draft.ts';
import { isFault } from '../../../producers/fault.ts';
import { openSeal } from '../../../producers/seal.ts';
import { newUuid, position } from '../../../shared/command/identity.ts';
import { decodeDelivery } from '../../../shared/command/wire.ts';
import { testTypes } from '../../support/producers/account-type.ts';

const now = new Date('2026-02-03T04:05:06.789Z');
const seal = openSeal({ types: testTypes('t'), system: { id: newUuid(), partitions: 4, layout: 1 }, now: () => now });

/** Mostly near both ends of what four digits can say, and mostly with an offset. */
const time = fc
  .tuple(
    fc.oneof(fc.constantFrom(0, 1, 9998, 9999), fc.nat({ max: 9999 })),
    fc.constantFrom(
      '-01-01T00:00:00',
      '-01-01T23:30:00.5',
      '-12-31T23:59:59',
      '-12-31T00:00:00.999',
      '-02-29T12:00:00',
    ),
    fc.constantFrom('Z', '+01:00', '-01:00', '+23:59', '-23:59'),
  )
  .map(([year, rest, offset]) => String(year).padStart(4, '0') + rest + offset);
const draft = fc.record(
  {
    id: fc.oneof(fc.uuid(), fc.string({ unit: 'binary', maxLength: 300 })),
    source: fc.string({ unit: 'binary', maxLength: 1_100 }),
    subject: fc.string({ unit: 'binary', minLength: 1, maxLength: 600 }),
    time,
    expectedrevision: fc.oneof(fc.nat(), fc.maxSafeNat(), fc.double()),
    traceparent: fc.string({ maxLength: 70 }),
  },
  { requiredKeys: ['subject'] },
);
const data = fc.oneof(fc.jsonValue(), fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()));

const sealed = (raw: object) => {
  const read = readDraft(raw, 'either');
  return isFault(read) ? read : seal(read);
};

describe('a sealed command', () => {
  it('is read by a lane as what was sent', () => {
    fc.assert(
      fc.property(draft, data, fc.boolean(), (parts, payload, isNote) => {
        const raw = isNote
          ? { ...parts, type: 'note.write', data: { body: '' } }
          : { ...parts, type: 'account.import', subject: '7', data: payload };
        const command = sealed(raw);
        if (isFault(command)) return;
        const { bytes, headers, id, content, subject, key } = command;
        const read = decodeDelivery({ position: position(0), bytes, headers, appendedAt: now });
        expect(read).toMatchObject({ kind: 'command', id, content, subject, key });
        expect(read).toHaveProperty('timeMs', parts.time === undefined ? now.getTime() : Date.parse(parts.time));
      }),
      { numRuns: 2_000 },
    );
  });

  it.each(['9999-12-31T23:59:59-01:00', '0000-01-01T00:00:00+01:00'])(
    'is not made of a time past the years: %s',
    (each) => {
      const fault = sealed({ type: 'account.deposit', subject: '1', data: { amount: 1 }, time: each });
      expect(fault).toMatchObject({ kind: 'fault', code: 'command-malformed', pointers: [{ pointer: '/time' }] });
    },
  );

  it.each(['9999-12-31T23:59:59.999Z', '0000-01-01T00:00:00Z', '9999-12-31T23:59:59+01:00'])(
    'may be as old or as far as %s',
    (each) => {
      expect(isFault(sealed({ type: 'account.deposit', subject: '1', data: { amount: 1 }, time: each }))).toBe(false);
    },
  );
});
