// Owns the proof that commands travel over TLS with every login, and that whoever is not let in is told why in one sentence.
import kafkajs from 'kafkajs';
import { afterEach, describe, expect, test } from 'vitest';
import { partition } from '../../../shared/command/identity.ts';
import { asError } from '../../../shared/process/errors.ts';
import { Latest } from '../../../shared/process/latest.ts';
import type { KafkaConnection } from '../../../shared/transport/kafka/index.ts';
import type { Transport } from '../../../shared/transport/transport.ts';
import { describeWithCluster } from '../../support/kafka/describe.ts';
import { entryOf, openTestLog, type TestLog } from '../../support/kafka/log.ts';
import type { SecureAccess } from '../../support/kafka/secure.ts';

const P0 = partition(0);
const logs: TestLog[] = [];

afterEach(async () => {
  for (const log of logs.splice(0)) await log.close();
});

async function told(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
    return 'nothing';
  } catch (thrown) {
    const error = asError(thrown);
    return `${error.message} [${'code' in error ? String(error.code) : ''}]`;
  }
}

/** What is published comes back through a lane. */
async function roundTrip(transport: Transport, log: TestLog): Promise<string | undefined> {
  const publisher = await transport.openPublisher();
  const [result] = await publisher.publish([entryOf(log, P0, 'x')]);
  await publisher.close();
  if (result?.kind !== 'stored') throw new Error(JSON.stringify(result));
  const subscription = await transport.openSubscription(new Latest(new Set()));
  const stop = new AbortController();
  let text: string | undefined;
  for await (const lane of subscription.lanes(stop.signal)) {
    await lane.start({ next: result.position, last: null, commits: 0n });
    const [delivery] = await lane.next({ count: 1, bytes: 1_000, waitMs: 20_000 });
    text = Buffer.from(delivery?.bytes ?? []).toString();
    await lane.release();
    stop.abort();
  }
  await subscription.close();
  return text;
}

const WRONG: readonly (readonly [
  string,
  (secure: SecureAccess, plain: readonly string[]) => Partial<KafkaConnection>,
  RegExp,
])[] = [
  [
    'a wrong password by PLAIN',
    ({ saslBrokers }) => ({
      brokers: saslBrokers,
      sasl: { mechanism: 'plain', username: 'owner', password: 'wrong' },
    }),
    /^the brokers at \S+ refuse the user "owner" with plain: check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM \[broker-login-refused\]$/,
  ],
  [
    'a wrong password by SCRAM',
    ({ saslBrokers }) => ({
      brokers: saslBrokers,
      sasl: { mechanism: 'scram-sha-512', username: 'owner', password: 'wrong' },
    }),
    /refuse the user "owner" with scram-sha-512: .*\[broker-login-refused\]$/,
  ],
  [
    'a user that nobody knows',
    ({ saslBrokers }) => ({
      brokers: saslBrokers,
      sasl: { mechanism: 'scram-sha-256', username: 'nobody', password: 'x' },
    }),
    /refuse the user "nobody" .*\[broker-login-refused\]$/,
  ],
  [
    'no login where one is wanted',
    ({ saslBrokers }) => ({ brokers: saslBrokers }),
    /^the broker at \S+ ends the connection: .* it may speak no TLS \(KAFKA_SSL\), or want a login \(KAFKA_SASL_MECHANISM\) \[broker-away\]$/,
  ],
  [
    'a login where none is known',
    ({ owner }) => ({ sasl: { mechanism: 'plain', ...owner } }),
    /know no login at that port: unset KAFKA_SASL_MECHANISM.*\[broker-login-refused\]$/,
  ],
  [
    'an authority that is not trusted',
    () => ({ tls: { ca: null, cert: null, key: null } }),
    /^TLS with \S+ failed \(SELF_SIGNED_CERT_IN_CHAIN\): give the authority .* in KAFKA_SSL_CA_FILE.*\[broker-tls-failed\]$/,
  ],
  [
    'no TLS where it is wanted',
    () => ({ tls: null }),
    /ends the connection: .* it may speak TLS \(KAFKA_SSL\), or want a login \(KAFKA_SASL_MECHANISM\) \[broker-away\]$/,
  ],
  [
    'TLS where none is spoken',
    (_, plain) => ({ brokers: plain }),
    /ends the connection: .* it may speak no TLS \(KAFKA_SSL\).*\[broker-away\]$/,
  ],
  [
    'a host that nobody knows',
    () => ({ brokers: ['nowhere.invalid:9092'], tls: null }),
    /^no broker can be reached at nowhere\.invalid:9092 \(.*ENOTFOUND.*\): check KAFKA_BROKERS.*\[broker-away\]$/,
  ],
  [
    'a port that nobody listens on',
    () => ({ brokers: ['127.0.0.1:9'], tls: null }),
    /^no broker can be reached at 127\.0\.0\.1:9 \(.*ECONNREFUSED.*\[broker-away\]$/,
  ],
];

await describeWithCluster('a broker that demands', { nodes: 1, listeners: 'plain-and-secure' }, (cluster) => {
  const bundle = async () => {
    const log = await openTestLog({ brokers: cluster().brokers });
    logs.push(log);
    const { secure } = cluster();
    if (secure === null) throw new Error('secure listeners were wanted');
    const open = (connection: Partial<KafkaConnection>) =>
      log.open({ connection: { brokers: secure.tlsBrokers, tls: trusting(secure), sasl: null, ...connection } });
    return { log, secure, open };
  };

  test('TLS alone lets in whoever trusts it', async () => {
    const { log, open } = await bundle();
    const transport = open({});
    await transport.provision(1);
    expect(await roundTrip(transport, log)).toBe('x');
  });

  test.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)(
    'a login by %s carries commands',
    async (mechanism) => {
      const { log, secure, open } = await bundle();
      const transport = open({ brokers: secure.saslBrokers, sasl: { mechanism, ...secure.owner } });
      await transport.provision(1);
      expect(await roundTrip(transport, log)).toBe('x');
    },
  );

  test.each(WRONG)('%s is told in one sentence', async (_, connection, sentence) => {
    const { secure, open } = await bundle();
    const transport = open(connection(secure, cluster().brokers));
    expect(await told(() => transport.provision(1))).toMatch(sentence);
    expect(await told(() => transport.openPublisher())).toMatch(sentence);
  });

  describe('rights', () => {
    const strange = async (
      ...rights: readonly (readonly ['topic' | 'group', keyof typeof kafkajs.AclOperationTypes])[]
    ) => {
      const { log, secure, open } = await bundle();
      await log.open().provision(1);
      if (rights.length > 0)
        await log.admin.createAcls({ acl: rights.map(([on, operation]) => aclOf(log, on, operation)) });
      return {
        log,
        transport: open({ brokers: secure.saslBrokers, sasl: { mechanism: 'plain', ...secure.stranger } }),
      };
    };

    test('on nothing: the topic’s come first', async () => {
      const { transport } = await strange();
      expect(await told(() => transport.provision(1))).toMatch(
        /^user "stranger" may not use topic "log-\w+": allow Create, Describe, DescribeConfigs, Read and Write on it \[broker-right-missing\]$/,
      );
    });

    test('to look at a topic only: its settings cannot be read, nothing can be written', async () => {
      const { log, transport } = await strange(['topic', 'DESCRIBE']);
      expect(await told(() => transport.provision(1))).toMatch(
        /may not use topic .*DescribeConfigs.*\[broker-right-missing\]$/,
      );
      const publisher = await transport.openPublisher();
      const [result] = await publisher.publish([entryOf(log, P0, 'x')]);
      await publisher.close();
      expect(result).toMatchObject({
        kind: 'unknown',
        cause: { code: 'broker-right-missing', message: expect.stringContaining('and Write') },
      });
    });

    test('on the topic only: the group that may not be joined is named', async () => {
      const { log, transport } = await strange(['topic', 'ALL']);
      expect(await told(() => transport.provision(1))).toBe('nothing');
      const subscription = await transport.openSubscription(new Latest(new Set()));
      const causes = () =>
        log.events.flatMap((event) => (event.kind === 'connection-lost' ? [event.cause.message] : []));
      await expect
        .poll(causes, { timeout: 20_000 })
        .toEqual([
          expect.stringContaining(
            `answers for group "${log.topic}.${log.systemId}": it passes by itself after a broker's start; if it does not, allow user "stranger" Read on the group`,
          ),
        ]);
      await subscription.close();
    });

    test('on topic and group are all that it takes', async () => {
      const { log, transport } = await strange(
        ['topic', 'DESCRIBE'],
        ['topic', 'DESCRIBE_CONFIGS'],
        ['topic', 'READ'],
        ['topic', 'WRITE'],
        ['group', 'READ'],
      );
      await transport.provision(1);
      expect(await roundTrip(transport, log)).toBe('x');
    });
  });
});

function trusting({ caPem }: SecureAccess): NonNullable<KafkaConnection['tls']> {
  return { ca: caPem, cert: null, key: null };
}

function aclOf(
  log: TestLog,
  on: 'topic' | 'group',
  operation: keyof typeof kafkajs.AclOperationTypes,
): kafkajs.AclEntry {
  const { TOPIC, GROUP } = kafkajs.AclResourceTypes;
  return {
    resourceType: on === 'topic' ? TOPIC : GROUP,
    resourceName: on === 'topic' ? log.topic : `${log.topic}.${log.systemId}`,
    resourcePatternType: kafkajs.ResourcePatternTypes.LITERAL,
    principal: 'User:stranger',
    host: '*',
    operation: kafkajs.AclOperationTypes[operation],
    permissionType: kafkajs.AclPermissionTypes.ALLOW,
  };
}
