// Owns the headers that a command may carry: Idempotency-Key, If-Match, If-None-Match, Prefer, traceparent.
import type { IncomingHttpHeaders } from 'node:http';
import { revision, type Revision } from '../../shared/command/identity.ts';
import { fault, type Fault } from '../fault.ts';

export interface CommandHeaders {
  readonly idempotencyKey: string | null;
  readonly expectedRevision: Revision | null;
  readonly waitMs: number;
  readonly traceparent: string | null;
}

const KEY = /^[\x21-\x7e](?:[\x20-\x7e]{0,254}[\x21-\x7e])?$/;
const STRONG_TAG = /^"([0-9]{1,15})"$/;
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;
const WAIT = /(?:^|[,;])\s*wait\s*=\s*"?([0-9]+)"?\s*(?=$|[,;])/i;

export function readCommandHeaders(headers: IncomingHttpHeaders, waitMsMax: number): CommandHeaders | Fault {
  const idempotencyKey = keyOf(headers['idempotency-key']);
  if (idempotencyKey !== null && typeof idempotencyKey !== 'string') return idempotencyKey;
  const expectedRevision = expectedOf(headers['if-match'], headers['if-none-match']);
  if (expectedRevision !== null && typeof expectedRevision !== 'number') return expectedRevision;
  return {
    idempotencyKey,
    expectedRevision,
    waitMs: waitMsOf(headers['prefer'], waitMsMax),
    traceparent: traceparentOf(headers['traceparent']),
  };
}

/** Names of headers that only a single command may have. */
export function singleOnlyHeaders(headers: IncomingHttpHeaders): readonly string[] {
  return ['idempotency-key', 'if-match', 'if-none-match'].filter((name) => headers[name] !== undefined);
}

function keyOf(header: string | string[] | undefined): string | null | Fault {
  if (header === undefined) return null;
  const text = Array.isArray(header) ? header.join(',') : header.trim();
  const key = /^"(.*)"$/.exec(text)?.[1] ?? text;
  if (KEY.test(key) && !key.includes('"')) return key;
  return fault(
    'idempotency-key-invalid',
    'The Idempotency-Key is empty, too long, or has characters outside of printable ASCII.',
  );
}

function expectedOf(ifMatch: string | undefined, ifNoneMatch: string | undefined): Revision | null | Fault {
  if (ifMatch !== undefined && ifNoneMatch !== undefined) {
    return fault('precondition-invalid', 'If-Match and If-None-Match were both sent.');
  }
  if (ifNoneMatch !== undefined) {
    if (ifNoneMatch.trim() === '*') return revision(0);
    return fault('precondition-invalid', `If-None-Match: ${ifNoneMatch} is not *.`);
  }
  if (ifMatch === undefined) return null;
  const tag = STRONG_TAG.exec(ifMatch.trim())?.[1];
  return tag === undefined
    ? fault('precondition-invalid', `If-Match: ${ifMatch} is not one revision in quotes.`)
    : revision(tag);
}

/** What cannot be understood is ignored, as RFC 7240 asks; a longer wait than is offered becomes the longest. */
function waitMsOf(prefer: string | string[] | undefined, waitMsMax: number): number {
  if (prefer === undefined) return 0;
  const seconds = WAIT.exec(Array.isArray(prefer) ? prefer.join(',') : prefer)?.[1];
  return seconds === undefined ? 0 : Math.min(waitMsMax, Number(seconds) * 1_000);
}

function traceparentOf(header: string | string[] | undefined): string | null {
  return typeof header === 'string' && TRACEPARENT.test(header) ? header : null;
}
