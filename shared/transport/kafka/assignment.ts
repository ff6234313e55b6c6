// Owns who of a group reads which partition: fair to within one, and everybody keeps what they have as far as that goes. Pure.
import kafkajs, { type GroupMember, type PartitionAssigner } from 'kafkajs';
import { partition as partitionAt, type Partition } from '../../command/identity.ts';

export interface Reader {
  readonly id: string;
  /** What it reads now, as far as it knows. */
  readonly held: readonly Partition[];
}

/**
 * Floor or ceiling of the fair share each; the odd ones go to those who hold most, so that as few partitions move as can be.
 * Two who claim the same one: the first by id keeps it. The same for every order of `readers`.
 */
export function assignSticky(
  readers: readonly Reader[],
  partitions: number,
): ReadonlyMap<string, readonly Partition[]> {
  const sorted = [...readers].sort((a, b) => (a.id < b.id ? -1 : 1));
  const taken = new Set<Partition>();
  const claims = sorted.map(({ id, held }) => {
    const own = [...new Set(held)].filter((each) => each < partitions && !taken.has(each)).sort((a, b) => a - b);
    for (const each of own) taken.add(each);
    return { id, own };
  });
  const quotas = quotasOf(claims, partitions);
  const kept = new Map(claims.map(({ id, own }) => [id, own.slice(0, quotas.get(id))]));
  const assigned = new Set([...kept.values()].flat());
  const free = Array.from({ length: partitions }, (_, at) => partitionAt(at)).filter((each) => !assigned.has(each));
  for (const [id, own] of kept) own.push(...free.splice(0, (quotas.get(id) ?? 0) - own.length));
  return kept;
}

function quotasOf(
  claims: readonly { readonly id: string; readonly own: readonly Partition[] }[],
  partitions: number,
): ReadonlyMap<string, number> {
  const least = Math.floor(partitions / claims.length);
  const odd = partitions % claims.length;
  // Sorting is stable: among equals the first by id.
  const byHeld = [...claims].sort((a, b) => b.own.length - a.own.length);
  return new Map(byHeld.map(({ id }, at) => [id, at < odd ? least + 1 : least]));
}

const PROTOCOL = { name: 'onelane-sticky', version: 1 } as const;

/** As kafkajs wants it. `held`: asked whenever this process joins the group anew. */
export function stickyAssigner(of: {
  readonly topic: string;
  readonly partitions: number;
  readonly held: () => readonly Partition[];
}): PartitionAssigner {
  const { MemberMetadata, MemberAssignment } = kafkajs.AssignerProtocol;
  const { topic, partitions } = of;
  return () => ({
    ...PROTOCOL,
    protocol: ({ topics }) => ({
      name: PROTOCOL.name,
      metadata: MemberMetadata.encode({ ...PROTOCOL, topics, userData: encodeHeld(of.held()) }),
    }),
    assign: ({ members }) => {
      const assigned = assignSticky(members.map(readerOf), partitions);
      return Promise.resolve(
        [...assigned].map(([memberId, own]) => ({
          memberId,
          memberAssignment: MemberAssignment.encode({
            ...PROTOCOL,
            assignment: { [topic]: [...own] },
            userData: Buffer.alloc(0),
          }),
        })),
      );
    },
  });
}

function readerOf({ memberId, memberMetadata }: GroupMember): Reader {
  const metadata = kafkajs.AssignerProtocol.MemberMetadata.decode(memberMetadata);
  return { id: memberId, held: decodeHeld(metadata?.userData ?? Buffer.alloc(0)) };
}

const NUMBER_BYTES = 4;

function encodeHeld(held: readonly Partition[]): Buffer {
  const bytes = Buffer.alloc(held.length * NUMBER_BYTES);
  held.forEach((each, at) => bytes.writeUInt32BE(each, at * NUMBER_BYTES));
  return bytes;
}

function decodeHeld(bytes: Buffer): readonly Partition[] {
  const count = Math.floor(bytes.length / NUMBER_BYTES);
  return Array.from({ length: count }, (_, at) => partitionAt(bytes.readUInt32BE(at * NUMBER_BYTES)));
}
