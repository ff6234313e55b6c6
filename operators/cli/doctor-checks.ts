// Owns the list of what the doctor looks at, in the order in which things depend on each other.
import { closeDatabase, openDatabase, type Database } from '../../shared/postgres/database.ts';
import { migrate } from '../../shared/postgres/migrate.ts';
import { migrations } from '../../shared/postgres/migrations/index.ts';
import { quoted, schemaName } from '../../shared/postgres/schema-name.ts';
import type { System } from '../../shared/postgres/system.ts';
import { openSystem, readSystem } from '../../shared/postgres/system.ts';
import type { Observe } from '../../shared/process/events.ts';
import { systemClock } from '../../shared/process/time.ts';
import type { Transport } from '../../shared/transport/transport.ts';
import { tableMismatches } from '../wiring/check-tables.ts';
import { pendingConfigSql } from '../wiring/config-sql.ts';
import { transportOf } from '../wiring/existing-system.ts';
import { loadConfig, type LoadedConfig } from '../wiring/load-config.ts';
import { refuseInsecure } from '../wiring/producer.ts';
import { readSystemStatus } from '../wiring/readings.ts';
import { runningOrNamed } from '../wiring/server-url.ts';
import { fail, ok, warn, type Check, type Ground, type Verdict } from './findings.ts';
import { counted } from './output.ts';

export interface Found {
  readonly config: LoadedConfig;
  readonly database: Database;
  /** Its tables are those of this version. */
  readonly schema: Database;
  readonly system: System;
  readonly transport: Transport;
}

const CLOCK_APART_WARN_MS = 5_000;

export const CHECKS: readonly Check<Found>[] = [
  { name: 'node', needs: [], run: () => Promise.resolve(nodeVersion()) },
  {
    name: 'settings',
    needs: [],
    run: ({ given: { settings } }) => {
      refuseInsecure(settings);
      return Promise.resolve(ok('every setting can be read'));
    },
  },
  {
    name: 'config',
    needs: [],
    run: async (ground) => {
      const config = await loadConfig(ground.given.settings.config, process.cwd());
      ground.found = { ...ground.found, config };
      return ok(`${config.file}: ${[...config.types.keys()].join(', ')}`);
    },
  },
  {
    name: 'database',
    needs: [],
    run: async (ground) => {
      const { settings, observe } = ground.given;
      const { url, dataDirectory } = await runningOrNamed(settings);
      const database = await openDatabase({ url, schema: schemaName(settings.schema), poolMax: 4, observe });
      ground.closing.push(() => closeDatabase(database));
      ground.found = { ...ground.found, database };
      const { rows } = await database.pool.query<{ readonly version: string }>(
        `select current_setting('server_version') as version`,
      );
      const where = dataDirectory === null ? '' : `, embedded, data in ${dataDirectory}`;
      return ok(`reachable, PostgreSQL ${rows[0]?.version}, no transaction-mode pooler${where}`);
    },
  },
  { name: 'clock', needs: ['database'], run: ({ found }) => clocks(found) },
  { name: 'permissions', needs: ['database'], run: ({ found }) => permissions(found) },
  {
    name: 'migrations',
    needs: ['database'],
    run: async (ground) => {
      const { database } = ground.found;
      if (database === undefined) return fail('no database', null);
      await migrate(database, 'never', ground.given.observe);
      ground.found = { ...ground.found, schema: database };
      return ok(`schema ${database.schema} is at migration ${migrations.length}`);
    },
  },
  {
    name: 'system',
    needs: ['schema'],
    run: async (ground) => {
      const { database } = ground.found;
      if (database === undefined) return fail('no database', null);
      // Only an existing one is compared: looking must not make it.
      if ((await readSystem(database)) === null) {
        return warn('there is no system yet', 'start onelane up, api or consumer once: it makes one');
      }
      const system = await openSystem(database, ground.given.settings);
      ground.found = { ...ground.found, system };
      return ok(
        `${system.id}: ${counted(system.partitions, 'partition')}, transport ${system.transport}, channel ${system.channel}`,
      );
    },
  },
  { name: 'config SQL', needs: ['config', 'schema'], run: ({ found }) => configSql(found) },
  { name: 'tables', needs: ['config', 'schema'], run: ({ found }) => tables(found) },
  { name: 'log', needs: ['system', 'database'], run: (ground) => log(ground) },
  { name: 'lanes', needs: ['database', 'transport'], run: ({ found }) => lanes(found) },
];

const NODE_LEAST: Readonly<Record<number, number>> = { 20: 19, 22: 13 };

function nodeVersion(): Verdict {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const isFit = major >= 24 || (major in NODE_LEAST && minor >= (NODE_LEAST[major] ?? 0));
  return isFit
    ? ok(`v${process.versions.node}`)
    : fail(`v${process.versions.node} is not supported`, 'install Node 20.19 or later, 22.13 or later, or 24');
}

async function clocks({ database }: Partial<Found>): Promise<Verdict> {
  const { rows } = (await database?.pool.query<{ readonly now: Date }>('select clock_timestamp() as now')) ?? {
    rows: [],
  };
  const apartMs = Math.abs((rows[0]?.now.getTime() ?? 0) - Date.now());
  return apartMs < CLOCK_APART_WARN_MS
    ? ok('this machine and the database agree')
    : warn(
        `this machine and the database are ${Math.round(apartMs / 1_000)} s apart`,
        'let both follow a time server; lag in seconds is off by as much',
      );
}

async function permissions({ database }: Partial<Found>): Promise<Verdict> {
  if (database === undefined) return fail('no database', null);
  const { rows } = await database.pool.query<{
    readonly there: boolean;
    readonly use: boolean | null;
    readonly create: boolean;
  }>(
    `select to_regnamespace($1) is not null as there,
            has_schema_privilege(to_regnamespace($1)::oid, 'create') as use,
            has_database_privilege(current_database(), 'create') as create`,
    [quoted(database.schema)],
  );
  const [row] = rows;
  if (row?.there !== true) {
    return row?.create === true
      ? ok(`may make schema ${database.schema}`)
      : fail(
          `may not make schema ${database.schema}`,
          'grant create on the database, or run onelane migrate as its owner',
        );
  }
  // Ledger partitions are made as time goes on.
  return row.use === true
    ? ok(`may make tables in schema ${database.schema}`)
    : fail(`may not make tables in schema ${database.schema}`, `grant usage, create on schema ${database.schema}`);
}

async function configSql({ config, schema }: Partial<Found>): Promise<Verdict> {
  if (config === undefined || schema === undefined) return fail('no config', null);
  const pending = await pendingConfigSql(schema, config.sql);
  return pending.length === 0
    ? ok(
        config.sql.length === 0
          ? 'the config names none'
          : `have run: ${config.sql.map(({ name }) => name).join(', ')}`,
      )
    : warn(`not run yet: ${pending.join(', ')}`, 'run onelane migrate, or let the next start do it');
}

async function tables({ config, schema }: Partial<Found>): Promise<Verdict> {
  if (config === undefined || schema === undefined) return fail('no config', null);
  const wrong = await tableMismatches(schema, config.types);
  return wrong.length === 0
    ? ok(`${[...config.types.values()].map(({ rows }) => rows.table).join(', ')} as mapped`)
    : fail(wrong.map((each) => `${each.message} [${each.code}]`).join('; '), null);
}

async function log(ground: Ground<Found>): Promise<Verdict> {
  const { system, database } = ground.found;
  if (database === undefined || system === undefined) return fail('no system', null);
  const warnings: string[] = [];
  const observe: Observe = (event) => {
    if (event.kind === 'log-warned') warnings.push(event.detail);
    else ground.given.observe(event);
  };
  const transport = transportOf(system, database, { ...ground.given, observe, clock: systemClock });
  ground.closing.push(() => transport.close());
  const ends = await transport.ends();
  ground.found = { ...ground.found, transport };
  if (ends.length !== system.partitions) {
    return fail(
      `it has ${counted(ends.length, 'partition')}, the system has ${system.partitions}`,
      'name the channel of this system',
    );
  }
  // It is there, so nothing is made: it is only checked.
  await transport.provision(system.partitions);
  return warnings.length === 0
    ? ok(`readable: ${counted(ends.length, 'partition')}`)
    : warn(warnings.join('; '), 'nothing is lost yet: change it before an outage does');
}

async function lanes({ database, transport }: Partial<Found>): Promise<Verdict> {
  if (database === undefined || transport === undefined) return fail('no log', null);
  const { partitions, consumers, setAside } = await readSystemStatus({ database, transport }, systemClock.now());
  const halted = partitions.filter(({ status }) => status.halted !== null);
  const [first] = halted;
  if (first !== undefined) {
    const { partition, halted: halt, lastAppendedAt } = first.status;
    // Where the log went another way than the database, what is missing begins there.
    const since = lastAppendedAt === null ? '' : ` (the database's last entry is of ${lastAppendedAt.toISOString()})`;
    return fail(
      `${halted.length} halted, partition ${partition} by ${halt?.code}: ${halt?.detail}${halt?.code === 'log-diverged' ? since : ''}`,
      'do what the sentence says, then restart the consumer',
    );
  }
  if (consumers.every((each) => each.isExpired))
    return warn('no consumer runs', 'start onelane consumer or onelane up');
  const idle = partitions.filter(({ status }) => status.lease === null || status.lease.isExpired).length;
  if (idle > 0)
    return warn(
      `without a reader: ${counted(idle, 'partition')}`,
      'look again in a few seconds; then at the log of the consumers',
    );
  if (setAside.holds > 0) {
    return warn(
      `held: ${counted(setAside.holds, 'resource')} with ${counted(setAside.parked, 'parked command')}`,
      'onelane status shows which, and by which command',
    );
  }
  return ok(`all are read: ${counted(partitions.length, 'partition')}`);
}
