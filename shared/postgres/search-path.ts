// Owns where unqualified names lead: a developer's tables are made outside Onelane's schema, and found wherever they lie.
import type pg from 'pg';
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

/** Names are quoted where SQL needs it. */
export interface NewTables {
  readonly role: string;
  /** Where a table without a schema in its name would be made; null: nowhere, no schema of the search path may be used. */
  readonly schema: string | null;
  readonly mayCreate: boolean;
}

/** Since PostgreSQL 15 not everybody may create in `public`. */
export async function newTablesOf(sessions: Pick<pg.Pool, 'query'>): Promise<NewTables | null> {
  const { rows } = await sessions.query<NewTables>(
    `select quote_ident(current_user) as role, quote_ident(current_schema()) as schema,
       coalesce(has_schema_privilege(current_schema(), 'create'), false) as "mayCreate"`,
  );
  return rows[0] ?? null;
}
