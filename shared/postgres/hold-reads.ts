// Owns finding the held resources whose queue is full: one read by an index, bounded, whatever else is held.
import { trustedKey, type ResourceKey } from '../command/identity.ts';
import type { Database } from './database.ts';
import { quoted } from './schema-name.ts';

/** Of one read; so many full queues are a thousand million parked commands. */
const FULL_HOLDS_MAX = 10_000;

/** From the first number that is still parked to the next one: what was discarded between them counts until it is passed. */
export async function readFullHolds(db: Database, parkedMax: number): Promise<readonly ResourceKey[]> {
  const schema = quoted(db.schema);
  const { rows } = await db.pool.query<{ readonly resource: string }>({
    name: 'onelane-full-holds',
    text: `
select
  h.resource
from ${schema}.hold h
cross join lateral (
  select p.number
  from ${schema}.parked p
  where p.resource = h.resource
  order by p.number
  limit 1
) first
where h.next_number > $1
  and h.next_number - first.number >= $1
limit ${FULL_HOLDS_MAX}`,
    values: [parkedMax],
  });
  return rows.map((row) => trustedKey(row.resource));
}
