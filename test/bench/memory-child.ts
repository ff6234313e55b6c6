// Owns the process whose memory is measured: it drains a backlog that its parent laid, and tells its peak.
import { closeDatabase, openDatabase, openLanePool } from '../../shared/postgres/database.ts';
import type { SchemaName } from '../../shared/postgres/schema-name.ts';
import type { System } from '../../shared/postgres/system.ts';
import { drain } from './lane.ts';
import { postgresLog } from './part-transport.ts';
import { residentPeakBytes } from './resident-peak.ts';

export interface DrainOrder {
  readonly url: string;
  readonly schema: SchemaName;
  readonly tables: SchemaName;
  readonly system: System;
  readonly count: number;
}

export interface DrainPeak {
  readonly count: number;
  readonly residentPeakBytes: number;
}

// Written by our own parent.
const order = JSON.parse(process.argv[2] ?? '{}') as DrainOrder;
const { url, schema, tables, system, count } = order;
const database = await openDatabase({ url, schema, poolMax: 4, observe: () => undefined });
const lanePool = openLanePool({ url, schema });
const transport = postgresLog({ database, system });
await drain({ database, lanePool, schema, tables, system }, transport, { count, partitions: system.partitions });
await transport.close();
await lanePool.end();
await closeDatabase(database);
const peak: DrainPeak = { count, residentPeakBytes: residentPeakBytes() };
process.send?.(peak);
process.disconnect();
