// Owns the quick reading of events that stand as our publishers print them: nearly every entry of a log. Says nothing of any other.
import { z } from 'zod';
import { revision, trustedCommandId, type CommandId, type Json, type Revision } from './identity.ts';
import { isPayloadFaulty } from './json-fault.ts';

/** How long each may be, in UTF-16 units. */
export const TEXT_MAX = { id: 256, source: 1024, type: 128, subject: 512, traceparent: 64 } as const;

/** What an event says, however it was read. */
export interface ReadEvent {
  readonly id: CommandId;
  readonly source: string;
  readonly type: string;
  readonly subject: string;
  readonly timeMs: number;
  readonly data: Json;
  readonly expectedRevision: Revision | null;
}

/** Characters that stand for themselves between quotes. */
const TEXT = '[^"\\\\\\u0000-\\u001f]+';

/** As `encodeCommand` prints it, up to the payload: that comes last, so that what stands behind it is known. */
const HEAD = new RegExp(
  [
    '^\\{"specversion":"1\\.0"',
    '"id":"([0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"',
    `"source":"(${TEXT})"`,
    `"type":"(${TEXT})"`,
    `"subject":"(${TEXT})"`,
    '"time":"(\\d{4}-\\d\\d-\\d\\d)T((?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d\\.\\d{3})Z"',
    '"datacontenttype":"application/json"',
    `(?:"expectedrevision":(0|[1-9]\\d{0,14}),)?(?:"traceparent":"(${TEXT})",)?"data":`,
  ].join(','),
);
const CLOSING_BRACE = 125;

/** null: it is printed otherwise, or something is wrong with it. */
export function readPrinted(json: string): ReadEvent | null {
  const head = HEAD.exec(json);
  if (head === null || json.charCodeAt(json.length - 1) !== CLOSING_BRACE) return null;
  const source = head[2] ?? '';
  const type = head[3] ?? '';
  const subject = head[4] ?? '';
  if (source.length > TEXT_MAX.source || type.length > TEXT_MAX.type || subject.length > TEXT_MAX.subject) return null;
  if (head[8] !== undefined && head[8].length > TEXT_MAX.traceparent) return null;
  const midnight = midnightMs(head[5] ?? '');
  const data = parsed(json.slice(head[0].length, -1));
  if (midnight === null || data === undefined || isPayloadFaulty(data)) return null;
  return {
    id: trustedCommandId(head[1] ?? ''),
    source,
    type,
    subject,
    timeMs: midnight + msOfDay(head[6] ?? ''),
    data,
    expectedRevision: head[7] === undefined ? null : revision(head[7]),
  };
}

/** Whatever is one whole JSON value; else undefined. */
function parsed(json: string): Json | undefined {
  try {
    // JSON.parse makes nothing else.
    return JSON.parse(json) as Json;
  } catch {
    return undefined;
  }
}

const DAY = z.core.regexes.date;
/** One day's commands come one after the other. */
let lastDay = '';
let lastMidnightMs = NaN;

/** null: there is no such day. */
function midnightMs(day: string): number | null {
  if (day === lastDay) return lastMidnightMs;
  if (!DAY.test(day)) return null;
  lastDay = day;
  lastMidnightMs = Date.parse(day);
  return lastMidnightMs;
}

const ZERO = 48;

/** Of `HH:MM:SS.mmm`. */
function msOfDay(hours: string): number {
  const two = (at: number): number => hours.charCodeAt(at) * 10 + hours.charCodeAt(at + 1) - 11 * ZERO;
  return ((two(0) * 60 + two(3)) * 60 + two(6)) * 1_000 + two(9) * 10 + hours.charCodeAt(11) - ZERO;
}
