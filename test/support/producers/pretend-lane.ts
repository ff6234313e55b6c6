// Owns a pretended lane for tests of producers: reads the log in memory and writes ledger rows as a lane would, on demand.
import { decodeDelivery } from '../../../shared/command/wire.ts';
import type { Command } from '../../../shared/command/entry.ts';
import { position } from '../../../shared/command/identity.ts';
import type { Database } from '../../../shared/postgres/database.ts';
import { outcomesChannel } from '../../../shared/postgres/notify.ts';
import { quoted } from '../../../shared/postgres/schema-name.ts';
import type { MemoryLog } from '../../../shared/transport/memory/index.ts';

export type PretendedOutcome =
  | { readonly kind: 'applied'; readonly revision: number; readonly reply?: unknown }
  | { readonly kind: 'rejected'; readonly code: string; readonly detail: string }
  | { readonly kind: 'parked' }
  | { readonly kind: 'stray' };

export interface PretendLane {
  /** Everything that the log holds and was not passed yet; repeats get no second row. */
  pass(decide?: (command: Command) => PretendedOutcome, hint?: 'with-hint' | 'without-hint'): Promise<number>;
  /** Passes whatever comes, as soon as it comes, until `stop`. */
  follow(decide?: (command: Command) => PretendedOutcome): { stop(): Promise<void> };
  commands(): readonly Command[];
}

const APPLIED: PretendedOutcome = { kind: 'applied', revision: 1, reply: { ok: true } };

export function pretendLane(database: Database, log: MemoryLog): PretendLane {
  const schema = quoted(database.schema);
  const next = new Map<number, number>();
  const known = new Set<string>();
  const write = async (command: Command, outcome: PretendedOutcome): Promise<void> => {
    if (outcome.kind === 'stray' || known.has(`${command.key} ${command.id}`)) return;
    known.add(`${command.key} ${command.id}`);
    const content = Buffer.from(command.content, 'hex');
    if (outcome.kind === 'parked') {
      await database.pool.query(
        `insert into ${schema}.parked (resource, number, id, content, partition, position, bytes, headers, appended_at, code, detail)
         values ($1, 1, $2, $3, 0, 0, '', '', now(), 'decide-threw', 'it threw')`,
        [command.key, command.id, content],
      );
      return;
    }
    const rejected = outcome.kind === 'rejected' ? outcome : null;
    await database.pool.query(
      `insert into ${schema}.ledger (id, resource, content, partition, at, outcome, revision, code, detail, reply)
       values ($1, $2, $3, 0, now(), $4, $5, $6, $7, $8)`,
      [
        command.id,
        command.key,
        content,
        outcome.kind,
        outcome.kind === 'applied' ? outcome.revision : 0,
        rejected?.code ?? null,
        rejected?.detail ?? null,
        outcome.kind === 'applied' ? JSON.stringify(outcome.reply ?? null) : null,
      ],
    );
  };
  const pass: PretendLane['pass'] = async (decide = () => APPLIED, hint = 'with-hint') => {
    let passed = 0;
    for (const partition of log.partitions) {
      const { end } = log.bounds(partition);
      const from = next.get(partition) ?? 0;
      if (end === from) continue;
      next.set(partition, end);
      for (let at = from; at < end; at++) {
        const delivery = log.at(partition, position(at));
        const body = delivery === null ? null : decodeDelivery(delivery);
        if (body?.kind === 'command') await write(body, decide(body));
        passed += 1;
      }
      await database.pool.query(`update ${schema}.tenure set next_position = $2 where partition = $1`, [
        partition,
        end,
      ]);
      if (hint === 'without-hint') continue;
      await database.pool.query(`select pg_notify($1, $2)`, [outcomesChannel(database.schema), String(partition)]);
    }
    return passed;
  };
  return {
    pass,
    follow: (decide) => follow(log, () => pass(decide)),
    commands: () =>
      log.partitions.flatMap((partition) =>
        log.read(partition, log.bounds(partition).first, { count: 1e6, bytes: 1e9 }).flatMap((delivery) => {
          const body = decodeDelivery(delivery);
          return body.kind === 'command' ? [body] : [];
        }),
      ),
  };
}

function follow(log: MemoryLog, pass: () => Promise<number>): { stop(): Promise<void> } {
  let running: Promise<unknown> = Promise.resolve();
  const unwatch = log.partitions.map((partition) =>
    log.watch(partition, () => {
      running = running.then(pass);
    }),
  );
  return {
    stop: async () => {
      for (const each of unwatch) each();
      await running;
    },
  };
}
