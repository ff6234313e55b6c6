// A process of its own that migrates and opens a system once; prints the system's id. Arguments: URL, schema.
import { closeDatabase, openDatabase } from '../../../shared/postgres/database.ts';
import { migrate } from '../../../shared/postgres/migrate.ts';
import { schemaName } from '../../../shared/postgres/schema-name.ts';
import { openSystem } from '../../../shared/postgres/system.ts';

const [url = '', schema = ''] = process.argv.slice(2);
const ignore = () => undefined;
const database = await openDatabase({ url, schema: schemaName(schema), poolMax: 2, observe: ignore });
await migrate(database, 'auto', ignore);
const system = await openSystem(database, { partitions: null, transport: 'postgres', channel: 'onelane' });
await closeDatabase(database);
process.stdout.write(system.id);
