// Owns the proof that a test's nodes are what fault tests take them for: they keep what they took, obey, demand what they should, and end with their owner.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { connect, type Channel, type ConfirmChannel } from 'amqplib';
import { expect, test } from 'vitest';
import { WRITTEN_DOWN_MS } from '../../../shared/transport/rabbitmq/queues.ts';
import { firstWords } from '../../support/embedded.ts';
import { describeWhereRabbit, describeWithNode } from '../../support/rabbitmq/describe.ts';

const OWNER = fileURLToPath(new URL('../../support/rabbitmq/owner.ts', import.meta.url));
const PATIENCE_MS = 20_000;

async function withChannel<T>(url: string, work: (channel: ConfirmChannel) => Promise<T>, ca?: string): Promise<T> {
  const connection = await connect(url, { timeout: 2_000, ...(ca === undefined ? {} : { ca }) });
  // A test may have the node end it.
  connection.on('error', () => undefined);
  try {
    return await work(await connection.createConfirmChannel());
  } finally {
    await connection.close().catch(() => undefined);
  }
}

async function declare(channel: Channel, queue: string): Promise<void> {
  await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
}

function stored(channel: ConfirmChannel, queue: string): Promise<void> {
  return new Promise((resolve, reject) => {
    channel.sendToQueue(queue, Buffer.from('x'), { persistent: true }, (refusal: unknown) => {
      if (refusal === null) resolve();
      else reject(new Error('it was not stored', { cause: refusal }));
    });
  });
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`it does not come to hold within ${PATIENCE_MS} ms`);
    await sleep(50);
  }
}

/** Whether somebody takes connections there. */
function isServed(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connectTcp(Number(port), hostname, () => resolve(true));
    socket.once('error', () => resolve(false)).once('connect', () => socket.destroy());
  });
}

await describeWithNode('one node', { listeners: 'plain-and-secure' }, (node) => {
  test('keeps what it confirmed when it is killed and started again, on the same address', async () => {
    const { url } = node();
    await withChannel(url, async (channel) => {
      await declare(channel, 'kept');
      await sleep(WRITTEN_DOWN_MS);
      for (let sent = 0; sent < 3; sent++) await stored(channel, 'kept');
      await node().kill();
    });
    expect(await isServed(url)).toBe(false);
    await node().restart();
    expect(await withChannel(url, async (channel) => (await channel.get('kept')) !== false)).toBe(true);
    expect(await withChannel(url, async (channel) => (await channel.purgeQueue('kept')).messageCount)).toBe(3);
  });

  test('that is frozen answers nobody until it is woken', async () => {
    await withChannel(node().url, async (channel) => {
      await declare(channel, 'frozen');
      node().freeze();
      let isStored = false;
      const storing = stored(channel, 'frozen').then(() => (isStored = true));
      await expect(connect(node().url, { timeout: 500 })).rejects.toThrow();
      expect(isStored).toBe(false);
      node().wake();
      await storing;
    });
  });

  test('raises and clears its alarm when it is told to: meanwhile it takes nothing from whoever publishes', async () => {
    const connection = await connect(node().url);
    const said: string[] = [];
    const heard = (word: string) => until(() => Promise.resolve(said.includes(word)));
    connection.on('blocked', () => said.push('blocked')).on('unblocked', () => said.push('unblocked'));
    try {
      const channel = await connection.createConfirmChannel();
      await declare(channel, 'alarmed');
      await node().ctl('set_vm_memory_high_watermark', '0');
      const storing = stored(channel, 'alarmed');
      await heard('blocked');
      await node().ctl('set_vm_memory_high_watermark', '0.4');
      await heard('unblocked');
      await storing;
    } finally {
      await connection.close();
    }
  });

  test('closes all connections, lists queues, and makes users and vhosts when it is told to', async () => {
    await withChannel(node().url, (channel) => declare(channel, 'listed'));
    expect(await node().ctl('list_queues', 'name', 'type')).toMatch(/^listed\tquorum$/m);
    await node().ctl('add_vhost', 'other');
    await node().ctl('add_user', 'stranger', 'to-all-queues');
    const stranger = `${node().url.replace('guest:guest', 'stranger:to-all-queues')}/other`;
    await expect(connect(stranger)).rejects.toThrow();
    await node().ctl('set_permissions', '-p', 'other', 'stranger', '.*', '.*', '.*');
    const connection = await connect(stranger);
    const gone = new Promise((resolve) => {
      connection.on('error', () => undefined).once('close', resolve);
    });
    await node().ctl('close_all_connections', '--vhost', 'other', 'an operator does it');
    await gone;
    await expect(node().ctl('delete_vhost', 'nowhere')).rejects.toThrow(/does not exist|not found/i);
  });

  test('is trusted by whoever trusts its authority, and by nobody else', async () => {
    const { secure } = node();
    if (secure === null) throw new Error('a secure listener was wanted');
    await withChannel(secure.url, (channel) => declare(channel, 'secured'), secure.caPem);
    await expect(connect(secure.url)).rejects.toThrow(/certificate/);
  });
});

await describeWhereRabbit('own', 'a node', () => {
  test('ends with the process that started it, however that dies', async () => {
    // Nobody is left to remove the data of the dead.
    const folder = await mkdtemp(join(tmpdir(), 'onelane-test-'));
    const env = { ...process.env, TMPDIR: folder };
    const owner = spawn(process.execPath, ['--import', 'jiti/register', OWNER], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env,
    });
    try {
      const url = await firstWords(owner);
      expect(await isServed(url)).toBe(true);
      owner.kill('SIGKILL');
      await until(async () => !(await isServed(url)));
    } finally {
      owner.kill('SIGKILL');
      await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    }
  });
});
