// Owns what a fault run must know of the transport that carries its commands; the log in the same database is the default.
import type pg from 'pg';

export interface Carrier {
  /** What every child is told of it, as environment variables. */
  readonly settings: Readonly<Record<string, string>>;
  /** How many entries no lane has applied yet, over all partitions; 0: every lane has read its log to the end. */
  behind(system: CarriedSystem): Promise<number>;
  /** Called once, when no process of the run is left. */
  close(): Promise<void>;
}

/** The part of a system that a carrier may ask. */
export interface CarriedSystem {
  /** Onelane's own, as it stands in SQL. */
  readonly schema: string;
  query<Row extends pg.QueryResultRow>(text: string): Promise<readonly Row[]>;
}

export const postgresCarrier: Carrier = {
  settings: {},
  async behind({ schema, query }) {
    const [found] = await query<{ behind: number }>(
      `select coalesce(sum(h.next_position - coalesce(t.next_position, 0)), 0)::integer as behind
       from ${schema}.log_head h
       join ${schema}.tenure t using (partition)`,
    );
    return found?.behind ?? 0;
  },
  close: () => Promise.resolve(),
};
