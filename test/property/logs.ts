// Owns the generators: logs in which ids, resources and revisions collide as often as they can, as bytes like any publisher's.
import fc from 'fast-check';
import type { Delivery } from '../../shared/command/entry.ts';
import { partition, position, resourceKey, trustedTypeName, type Json } from '../../shared/command/identity.ts';
import { partitionOf } from '../../shared/command/routing.ts';
import type { LanePlace } from '../../consumers/lane/read-batch.ts';

/** The lane that the logs are for; some keys do not hash to it. */
export const PLACE: LanePlace = { partition: partition(0), partitions: 2 };

const SUBJECTS: Readonly<Record<string, readonly string[]>> = {
  counter: ['1', '2', '3', '4', '5', '02', '03', '007', '08', '010', 'x', '1e3', '-1'],
  note: ['a', 'b', 'c', 'é/ü', ' ', '2', '02', "quo'te", 'new\nline'],
  ghost: ['1', '2', '3', '4'],
};

interface Address {
  readonly type: string;
  readonly subject: string;
}

const addresses: readonly Address[] = Object.entries(SUBJECTS).flatMap(([type, subjects]) =>
  subjects.map((subject) => ({ type, subject })),
);
const isHome = ({ type, subject }: Address): boolean =>
  partitionOf(resourceKey(trustedTypeName(type), subject), PLACE.partitions) === PLACE.partition;
const home = addresses.filter(isHome);
const canonicalHome = home.filter(
  ({ type, subject }) => type === 'note' || (type === 'counter' && /^[1-9]$/.test(subject)),
);

const address = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom(...canonicalHome.slice(0, 3), ...canonicalHome.slice(-2)) },
  { weight: 3, arbitrary: fc.constantFrom(...home) },
  { weight: 1, arbitrary: fc.constantFrom(...addresses) },
);

const small = fc.integer({ min: -2, max: 3 });
const counterCommand = fc.oneof(
  { weight: 6, arbitrary: fc.constant(['open', {}] as const) },
  { weight: 6, arbitrary: fc.tuple(fc.constant('put'), fc.record({ value: small })) },
  { weight: 12, arbitrary: fc.tuple(fc.constant('add'), fc.record({ by: small })) },
  { weight: 5, arbitrary: fc.constant(['close', {}] as const) },
  { weight: 2, arbitrary: fc.constantFrom(['purge', {}] as const, ['brittle', {}] as const) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(['vandal', {}] as const, ['later', {}] as const, ['unheard-of', {}] as const),
  },
  { weight: 1, arbitrary: fc.tuple(fc.constant('nonsense'), fc.record({ which: fc.integer({ min: 0, max: 7 }) })) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('add'), fc.constantFrom(null, {}, { by: 0.5 }, { by: 1, more: true })) },
);
const noteCommand = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.tuple(fc.constant('write'), fc.record({ text: fc.constantFrom('', 'a', 'b', 'ß\t"', '\\x00') })),
  },
  { weight: 3, arbitrary: fc.constant(['erase', {}] as const) },
  { weight: 1, arbitrary: fc.constant(['curse', {}] as const) },
  {
    weight: 3,
    arbitrary: fc.tuple(fc.constant('smudge'), fc.record({ then: fc.constantFrom('reject', 'nothing', 'throw') })),
  },
  { weight: 1, arbitrary: fc.constantFrom(['write', 7] as const, ['burn', {}] as const) },
);

interface Said {
  readonly to: Address;
  readonly name: string;
  readonly data: Json;
  readonly expected: number | undefined;
}

const said: fc.Arbitrary<Said> = address
  .chain((to) =>
    fc.record({
      to: fc.constant(to),
      command: to.type === 'note' ? noteCommand : counterCommand,
      expected: fc.oneof(
        { weight: 9, arbitrary: fc.constant(undefined) },
        { weight: 2, arbitrary: fc.integer({ min: 0, max: 4 }) },
      ),
    }),
  )
  .map(({ to, command: [name, data], expected }) => ({ to, name, data: data, expected })); // records of JSON all of them

type Line =
  | { readonly kind: 'fresh'; readonly said: Said }
  /** The same once more, after a client's time-out; `exact`: the very same bytes. */
  | { readonly kind: 'again'; readonly of: number; readonly exact: boolean }
  /** An id used before, for something else. */
  | { readonly kind: 'clash'; readonly of: number; readonly said: Said }
  | { readonly kind: 'garbage'; readonly bytes: string };

const line: fc.Arbitrary<Line> = fc.oneof(
  { weight: 16, arbitrary: fc.record({ kind: fc.constant('fresh' as const), said }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('again' as const), of: fc.nat(), exact: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('clash' as const), of: fc.nat(), said }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('garbage' as const),
      bytes: fc.constantFrom('', '{', '[]', '"\ud800"', '{"id":1}', RESERVED()),
    }),
  },
);

function RESERVED(): string {
  return JSON.stringify({
    specversion: '1.0',
    id: 'r',
    source: '/operators',
    type: 'onelane.unheard-of',
    subject: '1',
    data: null,
  });
}

/** A log of at most `longest` entries: deliveries at positions 1, 2, 3 … */
export function logs(longest: number): fc.Arbitrary<readonly Delivery[]> {
  return fc.array(line, { minLength: 1, maxLength: longest, size: 'max' }).map(published);
}

interface Published {
  readonly id: string;
  readonly source: string;
  readonly said: Said;
  readonly at: number;
}

function published(lines: readonly Line[]): readonly Delivery[] {
  const before: Published[] = [];
  return lines.map((each, index) => {
    const sent = publishedLine(each, index, before);
    if (sent !== null) before.push(sent);
    const bytes =
      sent === null ? Buffer.from(each.kind === 'garbage' ? each.bytes : 'nothing was sent before') : envelope(sent);
    return {
      position: position(index + 1),
      bytes,
      headers: index % 7 === 6 ? {} : { 'onelane-layout': '1', 'content-type': 'application/cloudevents+json' },
      appendedAt: new Date(Date.UTC(2026, 10, 22, 10, 0, index)),
    };
  });
}

function publishedLine(each: Line, index: number, before: readonly Published[]): Published | null {
  // Ids of both forms: a UUID that stands for itself, and a caller's own text, which two sources may both use.
  const id =
    index % 3 === 0 ? `own-${index % 9}-${index}` : `0198c2e4-0000-7000-8000-${String(index).padStart(12, '0')}`;
  const source = index % 4 === 0 ? '/checkout' : '/orders';
  if (each.kind === 'fresh') return { id, source, said: each.said, at: index };
  if (each.kind === 'garbage') return null;
  const earlier = before[before.length === 0 ? 0 : each.of % before.length];
  if (earlier === undefined) return null;
  if (each.kind === 'clash') return { ...earlier, said: each.said, at: index };
  return each.exact ? earlier : { ...earlier, at: index };
}

function envelope(sent: Published): Uint8Array {
  return Buffer.from(
    JSON.stringify({
      specversion: '1.0',
      id: sent.id,
      source: sent.source,
      type: `${sent.said.to.type}.${sent.said.name}`,
      subject: sent.said.to.subject,
      time: new Date(Date.UTC(2026, 10, 22, 9, 0, sent.at)).toISOString(),
      data: sent.said.data,
      ...(sent.said.expected === undefined ? {} : { expectedrevision: sent.said.expected }),
    }),
  );
}
