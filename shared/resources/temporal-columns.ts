// Owns the codecs of dates and instants: strings, because a JavaScript date would lose the microseconds.
import { custom, notStorable, type Column } from './columns.ts';

/**
 * `timestamptz` as ISO 8601 in UTC: `2026-11-22T10:00:00.000Z`, with six digits where there are microseconds, so that what
 * `Date.toISOString` prints is already in form. Other offsets are taken and turned into UTC. What PostgreSQL knows beyond ISO (`infinity`,
 * years before 1 or after 9999) stays in PostgreSQL's own spelling.
 */
export function timestamptz(name?: string): Column<string> {
  return custom(name, { sqlType: 'timestamptz', digits: 6, encode: encodeInstant, decode: decodeInstant });
}

/** `date` as `2026-11-22`. */
export function date(name?: string): Column<string> {
  return custom(name, { sqlType: 'date', encode: encodeDate, decode: (stored) => stored });
}

const ISO = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(Z|[+-]\d\d:\d\d)$/;
const STORED = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?\+00$/;
const BEYOND = /^(-?infinity|\d{4,}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?\+00( BC)?)$/;
const DATE = /^\d{4}-\d\d-\d\d$/;
const DATE_BEYOND = /^(-?infinity|\d{4,}-\d\d-\d\d BC|\d{5,}-\d\d-\d\d)$/;

function encodeInstant(value: string): string {
  const iso = typeof value === 'string' ? ISO.exec(value) : null;
  if (iso === null) {
    if (typeof value === 'string' && BEYOND.test(value)) return value;
    throw notStorable(value, 'timestamptz: write 2026-11-22T10:00:00.000Z');
  }
  const [, seconds = '', fraction = '', offset = ''] = iso;
  const instant = new Date(`${seconds}${offset}`);
  if (Number.isNaN(instant.getTime()) || (offset === 'Z' && !instant.toISOString().startsWith(seconds))) {
    throw notStorable(value, 'timestamptz: there is no such day or hour');
  }
  const utc = instant.toISOString();
  if (utc.length !== ISO_LENGTH || utc.startsWith('0000'))
    throw notStorable(value, 'timestamptz: the year is beyond ISO');
  return `${utc.slice(0, SECONDS_LENGTH).replace('T', ' ')}${trimmed(fraction)}+00`;
}

const ISO_LENGTH = '2026-11-22T10:00:00.000Z'.length;
const SECONDS_LENGTH = '2026-11-22T10:00:00'.length;

function trimmed(fraction: string): string {
  const digits = fraction.replace(/0+$/, '');
  return digits === '' ? '' : `.${digits}`;
}

function decodeInstant(stored: string): string {
  const parts = STORED.exec(stored);
  if (parts === null) return stored;
  const [, day = '', time = '', fraction = ''] = parts;
  return `${day}T${time}.${fraction.padEnd(fraction.length > 3 ? 6 : 3, '0')}Z`;
}

function encodeDate(value: string): string {
  if (typeof value !== 'string') throw notStorable(value, 'date');
  if (DATE_BEYOND.test(value)) return value;
  const instant = DATE.test(value) ? new Date(`${value}T00:00:00Z`) : null;
  const isDay = instant !== null && !Number.isNaN(instant.getTime()) && instant.toISOString().startsWith(value);
  if (!isDay || value.startsWith('0000')) throw notStorable(value, 'date: write 2026-11-22');
  return value;
}
