// Owns POST /v1/commands for many commands: published as they are read, answered with one result per line after the body ends.
import { setImmediate as turn } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';
import { readDraft } from '../draft.ts';
import { isFault, type Fault } from '../fault.ts';
import { openSeries, type Series, type Submission } from '../partition-queue.ts';
import { bytesText } from '../../shared/process/quantity.ts';
import type { Clock } from '../../shared/process/time.ts';
import type { Sealed } from '../seal.ts';
import type { Exchange } from './commands.ts';
import type { HttpGiven } from './http-given.ts';
import type { Line } from './lines.ts';
import { problem, STATUS } from './problem.ts';
import { sendProblem } from './reply.ts';
import { singleOnlyHeaders } from './request-headers.ts';

export interface ManyCommands {
  readonly lines: AsyncIterator<readonly Line[], 'whole' | 'too-large'>;
  readonly answer: 'lines' | 'list';
  /** How many there are, where that is known before they are read. */
  readonly count: number;
}

/** Past this many failures a result says its code only: results stay small however bad the body is. */
const DETAILS_MAX = 1_000;
const DETAIL_LENGTH_MAX = 300;
/** After so long the event loop turns: some of the largest commands take as long as hundreds of small ones. */
const TURN_MS = 5;

export async function postMany(given: HttpGiven, exchange: Exchange, many: ManyCommands): Promise<FastifyReply> {
  const single = singleOnlyHeaders(exchange.request.headers);
  if (single.length > 0) {
    return sendProblem(
      exchange.reply,
      problem('header-not-for-many', `Sent with many commands: ${single.join(', ')}.`),
    );
  }
  const results = new Results();
  const { request, reply, form } = exchange;
  const end = await submitAll(
    given,
    { form, lines: many.lines, isBroken: () => request.raw.destroyed && !request.raw.complete },
    results,
  );
  await results.complete();
  if (end === 'broken') {
    given.observe({ kind: 'upload-aborted', commands: results.texts.length });
    return sendProblem(reply, problem('request-malformed', 'The body ended before it was whole.'));
  }
  if (end !== 'whole') {
    const bound = end === 'body-too-large' ? bytesText(given.limits.bodyBytes) : `${given.limits.commands} commands`;
    const detail = `The body has more than ${bound}; what was read until then has its results here (${results.texts.length}).`;
    return sendProblem(reply, problem(end, detail), { results: results.print('list') });
  }
  const type = many.answer === 'list' ? 'application/json; charset=utf-8' : 'application/x-ndjson; charset=utf-8';
  return reply.code(STATUS.ok).header('content-type', type).send(results.print(many.answer));
}

interface Upload {
  readonly form: Exchange['form'];
  readonly lines: ManyCommands['lines'];
  /** Whether the caller has gone, or sent what is no HTTP: then nobody reads an answer. */
  isBroken(): boolean;
}

type End = 'whole' | 'broken' | 'body-too-large' | 'too-many-commands';

/** Slowed by the submitter's bound, and so is the socket behind the lines. */
async function submitAll(given: HttpGiven, upload: Upload, results: Results): Promise<End> {
  const series = openSeries();
  const turnSometimes = turnEvery(TURN_MS, given.clock);
  for (;;) {
    const read = await nextLines(upload);
    if (read === 'broken') return 'broken';
    if (read.done === true) return read.value === 'whole' ? 'whole' : 'body-too-large';
    for (const line of read.value) {
      if (results.texts.length >= given.limits.commands) return 'too-many-commands';
      const room = submitLine(given, { line, form: upload.form, series }, results);
      if (room !== undefined) await room;
      const turning = turnSometimes();
      if (turning !== undefined) await turning;
    }
    await turnSometimes();
  }
}

/** A caller who goes away is no fault of ours. */
async function nextLines({
  lines,
  isBroken,
}: Upload): Promise<Awaited<ReturnType<Upload['lines']['next']>> | 'broken'> {
  try {
    return await lines.next();
  } catch (thrown) {
    if (isBroken()) return 'broken';
    throw thrown;
  }
}

/** Lets the event loop turn when it has not for so long. */
function turnEvery(ms: number, clock: Clock): () => Promise<void> | undefined {
  let turnedMs = clock.monotonicMs();
  return () => {
    if (clock.monotonicMs() - turnedMs < ms) return undefined;
    return turn().then(() => void (turnedMs = clock.monotonicMs()));
  };
}

interface LineSubmission {
  readonly line: Line;
  readonly form: Exchange['form'];
  readonly series: Series;
}

function submitLine(
  given: HttpGiven,
  { line, form, series }: LineSubmission,
  results: Results,
): Promise<void> | undefined {
  const at = results.begin();
  const sealed = sealLine(given, line, form);
  if (isFault(sealed)) {
    results.invalid(at, line.number, sealed);
    return undefined;
  }
  return given.submitter.submitNext(sealed, series, (submission) => {
    results.submitted(at, line.number, { sealed, submission });
  });
}

function sealLine(given: HttpGiven, line: Line, form: Exchange['form']): Sealed | Fault {
  if (line.kind === 'unreadable') return line.fault;
  const draft = readDraft(line.value, form);
  return isFault(draft) ? draft : given.submitter.seal(draft);
}

/** One JSON text per line, kept compact; complete when every command that was begun has its answer. */
class Results {
  readonly texts: string[] = [];
  private open = 0;
  private failures = 0;
  private onComplete: () => void = () => undefined;

  begin(): number {
    this.open += 1;
    return this.texts.push('') - 1;
  }

  invalid(at: number, line: number, { code, detail, pointers }: Fault): void {
    const pointer = pointers[0]?.pointer;
    this.finish(at, {
      line,
      status: 'invalid',
      code,
      ...this.detailed(detail),
      ...(pointer === undefined ? {} : { pointer }),
    });
  }

  submitted(
    at: number,
    line: number,
    { sealed, submission }: { readonly sealed: Sealed; readonly submission: Submission },
  ): void {
    const { id, partition } = sealed;
    if (submission.kind === 'accepted') {
      const position = submission.position === null ? null : Number(submission.position);
      this.finish(at, { line, id, status: 'accepted', partition, position });
      return;
    }
    const code = submission.kind;
    // What a caller does next depends on the status; the code tells why.
    const status = code === 'resource-held' || code === 'refused-busy' ? 'not-accepted' : code;
    this.finish(at, { line, id, status, code, ...this.detailed(detailOf(submission)) });
  }

  async complete(): Promise<void> {
    if (this.open === 0) return;
    await new Promise<void>((resolve) => (this.onComplete = resolve));
  }

  print(as: ManyCommands['answer']): string {
    if (as === 'list') return `[${this.texts.join(',')}]`;
    return this.texts.length === 0 ? '' : `${this.texts.join('\n')}\n`;
  }

  private detailed(detail: string): { readonly detail?: string } {
    this.failures += 1;
    return this.failures > DETAILS_MAX ? {} : { detail: detail.slice(0, DETAIL_LENGTH_MAX).toWellFormed() };
  }

  private finish(at: number, document: object): void {
    this.texts[at] = JSON.stringify(document);
    this.open -= 1;
    if (this.open === 0) this.onComplete();
  }
}

function detailOf(submission: Exclude<Submission, { kind: 'accepted' }>): string {
  switch (submission.kind) {
    case 'not-attempted':
      return 'an earlier command of this resource was not stored: send both again, in this order';
    case 'not-accepted':
      return submission.reason;
    case 'outcome-unknown':
      return `${submission.cause.message}: repeat it with this id`;
    case 'refused-busy':
      return 'too many commands are in flight';
    case 'resource-held':
      return 'as many commands as may be are parked for its resource: an operator has to repair it';
  }
}
