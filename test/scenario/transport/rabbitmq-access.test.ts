// Owns the proof that whoever is not let in is told why in one sentence, and that no sentence has a password in it.
import { randomBytes } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { partition } from '../../../shared/command/identity.ts';
import type { RabbitAccess } from '../../../shared/transport/rabbitmq/index.ts';
import { describeWithNode } from '../../support/rabbitmq/describe.ts';
import { entryOf, openTestLog, take, texts, told } from '../../support/rabbitmq/log.ts';

const P0 = partition(0);
const PASSWORD = 'pass/word@42';
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const WRONG: readonly (readonly [string, Partial<RabbitAccess>, RegExp])[] = [
  [
    'a wrong password',
    { password: PASSWORD },
    /^the broker at amqp:\/\/\S+ refuses the user "guest": check user and password in RABBITMQ_URL .*\[broker-login-refused\]$/,
  ],
  [
    'a user that nobody knows',
    { username: 'nobody', password: PASSWORD },
    /refuses the user "nobody": .*\[broker-login-refused\]$/,
  ],
  [
    'a vhost that there is not',
    { vhost: 'nowhere' },
    /^the broker at \S+ does not let user "guest" into vhost "nowhere": make the vhost .*\[vhost-refused\]$/,
  ],
  [
    'a host that nobody knows',
    { host: 'nowhere.invalid' },
    /^no broker can be reached at amqp:\/\/nowhere\.invalid:\d+ \(.*ENOTFOUND.*\): check RABBITMQ_URL.*\[broker-away\]$/,
  ],
  [
    'a port that nobody listens on',
    { port: 9 },
    /^no broker can be reached at amqp:\/\/127\.0\.0\.1:9 \(.*ECONNREFUSED.*\[broker-away\]$/,
  ],
  [
    'TLS where none is spoken',
    { tls: { ca: null } },
    /^TLS with amqps:\/\/\S+ failed \(.*\): give the authority .* in RABBITMQ_SSL_CA_FILE.*\[broker-tls-failed\]$/,
  ],
];

await describeWithNode('a broker', { listeners: 'plain-and-secure' }, (rabbit) => {
  const bundle = async () => {
    const log = await openTestLog({ url: rabbit().url, partitions: 1 });
    closing.push(() => log.close());
    const { port } = new URL(rabbit().url);
    const access: RabbitAccess = {
      host: '127.0.0.1',
      port: Number(port),
      username: 'guest',
      password: 'guest',
      vhost: '/',
      tls: null,
    };
    return { log, access };
  };

  /** A user of its own, with these rights on everything. */
  const userWith = async (rights: { readonly configure: string; readonly write: string; readonly read: string }) => {
    const username = `user-${randomBytes(4).toString('hex')}`;
    await rabbit().ctl('add_user', username, PASSWORD);
    closing.push(() => rabbit().ctl('delete_user', username));
    await rabbit().ctl('set_permissions', username, rights.configure, rights.write, rights.read);
    return { username, password: PASSWORD };
  };

  test.each(WRONG)('%s is told in one sentence', async (_, wrong, sentence) => {
    const { log, access } = await bundle();
    const transport = log.open({ access: { ...access, ...wrong } });
    for (const work of [() => transport.provision(1), () => transport.openPublisher(), () => transport.ends()]) {
      const said = await told(work);
      expect(said).toMatch(sentence);
      expect(said).not.toContain(PASSWORD);
    }
  });

  test('over TLS carries the commands of whoever trusts its authority, and of nobody else', async () => {
    const { log, access } = await bundle();
    const { secure } = rabbit();
    if (secure === null) throw new Error('a secure listener was wanted');
    const port = Number(new URL(secure.url).port);
    const transport = log.open({ access: { ...access, port, tls: { ca: secure.caPem } } });
    await transport.provision(1);
    const publisher = await transport.openPublisher();
    closing.push(() => publisher.close());
    await publisher.publish([entryOf(log, P0, 'x')]);
    const lane = await log.lane(transport, P0);
    expect(texts(await take(lane, 1))).toEqual(['x']);
    const distrustful = log.open({ access: { ...access, port, tls: { ca: null } } });
    expect(await told(() => distrustful.ends())).toMatch(
      /^TLS with amqps:\/\/\S+ failed \(\w+\): give the authority .* in RABBITMQ_SSL_CA_FILE.*\[broker-tls-failed\]$/,
    );
    const plain = log.open({ access: { ...access, port } });
    expect(await told(() => plain.ends())).toMatch(
      /ends the connection .*: .* it may speak TLS \(amqps:\/\/\) \[broker-away\]$/,
    );
  });

  test('lets in a user and into a vhost whose names and password have signs in them', async () => {
    const { log, access } = await bundle();
    const vhost = `odd/ä %-${randomBytes(4).toString('hex')}`;
    const user = await userWith({ configure: '.*', write: '.*', read: '.*' });
    await rabbit().ctl('add_vhost', vhost);
    closing.push(() => rabbit().ctl('delete_vhost', vhost));
    await rabbit().ctl('set_permissions', '-p', vhost, user.username, '.*', '.*', '.*');
    const transport = log.open({ access: { ...access, ...user, vhost } });
    await transport.provision(1);
    const publisher = await transport.openPublisher();
    closing.push(() => publisher.close());
    await publisher.publish([entryOf(log, P0, 'x')]);
    const lane = await log.lane(transport, P0);
    expect(texts(await take(lane, 1))).toEqual(['x']);
    await lane.release();
  });

  test('that does not allow what must be done is told which right is missing', async () => {
    const { log, access } = await bundle();
    await log.open().provision(1);
    const all = { configure: '.*', write: '.*', read: '.*' };
    const as = async (rights: Partial<typeof all>) =>
      log.open({ access: { ...access, ...(await userWith({ ...all, ...rights })) } });
    const lacks = (right: string) =>
      new RegExp(
        `^user "user-\\w+" lacks the right to ${right} in vhost "/": allow configure and read .*\\[broker-right-missing\\]$`,
      );
    const fresh = await openTestLog({ url: rabbit().url, partitions: 1 });
    closing.push(() => fresh.close());
    const none = await userWith({ ...all, configure: '^$' });
    expect(await told(() => fresh.open({ access: { ...access, ...none } }).provision(1))).toMatch(lacks('configure'));
    const reader = await as({ read: '^$' });
    expect(await told(() => log.lane(reader, P0))).toMatch(lacks('read'));
    const publisher = await (await as({ write: '^$' })).openPublisher();
    closing.push(() => publisher.close());
    const [refused] = await publisher.publish([entryOf(log, P0, 'x')]);
    expect(refused).toMatchObject({
      kind: 'refused',
      retry: true,
      reason: expect.stringContaining('lacks the right to write'),
    });
  });
});
