// Owns reading a body whole: bounded each and all together, UTF-8 proven, small ones parsed at once, large ones scanned as they arrive.
import type { Readable } from 'node:stream';
import { bytesText } from '../../shared/process/quantity.ts';
import { Gathered } from './gathered.ts';
import { JsonScan, type Element, type Scanned } from './json-scan.ts';
import {
  isTooHeavy,
  PARSED_AT_ONCE_BYTES,
  parseText,
  readJson,
  tooHeavy,
  unmarked,
  type JsonText,
} from './json-text.ts';
import { problem, type Problem } from './problem.ts';
import { Utf8Check } from './utf8-check.ts';

export interface BodyLimits {
  /** Of one command, spaces and escapes included. */
  readonly singleBytes: number;
  /** Bytes of all large bodies that are being read whole, or dealt with, at a time; and of all small ones. */
  readonly bytesTogether: number;
  /** Elements of a list whose places are kept. */
  readonly elements: number;
}

export type ReadBody =
  | { readonly kind: 'json'; readonly value: unknown }
  | LargeList
  /** Well-formed, and more than one command can be. */
  | { readonly kind: 'too-large-for-one'; readonly detail: string }
  | Problem;

/** A list that is proven to be JSON and was not parsed. Whoever is given it releases it. */
export interface LargeList {
  readonly kind: 'large-list';
  readonly bytes: Gathered;
  readonly elements: readonly Element[];
  /** Of all elements, those past the limit too. */
  readonly count: number;
  release(): void;
}

/** Up to this size a body does not count: as many of them as there may be connections are still little. */
const TINY_BYTES = 4 * 1024;
/** Up to this size bodies have a bound of their own, as large as that of the larger ones: no upload keeps single commands out. */
const SMALL_BYTES = 64 * 1024;

export interface BodyReader {
  /** Never rejects; a connection that breaks leaves a problem that nobody will read. What is past a bound stays unread. */
  read(stream: Readable, limit: number, holds: 'one' | 'many'): Promise<ReadBody>;
}

const TOO_LARGE = { one: 'command-too-large', many: 'body-too-large' } as const;

export function openBodyReader(limits: BodyLimits): BodyReader {
  const held = { small: 0, large: 0 };
  return {
    read: async (stream, limit, holds) => {
      let account: keyof typeof held = 'small';
      let counted = 0;
      const count = (next: keyof typeof held, size: number): void => {
        held[account] -= counted;
        held[next] += size;
        account = next;
        counted = size;
      };
      const admit = (size: number): Problem | null => {
        if (size > limit) return problem(TOO_LARGE[holds], `The body has more than ${bytesText(limit)}.`);
        if (size <= TINY_BYTES) return null;
        count(size <= SMALL_BYTES ? 'small' : 'large', size);
        return held[account] > limits.bytesTogether
          ? problem('refused-busy', `Too many ${account} bodies are being read.`)
          : null;
      };
      const release = () => {
        count(account, 0);
      };
      const body = await collect(stream, admit, new Arriving(limits, release));
      if (body.kind !== 'large-list') release();
      return body;
    },
  };
}

/** Events and not an iterator: this is the path of every single command, and leaving an iterator would destroy the socket. */
function collect(stream: Readable, admit: (size: number) => Problem | null, arriving: Arriving): Promise<ReadBody> {
  return new Promise((resolve) => {
    let isRefused = false;
    // What comes after the promise is settled changes nothing; taking the listeners off again would cost more.
    stream.on('data', (chunk: Buffer) => {
      if (isRefused) return;
      const refusal = admit(arriving.bytes.size + chunk.length);
      if (refusal === null) {
        arriving.add(chunk);
        return;
      }
      isRefused = true;
      arriving.bytes.clear();
      stream.pause();
      resolve(refusal);
    });
    stream.on('end', () => {
      resolve(isRefused ? EMPTY : arriving.end());
    });
    const onBroken = () => {
      resolve(problem('request-malformed', 'The body ended before it was whole.'));
    };
    stream.on('error', onBroken).on('close', onBroken);
  });
}

const EMPTY = problem('body-missing', 'The body is empty.');

/** One body on its way in. Past what can be parsed at once it is scanned, slab by slab, between the turns of the event loop. */
class Arriving {
  readonly bytes = new Gathered();
  private readonly limits: BodyLimits;
  private readonly release: () => void;
  private scan: { readonly json: JsonScan; readonly utf8: Utf8Check } | null = null;
  private scanned = 0;

  constructor(limits: BodyLimits, release: () => void) {
    this.limits = limits;
    this.release = release;
  }

  add(chunk: Buffer): void {
    this.bytes.add(chunk);
    if (this.bytes.size > PARSED_AT_ONCE_BYTES) this.scanOn();
  }

  end(): ReadBody {
    if (this.bytes.size <= PARSED_AT_ONCE_BYTES) return parseBody(readJson(unmarked(this.bytes.whole())));
    this.bytes.finish();
    const { json, utf8 } = this.scanOn();
    return utf8.isUtf8() ? this.read(json.end()) : problem('json-invalid', 'The body is not UTF-8.');
  }

  private scanOn(): { readonly json: JsonScan; readonly utf8: Utf8Check } {
    this.scan ??= { json: new JsonScan(this.limits.elements), utf8: new Utf8Check() };
    for (const slab of this.bytes.slabsFrom(this.scanned)) {
      this.scan.utf8.push(slab);
      this.scan.json.push(slab);
      this.scanned += 1;
    }
    return this.scan;
  }

  private read(scanned: Scanned): ReadBody {
    switch (scanned.kind) {
      case 'broken':
        return problem('json-invalid', `${scanned.detail}.`);
      case 'nothing':
        return EMPTY;
      case 'list': {
        const { elements, count } = scanned;
        return { kind: 'large-list', bytes: this.bytes, elements, count, release: this.release };
      }
      case 'one':
        if (this.bytes.size > this.limits.singleBytes) {
          return oneTooLarge(`It has ${this.bytes.size} bytes; at most ${bytesText(this.limits.singleBytes)} are read`);
        }
        if (isTooHeavy(scanned.weight)) return oneTooLarge(tooHeavy().detail);
        return parseBody(parseText(unmarked(this.bytes.whole()).toString('utf8')));
    }
  }
}

function oneTooLarge(detail: string): ReadBody {
  return { kind: 'too-large-for-one', detail };
}

function parseBody(text: JsonText): ReadBody {
  switch (text.kind) {
    case 'json':
      return text;
    case 'empty':
      return EMPTY;
    case 'too-heavy':
      return oneTooLarge(text.detail);
    case 'broken':
      return problem('json-invalid', `${text.detail}.`);
  }
}
