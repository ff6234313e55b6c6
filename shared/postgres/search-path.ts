// Owns where unqualified names lead: a developer's tables are made outside Onelane's schema, and found wherever they lie.
import type { SchemaName } from './schema-name.ts';

/**
 * Moves Onelane's schema to the end of the session's search path. It may stand first without anybody's wish: the default path begins
 * with the user's own name, and the embedded server's user is called as the schema is. It stays at the end, because tables may lie there
 * from before. A path that does not name it, or nothing else, is left alone.
 */
export function ownSchemaLast(schema: SchemaName): string {
  return `
select set_config('search_path', string_agg(named, ',' order by is_own, place), false)
from (
  select named, place,
    lower(trim(named)) = lower('${schema}') or trim(named) = '"${schema}"'
      or (trim(named) in ('$user', '"$user"') and current_user = '${schema}') as is_own
  from unnest(string_to_array(current_setting('search_path'), ',')) with ordinality as path (named, place)
) as path
having bool_or(is_own);
`;
}
