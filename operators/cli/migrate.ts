// Owns `onelane migrate`: brings Onelane's tables and the config's own up to date, and ends.
import { closeDatabase, openDatabase } from '../../shared/postgres/database.ts';
import { migrate as migrateSchema } from '../../shared/postgres/migrate.ts';
import { migrations } from '../../shared/postgres/migrations/index.ts';
import { schemaName } from '../../shared/postgres/schema-name.ts';
import { applyConfigSql } from '../wiring/config-sql.ts';
import { loadConfig } from '../wiring/load-config.ts';
import { runningOrNamed } from '../wiring/server-url.ts';
import type { CommandSpec } from './command.ts';

export const migrate: CommandSpec = {
  name: 'migrate',
  summary: "Bring the schema up to date and run the config's SQL files that have not run yet",
  settings: [],
  examples: ['DATABASE_URL=postgres://owner@db/app onelane migrate'],
  async run({ settings, output, observe }) {
    const config = await loadConfig(settings.config, process.cwd());
    const { url } = await runningOrNamed(settings);
    const database = await openDatabase({ url, schema: schemaName(settings.schema), poolMax: 2, observe });
    try {
      const numbers: number[] = [];
      await migrateSchema(database, 'auto', (event) => {
        if (event.kind === 'migrated') numbers.push(event.to);
        observe(event);
      });
      const files = await applyConfigSql(database, config.sql, 'auto');
      const done = [...numbers.map((number) => `migration ${number}`), ...files];
      output.say(
        done.length === 0
          ? `Nothing to do: schema ${database.schema} is at migration ${migrations.length}.`
          : `Applied ${done.join(', ')} in schema ${database.schema}.`,
        { migrations: numbers, sql: files, schema: database.schema },
      );
      return 'done';
    } finally {
      await closeDatabase(database);
    }
  },
};
