// Owns the record of a halted lane in its tenure row, where operators and other processes see it.
import { storableText } from '../../shared/command/failure.ts';
import type { Partition } from '../../shared/command/identity.ts';
import type { Database } from '../../shared/postgres/database.ts';
import { quoted } from '../../shared/postgres/schema-name.ts';
import type { Holder } from '../lane/lane-given.ts';

export interface Halt {
  readonly code: string;
  readonly detail: string;
}

export interface Halts {
  /**
   * Whether or not the tenure was given back before; `holder` null: it never was asked for. `claimed-since`: nothing is written, for
   * somebody else has claimed the partition, and then it is not halted. The next claim takes the record away.
   * Rejects when the database is away.
   */
  record(partition: Partition, halt: Halt, holder: Holder | null): Promise<'recorded' | 'claimed-since'>;
  /** Is there a record? None: somebody has claimed the partition since it halted. Rejects when the database is away. */
  stands(partition: Partition): Promise<boolean>;
}

export function haltRecords(database: Database): Halts {
  const tenure = `${quoted(database.schema)}.tenure`;
  return {
    async record(partition, halt, holder) {
      const { rowCount } = await database.pool.query(
        `update ${tenure}
         set halted_code = $2, halted_detail = $3, halted_at = clock_timestamp()
         where partition = $1
           and (owner = $4::uuid or (owner is null and epoch = coalesce($5::bigint, epoch)))`,
        [partition, halt.code, storableText(halt.detail), holder?.owner ?? null, holder?.epoch ?? null],
      );
      return rowCount === 1 ? 'recorded' : 'claimed-since';
    },
    async stands(partition) {
      const { rowCount } = await database.pool.query(
        `select 1
         from ${tenure}
         where partition = $1 and halted_code is not null`,
        [partition],
      );
      return rowCount === 1;
    },
  };
}
