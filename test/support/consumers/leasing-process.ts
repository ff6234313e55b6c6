// A process of its own that leases partitions. Arguments: URL, schema, lease in ms, and lanes to open if its leases are to follow.
// Says what it holds, at each change and when woken.
import { newUuid, partition, type Partition } from '../../../shared/command/identity.ts';
import { schemaName } from '../../../shared/postgres/schema-name.ts';
import { systemClock } from '../../../shared/process/time.ts';
import { openLeases } from '../../../consumers/leases.ts';
import { openFollowingLeases } from '../../../consumers/leases/following-leases.ts';

const [url = '', schema = '', lease = '', ...lanes] = process.argv.slice(2);
const leaseMs = Number(lease);
const leases = (lanes.length === 0 ? openLeases : openFollowingLeases)({
  database: { url, schema: schemaName(schema) },
  me: { id: newUuid(), host: 'child', pid: process.pid },
  times: { leaseMs, renewMs: leaseMs / 4, drainMs: 10_000 },
  observe: () => undefined,
  clock: systemClock,
  random: Math.random,
});
const say = (what: 'woken' | 'mine', held: Iterable<Partition>) =>
  process.stdout.write(`${JSON.stringify({ what, held: [...held] })}\n`);

process.on('SIGCONT', () =>
  say(
    'woken',
    leases.status().held.filter((each) => leases.isSafe(each)),
  ),
);
process.stdin.on('end', () => void leases.stop(2_000));
process.stdin.resume();
await leases.start();
leases.join();
for (const lane of lanes) leases.laneOpened(partition(Number(lane)));
for await (const mine of leases.mine) say('mine', mine);
