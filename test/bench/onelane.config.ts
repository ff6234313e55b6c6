// Owns the config of the bench's own processes: the accounts, in the schema that BENCH_TABLES names.
import { defineConfig } from '../../shared/resources/define-config.ts';
import { accounts } from './accounts.ts';

export default defineConfig({ resources: [accounts(process.env['BENCH_TABLES'] ?? 'public')] });
