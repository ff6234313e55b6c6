// Owns who of a group reads which partition: fair to within one, and everybody keeps what they have as far as that goes. Pure.
import kafkajs, { type GroupMember, type PartitionAssigner } from 'kafkajs';
import { partition as partitionAt, type Partition } from '../../command/identity.ts';

/** What a process says of itself whenever it joins the group anew, as far as it knows. */
export interface Claims {
  /** What it reads now. */
  readonly held: readonly Partition[];
  /** What it could not read: a lane that was taken from it has not come to its end, and may never. */
  readonly stuck: readonly Partition[];
}

export interface Reader extends Claims {
  readonly id: string;
}

/**
 * Floor or ceiling of the fair share each; the odd ones go to those who hold most, so that as few partitions move as can be. Where
 * somebody is stuck another one reads, who gives up one of its own for it when its share asks for that. Two who claim the same one:
 * the first by id keeps it. The same for every order of `readers`.
 */
export function assignSticky(
  readers: readonly Reader[],
  partitions: number,
): ReadonlyMap<string, readonly Partition[]> {
  const contested = new Set(readers.flatMap(({ stuck }) => stuck));
  const claims = claimsOf(readers, partitions, contested);
  const quotas = quotasOf(claims, partitions);
  takeOver(claims, quotas, contested, partitions);
  const kept = claims.map(({ id, own, stuck }) => ({ id, stuck, own: own.slice(0, quotas.get(id)) }));
  const assigned = new Set(kept.flatMap(({ own }) => own));
  const all = Array.from({ length: partitions }, (_, at) => partitionAt(at)).sort(contestedFirst(contested));
  const free = new Set(all.filter((each) => !assigned.has(each)));
  const fill = ({ id, own }: Claim, from: readonly Partition[]): void => {
    for (const each of from.slice(0, (quotas.get(id) ?? 0) - own.length)) {
      own.push(each);
      free.delete(each);
    }
  };
  for (const claim of kept) {
    fill(
      claim,
      [...free].filter((each) => !claim.stuck.has(each)),
    );
  }
  for (const claim of kept) fill(claim, [...free]);
  return new Map(kept.map(({ id, own }) => [id, own]));
}

/** Mutable while partitions are shared out. `own`: without doubles, what is to be kept first. */
interface Claim {
  readonly id: string;
  readonly own: Partition[];
  readonly stuck: ReadonlySet<Partition>;
}

function claimsOf(readers: readonly Reader[], partitions: number, contested: ReadonlySet<Partition>): readonly Claim[] {
  const taken = new Set<Partition>();
  const sorted = [...readers].sort((a, b) => (a.id < b.id ? -1 : 1));
  return sorted.map((reader) => {
    const own = [...new Set(reader.held)].filter((each) => each < partitions && !taken.has(each));
    for (const each of own) taken.add(each);
    own.sort(contestedFirst(contested));
    return { id: reader.id, own, stuck: new Set(reader.stuck) };
  });
}

/** Those first that not everybody can read, then by number. */
function contestedFirst(contested: ReadonlySet<Partition>): (a: Partition, b: Partition) => number {
  return (a, b) => Number(contested.has(b)) - Number(contested.has(a)) || a - b;
}

/**
 * Of what nobody reads because somebody is stuck in it, each goes to one who is not, as far as its share goes: to who has most room, and
 * has least of what somebody is stuck in.
 */
function takeOver(
  claims: readonly Claim[],
  quotas: ReadonlyMap<string, number>,
  contested: ReadonlySet<Partition>,
  partitions: number,
): void {
  const owned = new Set(claims.flatMap(({ own }) => own));
  const counts = new Map(claims.map(({ id, own }) => [id, own.filter((each) => contested.has(each)).length]));
  const count = ({ id }: Claim): number => counts.get(id) ?? 0;
  const quota = ({ id }: Claim): number => quotas.get(id) ?? 0;
  // Who is at its share, or over it, gives up one of its own for what it takes over.
  const room = (claim: Claim): number => Math.max(0, quota(claim) - claim.own.length);
  for (const each of [...contested].sort((a, b) => a - b)) {
    if (each >= partitions || owned.has(each)) continue;
    const [able] = claims
      .filter((claim) => !claim.stuck.has(each) && count(claim) < quota(claim))
      .sort((a, b) => room(b) - room(a) || count(a) - count(b));
    if (able === undefined) continue;
    able.own.unshift(each);
    counts.set(able.id, count(able) + 1);
  }
}

function quotasOf(
  claims: readonly {
    readonly id: string;
    readonly own: readonly Partition[];
    readonly stuck: ReadonlySet<Partition>;
  }[],
  partitions: number,
): ReadonlyMap<string, number> {
  const least = Math.floor(partitions / claims.length);
  const odd = partitions % claims.length;
  // Sorting is stable: among equals the first by id.
  const byHeld = [...claims].sort((a, b) => b.own.length - a.own.length || a.stuck.size - b.stuck.size);
  return new Map(byHeld.map(({ id }, at) => [id, at < odd ? least + 1 : least]));
}

const PROTOCOL = { name: 'onelane-sticky', version: 1 } as const;

/** As kafkajs wants it. `claims`: asked whenever this process joins the group anew. */
export function stickyAssigner(of: {
  readonly topic: string;
  readonly partitions: number;
  readonly claims: () => Claims;
}): PartitionAssigner {
  const { MemberMetadata, MemberAssignment } = kafkajs.AssignerProtocol;
  const { topic, partitions } = of;
  return () => ({
    ...PROTOCOL,
    protocol: ({ topics }) => ({
      name: PROTOCOL.name,
      metadata: MemberMetadata.encode({ ...PROTOCOL, topics, userData: encodeClaims(of.claims()) }),
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
  return { id: memberId, ...decodeClaims(metadata?.userData ?? Buffer.alloc(0)) };
}

const NUMBER_BYTES = 4;
/** Added to the number of a partition: no partition has one as high, so whoever does not know of it finds none. */
const STUCK = 0x8000_0000;

function encodeClaims({ held, stuck }: Claims): Buffer {
  const numbers = [...held, ...stuck.map((each) => each + STUCK)];
  const bytes = Buffer.alloc(numbers.length * NUMBER_BYTES);
  numbers.forEach((each, at) => bytes.writeUInt32BE(each, at * NUMBER_BYTES));
  return bytes;
}

function decodeClaims(bytes: Buffer): Claims {
  const count = Math.floor(bytes.length / NUMBER_BYTES);
  const numbers = Array.from({ length: count }, (_, at) => bytes.readUInt32BE(at * NUMBER_BYTES));
  return {
    held: numbers.filter((each) => each < STUCK).map(partitionAt),
    stuck: numbers.filter((each) => each >= STUCK).map((each) => partitionAt(each - STUCK)),
  };
}
