// Owns splitting a stream into lines as it arrives, in bounded memory: newline-delimited JSON, one command a line.
import { isUtf8 } from 'node:buffer';
import type { Readable } from 'node:stream';
import { asError } from '../../shared/process/errors.ts';
import { fault, type Fault } from '../fault.ts';

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
  private rest: Buffer[] = [];
  private restBytes = 0;
  private number = 0;

  constructor(lineBytesMax: number) {
    this.lineBytesMax = lineBytesMax;
  }

  push(chunk: Buffer): readonly Line[] {
    const lines: Line[] = [];
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
      this.keep(chunk.subarray(from, at));
      this.cut(lines);
      from = at + 1;
    }
    this.keep(chunk.subarray(from));
    return lines;
  }

  end(): readonly Line[] {
    const lines: Line[] = [];
    if (this.restBytes > 0) this.cut(lines);
    return lines;
  }

  /** Past its limit a line is counted and no longer kept. */
  private keep(part: Buffer): void {
    if (part.length === 0) return;
    this.restBytes += part.length;
    if (this.restBytes <= this.lineBytesMax) this.rest.push(part);
    else this.rest = [];
  }

  private cut(lines: Line[]): void {
    this.number += 1;
    const line =
      this.restBytes > this.lineBytesMax ? this.oversized() : parseLine(Buffer.concat(this.rest), this.number);
    this.rest = [];
    this.restBytes = 0;
    if (line !== null) lines.push(line);
  }

  private oversized(): Line {
    const detail = `The line has ${this.restBytes} bytes; at most ${this.lineBytesMax} are read`;
    return { kind: 'unreadable', number: this.number, fault: fault('command-too-large', detail) };
  }
}

function parseLine(bytes: Buffer, number: number): Line | null {
  if (!isUtf8(bytes))
    return { kind: 'unreadable', number, fault: fault('json-invalid', `Line ${number} is not UTF-8`) };
  const whole = bytes.toString('utf8');
  const text = number === 1 && whole.charCodeAt(0) === 0xfeff ? whole.slice(1) : whole;
  if (text.trim() === '') return null;
  try {
    return { kind: 'json', number, value: JSON.parse(text) };
  } catch (thrown) {
    return { kind: 'unreadable', number, fault: fault('json-invalid', `Line ${number}: ${asError(thrown).message}`) };
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
