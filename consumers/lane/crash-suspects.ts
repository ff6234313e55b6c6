// Owns the hunt for a command that kills its consumer: entries singly, each behind a committed marker, until the killer has a name.
import { entryHash, type Entry } from '../../shared/command/entry.ts';
import type { CommandFailure } from '../../shared/command/failure.ts';
import type { EntryHash } from '../../shared/command/identity.ts';
import { LaneEnded, waitOutage, type Work } from './attempt.ts';
import { DatabaseWentBack, TenureLost, type Tenure } from './batch-store.ts';
import { asError } from '../../shared/process/errors.ts';
import { applyNarrowing, type OnCommitted } from './narrow.ts';

/** From this claim without progress on, something in the next batch is suspected of killing its consumers. */
const SUSPECT_CLAIMS = 3;
/** An entry of which so many consumers died is parked. */
const DEATHS_MAX = 2;

export function isSuspect(tenure: Tenure): boolean {
  return tenure.claims >= SUSPECT_CLAIMS || tenure.marker !== null;
}

/**
 * Applies one entry behind its marker. No other lane of this process decides between the marker's commit and its own: neighbours
 * that die with a killer must not be blamed.
 */
export async function applySuspect(
  entry: Entry,
  tenure: Tenure,
  work: Work,
  onCommitted: OnCommitted,
): Promise<Tenure> {
  const hash = entryHash(entry.delivery);
  const deaths = await deathsOf(hash, tenure, work);
  if (deaths >= DEATHS_MAX) {
    const refused = new Map([[entry.delivery.position, crashed(deaths)]]);
    return await applyNarrowing([entry], tenure, { ...work, refused }, onCommitted);
  }
  const open = await work.given.gate.exclusive();
  try {
    const alone = { ...work, given: { ...work.given, gate: ALONE } };
    const marked = await inOutages(() => work.given.store.mark(tenure, hash), alone);
    return await applyNarrowing([entry], marked, alone, onCommitted);
  } finally {
    open();
  }
}

/** Whoever holds the gate itself need not wait at it. */
const ALONE: Work['given']['gate'] = { pass: () => () => undefined, exclusive: () => Promise.resolve(() => undefined) };

/** Asked again once whoever is alive has had the time to say so: after an outage that silenced several, nobody had. */
async function deathsOf(hash: EntryHash, tenure: Tenure, work: Work): Promise<number> {
  const { given, lost } = work;
  const deaths = tenure.marker?.entry === hash ? tenure.marker.deaths : 0;
  if (deaths < DEATHS_MAX) return deaths;
  await given.clock.sleep(given.limits.renewedMs, lost);
  if (lost.aborted)
    throw new LaneEnded({ kind: 'gave-up', sentence: 'the lane was taken away before a command was blamed' });
  return await inOutages(() => given.store.deaths(tenure), work);
}

async function inOutages<Answer>(ask: () => Promise<Answer>, work: Work): Promise<Answer> {
  for (let outages = 1; ; outages++) {
    try {
      return await ask();
    } catch (thrown) {
      if (thrown instanceof TenureLost) throw new LaneEnded({ kind: 'lost', sentence: thrown.message }, thrown);
      if (thrown instanceof DatabaseWentBack)
        throw new LaneEnded({ kind: 'went-back', sentence: thrown.message }, thrown);
      await waitOutage(asError(thrown), outages, work);
    }
  }
}

function crashed(deaths: number): CommandFailure {
  return {
    code: 'crashed-consumer',
    detail: `${deaths} consumers died while this command was decided (out of memory, an abort, or a decide that never returned)`,
  };
}
