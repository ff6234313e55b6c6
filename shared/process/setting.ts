// Owns what one setting is: how its text is read, bounded and described.
import { z } from 'zod';
import { printSize, printSpan, sizeBytes, spanMs } from './quantity.ts';

export interface Setting<T> {
  /** The environment variable; its flag is the same name without `ONELANE_`, in kebab-case. */
  readonly variable: string;
  /** Reads the text; undefined stands for "not set" and gives the default. */
  readonly schema: z.ZodType<T, string | undefined>;
  /** What a person should give, as in "give …". */
  readonly takes: string;
  /** The default as a person would write it. */
  readonly fallback: string;
  readonly about: string;
  /** A secret comes from the environment or a file named by `<variable>_FILE`, never from a flag. */
  readonly secrecy: 'open' | 'secret';
}

export type Described = Pick<Setting<unknown>, 'variable' | 'about'>;
type Reading<T> = Pick<Setting<T>, 'schema' | 'takes' | 'fallback'>;

/** Puts a description and a way of reading together. */
export function setting<T>(
  described: Described,
  reading: Reading<T>,
  secrecy: Setting<T>['secrecy'] = 'open',
): Setting<T> {
  return { ...described, ...reading, secrecy };
}

/** Some text, or null when it is not set. */
export function optionalText(pattern: RegExp, takes: string, fallback = 'none'): Reading<string | null> {
  return { schema: read((text) => (pattern.test(text) ? text : null), null), takes, fallback };
}

export function text(pattern: RegExp, takes: string, fallback: string): Reading<string> {
  return { schema: read((given) => (pattern.test(given) ? given : null), fallback), takes, fallback };
}

/** Items between commas, each of the same form. */
export function list(pattern: RegExp, takes: string, fallback: string): Reading<readonly string[]> {
  const parse = (given: string): readonly string[] | null => {
    const items = given.split(',').map((item) => item.trim());
    return items.every((item) => pattern.test(item)) ? items : null;
  };
  return { schema: read(parse, fallback.split(',')), takes, fallback };
}

export function wholeNumber(min: number, max: number, fallback: number): Reading<number> {
  const reading = optionalWholeNumber(min, max, String(fallback));
  return { ...reading, schema: reading.schema.transform((count) => count ?? fallback) };
}

export function optionalWholeNumber(min: number, max: number, fallback: string): Reading<number | null> {
  const parse = (given: string) => (/^\d{1,15}$/.test(given) ? bounded(Number(given), min, max) : null);
  return { schema: read(parse, null), takes: `a whole number from ${min} to ${max}`, fallback };
}

/** Milliseconds; `min`, `max` and `fallback` are written as people do: `30d`. */
export function span(min: string, max: string, fallback: string): Reading<number> {
  const limits = [spanMs(min) ?? 0, spanMs(max) ?? 0] as const;
  return {
    schema: read((given) => bounded(spanMs(given), ...limits), spanMs(fallback) ?? 0),
    takes: `a duration from ${printSpan(limits[0])} to ${printSpan(limits[1])}, such as 500ms, 10s, 5m, 1h or 30d`,
    fallback,
  };
}

/** Bytes; written as `64MiB`. */
export function size(min: string, max: string, fallback: string): Reading<number> {
  const limits = [sizeBytes(min) ?? 0, sizeBytes(max) ?? 0] as const;
  return {
    schema: read((given) => bounded(sizeBytes(given), ...limits), sizeBytes(fallback) ?? 0),
    takes: `a size from ${printSize(limits[0])} to ${printSize(limits[1])}, such as 512KiB or 64MiB`,
    fallback,
  };
}

export function choice<const Word extends string>(words: readonly Word[], fallback: Word): Reading<Word> {
  return {
    schema: read((given) => words.find((word) => word === given) ?? null, fallback),
    takes: listed(words),
    fallback,
  };
}

export function onOrOff(): Reading<boolean> {
  const words = new Map([
    ['1', true],
    ['true', true],
    ['0', false],
    ['false', false],
  ]);
  return { schema: read((given) => words.get(given) ?? null, false), takes: '1 or 0', fallback: '0' };
}

/** A schema of text: `parse` gives null for what cannot be read; undefined gives the fallback. */
function read<T, Fallback>(
  parse: (text: string) => T | null,
  fallback: Fallback,
): z.ZodType<T | Fallback, string | undefined> {
  return z
    .string()
    .optional()
    .transform((given, context): T | Fallback => {
      if (given === undefined) return fallback;
      const value = parse(given);
      if (value !== null) return value;
      context.addIssue({ code: 'custom', message: 'cannot be read' });
      return z.NEVER;
    });
}

function bounded(value: number | null, min: number, max: number): number | null {
  return value !== null && value >= min && value <= max ? value : null;
}

function listed(words: readonly string[]): string {
  return words.length < 2 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}
