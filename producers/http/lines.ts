// Owns splitting a stream into lines as it arrives, in bounded memory: newline-delimited JSON, one command a line.
import type { Readable } from 'node:stream';
import { bytesText } from '../../shared/process/quantity.ts';
import { fault, type Fault } from '../fault.ts';
import { Gathered } from './gathered.ts';
import type { LargeList } from './body.ts';
import type { Element } from './json-scan.ts';
import { isTooHeavy, parseText, readJson, tooHeavy, unmarked, type JsonText } from './json-text.ts';

/** One line that is not empty, parsed; `number` counts all lines from 1. */
export type Line =
  | { readonly kind: 'json'; readonly number: number; readonly value: unknown }
  | { readonly kind: 'unreadable'; readonly number: number; readonly fault: Fault };

export interface LineLimits {
  readonly lineBytes: number;
  readonly totalBytes: number;
}

export type Lines = AsyncIterable<readonly Line[]>;

const NEWLINE = 0x0a;

/** Yields the lines of each chunk together; the stream is read on when they have been dealt with. Ends with `too-large` past the total. */
export async function* readLines(
  stream: Readable,
  limits: LineLimits,
): AsyncGenerator<readonly Line[], 'whole' | 'too-large'> {
  const splitter = new Splitter(limits.lineBytes);
  let total = 0;
  // Leaving early must not destroy the socket: there is an answer to send on it.
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    // A request without setEncoding yields Buffers.
    const bytes = chunk as Buffer;
    total += bytes.length;
    if (total > limits.totalBytes) return 'too-large';
    yield splitter.push(bytes);
  }
  yield splitter.end();
  return 'whole';
}

class Splitter {
  private readonly lineBytesMax: number;
  private readonly rest = new Gathered();
  private restBytes = 0;
  private number = 0;

  constructor(lineBytesMax: number) {
    this.lineBytesMax = lineBytesMax;
  }

  push(chunk: Buffer): readonly Line[] {
    const lines: Line[] = [];
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
      if (at > from) this.keep(chunk.subarray(from, at));
      this.cut(lines);
      from = at + 1;
    }
    if (from < chunk.length) this.keep(chunk.subarray(from));
    return lines;
  }

  end(): readonly Line[] {
    const lines: Line[] = [];
    if (this.restBytes > 0) this.cut(lines);
    return lines;
  }

  /** Past its limit a line is counted and no longer kept. */
  private keep(part: Buffer): void {
    this.restBytes += part.length;
    if (this.restBytes <= this.lineBytesMax) this.rest.add(part);
    else this.rest.clear();
  }

  private cut(lines: Line[]): void {
    this.number += 1;
    if (this.restBytes === 0) return;
    const line = this.restBytes > this.lineBytesMax ? this.oversized() : parseLine(this.rest.whole(), this.number);
    this.rest.clear();
    this.restBytes = 0;
    if (line !== null) lines.push(line);
  }

  private oversized(): Line {
    const detail = `The line has ${this.restBytes} bytes; at most ${bytesText(this.lineBytesMax)} are read`;
    return { kind: 'unreadable', number: this.number, fault: fault('command-too-large', detail) };
  }
}

function parseLine(bytes: Buffer, number: number): Line | null {
  return lineOf(readJson(number === 1 ? unmarked(bytes) : bytes), number);
}

function lineOf(text: JsonText, number: number): Line | null {
  switch (text.kind) {
    case 'json':
      return { kind: 'json', number, value: text.value };
    case 'empty':
      return null;
    case 'too-heavy':
      return { kind: 'unreadable', number, fault: fault('command-too-large', text.detail) };
    case 'broken':
      return { kind: 'unreadable', number, fault: fault('json-invalid', `Line ${number}: ${text.detail}`) };
  }
}

/** The items of a list as lines, some at a time. */
export async function* linesOfList(list: readonly unknown[]): AsyncGenerator<readonly Line[], 'whole'> {
  for (let from = 0; from < list.length; from += AT_A_TIME) {
    const some = list.slice(from, from + AT_A_TIME);
    yield some.map((value, at) => ({ kind: 'json', number: from + at + 1, value }));
  }
  return 'whole';
}

const AT_A_TIME = 200;

/** The same of a list that was not parsed; what it is cut from is let go on the way. */
export async function* linesOfLargeList(
  list: LargeList,
  elementBytesMax: number,
): AsyncGenerator<readonly Line[], 'whole'> {
  let lines: Line[] = [];
  let bytes = 0;
  for (const [at, element] of list.elements.entries()) {
    const line = lineOf(readElement(list, element, elementBytesMax), at + 1);
    if (line !== null) lines.push(line);
    bytes += element.to - element.from;
    if (bytes < BYTES_AT_A_TIME && lines.length < AT_A_TIME) continue;
    yield lines;
    lines = [];
    bytes = 0;
  }
  yield lines;
  return 'whole';
}

const BYTES_AT_A_TIME = 64 * 1024;

/** Its bytes are proven to be JSON already. */
function readElement({ bytes }: LargeList, { from, to, weight }: Element, bytesMax: number): JsonText {
  const size = to - from;
  if (size > bytesMax) {
    return { kind: 'too-heavy', detail: `The element has ${size} bytes; at most ${bytesText(bytesMax)} are read` };
  }
  return isTooHeavy(weight) ? tooHeavy() : parseText(bytes.cut(from, to).toString('utf8'));
}
