// Owns the proof that commands which others publish straight to the topic are applied like ours, and that what is none stops nobody.
import { randomUUID } from 'node:crypto';
import kafkajs, { type IHeaders, type Message } from 'kafkajs';
import { afterEach, describe, expect, test } from 'vitest';
import { resourceKey, trustedTypeName } from '../../../shared/command/identity.ts';
import { partitionOf } from '../../../shared/command/routing.ts';
import { readSetAside } from '../../../shared/postgres/status-reads.ts';
import { describeWithKafka } from '../../support/kafka/describe.ts';
import { kafkaClient } from '../../support/kafka/log.ts';
import { KafkaParty } from '../../support/kafka/party.ts';
import { writingSnappy } from '../../support/kafka/snappy.ts';

const PARTITIONS = 2;
const GZIP = { compression: kafkajs.CompressionTypes.GZIP };
const SNAPPY = { compression: kafkajs.CompressionTypes.Snappy };
const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const keyOf = (subject: string): string => `account/${subject}`;
const homeOf = (subject: string): number => partitionOf(resourceKey(trustedTypeName('account'), subject), PARTITIONS);

function structured(subject: string, by: number, more: object = {}): Message {
  const event = {
    specversion: '1.0',
    id: randomUUID(),
    source: '/stranger',
    type: 'account.add',
    subject,
    data: { by },
    ...more,
  };
  return {
    key: keyOf(subject),
    value: JSON.stringify(event),
    headers: { 'content-type': 'application/cloudevents+json; charset=UTF-8' },
  };
}

function binary(subject: string, by: number, more: IHeaders = {}): Message {
  const headers = {
    ce_specversion: '1.0',
    ce_id: randomUUID(),
    ce_source: '/stranger',
    ce_type: 'account.add',
    ce_subject: subject,
    'content-type': 'application/json',
    ...more,
  };
  return { key: keyOf(subject), value: JSON.stringify({ by }), headers };
}

const bundleOn = async (brokers: readonly string[], topic: 'made here' | 'with any compression' = 'made here') => {
  const party = await KafkaParty.open(brokers, PARTITIONS);
  closing.push(() => party.close());
  if (topic === 'with any compression') {
    const configEntries = Object.entries({
      'message.timestamp.type': 'LogAppendTime',
      'compression.type': 'producer',
    });
    await party.log.admin.createTopics({
      waitForLeaders: false,
      topics: [
        {
          topic: party.log.topic,
          numPartitions: PARTITIONS,
          configEntries: configEntries.map(([name, value]) => ({ name, value })),
        },
      ],
    });
  } else {
    await party.provision();
  }
  return {
    party,
    balances: () => expect.poll(() => party.balances(), { timeout: 20_000 }),
    setAside: () => readSetAside(party.db.database),
  };
};

const transactionsOn = async (brokers: readonly string[]) => {
  const made = await bundleOn(brokers);
  const producer = kafkaClient(brokers).producer({
    transactionalId: randomUUID(),
    maxInFlightRequests: 1,
    idempotent: true,
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  closing.push(() => producer.disconnect());
  const send = async (end: 'commit' | 'abort', ...messages: readonly Message[]) => {
    const transaction = await producer.transaction();
    await transaction.send({ topic: made.party.log.topic, messages: [...messages] });
    await transaction[end]();
  };
  return { ...made, send };
};

await describeWithKafka('a publisher that knows nothing of Onelane', (kafka) => {
  const bundle = () => bundleOn(kafka().brokers);

  test('is heard in structured and in binary mode, plain and gzipped, and its keys find their partitions', async () => {
    const { party, balances, setAside } = await bundle();
    await party.consumer();
    await party.log.publishAs([structured('1', 1), structured('2', 2), structured('3', 4)]);
    await party.log.publishAs([binary('1', 10), binary('2', 20), binary('3', 40)]);
    await party.log.publishAs([structured('1', 100), binary('2', 200)], GZIP);
    await party.log.publishAs(
      [structured('3', 400, { expectedrevision: 2 }), binary('3', 1_000, { ce_expectedrevision: '3' })],
      GZIP,
    );
    await balances().toEqual({ 1: 111, 2: 222, 3: 1_444 });
    expect(await setAside()).toMatchObject({ parked: 0, strays: 0 });
  });

  test('that says the same twice is heard once', async () => {
    const { party, balances } = await bundle();
    await party.consumer();
    const id = randomUUID();
    await party.log.publishAs([
      structured('1', 1, { id }),
      binary('1', 1, { ce_id: id }),
      structured('1', 1, { id }),
      structured('1', 10),
    ]);
    await balances().toEqual({ 1: 11 });
  });

  test('that hashes its keys in another way has its commands kept as strays, which are counted', async () => {
    const { party, balances, setAside } = await bundle();
    await party.consumer();
    const elsewhere = (homeOf('1') + 1) % PARTITIONS;
    await party.log.publishAs([
      { ...structured('1', 1), partition: elsewhere },
      { ...binary('1', 2), partition: elsewhere },
      structured('1', 4),
    ]);
    await balances().toEqual({ 1: 4 });
    await expect.poll(setAside, { timeout: 20_000 }).toMatchObject({ strays: 2 });
    expect(await party.sql('select reason from {schema}.stray')).toEqual([
      { reason: 'misrouted' },
      { reason: 'misrouted' },
    ]);
  });

  test('that publishes what is no command stops nobody: it is kept as it was read', async () => {
    const { party, balances, setAside } = await bundle();
    await party.consumer();
    const key = keyOf('1');
    await party.log.publishAs([
      structured('1', 1),
      { key, value: null },
      { key: null, value: 'hello', partition: homeOf('1') },
      { key, value: '{"specversion":"1.0"' },
      { ...binary('1', 2), value: 'by=2' },
      { ...binary('1', 2), value: Buffer.from([0x22, 0xff, 0x22]) },
      { ...binary('1', 2), headers: { ce_specversion: '0.3' } },
      structured('1', 4),
    ]);
    await balances().toEqual({ 1: 5 });
    expect(await setAside()).toMatchObject({ strays: 6, parked: 0 });
    const kept = await party.sql<{ bytes: Buffer }>('select bytes from {schema}.stray order by position');
    expect(kept.map(({ bytes }) => bytes.toString('latin1'))).toEqual([
      '',
      'hello',
      '{"specversion":"1.0"',
      'by=2',
      '"\xff"',
      '{"specversion":"0.3","data":{"by":2}}',
    ]);
  });
});

await describeWithKafka('a publisher that knows nothing of Onelane', (kafka) => {
  const bundle = (topic?: 'with any compression') => bundleOn(kafka().brokers, topic);
  const transactions = () => transactionsOn(kafka().brokers);

  describe('in transactions', () => {
    test('is heard where it commits; a lane goes on over markers and over what was taken back', async () => {
      const { party, balances, send, setAside } = await transactions();
      await send('abort', structured('1', 1_000));
      await send('commit', structured('1', 1), structured('1', 2));
      await party.consumer();
      await balances().toEqual({ 1: 3 });
      await send('abort', structured('1', 1_000), structured('1', 1_000));
      await send('abort', structured('1', 1_000));
      await party.log.publishAs([structured('1', 4)]);
      await send('commit', binary('1', 8));
      await balances().toEqual({ 1: 15 });
      expect(await setAside()).toMatchObject({ strays: 0 });
    });

    test('leaves places without entries, at which consumers stop and start', async () => {
      const { party, balances, send } = await transactions();
      let sum = 0;
      for (const [at, end] of (['commit', 'abort', 'commit', 'abort'] as const).entries()) {
        // The last entry is followed by a marker, or by a whole transaction that was taken back.
        const consumer = await party.consumer();
        const by = 10 ** at;
        await send('commit', structured('1', by));
        sum += by;
        await balances().toEqual({ 1: sum });
        await consumer.stop();
        if (end === 'abort') await send('abort', structured('1', 5_000));
      }
      const last = await party.consumer();
      await party.publish([{ type: 'account.add', subject: '1', data: { by: 10_000 } }]);
      await balances().toEqual({ 1: sum + 10_000 });
      expect(last.events.filter(({ kind }) => kind === 'lane-halted')).toEqual([]);
    });
  });

  describe('that compresses with snappy', () => {
    test('is heard: the broker stores what every consumer can read', async () => {
      const { party, balances } = await bundle();
      await party.consumer();
      await writingSnappy(() => party.log.publishAs([structured('1', 1), structured('1', 2)], SNAPPY));
      await party.log.publishAs([structured('1', 4)], GZIP);
      await balances().toEqual({ 1: 7 });
    });

    test('over a topic that has come to let it is not heard, and a sentence says what to do', async () => {
      const { party, balances } = await bundle('with any compression');
      const consumer = await party.consumer();
      await party.log.publishAs([structured('1', 1)], GZIP);
      await balances().toEqual({ 1: 1 });
      await writingSnappy(() => party.log.publishAs([structured('1', 2)], SNAPPY));
      const causes = () => consumer.events.flatMap((event) => (event.kind === 'connection-lost' ? [event.cause] : []));
      // The topic was made a moment ago, and a broker that does not know it yet may have said so before.
      const unread = () => causes().find((cause) => cause.message.includes('records compressed with'));
      await party.when(() => unread() !== undefined);
      expect(unread()).toMatchObject({
        code: 'compression-unknown',
        message: expect.stringMatching(
          /^topic "party-.*" holds records compressed with snappy, which are not read: set its compression\.type to uncompressed/,
        ),
      });
      expect(await party.balances()).toEqual({ 1: 1 });
    });
  });
});
