// Owns the front door of the package: what `import … from 'onelane'` gives to a developer who declares resource types.
export { z } from 'zod';
export { contract } from '../command/contract.ts';
export type { CommandsOf, Contract, NamedCommand } from '../command/contract.ts';
export type { CommandId, Json, ResourceKey, Revision } from '../command/identity.ts';
export {
  bigint,
  boolean,
  bytea,
  custom,
  double,
  integer,
  nullable,
  numeric,
  text,
  textArray,
  uuid,
} from './columns.ts';
export type { Column } from './columns.ts';
export { defineConfig, resourceType } from './define-config.ts';
export type { OnelaneConfig } from './define-config.ts';
export { jsonb } from './json-column.ts';
export type { CommandContext, Decision, ResourceType } from './resource-type.ts';
export type { MappedColumn, RowStore } from './row-store.ts';
export { tableRows } from './table-rows.ts';
export { date, timestamptz } from './temporal-columns.ts';
