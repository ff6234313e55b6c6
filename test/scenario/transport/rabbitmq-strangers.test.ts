// Owns the proof that whoever publishes straight to a queue is heard: CloudEvents structured, in batches and in binary mode, and anything else as a stray.
import { afterEach, expect, test } from 'vitest';
import { partition } from '../../../shared/command/identity.ts';
import { decodeDelivery } from '../../../shared/command/wire.ts';
import { describeWithRabbit } from '../../support/rabbitmq/describe.ts';
import { openTestLog, take, texts, type TestLog } from '../../support/rabbitmq/log.ts';

const P0 = partition(0);
const logs: TestLog[] = [];

afterEach(async () => {
  for (const log of logs.splice(0)) await log.close();
});

const event = (id: string, data: object = { amount: 5 }) => ({
  specversion: '1.0',
  id,
  source: '/checkout',
  type: 'account.deposit',
  subject: '42',
  data,
});

await describeWithRabbit('a stranger', (rabbit) => {
  const bundle = async () => {
    const log = await openTestLog({ url: rabbit().url, partitions: 1 });
    logs.push(log);
    const transport = log.open();
    await transport.provision(1);
    return { log, transport };
  };

  test('that publishes structured events, in batches or in binary mode, is understood', async () => {
    const { log, transport } = await bundle();
    await log.publishAs(P0, JSON.stringify(event('one')), { contentType: 'application/cloudevents+json' });
    await log.publishAs(P0, JSON.stringify([event('two'), event('three')]), {
      contentType: 'application/cloudevents-batch+json; charset=utf-8',
    });
    for (const prefix of ['cloudEvents:', 'cloudEvents_']) {
      const { data, ...attributes } = event(`four${prefix}`);
      const headers = Object.fromEntries(
        Object.entries({ ...attributes, expectedrevision: 7 }).map(([name, value]) => [`${prefix}${name}`, value]),
      );
      await log.publishAs(P0, JSON.stringify(data), { contentType: 'application/json', headers });
    }
    const lane = await log.lane(transport, P0);
    const commands = (await take(lane, 5)).map(decodeDelivery);
    expect(commands).toMatchObject([
      ...['one', 'two', 'three'].map(() => ({ kind: 'command', key: 'account/42', data: { amount: 5 } })),
      ...[1, 2].map(() => ({ kind: 'command', key: 'account/42', data: { amount: 5 }, expectedRevision: 7 })),
    ]);
    expect(new Set(commands.map((each) => each.kind === 'command' && each.id)).size).toBe(5);
  });

  test('that publishes what is no command stops nobody: it is kept as it was read', async () => {
    const { log, transport } = await bundle();
    const bodies = ['no json', '', '[]', '[', Buffer.from([0xff, 0xfe])];
    for (const body of bodies) await log.publishAs(P0, body, { contentType: 'application/cloudevents-batch+json' });
    // Lengths that are not those of the parts: whoever wrote them, nothing of the message gets lost.
    await log.publishAs(P0, '[{},{}]', { headers: { 'onelane-lengths': '2,9', 'onelane-appended': 'soon' } });
    await log.publishAs(P0, JSON.stringify(event('last')));
    const lane = await log.lane(transport, P0);
    const deliveries = await take(lane, bodies.length + 2);
    expect(deliveries.map(({ bytes }) => Buffer.from(bytes))).toEqual([
      ...bodies.map((body) => Buffer.from(body)),
      Buffer.from('[{},{}]'),
      Buffer.from(JSON.stringify(event('last'))),
    ]);
    expect(deliveries.map((each) => decodeDelivery(each).kind)).toEqual([
      ...[...bodies, 'odd lengths'].map(() => 'stray'),
      'command',
    ]);
  });

  test('has its headers kept as text, and none that the broker adds', async () => {
    const { log, transport } = await bundle();
    await log.publishAs(P0, 'x', {
      contentType: 'text/plain',
      headers: {
        Text: 'ä',
        number: 7,
        truth: true,
        bytes: Buffer.from([0xff]),
        at: { '!': 'timestamp', value: 1_700_000_000 },
      },
    });
    const expected = {
      text: 'ä',
      number: '7',
      truth: 'true',
      bytes: 'base64:/w==',
      at: '2023-11-14T22:13:20.000Z',
      'content-type': 'text/plain',
    };
    for (let look = 0; look < 3; look++) {
      const lane = await log.lane(transport, P0);
      expect((await take(lane, 1))[0]?.headers).toEqual(expected);
      await lane.release();
    }
  });

  test('that gives every message the same id loses none of them', async () => {
    const { log, transport } = await bundle();
    const publish = (text: string) => log.publishAs(P0, text, { messageId: 'always the same' });
    for (const text of ['a', 'b', 'c']) await publish(text);
    const lane = await log.lane(transport, P0);
    const [first] = await take(lane, 3);
    if (first === undefined) throw new Error('there are three');
    await lane.settle(first.position, 1n);
    await lane.release();
    const next = await log.lane(transport, P0, { commits: 1n });
    expect(texts(await take(next, 2))).toEqual(['b', 'c']);
  });
});
