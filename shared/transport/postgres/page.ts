// Owns reading the log: a page of segments, and what a lane must see before it begins.
import type pg from 'pg';
import type { Delivery } from '../../command/entry.ts';
import { position, type Partition, type Position } from '../../command/identity.ts';
import { quoted, type SchemaName } from '../../postgres/schema-name.ts';
import type { LogView } from '../resume-check.ts';
import { decodeSegment, type StoredSegment } from './segment.ts';

/**
 * The segment that a lane read last. A page begins with it, by name: if it is not there any more, the same to the microsecond, then
 * the database went back in time, and what this lane has read ahead belongs to a past that never was.
 */
export interface Anchor {
  readonly lastPosition: number;
  readonly stampUs: number;
}

export interface PageWanted {
  readonly partition: Partition;
  readonly anchor: Anchor | null;
  /** Position of the first entry to be delivered. */
  readonly next: number;
  readonly bytesMax: number;
  /** Whether the first segment that was not read yet may exceed bytesMax. */
  readonly firstSegment: 'always' | 'if-it-fits';
}

export type Page =
  | {
      readonly kind: 'page';
      readonly deliveries: readonly Delivery[];
      readonly anchor: Anchor | null;
      /** Whether the log went on behind this page when it was read. */
      readonly isEnd: boolean;
      readonly anchors: readonly Anchor[];
    }
  /** The anchor is gone, or the entries after it do not follow. */
  | { readonly kind: 'torn'; readonly what: string };

/** Segments of a page; small ones come one by one at low load. */
const SEGMENTS_MAX = 500;

export interface PageStatements {
  readonly page: string;
  readonly view: string;
}

// Times travel as microseconds: a Date has not room for them, and two commits of one millisecond must not look the same.
export const stampOf = (column: string) => `(extract(epoch from ${column}) * 1000000)::bigint`;
const STAMP = stampOf('appended_at');

export function pageStatements(schema: SchemaName): PageStatements {
  const name = quoted(schema);
  return {
    page: `
select
  last_position,
  entries,
  stamp,
  found,
  case when last_position >= $3 then frames end as frames
from (
  select
    last_position,
    entries,
    ${STAMP} as stamp,
    size,
    frames,
    count(*) over () as found,
    sum(case when last_position >= $3 then size else 0 end) over (order by last_position) as total
  from (
    select last_position, entries, appended_at, size, frames
    from ${name}.log_segment
    where partition = $1 and last_position >= $2
    order by last_position
    limit ${SEGMENTS_MAX}
  ) ahead
) page
where total <= $4 or (total = size and $5)
order by last_position`,
    view: `
select
  head.next_position,
  (
    select last_position - entries + 1
    from ${name}.log_segment first
    where first.partition = head.partition
    order by last_position
    limit 1
  ) as first_position,
  applied.*
from ${name}.log_head head
left join lateral (
  select last_position, entries, ${STAMP} as stamp, frames
  from ${name}.log_segment segment
  where segment.partition = head.partition and segment.last_position >= $2
  order by last_position
  limit 1
) applied on true
where head.partition = $1`,
  };
}

/** Everything comes as text; the driver's own parsers are not asked. */
type Text = string | null;
const AS_TEXT = { getTypeParser: () => (text: string) => text };

export async function readPage(client: pg.PoolClient, statements: PageStatements, wanted: PageWanted): Promise<Page> {
  const result = await client.query<Text[], unknown[]>({
    name: 'page',
    text: statements.page,
    values: [
      wanted.partition,
      wanted.anchor?.lastPosition ?? wanted.next,
      wanted.next,
      wanted.bytesMax,
      wanted.firstSegment === 'always',
    ],
    rowMode: 'array',
    types: AS_TEXT,
  });
  return assemble(result.rows, wanted);
}

function assemble(rows: readonly (readonly Text[])[], wanted: PageWanted): Page {
  const deliveries: Delivery[] = [];
  const anchors: Anchor[] = [];
  let due = wanted.next;
  for (const [index, row] of rows.entries()) {
    const at = { lastPosition: Number(row[0]), stampUs: Number(row[2]) };
    if (index === 0 && wanted.anchor !== null) {
      if (at.lastPosition !== wanted.anchor.lastPosition || at.stampUs !== wanted.anchor.stampUs) return torn(wanted);
      if (at.lastPosition < wanted.next) continue;
    }
    const segment = storedSegment(row);
    const first = segment.lastPosition - segment.entries + 1;
    if (first > due) return { kind: 'torn', what: `position ${due} is missing, the log goes on at ${first}` };
    for (const delivery of decodeSegment(segment, due)) deliveries.push(delivery);
    due = segment.lastPosition + 1;
    anchors.push(at);
  }
  if (rows.length === 0 && wanted.anchor !== null) return torn(wanted);
  const found = Number(rows[0]?.[3] ?? 0);
  return {
    kind: 'page',
    deliveries,
    anchor: anchors.at(-1) ?? wanted.anchor,
    isEnd: found === rows.length && found < SEGMENTS_MAX,
    anchors,
  };
}

function torn(wanted: PageWanted): Page {
  return { kind: 'torn', what: `the entries up to ${wanted.anchor?.lastPosition} are not those that were read before` };
}

/** What a lane must see before it begins; null: there is no such partition. */
export async function readView(
  client: pg.PoolClient,
  statements: PageStatements,
  at: { readonly partition: Partition; readonly lastApplied: Position | null },
): Promise<{ readonly log: LogView; readonly anchor: Anchor | null } | null> {
  const result = await client.query<Text[], unknown[]>({
    name: 'view',
    text: statements.view,
    values: [at.partition, at.lastApplied],
    rowMode: 'array',
    types: AS_TEXT,
  });
  const row = result.rows[0];
  if (row === undefined) return null;
  const end = Number(row[0]);
  const log = {
    partition: at.partition,
    first: position(row[1] ?? end),
    end: position(end),
    lastApplied: null,
  };
  if (row[2] === null || at.lastApplied === null) return { log, anchor: null };
  const segment = storedSegment([row[2] ?? null, row[3] ?? null, row[4] ?? null, null, row[5] ?? null]);
  const lastApplied = decodeSegment(segment, Number(at.lastApplied)).find((each) => each.position === at.lastApplied);
  if (lastApplied === undefined) return { log, anchor: null };
  return {
    log: { ...log, lastApplied },
    anchor: { lastPosition: segment.lastPosition, stampUs: Number(row[4]) },
  };
}

function storedSegment(row: readonly Text[]): StoredSegment {
  return {
    lastPosition: Number(row[0]),
    entries: Number(row[1]),
    appendedAt: new Date(Number(row[2]) / 1_000),
    // `\x` and hex digits: bytea_output is fixed when the connection is made.
    frames: Buffer.from((row[4] ?? '').slice(2), 'hex'),
  };
}
