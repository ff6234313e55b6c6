// Owns sending a stream of lines through the submitter: in order, slowed by its bound, every line accounted for.
import type { Readable } from 'node:stream';
import { readDraft } from '../../producers/draft.ts';
import { isFault, type Fault } from '../../producers/fault.ts';
import { readLines, type Line } from '../../producers/http/lines.ts';
import type { Seen } from '../../producers/judge.ts';
import type { OutcomeWatch, Waiting } from '../../producers/outcome-watch.ts';
import type { Series, Submission } from '../../producers/partition-queue.ts';
import type { Sealed } from '../../producers/seal.ts';
import type { Submitter } from '../../producers/submit.ts';

export interface Tally {
  readonly lines: number;
  readonly accepted: number;
  readonly invalid: number;
  readonly notStored: number;
  /** The rest only where outcomes are waited for. */
  readonly applied: number;
  readonly rejected: number;
  readonly parked: number;
  readonly pending: number;
}

/** One line that did not go well. */
export interface LineReport {
  readonly line: number;
  readonly id: string | null;
  readonly status: string;
  readonly code: string | null;
  readonly detail: string;
}

export interface SubmitLinesGiven {
  readonly stream: Readable;
  readonly submitter: Submitter;
  /** null: acceptance is enough. */
  readonly watch: OutcomeWatch | null;
  readonly onProgress: (tally: Tally) => void;
  readonly report: (line: LineReport) => void;
}

const LINE_BYTES_MAX = 2 * 1024 * 1024;
/** Outcomes waited for at a time. */
const WAITING_MAX = 5_000;
const WAIT_MS = 600_000;
/** A log that takes nothing is not asked for every line of a long file. */
const NOT_STORED_MAX = 1_000;

/** Resolves when every line that was read has its answer. */
export async function submitLines(given: SubmitLinesGiven): Promise<Tally> {
  const run = new Run(given);
  const lines = readLines(given.stream, { lineBytes: LINE_BYTES_MAX, totalBytes: Infinity });
  for await (const chunk of lines) {
    for (const line of chunk) {
      await run.send(line);
      if (run.tally().notStored >= NOT_STORED_MAX) break;
    }
    given.onProgress(run.tally());
    if (run.tally().notStored >= NOT_STORED_MAX) break;
  }
  await run.finished();
  given.onProgress(run.tally());
  return run.tally();
}

type Count = { -readonly [Name in keyof Tally]: number };

class Run {
  readonly #given: SubmitLinesGiven;
  readonly #series: Series = { broken: new Set() };
  readonly #count: Count = {
    lines: 0,
    accepted: 0,
    invalid: 0,
    notStored: 0,
    applied: 0,
    rejected: 0,
    parked: 0,
    pending: 0,
  };
  #open = 0;
  #onChange: () => void = () => undefined;

  constructor(given: SubmitLinesGiven) {
    this.#given = given;
  }

  tally(): Tally {
    return { ...this.#count };
  }

  /** Resolves when the next line may come. */
  async send(line: Line): Promise<void> {
    this.#count.lines++;
    const sealed = this.#seal(line);
    if (isFault(sealed)) {
      this.#count.invalid++;
      this.#report(line, null, { status: 'invalid', code: sealed.code, detail: sealed.detail });
      return;
    }
    this.#open++;
    const waiting = await this.#waitFor(sealed);
    const room = this.#given.submitter.submitNext(sealed, this.#series, (submission) => {
      this.#submitted(line, sealed, { submission, waiting });
    });
    if (room !== undefined) await room;
  }

  async finished(): Promise<void> {
    while (this.#open > 0) await this.#change();
  }

  #seal(line: Line): Sealed | Fault {
    if (line.kind === 'unreadable') return line.fault;
    const draft = readDraft(line.value, 'either');
    return isFault(draft) ? draft : this.#given.submitter.seal(draft);
  }

  async #waitFor(sealed: Sealed): Promise<Waiting | null> {
    const { watch } = this.#given;
    if (watch === null) return null;
    while (this.#open > WAITING_MAX) await this.#change();
    const { id, key, content, partition } = sealed;
    const sought = { id, key, content, partition, position: null };
    return watch.wait(sought, { waitMs: WAIT_MS, begun: 'before-publish' });
  }

  #submitted(
    line: Line,
    sealed: Sealed,
    { submission, waiting }: { readonly submission: Submission; readonly waiting: Waiting | null },
  ): void {
    if (submission.kind !== 'accepted') {
      waiting?.cancel();
      this.#count.notStored++;
      this.#report(line, sealed, { status: submission.kind, code: null, detail: reasonOf(submission) });
      this.#close();
      return;
    }
    this.#count.accepted++;
    if (waiting === null) {
      this.#close();
      return;
    }
    waiting.acceptedAt(submission.position);
    // `seen` never rejects.
    void waiting.seen.then((seen) => {
      this.#seen(line, sealed, seen);
      this.#close();
    });
  }

  #seen(line: Line, sealed: Sealed, seen: Seen): void {
    if (seen.kind !== 'outcome') {
      this.#count.pending++;
      this.#report(line, sealed, { status: 'no-outcome', code: null, detail: wordsOf(seen) });
      return;
    }
    const { outcome } = seen.recorded;
    if (outcome.kind === 'applied') {
      this.#count.applied++;
      return;
    }
    if (outcome.kind === 'rejected') this.#count.rejected++;
    else this.#count.parked++;
    const code = outcome.kind === 'discarded' ? null : outcome.code;
    this.#report(line, sealed, { status: outcome.kind, code, detail: outcome.detail });
  }

  #report(line: Line, sealed: Sealed | null, what: Pick<LineReport, 'status' | 'code' | 'detail'>): void {
    this.#given.report({ line: line.number, id: sealed?.id ?? null, ...what });
  }

  #close(): void {
    this.#open--;
    this.#onChange();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => (this.#onChange = resolve));
  }
}

function reasonOf(submission: Exclude<Submission, { kind: 'accepted' }>): string {
  switch (submission.kind) {
    case 'not-accepted':
      return submission.reason;
    case 'not-attempted':
      return 'an earlier command of this resource was not stored: send both again, in this order';
    case 'outcome-unknown':
      return `${submission.cause.message}: send it again with its id`;
    case 'refused-busy':
      return 'too many commands are in flight';
    case 'resource-held':
      return 'as many commands as may be are parked for its resource';
  }
}

function wordsOf(seen: Exclude<Seen, { kind: 'outcome' }>): string {
  switch (seen.kind) {
    case 'id-reused':
      return 'its id stands for another command';
    case 'away':
      return `outcomes cannot be read: ${seen.cause.message}`;
    case 'pending':
    case 'nothing':
    case 'elsewhere':
      return 'accepted, and not applied in time: does a consumer run?';
  }
}
