// Owns the `after` token: what a 202 knows about its command, so that a later question can tell "not yet" from "never".
import { z } from 'zod';
import {
  partition,
  position,
  trustedContent,
  trustedKey,
  type ContentHash,
  type Partition,
  type Position,
  type ResourceKey,
} from '../../shared/command/identity.ts';

export interface After {
  readonly partition: Partition;
  /** null where the broker gives none: then `pending` is answered for a bounded time. */
  readonly position: Position | null;
  readonly key: ResourceKey;
  readonly content: ContentHash;
  readonly issuedMs: number;
}

const VERSION = 1;
/** Longest token: a key of 576 bytes in base64 and the rest. */
export const AFTER_LENGTH_MAX = 2_048;

const tokenSchema = z.tuple([
  z.literal(VERSION),
  z.int().min(0).max(1_023),
  z
    .string()
    .regex(/^[0-9]{1,19}$/)
    .nullable(),
  z.int().min(0),
  z.string().regex(/^[0-9a-f]{64}$/),
  z.string().min(3).max(1_024),
]);

export function printAfter(after: After): string {
  const at = after.position === null ? null : String(after.position);
  const parts = [VERSION, after.partition, at, after.issuedMs, after.content, after.key];
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/** null when the text is no token of ours. */
export function parseAfter(text: string): After | null {
  if (text.length > AFTER_LENGTH_MAX) return null;
  const parsed = tokenSchema.safeParse(jsonOf(Buffer.from(text, 'base64url').toString('utf8')));
  if (!parsed.success) return null;
  const [, at, where, issuedMs, content, key] = parsed.data;
  return {
    partition: partition(at),
    position: where === null ? null : position(where),
    key: trustedKey(key),
    content: trustedContent(content),
    issuedMs,
  };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
