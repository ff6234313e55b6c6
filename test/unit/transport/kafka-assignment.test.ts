// Owns the proof that partitions are shared out fairly, completely, and with as few moves as can be.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { partition, type Partition } from '../../../shared/command/identity.ts';
import { assignSticky, stickyAssigner, type Reader } from '../../../shared/transport/kafka/assignment.ts';

const readers = (held: readonly (readonly number[])[], stuck: readonly (readonly number[])[] = []): readonly Reader[] =>
  held.map((each, at) => ({
    id: `reader-${at}`,
    held: each.map(partition),
    stuck: (stuck[at] ?? []).map(partition),
  }));

const anyPartitions = fc.array(fc.nat(40).map(partition));

/** Claims may be anything: doubled, taken by two, or of partitions that are not there. */
const anyReaders = fc
  .uniqueArray(fc.string({ minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 9 })
  .chain((ids) =>
    fc.tuple(...ids.map((id) => fc.record({ id: fc.constant(id), held: anyPartitions, stuck: anyPartitions }))),
  )
  .map((list): readonly Reader[] => list);
const anyCount = fc.integer({ min: 1, max: 32 });

/** Readers as they are between two changes: nobody claims what another has. */
const settledReaders = anyCount.chain((partitions) =>
  fc.record({
    partitions: fc.constant(partitions),
    owners: fc.array(fc.integer({ min: -1, max: 5 }), { minLength: partitions, maxLength: partitions }),
    count: fc.integer({ min: 6, max: 8 }),
  }),
);

const flat = (assigned: ReadonlyMap<string, readonly Partition[]>) => [...assigned.values()].flat();

describe('assignment', () => {
  test('gives every partition to one reader, and nobody two more than another', () => {
    fc.assert(
      fc.property(anyReaders, anyCount, (all, partitions) => {
        const assigned = assignSticky(all, partitions);
        expect([...assigned.keys()].sort()).toEqual(all.map(({ id }) => id).sort());
        expect(flat(assigned).sort((a, b) => a - b)).toEqual(Array.from({ length: partitions }, (_, at) => at));
        const counts = [...assigned.values()].map((own) => own.length);
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('is the same in whatever order the readers are named', () => {
    fc.assert(
      fc.property(anyReaders, anyCount, fc.infiniteStream(fc.nat()), (all, partitions, ranks) => {
        const shuffled = all.map((each) => ({ each, rank: ranks.next().value })).sort((a, b) => a.rank - b.rank);
        const other = assignSticky(
          shuffled.map(({ each }) => each),
          partitions,
        );
        for (const [id, own] of assignSticky(all, partitions)) expect(other.get(id)).toEqual(own);
      }),
    );
  });

  test('moves no more partitions than fairness asks for', () => {
    fc.assert(
      fc.property(settledReaders, ({ partitions, owners, count }) => {
        const held = Array.from({ length: count }, (_, at) =>
          owners.flatMap((owner, each) => (owner === at ? [each] : [])),
        );
        const assigned = assignSticky(readers(held), partitions);
        const kept = held.map(
          (each, at) => each.filter((own) => assigned.get(`reader-${at}`)?.includes(partition(own))).length,
        );
        // Whatever the shares: who has more than the floor may keep one more, but only so many may.
        const least = Math.floor(partitions / count);
        const rich = held.filter((each) => each.length > least).length;
        const most =
          held.reduce((sum, each) => sum + Math.min(each.length, least), 0) + Math.min(rich, partitions % count);
        expect(kept.reduce((sum, each) => sum + each, 0)).toBe(most);
      }),
    );
  });

  test('a reader that comes takes its share and no more; when it goes, the others keep what they have', () => {
    const before = readers([[0, 1, 2, 3], [4, 5, 6, 7], []]);
    expect([...assignSticky(before, 8).values()]).toEqual([
      [0, 1, 2],
      [4, 5, 6],
      [3, 7],
    ]);
    expect([
      ...assignSticky(
        readers([
          [0, 1, 2],
          [4, 5, 6],
        ]),
        8,
      ).values(),
    ]).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
    ]);
  });

  test('of two who claim the same partition the first by id keeps it', () => {
    const both = [
      { id: 'b', held: [partition(0), partition(1)], stuck: [] },
      { id: 'a', held: [partition(1)], stuck: [] },
    ];
    expect(assignSticky(both, 2)).toEqual(
      new Map([
        ['a', [1]],
        ['b', [0]],
      ]),
    );
  });

  describe.each([0, 1])('partition %s, where a lane of the first reader stands still,', (at) => {
    const owners = (held: readonly (readonly number[])[]) => [...assignSticky(readers(held, [[at]]), 2).values()];

    test('stays with whoever took it over', () => {
      expect(owners([[], [0, 1]])).toEqual([[1 - at], [at]]);
    });

    test('goes to another, who gives up its own for it when its share asks for that', () => {
      expect(owners([[], [1 - at]])).toEqual([[1 - at], [at]]);
      expect(owners([[], []])).toEqual([[1 - at], [at]]);
    });

    test('is read by the first all the same when there is no other', () => {
      expect(owners([[]]).flat().sort()).toEqual([0, 1]);
    });
  });

  test('nobody is given what it is stuck in as long as others are not, and have a share for it', () => {
    fc.assert(
      fc.property(
        settledReaders,
        fc.uniqueArray(fc.nat(31), { minLength: 1 }),
        ({ partitions, owners, count }, some) => {
          const stuck = [...new Set(some.map((each) => each % partitions))];
          const held = Array.from({ length: count }, (_, reader) =>
            owners.flatMap((owner, each) => (owner === reader && !stuck.includes(each) ? [each] : [])),
          );
          const assigned = assignSticky(readers(held, [stuck]), partitions);
          const own = assigned.get('reader-0') ?? [];
          // Who must take one of them all the same has taken all the others.
          const able = partitions - stuck.length;
          expect(own.filter((each) => stuck.includes(each)).length).toBe(Math.max(0, own.length - able));
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test('what somebody is stuck in is taken over by who has room for it, and nobody else moves', () => {
    const held = [[0, 1], [4, 5, 6, 7], [8, 9, 10, 11], []];
    expect([...assignSticky(readers(held, [[2, 3]]), 12).values()]).toEqual([
      [0, 1, 7],
      [4, 5, 6],
      [8, 9, 10],
      [3, 2, 11],
    ]);
  });

  test('whoever comes after a lane stood still reads there, when the others have their shares', () => {
    // The first one's were shared out among two others, and then it came back together with a fourth.
    const held = [[], [0, 1, 4, 5], [2, 3, 6], []];
    const [first = []] = [...assignSticky(readers(held, [[4, 5, 6]]), 7).values()];
    expect(first.some((each) => [4, 5, 6].includes(each))).toBe(false);
  });

  test('two that are stuck are each taken over by another', () => {
    expect([...assignSticky(readers([[], [], [1]], [[0, 2]]), 3).values()]).toEqual([[1], [0], [2]]);
  });

  test('claims of partitions that are not there are not heard', () => {
    expect([...assignSticky(readers([[7, 9], [0]]), 2).values()]).toEqual([[1], [0]]);
  });

  test('more readers than partitions leave some with none', () => {
    expect([...assignSticky(readers([[], [0], []]), 2).values()]).toEqual([[1], [0], []]);
  });
});

describe('the assigner', () => {
  test('tells the group what a member holds when it joins, and is told by the leader what it gets', async () => {
    const assignerOf = (held: readonly number[], stuck: readonly number[]) =>
      stickyAssigner({
        topic: 't',
        partitions: 5,
        claims: () => ({ held: held.map(partition), stuck: stuck.map(partition) }),
        // What kafkajs gives is not looked at.
      })({} as never);
    const [one, two] = [assignerOf([3, 1], []), assignerOf([0], [2])];
    const members = [one, two].map((each, at) => ({
      memberId: `m${at}`,
      memberMetadata: each.protocol({ topics: ['t'] }).metadata,
    }));
    const { default: kafkajs } = await import('kafkajs');
    const assigned = await one.assign({ members, topics: ['t'] });
    const read = assigned.map(({ memberId, memberAssignment }) => [
      memberId,
      kafkajs.AssignerProtocol.MemberAssignment.decode(memberAssignment)?.assignment,
    ]);
    expect(read).toEqual([
      ['m0', { t: [2, 1, 3] }],
      ['m1', { t: [0, 4] }],
    ]);
  });
});
