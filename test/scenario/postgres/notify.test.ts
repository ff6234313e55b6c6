// Hints travel outside of everybody's transactions, many in one statement; both ends come back when their connection breaks.
import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import pg from 'pg';
import { openListener, openNotifier } from '../../../shared/postgres/notify.ts';
import type { OnelaneEvent } from '../../../shared/process/events.ts';
import { systemClock, type Clock } from '../../../shared/process/time.ts';
import { testServerUrl } from '../../support/database.ts';
import { openTcpGate } from '../../support/tcp-gate.ts';

const closings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closings.splice(0).reverse()) await close();
});

async function bundle(given: { readonly url?: string; readonly pauses?: 'by-hand' } = {}) {
  const channel = `t_${randomBytes(6).toString('hex')}`;
  const heard: string[] = [];
  const events: OnelaneEvent[] = [];
  const watchers = new Set<() => void>();
  const changed = () => {
    for (const watcher of watchers) watcher();
  };
  const observe = (event: OnelaneEvent) => {
    events.push(event);
    changed();
  };
  let connects = 0;
  const listener = openListener({
    url: given.url ?? testServerUrl(),
    channel,
    observe,
    onNotification: (payload) => {
      heard.push(payload);
      changed();
    },
    onConnected: () => {
      connects++;
      changed();
    },
  });
  let pauses = 0;
  let goOn = () => undefined;
  const byHand: Clock['sleep'] = (_ms, signal) =>
    new Promise<void>((resolve) => {
      goOn = () => void resolve();
      signal?.addEventListener('abort', goOn);
      pauses++;
      changed();
    });
  const clock = given.pauses === undefined ? systemClock : { ...systemClock, sleep: byHand };
  const notifier = openNotifier({ url: testServerUrl(), channel, intervalMs: 1, observe, clock });
  const admin = new pg.Client({ connectionString: testServerUrl() });
  await admin.connect();
  closings.push(
    () => admin.end(),
    () => notifier.close(),
    () => listener.close(),
  );
  const until = (holds: () => boolean) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (!holds()) return;
        watchers.delete(look);
        resolve();
      };
      watchers.add(look);
      look();
    });
  /** Ends the sessions that last ran a statement with this text. */
  const terminate = async (statement: string) => {
    await admin.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where application_name in ('onelane-listener', 'onelane-notifier') and query like $1`,
      [statement],
    );
  };
  return {
    channel,
    heard,
    events,
    listener,
    notifier,
    admin,
    until,
    terminate,
    connects: () => connects,
    pauses: () => pauses,
    goOn: () => goOn(),
  };
}

describe('hints', () => {
  it('a hint is heard, and equal ones that wait together are sent once', async () => {
    const { notifier, heard, until, connects } = await bundle();
    await until(() => connects() === 1);
    for (const payload of ['3', '5', '3', '3', "it's"]) notifier.hint(payload);
    await until(() => heard.length === 3);
    expect([...heard].sort()).toEqual(['3', '5', "it's"]);
  });

  it('what is hinted during a pause goes with the next statement', async () => {
    const { notifier, heard, until, connects, pauses, goOn } = await bundle({ pauses: 'by-hand' });
    await until(() => connects() === 1);
    notifier.hint('first');
    await until(() => heard.length === 1 && pauses() === 1);
    for (let hint = 0; hint < 1_000; hint++) notifier.hint(`later ${hint % 10}`);
    expect(heard).toEqual(['first']);
    goOn();
    await until(() => heard.length === 11);
    await until(() => pauses() === 2);
    expect(new Set(heard).size).toBe(11);
  });

  it('what cannot be sent is dropped and holds nothing up', async () => {
    const { notifier, heard, until, connects } = await bundle();
    await until(() => connects() === 1);
    notifier.hint('x'.repeat(9_000));
    notifier.hint('fits');
    await until(() => heard.length > 0);
    expect(heard).toEqual(['fits']);
  });

  it('other channels are not heard', async () => {
    const { admin, channel, heard, notifier, until, connects } = await bundle();
    await until(() => connects() === 1);
    await admin.query('select pg_notify($1, $2)', [`${channel}_other`, 'no']);
    notifier.hint('yes');
    await until(() => heard.length > 0);
    expect(heard).toEqual(['yes']);
  });

  it('a listener whose session is ended comes back, says so, and hears again', async () => {
    const { notifier, heard, events, until, terminate, channel, connects } = await bundle();
    await until(() => connects() === 1);
    await terminate(`listen%${channel}%`);
    await until(() => connects() === 2);
    expect(events.map((event) => event.kind)).toEqual(['connection-lost', 'connection-restored']);
    notifier.hint('again');
    await until(() => heard.length > 0);
  });

  it('a notifier whose session is ended sends again', async () => {
    const { notifier, heard, until, terminate, connects, channel } = await bundle();
    await until(() => connects() === 1);
    notifier.hint('one');
    await until(() => heard.includes('one'));
    await terminate(`select pg_notify%${channel}%`);
    // The first hint after the loss may be the one that is lost with it.
    const hinting = setInterval(() => {
      notifier.hint('two');
    }, 20);
    await until(() => heard.includes('two')).finally(() => {
      clearInterval(hinting);
    });
  });

  it('a server that is away is tried again without end, and closing does not wait for it', async () => {
    const { events, listener, until, connects } = await bundle({ url: 'postgres://nobody@127.0.0.1:1/nothing' });
    await until(() => events.length > 0);
    await listener.close();
    expect(connects()).toBe(0);
    expect(events.map((event) => event.kind)).toEqual(['connection-lost']);
  });

  it('a connection that is taken and never answered keeps nobody from closing', async () => {
    const gate = await openTcpGate(testServerUrl());
    gate.freeze();
    const { listener, channel } = await bundle({ url: gate.url });
    const notifier = openNotifier({ url: gate.url, channel, intervalMs: 1, observe: () => undefined });
    notifier.hint('lost');
    closings.push(() => gate.close());
    await expect.poll(() => gate.connections()).toBe(2);
    const from = performance.now();
    await Promise.all([listener.close(), notifier.close()]);
    expect(performance.now() - from).toBeLessThan(5_000);
  });

  it('after close nothing is called and no session is left', async () => {
    const { admin, channel, notifier, listener, heard, until, connects } = await bundle();
    await until(() => connects() === 1);
    notifier.hint('before');
    await until(() => heard.length === 1);
    await Promise.all([listener.close(), notifier.close()]);
    notifier.hint('after');
    await admin.query('select pg_notify($1, $2)', [channel, 'after']);
    const { rowCount } = await admin.query(
      `select 1 from pg_stat_activity where pid <> pg_backend_pid() and query like $1`,
      [`%${channel}%`],
    );
    expect(rowCount).toBe(0);
    expect(heard).toEqual(['before']);
  });
});
