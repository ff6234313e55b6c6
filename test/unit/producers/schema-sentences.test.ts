// Proves the sentences about what does not fit a schema.
import { expect, it } from 'vitest';
import { z } from 'zod';
import { parseSaying } from '../../../producers/schema-sentences.ts';

const said = (schema: z.ZodType, input: unknown) => parseSaying(schema, input).error?.issues[0]?.message;

it.each([
  [z.object({ a: z.string() }), {}, 'is missing: it must be a string'],
  [z.object({ a: z.int() }), {}, 'is missing: it must be a number'],
  [z.object({ a: z.int() }), { a: 1.5 }, 'is a number with a fraction: it must be a whole number'],
  [z.object({ a: z.boolean() }), { a: [] }, 'is an array: it must be true or false'],
  [z.object({ a: z.record(z.string(), z.string()) }), { a: true }, 'is true: it must be an object'],
  [z.object({ a: z.enum(['x', 'y']) }), {}, 'is missing: it must be "x" or "y"'],
  [z.object({ a: z.enum(['x', 'y']) }), { a: 'z' }, 'must be "x" or "y"'],
  [z.object({ a: z.literal([1n, 2n]) }), { a: 'z' }, 'must be 1 or 2'],
  [z.object({ a: z.union([z.string(), z.int()]) }), {}, 'is missing'],
  [z.object({ a: z.string() }), null, 'is missing, or null: it must be an object'],
  [z.object({ a: z.string() }), [], 'is an array: it must be an object'],
])('a field is told with what it must be, and with what it is: %#', (schema, input, sentence) => {
  expect(said(schema, input)).toBe(sentence);
});

it('what the schema says itself goes before, and what zod says well stays', () => {
  expect(said(z.object({ a: z.string('a name, please') }), {})).toBe('a name, please');
  expect(said(z.string().min(3), 'x')).toMatch(/3 characters/);
});

it('a list of many values is not printed whole', () => {
  const many = Array.from({ length: 1_000 }, (_, at) => `value-${at}`);
  expect(said(z.enum(many), 'x')?.length).toBeLessThan(300);
});
