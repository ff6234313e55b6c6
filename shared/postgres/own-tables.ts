// Owns the names of Onelane's own tables: by them they are told from a developer's, which may lie in the same schema.
import { rangeOfName } from './ledger-partitions.ts';

const OWN: ReadonlySet<string> = new Set([
  'migration',
  'system',
  'tenure',
  'consumer',
  'lease',
  'ledger',
  'hold',
  'parked',
  'stray',
  'last_revision',
  'log_head',
  'log_segment',
  'config_sql',
]);

/** Of a table in Onelane's schema: whether it is Onelane's. In another schema these names are anybody's. */
export function isOwnTable(name: string): boolean {
  return OWN.has(name) || rangeOfName(name) !== null;
}
