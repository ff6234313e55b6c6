// Owns the reading of a batch: deliveries in, entries and what must be recalled for them out. Pure.
import { entryHash, type Delivery, type Entry, type Stray } from '../../shared/command/entry.ts';
import type {
  CommandId,
  EntryHash,
  Partition,
  Position,
  ResourceKey,
  ResourceTypeName,
} from '../../shared/command/identity.ts';
import { partitionOf } from '../../shared/command/routing.ts';
import { decodeDelivery } from '../../shared/command/wire.ts';
import type { ResourceTypes } from '../../shared/resources/resource-type.ts';
import type { Wanted } from './batch-store.ts';

/** Where a lane reads, and how many lanes there are: what a key must hash to. */
export interface LanePlace {
  readonly partition: Partition;
  readonly partitions: number;
}

/** Reads each delivery once. What cannot be read, or does not belong here, becomes a stray. */
export function readEntries(deliveries: readonly Delivery[], place: LanePlace): readonly Entry[] {
  return deliveries.map((delivery) => ({ delivery, body: readBody(delivery, place) }));
}

/** What the database must tell before these entries can be planned; every list without duplicates. */
export function wantedFor(entries: readonly Entry[], types: ResourceTypes): Wanted {
  const ids = new Set<CommandId>();
  const keys = new Set<ResourceKey>();
  const subjects = new Map<ResourceTypeName, string[]>();
  const strays: { position: Position; hash: EntryHash }[] = [];
  for (const { delivery, body } of entries) {
    if (body.kind === 'stray') {
      strays.push({ position: delivery.position, hash: entryHash(delivery) });
      continue;
    }
    ids.add(body.id);
    if (keys.has(body.key)) continue;
    keys.add(body.key);
    const type = types.get(body.type);
    if (type === undefined || type.rows.canonicalSubject(body.subject) !== body.subject) continue;
    const known = subjects.get(body.type);
    if (known === undefined) subjects.set(body.type, [body.subject]);
    else known.push(body.subject);
  }
  return { ids: [...ids], keys: [...keys], subjects, entries: strays };
}

function readBody(delivery: Delivery, place: LanePlace): Entry['body'] {
  const body = decodeDelivery(delivery);
  if (body.kind === 'stray') return body;
  const home = partitionOf(body.key, place.partitions);
  return home === place.partition ? body : misrouted(body.key, home, place);
}

function misrouted(key: ResourceKey, home: Partition, place: LanePlace): Stray {
  return {
    kind: 'stray',
    reason: 'misrouted',
    detail: `${key} belongs to partition ${home}, not ${place.partition}: publish with murmur2 of the key modulo ${place.partitions}`,
  };
}
