// Owns adapters that break one promise each: what the suite must not let pass.
import { HEADER, type Delivery } from '../../shared/command/entry.ts';
import { newCommandId, position } from '../../shared/command/identity.ts';
import { systemClock } from '../../shared/process/time.ts';
import type { MemoryLog } from '../../shared/transport/memory/index.ts';
import type { Lane, Publisher, PublishResult, Subscription, Transport } from '../../shared/transport/transport.ts';

export interface Sabotage {
  /** What the adapter does wrong. */
  readonly name: string;
  /** The cases that find it, each by itself. */
  readonly caughtBy: readonly string[];
  readonly wrap: (transport: Transport, log: MemoryLog) => Transport;
}

const IN_ORDER = 'a partition delivers its entries in the order in which they were published';
const REDELIVERED = 'what was delivered and not settled is delivered again to the next lane';
const LEAVES = 'a partition that leaves the leases is lost: next returns nothing at once, though entries are there';
const READ_AHEAD_LOST = 'a lost lane hands out nothing of what it has read ahead';
const UNKNOWN =
  'an answer that gets lost is unknown, and the same entries can be published again by the same publisher';
const BYTES = 'next gives at most as many bytes as were asked for';
const WAKES = 'a lane that waits wakes when something is published, by its own process or by another';
const ANEW = 'a lane that was released while it is still leased is yielded anew';
const MADE_AGAIN = 'a log made again halts the lane: empty, shorter than the position, or longer';
const ANOTHER_ENTRY = 'a last applied entry that is another one in the log halts the lane';
const OTHER_SYSTEM =
  'an entry of another system halts the lane, after those that stand before it; an entry of no system does not';

export const sabotages: readonly Sabotage[] = [
  {
    name: 'loses an entry',
    caughtBy: [IN_ORDER, 'what was stored is there for a process that comes later'],
    wrap: (transport) => withNext(transport, (batch) => batch.filter((each) => each.position % 7n !== 5n)),
  },
  {
    name: 'delivers an entry twice',
    caughtBy: [IN_ORDER, 'a delivery has the position that its publisher was told'],
    wrap: (transport) =>
      withNext(transport, (batch) => batch.flatMap((each) => (each.position === 3n ? [each, each] : [each]))),
  },
  {
    name: 'swaps two entries',
    caughtBy: [IN_ORDER, REDELIVERED],
    wrap: (transport) =>
      withNext(transport, ([first, second, ...rest]) => [second, first, ...rest].filter((each) => each !== undefined)),
  },
  {
    name: 'forgets what it has delivered before it is settled',
    caughtBy: [
      REDELIVERED,
      'a lane goes on exactly after the last applied entry, wherever in a published batch that stood',
    ],
    wrap: (transport, log) =>
      withLane(transport, (lane) => ({
        next: async (limit) => {
          const batch = await lane.next(limit);
          const last = batch.at(-1);
          if (last !== undefined) log.truncate(lane.partition, position(last.position + 1n));
          return batch;
        },
      })),
  },
  {
    name: 'ignores that a lane was lost',
    caughtBy: [LEAVES, READ_AHEAD_LOST],
    wrap: (transport, log) =>
      withLane(transport, (lane) => ({
        lost: new AbortController().signal,
        next: async (limit) => {
          const batch = await lane.next({ ...limit, waitMs: 0 });
          return lane.lost.aborted ? log.read(lane.partition, 0, limit) : batch;
        },
      })),
  },
  {
    name: 'goes on delivering after it has said that a lane was lost',
    caughtBy: [LEAVES, READ_AHEAD_LOST],
    wrap: (transport, log) =>
      withLane(transport, (lane) => ({
        next: async (limit) => {
          const batch = await lane.next(limit);
          return lane.lost.aborted ? log.read(lane.partition, 0, limit) : batch;
        },
      })),
  },
  {
    name: 'starts without looking whether the log is the one it knows',
    caughtBy: [MADE_AGAIN, ANOTHER_ENTRY, 'a log that ends before the position halts the lane'],
    wrap: (transport) =>
      withLane(transport, (lane) => ({
        start: (at) => lane.start(at).catch(() => lane.start({ next: null, last: null, commits: 0n })),
        // A log that has less than the position gives nothing rather than an error.
        next: (limit) => lane.next(limit).catch(() => []),
      })),
  },
  {
    name: 'compares positions, but not the last applied entry',
    caughtBy: [MADE_AGAIN, ANOTHER_ENTRY],
    wrap: (transport) => withLane(transport, (lane) => ({ start: (at) => lane.start({ ...at, last: null }) })),
  },
  {
    name: 'reads what another system has published',
    caughtBy: [OTHER_SYSTEM],
    wrap: (transport) =>
      withPublish(transport, async (publisher, batch) =>
        publisher.publish(batch.map((each) => ({ ...each, headers: without(each.headers, HEADER.system) }))),
      ),
  },
  {
    name: 'says stored before anything is stored',
    caughtBy: [
      UNKNOWN,
      'while the log is away, publishing answers the truth and stores nothing; then the same publisher works again',
    ],
    wrap: (transport) =>
      withPublish(transport, async (publisher, batch) => {
        const results = await publisher.publish(batch);
        return results.map((): PublishResult => ({ kind: 'stored', position: null }));
      }),
  },
  {
    name: 'calls unknown refused',
    caughtBy: [UNKNOWN],
    wrap: (transport) =>
      withPublish(transport, async (publisher, batch) => {
        const results = await publisher.publish(batch);
        return results.map((each) =>
          each.kind === 'unknown' ? { kind: 'refused', reason: 'lost', retry: true } : each,
        );
      }),
  },
  {
    name: 'stores what stands behind a refused entry',
    caughtBy: [
      'an entry that is too large is refused for good; what stood before it is stored, what stood behind it is not',
    ],
    wrap: (transport) =>
      withPublish(transport, async (publisher, batch) => {
        const results: PublishResult[] = [];
        for (const each of batch) results.push(...(await publisher.publish([each])));
        return results;
      }),
  },
  {
    name: 'stores every entry of a call twice',
    caughtBy: [IN_ORDER],
    wrap: (transport) =>
      withPublish(transport, async (publisher, batch) => {
        const results = await publisher.publish(batch);
        await publisher.publish(batch.map((each) => ({ ...each, id: newCommandId() })));
        return results;
      }),
  },
  {
    name: 'takes bytes for text',
    caughtBy: ['bytes come out as they went in: every value, none at all, and 256 KiB'],
    wrap: (transport) =>
      withNext(transport, (batch) =>
        batch.map((each) => ({ ...each, bytes: Buffer.from(Buffer.from(each.bytes).toString('utf8')) })),
      ),
  },
  {
    name: 'gives every entry of a batch the headers of the first',
    caughtBy: ['headers come out as they went in: none, empty, long, quotes, line ends and all of Unicode'],
    wrap: (transport) =>
      withNext(transport, (batch) => batch.map((each) => ({ ...each, headers: batch[1]?.headers ?? each.headers }))),
  },
  {
    name: 'ignores the limit of bytes',
    caughtBy: [BYTES, 'an entry that is larger than the limit of bytes is delivered alone'],
    wrap: (transport) => withLane(transport, (lane) => ({ next: (limit) => lane.next({ ...limit, bytes: Infinity }) })),
  },
  {
    name: 'polls instead of waking',
    caughtBy: [WAKES],
    wrap: (transport) =>
      withLane(transport, (lane) => ({
        next: async (limit) => {
          const batch = await lane.next({ ...limit, waitMs: 0 });
          if (batch.length > 0) return batch;
          await systemClock.sleep(limit.waitMs);
          return lane.next({ ...limit, waitMs: 0 });
        },
      })),
  },
  {
    name: 'never yields a released lane anew',
    caughtBy: [ANEW],
    wrap: (transport) => {
      const yielded = new Set<number>();
      return withSubscription(transport, (subscription) => ({
        lanes: async function* (stop) {
          for await (const lane of subscription.lanes(stop)) {
            if (yielded.has(lane.partition)) stop.addEventListener('abort', () => void lane.release());
            else yield lane;
            yielded.add(lane.partition);
          }
        },
      }));
    },
  },
  {
    name: 'ends lanes() before every lane was released',
    caughtBy: ['when stopped, every lane is lost, none is yielded, and lanes() ends when all were released'],
    wrap: (transport) =>
      withSubscription(transport, (subscription) => ({
        lanes: async function* (stop) {
          const lanes = subscription.lanes(stop)[Symbol.asyncIterator]();
          const stopped = new Promise<{ readonly done: true }>((resolve) => {
            stop.addEventListener('abort', () => resolve({ done: true }));
          });
          for (;;) {
            const item = await Promise.race([lanes.next(), stopped]);
            if (item.done === true) return;
            yield item.value;
          }
        },
      })),
  },
  {
    name: 'makes more partitions when asked for more',
    caughtBy: ['another number of partitions is refused'],
    wrap: (transport) => ({ ...transport, provision: (count) => transport.provision(count).catch(() => undefined) }),
  },
];

function withSubscription(
  transport: Transport,
  change: (subscription: Subscription) => Partial<Subscription>,
): Transport {
  return {
    ...transport,
    openSubscription: async (mine) => {
      const subscription = await transport.openSubscription(mine);
      return { lanes: (stop) => subscription.lanes(stop), close: () => subscription.close(), ...change(subscription) };
    },
  };
}

function withLane(transport: Transport, change: (lane: Lane) => Partial<Lane>): Transport {
  return withSubscription(transport, (subscription) => ({
    lanes: async function* (stop) {
      for await (const lane of subscription.lanes(stop)) {
        yield {
          partition: lane.partition,
          lost: lane.lost,
          start: (at) => lane.start(at),
          next: (limit) => lane.next(limit),
          settle: (through, commits) => lane.settle(through, commits),
          release: () => lane.release(),
          ...change(lane),
        };
      }
    },
  }));
}

function withNext(transport: Transport, change: (batch: readonly Delivery[]) => readonly Delivery[]): Transport {
  return withLane(transport, (lane) => ({ next: async (limit) => change(await lane.next(limit)) }));
}

function withPublish(
  transport: Transport,
  publish: (publisher: Publisher, ...args: Parameters<Publisher['publish']>) => ReturnType<Publisher['publish']>,
): Transport {
  return {
    ...transport,
    openPublisher: async () => {
      const publisher = await transport.openPublisher();
      return { publish: (batch) => publish(publisher, batch), close: () => publisher.close() };
    },
  };
}

function without(headers: Readonly<Record<string, string>>, name: string): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name));
}
