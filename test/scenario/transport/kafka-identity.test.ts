// Owns the proof that a log or a database which is not the one it was is never skipped over and never applied twice.
import { afterEach, describe, expect, test, vi } from 'vitest';
import { CHECKS } from '../../../operators/cli/doctor-checks.ts';
import { runChecks } from '../../../operators/cli/findings.ts';
import { openOutput } from '../../../operators/cli/output.ts';
import { parseSettings } from '../../../shared/process/settings.ts';
import { describeWithKafka } from '../../support/kafka/describe.ts';
import { KafkaParty, type PartyConsumer } from '../../support/kafka/party.ts';

const TRUNCATED_AT = 300;
const parties: KafkaParty[] = [];

afterEach(async () => {
  for (const party of parties.splice(0)) await party.close();
});

/** One account that each command changes only in its turn: a double, a gap or a swap is rejected. */
function additions(count: number, from: number) {
  return Array.from({ length: count }, (_, at) => ({
    type: 'account.add',
    subject: '1',
    data: { by: 1 },
    expectedRevision: from + at,
  }));
}

const bundleOn = async (brokers: readonly string[]) => {
  const party = await KafkaParty.open(brokers, 1);
  parties.push(party);
  await party.provision();
  const account = async () => {
    const [row] = await party.sql<{ revision: string; balance: string }>(
      'select revision, balance from {tables}.account where id = 1',
    );
    return { revision: Number(row?.revision ?? 0), balance: Number(row?.balance ?? 0) };
  };
  const outcomes = () =>
    party.sql<{ outcome: string; count: number }>(
      'select outcome, count(*)::integer as count from {schema}.ledger group by 1',
    );
  return {
    party,
    account,
    outcomes,
    becomes: (count: number) => expect.poll(account, { timeout: 30_000 }).toEqual({ revision: count, balance: count }),
  };
};

/** What an operator is shown. */
const doctor = async ({ db, log }: KafkaParty) => {
  const { brokers } = await log.admin.describeCluster();
  const env = {
    DATABASE_URL: db.url,
    ONELANE_SCHEMA: db.schema,
    ONELANE_TRANSPORT: 'kafka',
    ONELANE_CHANNEL: log.topic,
    ONELANE_PARTITIONS: '1',
    KAFKA_BROKERS: brokers.map(({ host, port }) => `${host}:${port}`).join(','),
  };
  const settings = parseSettings({ env, flags: {}, readFile: () => '' });
  const output = openOutput('json');
  const findings = await runChecks(
    CHECKS,
    { settings, argument: '', options: {}, output, observe: () => undefined },
    () => undefined,
  );
  return findings.find(({ check }) => check === 'lanes');
};

const halted = async (party: KafkaParty, { events }: PartyConsumer): Promise<string> => {
  const details = () =>
    events.flatMap((event) => (event.kind === 'lane-halted' && event.code === 'log-diverged' ? [event.detail] : []));
  await party.when(() => details().length > 0);
  const shown = async () => {
    const finding = await doctor(party);
    expect(finding).toMatchObject({ verdict: 'fail', advice: expect.stringContaining('do what the sentence says') });
    // Behind it stands until when the database knows of entries.
    const [told, lastEntry] = finding?.says.split(" (the database's last entry is of ") ?? [];
    expect(told).toBe(`1 halted, partition 0 by log-diverged: ${details()[0]}`);
    expect(lastEntry).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z\)$/);
  };
  await vi.waitFor(shown, { timeout: 10_000, interval: 50 });
  return details()[0] ?? '';
};

await describeWithKafka('a system whose log and database do not belong together', (kafka) => {
  const bundle = () => bundleOn(kafka().brokers);

  describe('a database that is restored from a backup', () => {
    test.each(['while consumers are down', 'under a running consumer'] as const)(
      '%s reads again what it has forgotten, and ends exact',
      async (when) => {
        const { party, becomes, outcomes } = await bundle();
        const first = await party.consumer();
        await party.publish(additions(20, 0));
        await becomes(20);
        await backUp(party);
        await party.publish(additions(30, 20));
        await becomes(50);
        if (when === 'while consumers are down') await first.stop();
        await restore(party);
        const last = when === 'while consumers are down' ? await party.consumer() : first;
        await party.publish(additions(10, 50));
        await becomes(60);
        expect(await outcomes()).toEqual([{ outcome: 'applied', count: 60 }]);
        expect(last.events.filter(({ kind }) => kind === 'lane-halted')).toEqual([]);
      },
    );
  });

  describe('a topic that was deleted and made again', () => {
    test.each([
      ['empty', 'while consumers are down', 0],
      ['shorter', 'under a running consumer', 5],
      ['longer', 'while consumers are down', 40],
      ['longer', 'under a running consumer', 40],
    ] as const)('%s, %s, halts the lane: nothing of it is applied', async (_, when, count) => {
      const { party, account, becomes, outcomes } = await bundle();
      const first = await party.consumer();
      await party.publish(additions(20, 0));
      await becomes(20);
      if (when === 'while consumers are down') await first.stop();
      await party.log.recreate(1);
      if (count > 0) await party.publish(additions(count, 20));
      const reader = when === 'while consumers are down' ? await party.consumer() : first;
      expect(await halted(party, reader)).toMatch(
        /^partition 0: .*; do not go on blindly: restore the log and the database/,
      );
      expect(await account()).toEqual({ revision: 20, balance: 20 });
      expect(await outcomes()).toEqual([{ outcome: 'applied', count: 20 }]);
    });
  });

  test('a topic whose retention overtakes a running lane halts it where the gap begins', async () => {
    const { party, account } = await bundle();
    let go: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (go = resolve));
    let isTaken = false;
    const consumer = await party.consumer({
      // So little that most of the log is still to be fetched when its lane stands still.
      transport: { inboxBytesMax: 4_000 },
      batchSize: 5,
      reach: (signal) => {
        if (signal !== 'taken') return undefined;
        isTaken = true;
        return held;
      },
    });
    await party.publish(additions(2 * TRUNCATED_AT, 0));
    await expect.poll(() => isTaken, { timeout: 20_000 }).toBe(true);
    await party.log.truncate(0, TRUNCATED_AT);
    go();
    expect(await halted(party, consumer)).toMatch(
      new RegExp(`^partition 0: the log begins at ${TRUNCATED_AT}: entries from \\d+ on are gone`),
    );
    const { revision, balance } = await account();
    expect(revision).toBe(balance);
    expect(revision).toBeLessThan(TRUNCATED_AT);
    expect(await party.sql("select outcome from {schema}.ledger where outcome <> 'applied'")).toEqual([]);
  });
});

/** Every table, at one moment. */
async function backUp(party: KafkaParty): Promise<void> {
  const copies = (await tablesOf(party)).map((table) => `create table ${copyOf(party, table)} as table ${table}`);
  await party.sql(copies.join(';'));
}

async function restore(party: KafkaParty): Promise<void> {
  const tables = (await tablesOf(party)).filter((table) => !table.includes('backup_'));
  const fills = tables.map((table) => `insert into ${table} overriding system value table ${copyOf(party, table)}`);
  // One transaction, as several statements without parameters are.
  await party.sql([`truncate ${tables.join(', ')} cascade`, ...fills].join(';'));
}

function copyOf(party: KafkaParty, table: string): string {
  return `"${party.db.tables}".${table.replaceAll(/[".]/g, '_').replace(/^/, 'backup_')}`;
}

async function tablesOf(party: KafkaParty): Promise<readonly string[]> {
  const rows = await party.sql<{ name: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname in ('{schema}', '{tables}') and c.relkind in ('r', 'p') and not c.relispartition
     order by 1`,
  );
  return rows.map(({ name }) => name);
}
