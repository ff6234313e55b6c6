// Owns the list of migrations, in the order of their numbers.
import { migration as system } from './0001-system.ts';
import { migration as log } from './0002-log.ts';
import { migration as expect } from './0003-expect.ts';
import { migration as configSql } from './0004-config-sql.ts';
import { migration as holdNumber } from './0005-hold-number.ts';
import { migration as markerDead } from './0006-marker-dead.ts';

export interface Migration {
  readonly number: number;
  readonly name: string;
  /** `true`: processes that do not know this migration must stop. `false`: it only adds, and they go on. */
  readonly breaking: boolean;
  /** `{schema}` stands for the quoted name of Onelane's schema. */
  readonly sql: string;
}

export const migrations: readonly Migration[] = [system, log, expect, configSql, holdNumber, markerDead];
