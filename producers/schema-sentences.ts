// Owns the sentences about what does not fit a schema: what is there, and what it must be. A schema's own message goes before them.
import type { z } from 'zod';

const SAYING: { readonly error: z.core.$ZodErrorMap } = { error: sentenceOf };

/** Of one command, or of its payload. What fits needs no sentences, and is read faster without. Throws as the schema does. */
export function parseSaying<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
): z.ZodSafeParseResult<z.output<Schema>> {
  const parsed = schema.safeParse(value);
  return parsed.success ? parsed : schema.safeParse(value, SAYING);
}

const EXPECTED: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'an object',
  record: 'an object',
  array: 'an array',
  tuple: 'an array',
};

const VALUES_SHOWN_MAX = 10;

/** undefined: zod's own words are as good. */
function sentenceOf(issue: z.core.$ZodRawIssue): string | undefined {
  const { input, path = [] } = issue;
  const must = mustOf(issue);
  const isAbsent = input === undefined;
  if (must === null) return isAbsent ? 'is missing' : undefined;
  // A payload that was not sent is read as null.
  if (isAbsent || (input === null && path.length === 0)) {
    return `${isAbsent ? 'is missing' : 'is missing, or null'}: it ${must}`;
  }
  return issue.code === 'invalid_value' ? must : `is ${kindOf(input)}: it ${must}`;
}

function mustOf(issue: z.core.$ZodRawIssue): string | null {
  switch (issue.code) {
    case 'invalid_type':
      return issue.expected === 'never' ? 'must not be there' : `must be ${EXPECTED[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `must be ${valuesText(issue.values)}`;
    default:
      return null;
  }
}

function valuesText(values: readonly unknown[]): string {
  const shown = values
    .slice(0, VALUES_SHOWN_MAX)
    .map((value) => (typeof value === 'string' ? `"${value}"` : String(value)));
  return `${shown.join(' or ')}${values.length > VALUES_SHOWN_MAX ? ' or another that the schema has' : ''}`;
}

/** What JSON can hold. */
function kindOf(input: unknown): string {
  if (input === null) return 'null';
  if (Array.isArray(input)) return 'an array';
  if (typeof input === 'number') return Number.isInteger(input) ? 'a number' : 'a number with a fraction';
  if (typeof input === 'boolean') return String(input);
  return typeof input === 'string' ? 'a string' : 'an object';
}
