// Owns the ratio of the way in: what producers do with a command, HTTP apart, against kafkajs' `send` with the same entries made ready.
import kafkajs, { type Message, type Producer } from 'kafkajs';
import type { Submission } from '../../producers/partition-queue.ts';
import { openSeries } from '../../producers/partition-queue.ts';
import { openSubmitter, type Submitter } from '../../producers/submit.ts';
import type { Draft } from '../../producers/draft.ts';
import type { Sealed } from '../../producers/seal.ts';
import { newUuid } from '../../shared/command/identity.ts';
import { PARTITIONS_DEFAULT } from '../../shared/postgres/system.ts';
import { systemClock } from '../../shared/process/time.ts';
import { accounts } from './accounts.ts';
import { freshTopic, openKafkaLog } from './kafka-log.ts';
import { judged, printFigures, takeTurns, timed, type Contender, type Judged } from './measure.ts';
import type { KafkaBench } from './part-kafka.ts';

const COUNT = 100_000;
const ROWS = 1_000;
const BATCH = 1_000;

export async function benchKafkaSubmit({ rounds, brokers }: KafkaBench): Promise<readonly Judged[]> {
  const system = { id: newUuid(), partitions: PARTITIONS_DEFAULT, layout: 1 };
  const topic = freshTopic();
  const transport = openKafkaLog({ brokers, topic, systemId: system.id });
  await transport.provision(system.partitions);
  const type = accounts('public');
  const types = new Map([[type.contract.type, type]]);
  const effects = { observe: () => undefined, clock: systemClock, random: Math.random };
  const submitter = openSubmitter({ transport, types, system, fullHolds: new Set(), ...effects });
  await submitter.firstAttempt;
  const producer = new kafkajs.Kafka({ brokers: [...brokers], logLevel: kafkajs.logLevel.NOTHING }).producer();
  await producer.connect();
  try {
    const figures = await takeTurns(contendersOf(submitter, producer, topic), rounds);
    printFigures(`Submitting ${COUNT.toLocaleString('en')} commands to Kafka`, figures);
    const [whole = Number.NaN, , sent = Number.NaN] = figures.map((figure) => figure.median);
    return [judged('kafka: checking, sealing and submitting against send of kafkajs', whole / sent, { atLeast: 0.6 })];
  } finally {
    await submitter.close(5_000);
    await producer.disconnect();
    await transport.close();
  }
}

function contendersOf(submitter: Submitter, producer: Producer, topic: string): readonly Contender[] {
  return [
    {
      name: 'drafts, sealed and submitted',
      run: () => timed(COUNT, () => submitAll(submitter, (n) => sealOf(submitter, n))),
    },
    {
      name: 'sealed commands, submitted',
      run: () => {
        const sealed = sealAll(submitter);
        return timed(COUNT, () => submitAll(submitter, (n) => sealed[n]));
      },
    },
    {
      name: `kafkajs' send, ${BATCH.toLocaleString('en')} entries at a time`,
      run: () => {
        const messages = sealAll(submitter).map(messageOf);
        return timed(COUNT, () => sendAll(producer, topic, messages));
      },
    },
  ];
}

function sealAll(submitter: Submitter): readonly Sealed[] {
  return Array.from({ length: COUNT }, (_, n) => sealOf(submitter, n));
}

function sealOf({ seal }: Submitter, n: number): Sealed {
  const draft: Draft = { type: 'account.deposit', subject: String(1 + (n % ROWS)), data: { amount: 5 } };
  const sealed = seal(draft);
  if ('kind' in sealed) throw new Error(sealed.detail);
  return sealed;
}

/** As an upload does it: one series, which waits for room. */
async function submitAll(submitter: Submitter, sealedAt: (n: number) => Sealed | undefined): Promise<void> {
  const series = openSeries();
  let accepted = 0;
  await new Promise<void>((resolve, reject) => {
    const answer = (submission: Submission): void => {
      if (submission.kind !== 'accepted') reject(new Error(`a submission was ${submission.kind}`));
      else if (++accepted === COUNT) resolve();
    };
    const submit = async (): Promise<void> => {
      for (let n = 0; n < COUNT; n++) {
        const sealed = sealedAt(n);
        if (sealed === undefined) throw new Error('there is one for each');
        const room = submitter.submitNext(sealed, series, answer);
        if (room !== undefined) await room;
      }
    };
    submit().catch(reject);
  });
}

function messageOf({ key, bytes, partition, headers }: Sealed): Message {
  const type = { 'content-type': 'application/cloudevents+json; charset=UTF-8' };
  return { key, value: Buffer.from(bytes), partition, headers: { ...type, ...headers } };
}

async function sendAll(producer: Producer, topic: string, messages: readonly Message[]): Promise<void> {
  for (let at = 0; at < messages.length; at += BATCH) {
    await producer.send({ topic, messages: messages.slice(at, at + BATCH), acks: -1 });
  }
}
