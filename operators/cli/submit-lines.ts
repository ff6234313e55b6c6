// Owns sending a stream of lines through the submitter: in order, slowed by its bound, every line accounted for.
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { readDraft } from '../../producers/draft.ts';
import { isFault, type Fault } from '../../producers/fault.ts';
import { readLines, type Line } from '../../producers/http/lines.ts';
import type { Seen } from '../../producers/judge.ts';
import type { OutcomeWatch, Waiting } from '../../producers/outcome-watch.ts';
import { openSeries, type Submission } from '../../producers/partition-queue.ts';
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
  /** A line that did not go well. */
  readonly report: (line: LineReport) => void;
  /** A line that did: accepted, or applied where outcomes are waited for. */
  readonly confirm: (line: LineConfirmed) => void;
  /** Nothing more is sent; what was sent may still be answered for `answerMsMax`. */
  readonly stop: AbortSignal;
  readonly answerMsMax: number;
}

export interface LineConfirmed {
  readonly line: number;
  readonly id: string;
  readonly status: 'accepted' | 'applied';
}

export interface Submitted {
  readonly tally: Tally;
  /** null: every line was sent. */
  readonly stopped: Stopped | null;
}

export interface Stopped {
  /** Nothing after this line was sent; 0: nothing at all. */
  readonly lastLine: number;
  /** Sent, and not answered in time: whether they were accepted is not known. */
  readonly unanswered: number;
  readonly firstUnanswered: number | null;
}

const LINE_BYTES_MAX = 2 * 1024 * 1024;
/** Outcomes waited for at a time. */
const WAITING_MAX = 5_000;
const WAIT_MS = 600_000;
/** A log that takes nothing is not asked for every line of a long file. */
const NOT_STORED_MAX = 1_000;

/** Resolves when every line that was sent has its answer, or soon after it was told to stop. */
export async function submitLines(given: SubmitLinesGiven): Promise<Submitted> {
  const run = new Run(given);
  const { stop, answerMsMax } = given;
  const whole = sendAll(run, given);
  await Promise.race([whole, abortOf(stop)]);
  if (stop.aborted) {
    // It may stand still at a stream or a log that gives no sign of life.
    whole.catch(() => undefined);
    await Promise.race([run.answered(), sleep(answerMsMax)]);
  }
  given.onProgress(run.tally());
  return { tally: run.tally(), stopped: stop.aborted ? run.stopped() : null };
}

async function sendAll(run: Run, given: SubmitLinesGiven): Promise<void> {
  const lines = readLines(given.stream, { lineBytes: LINE_BYTES_MAX, totalBytes: Infinity });
  for await (const chunk of lines) {
    for (const line of chunk) {
      await run.send(line);
      if (given.stop.aborted) return;
      if (run.tally().notStored >= NOT_STORED_MAX) break;
    }
    given.onProgress(run.tally());
    if (run.tally().notStored >= NOT_STORED_MAX) break;
  }
  await run.finished();
}

function abortOf(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

type Count = { -readonly [Name in keyof Tally]: number };

class Run {
  readonly #given: SubmitLinesGiven;
  readonly #series = openSeries();
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
  readonly #unanswered = new Set<number>();
  #lastLine = 0;
  #open = 0;
  readonly #onChange: (() => void)[] = [];

  constructor(given: SubmitLinesGiven) {
    this.#given = given;
  }

  tally(): Tally {
    const count = { ...this.#count };
    if (this.#given.watch !== null && this.#given.stop.aborted) {
      count.pending = count.accepted - count.applied - count.rejected - count.parked;
    }
    return count;
  }

  stopped(): Stopped {
    const [first = null] = this.#unanswered;
    return { lastLine: this.#lastLine, unanswered: this.#unanswered.size, firstUnanswered: first };
  }

  /** Resolves when the next line may come. */
  async send(line: Line): Promise<void> {
    const sealed = this.#seal(line);
    if (isFault(sealed)) {
      this.#count.lines++;
      this.#count.invalid++;
      this.#lastLine = line.number;
      this.#report(line, null, { status: 'invalid', code: sealed.code, detail: sealed.detail });
      return;
    }
    const waiting = await this.#waitFor(sealed);
    if (this.#given.stop.aborted) {
      waiting?.cancel();
      return;
    }
    this.#count.lines++;
    this.#open++;
    this.#lastLine = line.number;
    this.#unanswered.add(line.number);
    const room = this.#given.submitter.submitNext(sealed, this.#series, (submission) => {
      this.#submitted(line, sealed, { submission, waiting });
    });
    if (room !== undefined) await room;
  }

  async finished(): Promise<void> {
    while (this.#open > 0) await this.#change();
  }

  /** Resolves when it is known of every line whether it was accepted. */
  async answered(): Promise<void> {
    while (this.#unanswered.size > 0) await this.#change();
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
    this.#unanswered.delete(line.number);
    if (submission.kind !== 'accepted') {
      waiting?.cancel();
      this.#count.notStored++;
      this.#report(line, sealed, { status: submission.kind, code: null, detail: reasonOf(submission) });
      this.#close();
      return;
    }
    this.#count.accepted++;
    if (waiting === null) {
      this.#given.confirm({ line: line.number, id: sealed.id, status: 'accepted' });
      this.#close();
      return;
    }
    this.#changed();
    waiting.acceptedAt(submission.position);
    // `seen` never rejects.
    void waiting.seen.then((seen) => {
      this.#seen(line, sealed, seen);
      this.#close();
    });
  }

  #seen(line: Line, sealed: Sealed, seen: Seen): void {
    if (this.#given.stop.aborted) return;
    if (seen.kind !== 'outcome') {
      this.#count.pending++;
      this.#report(line, sealed, { status: 'no-outcome', code: null, detail: wordsOf(seen) });
      return;
    }
    const { outcome } = seen.recorded;
    if (outcome.kind === 'applied') {
      this.#count.applied++;
      this.#given.confirm({ line: line.number, id: sealed.id, status: 'applied' });
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
    this.#changed();
  }

  #changed(): void {
    for (const go of this.#onChange.splice(0)) go();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#onChange.push(resolve));
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
