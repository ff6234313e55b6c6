// Owns the proof that what a node confirmed is there when it was killed and started again, from the first command of a new system on.
import { expect, test } from 'vitest';
import { partition } from '../../../shared/command/identity.ts';
import { WRITTEN_DOWN_MS } from '../../../shared/transport/rabbitmq/queues.ts';
import { describeWithNode } from '../../support/rabbitmq/describe.ts';
import { entriesOf, openTestLog, take, texts } from '../../support/rabbitmq/log.ts';

const PARTITIONS = 3;

await describeWithNode('a node that is killed with -9', {}, (node) => {
  test('right after the first commands of a new system were stored has them, in order, when it is back', async () => {
    const log = await openTestLog({ url: node().url, partitions: PARTITIONS });
    try {
      const transport = log.open({ newMs: WRITTEN_DOWN_MS });
      await transport.provision(PARTITIONS);
      const publisher = await transport.openPublisher();
      for (let at = 0; at < PARTITIONS; at++) {
        const results = await publisher.publish(entriesOf(log, partition(at), `p${at}:`, 3));
        expect(results.map(({ kind }) => kind)).toEqual(['stored', 'stored', 'stored']);
      }
      await node().kill();
      await node().restart();
      for (let at = 0; at < PARTITIONS; at++) {
        const lane = await log.lane(transport, partition(at));
        expect(texts(await take(lane, 3))).toEqual([`p${at}:0`, `p${at}:1`, `p${at}:2`]);
      }
      await publisher.close();
    } finally {
      await log.close();
    }
  }, 60_000);
});
