// Owns the quick reading of commands that stand as our publishers print them: nearly every entry of a log. Of any other it says nothing.
import { z } from 'zod';
import { commandOf } from './command-of.ts';
import type { Command } from './entry.ts';
import { MEDIA_TYPE, TEXT_MAX } from './envelope.ts';
import { revision, SUBJECT_BYTES_MAX, SURE_UUID, trustedCommandId, type Json } from './identity.ts';
import { isPayloadFaulty } from './json-fault.ts';
import { RESERVED_TYPE, splitType } from './type-names.ts';

/** Of characters that stand for themselves between quotes. */
const TEXT = '[^"\\\\\\u0000-\\u001f]';

/** As `encodeCommand` prints it, up to the payload: that comes last, so that all behind it but one brace is its own. */
const HEAD = new RegExp(
  [
    '^\\{"specversion":"1\\.0"',
    `"id":"${SURE_UUID.source.slice(1, -1)}"`,
    `"source":"(${TEXT}+)"`,
    `"type":"(${TEXT}+)"`,
    `"subject":"(${TEXT}+)"`,
    '"time":"\\d{4}-\\d\\d-\\d\\dT(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d\\.\\d{3}Z"',
    `"datacontenttype":"${MEDIA_TYPE}"`,
    `(?:"expectedrevision":(0|[1-9]\\d{0,14}),)?(?:"traceparent":"${TEXT}{1,${TEXT_MAX.traceparent}}",)?"data":`,
  ].join(','),
);

const ID_FROM = '{"specversion":"1.0","id":"'.length;
const ID_TO = ID_FROM + '01234567-89ab-7def-8123-456789abcdef'.length;
/** Of what stands between the four texts, quotes included. */
const BETWEEN = '","source":"","type":"","subject":"","time":"'.length;
const CLOSING_BRACE = 125;

/** The same that reading it as JSON would give. null: it is printed otherwise, or something is wrong with it. */
export function readPrinted(json: string): Command | null {
  const head = HEAD.exec(json);
  if (head === null || json.charCodeAt(json.length - 1) !== CLOSING_BRACE) return null;
  const source = head[1] ?? '';
  const full = head[2] ?? '';
  const subject = head[3] ?? '';
  if (source.length > TEXT_MAX.source || full.length > TEXT_MAX.type) return null;
  // A UTF-16 unit takes three bytes at most.
  if (subject.length * 3 > SUBJECT_BYTES_MAX) return null;
  const names = splitType(full);
  if (names === null || names.type === RESERVED_TYPE) return null;
  const timeMs = instantMs(json, ID_TO + BETWEEN + source.length + full.length + subject.length);
  const data = parsed(json.slice(head[0].length, -1));
  if (timeMs === null || data === undefined || isPayloadFaulty(data)) return null;
  const expectedRevision = head[4] === undefined ? null : revision(head[4]);
  const id = trustedCommandId(json.slice(ID_FROM, ID_TO));
  return commandOf({ type: full, subject, data, expectedRevision }, names, { id, source, timeMs });
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
const DAY_LENGTH = 'YYYY-MM-DD'.length;
/** The day of the command before, as the number that its digits make, and its midnight: one day's commands stand together. */
let lastDay = NaN;
let midnightMs = NaN;

/** Of `YYYY-MM-DDTHH:MM:SS.mmmZ` in `json`, with two digits where two belong. null: there is no such day. */
function instantMs(json: string, at: number): number | null {
  const two = (from: number): number => json.charCodeAt(from) * 10 + json.charCodeAt(from + 1) - 11 * ZERO;
  const day = ((two(at) * 100 + two(at + 2)) * 100 + two(at + 5)) * 100 + two(at + 8);
  if (day !== lastDay) {
    const text = json.slice(at, at + DAY_LENGTH);
    if (!DAY.test(text)) return null;
    lastDay = day;
    midnightMs = Date.parse(text);
  }
  const seconds = (two(at + 11) * 60 + two(at + 14)) * 60 + two(at + 17);
  return midnightMs + seconds * 1_000 + two(at + 20) * 10 + json.charCodeAt(at + 22) - ZERO;
}

const ZERO = 48;
