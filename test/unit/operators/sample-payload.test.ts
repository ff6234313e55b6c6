// Proves that the example a newcomer pastes is one that its command takes, or is left out.
import { expect, test } from 'vitest';
import { z } from 'zod';
import { samplePayload } from '../../../operators/wiring/sample-payload.ts';

test.each([
  ['nothing', z.strictObject({}), {}],
  ['an amount', z.strictObject({ amount: z.int().positive() }), { amount: 500 }],
  ['a bounded number', z.strictObject({ share: z.number().max(1) }), { share: 1 }],
  ['a word', z.strictObject({ name: z.string(), note: z.string().optional() }), { name: 'text' }],
  ['a choice', z.strictObject({ color: z.enum(['red', 'blue']), on: z.boolean() }), { color: 'red', on: true }],
  ['an alternative', z.union([z.strictObject({ a: z.literal(1) }), z.null()]), { a: 1 }],
  ['a list', z.strictObject({ items: z.array(z.string()) }), { items: [] }],
])('%s', (_what, schema, sample) => {
  expect(samplePayload(schema)).toEqual(sample);
});

test('what cannot be guessed is left out', () => {
  expect(samplePayload(z.strictObject({ blob: z.string().regex(/^[0-9a-f]{40}$/) }))).toBeUndefined();
});
