// Owns the proof that what was accepted is in the topic, in order, though answers get lost and partitions lose their leaders.
import { afterEach, expect, test } from 'vitest';
import { isFault } from '../../../producers/fault.ts';
import { openSubmitter, type SubmitLimits, type Submitter } from '../../../producers/submit.ts';
import type { Submission } from '../../../producers/partition-queue.ts';
import { partition, position, trustedKey, type Partition } from '../../../shared/command/identity.ts';
import { partitionOf } from '../../../shared/command/routing.ts';
import { decodeDelivery } from '../../../shared/command/wire.ts';
import { Latest } from '../../../shared/process/latest.ts';
import { systemClock } from '../../../shared/process/time.ts';
import type { KafkaTransportGiven } from '../../../shared/transport/kafka/index.ts';
import type { Lane } from '../../../shared/transport/transport.ts';
import { describeWithCluster, describeWithKafka } from '../../support/kafka/describe.ts';
import { detoursThrough } from '../../support/kafka/detours.ts';
import { openTestLog, type TestLog } from '../../support/kafka/log.ts';
import { testTypes } from '../../support/producers/account-type.ts';
import { openTcpGate, type TcpGate } from '../../support/tcp-gate.ts';

const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const submitterOver = async (
  log: TestLog,
  partitions: number,
  transport: Partial<KafkaTransportGiven>,
  limits: Partial<SubmitLimits>,
) => {
  const submitter = openSubmitter({
    transport: log.open(transport),
    types: testTypes('t'),
    system: { id: log.systemId, partitions, layout: 1 },
    observe: () => undefined,
    clock: systemClock,
    random: Math.random,
    fullHolds: new Set(),
    limits,
  });
  closing.push(() => submitter.close(5_000));
  await submitter.firstAttempt;
  return submitter;
};

interface Sent {
  readonly id: string;
  readonly partition: Partition;
  readonly answer: Promise<Submission>;
}

function submit(submitter: Submitter, subject: string): Sent {
  const sealed = submitter.seal({ type: 'account.deposit', subject, data: { amount: 1 } });
  if (isFault(sealed)) throw new Error(sealed.detail);
  return { id: sealed.id, partition: sealed.partition, answer: submitter.submit(sealed) };
}

/** Ids in the order of their first coming, by partition. */
async function idsIn(log: TestLog): Promise<ReadonlyMap<Partition, readonly string[]>> {
  const transport = log.open();
  const ends = await transport.ends();
  const subscription = await transport.openSubscription(new Latest(new Set()));
  const stop = new AbortController();
  const found = new Map<Partition, readonly string[]>();
  const lanes: Lane[] = [];
  for await (const lane of subscription.lanes(stop.signal)) {
    const count = Number(ends[lane.partition]?.next ?? 0);
    await lane.start({ next: position(0), last: null, commits: 0n });
    const ids: string[] = [];
    for (let read = 0; read < count;) {
      const batch = await lane.next({ count: 1_000, bytes: 1_000_000, waitMs: 5_000 });
      read += batch.length;
      for (const each of batch) {
        const body = decodeDelivery(each);
        if (body.kind === 'command') ids.push(body.id);
      }
    }
    found.set(lane.partition, [...new Set(ids)]);
    lanes.push(lane);
    if (found.size < ends.length) continue;
    stop.abort();
    for (const each of lanes) await each.release();
  }
  await subscription.close();
  return found;
}

const ROUNDS = 4;
const PER_ROUND = 60;

await describeWithKafka('answers that get lost', (kafka) => {
  test('lose no accepted command and swap none, though publishing goes on all the while', async () => {
    const [broker = ''] = kafka().brokers;
    const gate: TcpGate = await openTcpGate(`tcp://${broker}`);
    closing.push(() => gate.close());
    const log = await openTestLog({ brokers: kafka().brokers });
    closing.push(() => log.close());
    await log.open().provision(2);
    const detours = detoursThrough(new Map([[broker, gate]]));
    // Callers wait for certainty, however long it takes.
    const submitter = await submitterOver(log, 2, { detours }, { graceMs: 60_000, flightMs: 60_000, batchEntries: 10 });
    const sent: Sent[] = [];
    const endsOf = async () =>
      (await log.admin.fetchTopicOffsets(log.topic)).reduce((sum, { high }) => sum + Number(high), 0);
    for (let round = 0; round < ROUNDS; round++) {
      // Twice, as partitions that have failed go by themselves at first: whoever has no producer yet sends nothing.
      for (const _ of ['again', 'together']) {
        const warm = [subjectIn(0, 2), subjectIn(1, 2)].map((subject) => submit(submitter, subject));
        sent.push(...warm);
        await Promise.all(warm.map(({ answer }) => answer));
      }
      const before = await endsOf();
      gate.swallowAnswers();
      for (let at = 0; at < PER_ROUND; at++) {
        sent.push(submit(submitter, String(at % 5)));
        if (at % 10 === 9) await new Promise<void>((resolve) => void setImmediate(resolve));
      }
      // The broker has taken something that nobody was told about.
      await expect.poll(endsOf, { timeout: 20_000 }).toBeGreaterThan(before);
      gate.admit();
      await Promise.all(sent.slice(-PER_ROUND / 2).map(({ answer }) => answer));
    }
    const answers = await Promise.all(sent.map(({ answer }) => answer));
    expect(answers.map(({ kind }) => kind)).toEqual(sent.map(() => 'accepted'));
    const found = await idsIn(log);
    for (const each of [0, 1].map(partition)) {
      expect(found.get(each)).toEqual(sent.filter((one) => one.partition === each).map(({ id }) => id));
    }
  });
});

await describeWithCluster('a partition without a leader', { nodes: 3 }, (cluster) => {
  test('holds up no other, and goes on when it has one again', async () => {
    const { brokers } = cluster();
    const log = await openTestLog({ brokers });
    closing.push(() => log.close());
    // One copy each: with its broker the partition is gone.
    await log.open({ replication: 1 }).provision(3);
    const submitter = await submitterOver(
      log,
      3,
      { connection: { brokers, tls: null, sasl: null } },
      { graceMs: 60_000, flightMs: 60_000 },
    );
    const subjects = [0, 1, 2].map((each) => subjectIn(each, 3));
    await Promise.all(subjects.map((subject) => submit(submitter, subject).answer));
    const { topics } = await log.admin.fetchTopicMetadata({ topics: [log.topic] });
    const [lost] = topics[0]?.partitions ?? [];
    if (lost === undefined) throw new Error('there are three partitions');
    await cluster().kill(lost.leader);
    const held = submit(submitter, subjects[lost.partitionId] ?? '');
    const others = subjects.filter((_, at) => at !== lost.partitionId);
    for (let round = 0; round < 5; round++) {
      const answers = await Promise.all(others.map((subject) => submit(submitter, subject).answer));
      expect(answers.map(({ kind }) => kind)).toEqual(['accepted', 'accepted']);
    }
    let isAnswered = false;
    void held.answer.then(() => (isAnswered = true));
    expect(isAnswered).toBe(false);
    await cluster().restart(lost.leader);
    expect((await held.answer).kind).toBe('accepted');
  });
});

function subjectIn(wanted: number, partitions: number): string {
  for (let subject = 0; ; subject++)
    if (partitionOf(trustedKey(`account/${subject}`), partitions) === wanted) return String(subject);
}
