// Owns the name of Onelane's schema, and how names are quoted in SQL.
import { OnelaneError } from '../process/errors.ts';

declare const brand: unique symbol;
/** A checked name, as text without quotes. */
export type SchemaName = string & { readonly [brand]: 'SchemaName' };

export class SchemaNameMalformed extends OnelaneError {
  readonly code = 'schema-name-malformed' as const;
}

/** PostgreSQL takes 63 bytes; channel names and test schemas add a suffix. */
export const SCHEMA_NAME_LENGTH_MAX = 48;
const SCHEMA_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Onelane's schema is meant to hold nothing but its own tables; a developer's in it are told from them by name (own-tables). */
const FOREIGN = /^(pg_.*|public|information_schema)$/;

export function schemaName(text: string): SchemaName {
  if (!SCHEMA_NAME.test(text) || FOREIGN.test(text) || text.length > SCHEMA_NAME_LENGTH_MAX) {
    throw new SchemaNameMalformed(
      `"${text}" cannot name Onelane's own schema: choose at most ${SCHEMA_NAME_LENGTH_MAX} letters, digits and _, and a schema that holds nothing else (not public, not pg_…)`,
    );
  }
  // The brand's only maker: the text was checked above.
  return text as SchemaName;
}

export function quoted(name: SchemaName): string {
  return quoteName(name);
}

/** `app.account` → `"app"."account"`; case counts. */
export function quoteTable(table: string): string {
  return table.split('.').map(quoteName).join('.');
}

/** One name, whatever is in it; it must be non-empty and without NUL. */
export function quoteName(name: string): string {
  if (name.length === 0 || name.includes('\u0000'))
    throw new SchemaNameMalformed(`"${name}" is no name of a table: write table or schema.table`);
  return `"${name.replaceAll('"', '""')}"`;
}
