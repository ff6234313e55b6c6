// Owns the proof that consumers share partitions fairly, hand them over without loss, and that nothing that stands still keeps others from going on.
import { afterEach, expect, test } from 'vitest';
import { HEADER } from '../../../shared/command/entry.ts';
import type { OnelaneEvent } from '../../../shared/process/events.ts';
import { partitionOf } from '../../../shared/command/routing.ts';
import { newUuid, trustedKey } from '../../../shared/command/identity.ts';
import { describeWithCluster } from '../../support/kafka/describe.ts';
import { KafkaParty, type PartyConsumer } from '../../support/kafka/party.ts';

const PATIENCE = { timeout: 30_000 };
const parties: KafkaParty[] = [];

afterEach(async () => {
  for (const party of parties.splice(0)) await party.close();
});

/** One account in each partition; each command says which revision it expects, so that a loss, a double or a swap is rejected. */
class Accounts {
  readonly #party: KafkaParty;
  readonly subjects: readonly string[];
  #count = 0;

  constructor(party: KafkaParty, partitions: number) {
    this.#party = party;
    this.subjects = Array.from({ length: partitions }, (_, at) => subjectIn(at, partitions));
  }

  async add(count: number): Promise<void> {
    const turns = Array.from({ length: count }, (_, at) => this.#count + at);
    this.#count += count;
    const add = (subject: string, revision: number) => ({
      type: 'account.add',
      subject,
      data: { by: 1 },
      expectedRevision: revision,
    });
    await this.#party.publish(turns.flatMap((revision) => this.subjects.map((subject) => add(subject, revision))));
  }

  async becomeWhole(): Promise<void> {
    await expect
      .poll(() => this.#party.balances(), PATIENCE)
      .toEqual(Object.fromEntries(this.subjects.map((each) => [each, this.#count])));
    expect(await this.#party.sql("select id from {schema}.ledger where outcome <> 'applied'")).toEqual([]);
  }
}

function subjectIn(wanted: number, partitions: number): string {
  for (let subject = 0; ; subject++) {
    if (partitionOf(trustedKey(`account/${subject}`), partitions) === wanted) return String(subject);
  }
}

function isSilence(event: OnelaneEvent): boolean {
  return event.kind === 'connection-lost' && event.cause.name === 'LaneSilent';
}

function detailOf(event: OnelaneEvent | undefined): string {
  return event?.kind === 'connection-lost' ? event.cause.message : '';
}

/** Everybody has a share, and together they have all. */
function isBalanced(consumers: readonly PartyConsumer[], partitions: number): boolean {
  const held = consumers.map((each) => each.held());
  const counts = held.map((each) => each.length);
  return (
    new Set(held.flat()).size === partitions &&
    Math.max(...counts) - Math.min(...counts) <= 1 &&
    counts.reduce((a, b) => a + b) === partitions
  );
}

await describeWithCluster('a group of consumers', { nodes: 1 }, (cluster) => {
  const bundle = async (partitions: number) => {
    const party = await KafkaParty.open(cluster().brokers, partitions);
    parties.push(party);
    await party.provision();
    return { party, accounts: new Accounts(party, partitions) };
  };

  test('a lane that stands still stalls no other', async () => {
    const { party, accounts } = await bundle(3);
    let go: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (go = resolve));
    await party.consumer({ reach: (signal, partition) => (signal === 'taken' && partition === 0 ? held : undefined) });
    const [slow = '', ...others] = accounts.subjects;
    for (let round = 1; round <= 5; round++) {
      await accounts.add(20);
      await expect
        .poll(() => party.balances(), PATIENCE)
        .toEqual(Object.fromEntries(others.map((each) => [each, 20 * round])));
    }
    expect(await party.balances()).not.toHaveProperty(slow);
    go();
    await accounts.becomeWhole();
  });

  test('shares partitions out to within one as consumers come and go, and every command is applied once and in order', async () => {
    const { party, accounts } = await bundle(7);
    const consumers: PartyConsumer[] = [];
    const settle = async () => {
      await party.when(() => isBalanced(consumers, 7));
      await accounts.becomeWhole();
    };
    for (let count = 1; count <= 4; count++) {
      await accounts.add(30);
      const before = consumers.map((each) => each.held());
      consumers.push(await party.consumer());
      await accounts.add(30);
      await settle();
      // Who was there keeps what it had, as far as the newcomer's share goes.
      for (const [at, held] of before.entries())
        expect(held).toEqual(expect.arrayContaining([...(consumers[at]?.held() ?? [])]));
    }
    while (consumers.length > 1) {
      await accounts.add(30);
      await Promise.all([consumers.shift()?.stop(), accounts.add(30)]);
      await settle();
    }
  });

  test('a broker that is killed and started again finds the same consumers, which go on where they were', async () => {
    const { party, accounts } = await bundle(3);
    const consumers = [await party.consumer(), await party.consumer()];
    await accounts.add(50);
    await accounts.becomeWhole();
    await cluster().kill(1);
    const lost = ({ events }: PartyConsumer) =>
      events.some((event) => event.kind === 'connection-lost' && event.what === 'consumer group');
    await party.when(() => consumers.every(lost));
    await cluster().restart(1);
    await accounts.add(50);
    await accounts.becomeWhole();
    await party.when(() => isBalanced(consumers, 3));
    for (const { events } of consumers) expect(events.filter(({ kind }) => kind === 'lane-halted')).toEqual([]);
  });

  test('a lane whose holder does nothing is given to another consumer, and the old holder writes nothing any more', async () => {
    const { party, accounts } = await bundle(2);
    let go: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (go = resolve));
    const stuck = await party.consumer({
      transport: { silenceMs: 1_500 },
      reach: (signal) => (signal === 'taken' ? held : undefined),
    });
    const other = await party.consumer();
    await party.when(() => isBalanced([stuck, other], 2));
    await accounts.add(10);
    const silent = () => stuck.events.find(isSilence);
    await party.when(() => silent() !== undefined);
    expect(silent()).toMatchObject({
      cause: {
        code: 'lane-silent',
        message: expect.stringMatching(/^partition \d has made no progress for 1\.5 s: it is given to other consumers/),
      },
    });
    const given = Number(/^partition (\d)/.exec(detailOf(silent()))?.[1]);
    const took = ({ events }: PartyConsumer) =>
      events.filter(
        (event) =>
          event.kind !== 'stray-kept' &&
          'partition' in event &&
          event.partition === given &&
          ['batch-applied', 'tenure-lost'].includes(event.kind),
      );
    await party.when(() => took(other)[0]?.kind === 'batch-applied');
    go();
    await accounts.add(10);
    await accounts.becomeWhole();
    expect(took(stuck)[0]?.kind ?? 'tenure-lost').toBe('tenure-lost');
  });

  test('a halted lane is no silent one: its process keeps its other lanes', async () => {
    const { party, accounts } = await bundle(2);
    const consumer = await party.consumer({ transport: { silenceMs: 500 } });
    await accounts.add(5);
    await accounts.becomeWhole();
    const foreign = { key: null, value: '{}', partition: 0, headers: { [HEADER.system]: newUuid() } };
    await party.log.publishAs([foreign]);
    await party.when(() => consumer.events.some(({ kind }) => kind === 'lane-halted'));
    // Several times as long as a silent lane would be left to its holder.
    await party.sql('select pg_sleep(3)');
    expect(consumer.events.filter(isSilence)).toEqual([]);
    expect(consumer.held()).toEqual([1]);
  });
});
