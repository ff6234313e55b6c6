// Proves submitting: batches, bounds, what is published again, and what every caller is told.
import { describe, expect, it, onTestFinished } from 'vitest';
import { openSeries, type Submission } from '../../../producers/partition-queue.ts';
import type { Sealed } from '../../../producers/seal.ts';
import { systemClock } from '../../../shared/process/time.ts';
import { ANSWER_LOST, GOES_WELL, NEVER_ARRIVES, REFUSED, type Fate } from '../../support/producers/faulty-transport.ts';
import {
  gate,
  submitBundle,
  type SubmitBundle,
  type SubmitBundleOptions,
} from '../../support/producers/submit-bundle.ts';

async function bundle(options: SubmitBundleOptions = {}): Promise<SubmitBundle> {
  const made = await submitBundle(options);
  onTestFinished(() => made.submitter.close(50));
  return made;
}

const kinds = (submissions: readonly Submission[]) => submissions.map((each) => each.kind);

describe('micro-batches', () => {
  it('publish a lone command at once and tell its position', async () => {
    const { submitter, seal, allIds } = await bundle();
    const sealed = seal('1');
    expect(await submitter.submit(sealed)).toEqual({ kind: 'accepted', position: 0n });
    expect(allIds()).toEqual([sealed.id]);
    expect(submitter.held()).toEqual({ entries: 0, bytes: 0 });
  });

  it('form while one publish is in flight, and never two of one partition fly at a time', async () => {
    const { submitter, seal, transport, allIds } = await bundle();
    const held = gate();
    transport.gate = held.promise;
    const first = submitter.submit(seal('1'));
    await expect.poll(() => transport.calls.length).toBe(1);
    const rest = Array.from({ length: 50 }, (_, at) => seal(String(at)));
    const answers = rest.map((sealed) => submitter.submit(sealed));
    held.open();
    await Promise.all([first, ...answers]);
    expect(transport.calls.map((call) => call.length)).toEqual([1, 50]);
    expect(transport.overlaps).toEqual([]);
    expect(allIds().slice(1)).toEqual(rest.map((sealed) => sealed.id));
  });

  it('hold at most so many entries and bytes', async () => {
    const { submitter, seal, transport } = await bundle({ limits: { batchEntries: 10, batchBytes: 2_000 } });
    const held = gate();
    transport.gate = held.promise;
    const answers = Array.from({ length: 40 }, (_, at) => submitter.submit(seal(String(at))));
    held.open();
    expect(new Set(kinds(await Promise.all(answers)))).toEqual(new Set(['accepted']));
    for (const call of transport.calls) {
      expect(call.length).toBeLessThanOrEqual(10);
      expect(call.reduce((sum, each) => sum + each.bytes.length, 0)).toBeLessThanOrEqual(2_000);
    }
  });

  it('of several partitions that are ready together go in one call', async () => {
    const { submitter, seal, transport } = await bundle({ partitions: 4 });
    await Promise.all(Array.from({ length: 40 }, (_, at) => submitter.submit(seal(String(at)))));
    expect(transport.calls).toHaveLength(1);
    expect(new Set(transport.calls[0]?.map((each) => each.partition)).size).toBe(4);
  });
});

describe('the bound on what is in flight', () => {
  it('refuses past the entries, and takes again when some have been answered', async () => {
    const { submitter, seal, transport } = await bundle({ limits: { inFlightEntries: 3 } });
    const held = gate();
    transport.gate = held.promise;
    const taken = [seal('1'), seal('2'), seal('3')].map((sealed) => submitter.submit(sealed));
    expect(await submitter.submit(seal('4'))).toEqual({ kind: 'refused-busy' });
    held.open();
    expect(kinds(await Promise.all(taken))).toEqual(['accepted', 'accepted', 'accepted']);
    expect((await submitter.submit(seal('4'))).kind).toBe('accepted');
  });

  it('refuses past the bytes', async () => {
    const { submitter, seal, transport } = await bundle({ limits: { inFlightBytes: 100 } });
    const held = gate();
    transport.gate = held.promise;
    const first = submitter.submit(seal('1'));
    expect((await submitter.submit(seal('2'))).kind).toBe('refused-busy');
    held.open();
    expect((await first).kind).toBe('accepted');
  });

  it('makes a series wait instead, and leaves room for single submissions', async () => {
    const { submitter, seal, transport } = await bundle({ limits: { inFlightEntries: 4 } });
    const held = gate();
    transport.gate = held.promise;
    const answers: Submission[] = [];
    const series = openSeries();
    const next = () => submitter.submitNext(seal('7'), series, (answer) => answers.push(answer));
    expect([next(), next(), next()]).toEqual([undefined, undefined, undefined]);
    const slowed = next();
    expect(slowed).toBeInstanceOf(Promise);
    const single = submitter.submit(seal('8'));
    held.open();
    await slowed;
    expect((await single).kind).toBe('accepted');
    await expect.poll(() => kinds(answers)).toEqual(['accepted', 'accepted', 'accepted', 'accepted']);
  });
});

describe('a publish whose end is unknown', () => {
  it.each([
    ['stored it', ANSWER_LOST],
    ['lost it', NEVER_ARRIVES],
  ])('is sent again, the same entries, before anything later: the broker %s', async (_, fate) => {
    const { submitter, seal, transport, allIds } = await bundle({ limits: { graceMs: 10_000 } });
    const fates = [fate, fate];
    transport.fate = () => fates.shift() ?? GOES_WELL;
    const [a, b, c] = [seal('1'), seal('2'), seal('3')];
    const early = [submitter.submit(a), submitter.submit(b)];
    await expect.poll(() => transport.calls.length).toBeGreaterThan(0);
    const late = submitter.submit(c);
    expect(kinds(await Promise.all([...early, late]))).toEqual(['accepted', 'accepted', 'accepted']);
    expect(transport.calls.map((call) => call.map((each) => each.id))).toEqual([
      [a.id, b.id],
      [a.id, b.id],
      [a.id, b.id],
      [c.id],
    ]);
    expect([...new Set(allIds())]).toEqual([a.id, b.id, c.id]);
  });

  it('is answered after a while, and still published again until it is certain', async () => {
    const { submitter, seal, transport, allIds } = await bundle();
    transport.fate = () => ANSWER_LOST;
    const a = seal('1');
    expect((await submitter.submit(a)).kind).toBe('outcome-unknown');
    expect(await submitter.submit(seal('2'))).toMatchObject({ kind: 'not-accepted', retry: 'later' });
    expect(submitter.canPublish()).toBe(false);
    transport.fate = () => GOES_WELL;
    const attempts = transport.calls.length;
    await expect.poll(() => submitter.canPublish()).toBe(true);
    expect(transport.calls.slice(attempts).map((call) => call.map((each) => each.id))).toEqual([[a.id]]);
    const b = seal('3');
    expect((await submitter.submit(b)).kind).toBe('accepted');
    expect([...new Set(allIds())]).toEqual([a.id, b.id]);
  });

  it('keeps only the part that is not certain', async () => {
    const { submitter, seal, transport, allIds } = await bundle();
    const fates = [{ ...NEVER_ARRIVES, stored: 2 }];
    transport.fate = () => fates.shift() ?? GOES_WELL;
    const all = ['1', '2', '3', '4'].map((subject) => seal(subject));
    await Promise.all(all.map((sealed) => submitter.submit(sealed)));
    expect(transport.calls[1]?.map((each) => each.id)).toEqual(all.slice(2).map((sealed) => sealed.id));
    expect(allIds()).toEqual(all.map((sealed) => sealed.id));
  });

  it('that hangs is answered in time; what it was is not published twice at a time', async () => {
    const { submitter, seal, transport, allIds } = await bundle();
    const held = gate();
    transport.gate = held.promise;
    const a = seal('1');
    const first = submitter.submit(a);
    await expect.poll(() => transport.calls.length).toBe(1);
    const waiting = submitter.submit(seal('1'));
    expect((await first).kind).toBe('outcome-unknown');
    expect((await waiting).kind).toBe('not-accepted');
    transport.gate = null;
    held.open();
    await expect.poll(() => submitter.canPublish()).toBe(true);
    expect(allIds()).toEqual([a.id]);
    expect(transport.overlaps).toEqual([]);
  });
});

describe('an outage', () => {
  it('that refuses is answered not-accepted, and nothing was stored', async () => {
    const { submitter, seal, transport, allIds } = await bundle();
    transport.fate = () => REFUSED;
    expect((await submitter.submit(seal('1'))).kind).toBe('not-accepted');
    // From then on nobody is kept waiting for retries: refused at once, or after one try.
    const tries = transport.calls.length;
    expect((await submitter.submit(seal('2'))).kind).toBe('not-accepted');
    expect(transport.calls.length - tries).toBeLessThanOrEqual(1);
    expect(allIds()).toEqual([]);
    transport.fate = () => GOES_WELL;
    await expect.poll(async () => (await submitter.submit(seal('3'))).kind).toBe('accepted');
  });

  it('is over with the first command that gets through, however long its publish takes', async () => {
    const { submitter, seal, transport } = await bundle();
    transport.fate = () => REFUSED;
    expect((await submitter.submit(seal('1'))).kind).toBe('not-accepted');
    transport.fate = () => GOES_WELL;
    const calls = transport.calls.length;
    const slow = systemClock.sleep(200);
    transport.gate = slow;
    let answer: Promise<Submission> = submitter.submit(seal('2'));
    while ((await Promise.race([answer, slow]))?.kind === 'not-accepted') answer = submitter.submit(seal('2'));
    transport.gate = null;
    expect((await answer).kind).toBe('accepted');
    expect(transport.calls.length).toBe(calls + 1);
  });

  it('that is short is not noticed', async () => {
    const { submitter, seal, transport, events } = await bundle();
    const fates = [REFUSED];
    transport.fate = () => fates.shift() ?? GOES_WELL;
    expect((await submitter.submit(seal('1'))).kind).toBe('accepted');
    expect(events.map((event) => event.kind)).toEqual(['publish-failed']);
  });

  it.each([
    [REFUSED, { kind: 'not-accepted', reason: 'the database cannot be reached' }],
    [
      NEVER_ARRIVES,
      { kind: 'outcome-unknown', cause: { message: 'the database did not say whether it has stored the command' } },
    ],
  ])('is told by the name of what carries the commands: a database is no broker', async (fate, told) => {
    const { submitter, seal, transport } = await bundle();
    transport.fate = () => fate;
    expect(await submitter.submit(seal('1'))).toMatchObject(told);
    expect(await submitter.submit(seal('2'))).toMatchObject({ reason: 'the database cannot be reached' });
  });

  it('of the broker at the start is waited for, and ends by itself', async () => {
    const { submitter, seal, transport } = await bundle({ isAway: true });
    expect(submitter.canPublish()).toBe(false);
    expect((await submitter.submit(seal('1'))).kind).toBe('not-accepted');
    transport.isAway = false;
    await expect.poll(() => submitter.canPublish(), { timeout: 10_000 }).toBe(true);
    expect((await submitter.submit(seal('1'))).kind).toBe('accepted');
  });

  it('of one partition leaves the others alone', async () => {
    const { submitter, seal, transport } = await bundle({ partitions: 4 });
    const bad = seal('1');
    transport.fate = (partition) => (partition === bad.partition ? NEVER_ARRIVES : GOES_WELL);
    const good = ['2', '3', '4', '5', '6']
      .map((subject) => seal(subject))
      .filter((each) => each.partition !== bad.partition);
    expect(good.length).toBeGreaterThan(0);
    expect((await submitter.submit(bad)).kind).toBe('outcome-unknown');
    for (const each of good) expect((await submitter.submit(each)).kind).toBe('accepted');
    expect(submitter.canPublish()).toBe(true);
  });

  it('does not count what is only published again: the bound stays free for others', async () => {
    const { submitter, seal, transport } = await bundle({ limits: { inFlightEntries: 2 } });
    transport.fate = () => NEVER_ARRIVES;
    await Promise.all([submitter.submit(seal('1')), submitter.submit(seal('2'))]);
    expect(submitter.held().entries).toBe(0);
    expect((await submitter.submit(seal('3'))).kind).toBe('not-accepted');
  });
});

describe('a series', () => {
  it('stores nothing behind a command that was refused for good, also when the broker says unknown of it', async () => {
    const { submitter, seal, transport, allIds } = await bundle();
    const series = openSeries();
    const answers = new Map<string, Submission>();
    const fates: Fate[] = [{ ...NEVER_ARRIVES, refusedFirst: true }];
    transport.fate = () => fates.shift() ?? GOES_WELL;
    const [a, b, c] = [seal('1'), seal('1'), seal('2')];
    for (const each of [a, b, c]) {
      await submitter.submitNext(each, series, (answer) => answers.set(each.id, answer));
    }
    await expect.poll(() => answers.size).toBe(3);
    expect([a, b, c].map((each) => answers.get(each.id)?.kind)).toEqual(['not-accepted', 'not-attempted', 'accepted']);
    expect(allIds()).toEqual([c.id]);
  });

  it('attempts nothing more of a resource after a command that was not stored, and goes on with the others', async () => {
    const { submitter, seal, transport } = await bundle({ partitions: 4 });
    const bad = seal('1');
    const good = ['2', '3', '4', '5'].map((subject) => seal(subject)).find((each) => each.partition !== bad.partition);
    if (good === undefined) return expect.unreachable('another partition');
    const series = openSeries();
    const answers = new Map<string, Submission>();
    const next = (sealed: Sealed) => submitter.submitNext(sealed, series, (answer) => answers.set(sealed.id, answer));
    const fates = [{ ...REFUSED, rest: 'refused-for-good' as const }];
    transport.fate = (partition) => (partition === bad.partition ? (fates.shift() ?? GOES_WELL) : GOES_WELL);
    const held = gate();
    transport.gate = held.promise;
    const [again, later] = [seal('1'), seal('1')];
    await next(bad);
    await expect.poll(() => transport.calls.length).toBe(1);
    await next(again);
    await next(good);
    held.open();
    await expect.poll(() => answers.size).toBe(3);
    await next(later);
    expect([bad, again, good, later].map((sealed) => answers.get(sealed.id)?.kind)).toEqual([
      'not-accepted',
      'not-attempted',
      'accepted',
      'not-attempted',
    ]);
  });
});

describe('closing', () => {
  it('publishes what it holds, refuses what comes, and answers everybody', async () => {
    const { submitter, seal, transport } = await bundle();
    const held = gate();
    transport.gate = held.promise;
    const first = submitter.submit(seal('1'));
    await expect.poll(() => transport.calls.length).toBe(1);
    const second = submitter.submit(seal('2'));
    const closed = submitter.close(5_000);
    expect((await submitter.submit(seal('3'))).kind).toBe('not-accepted');
    held.open();
    await closed;
    expect([(await first).kind, (await second).kind]).toEqual(['accepted', 'accepted']);
    await submitter.close(0);
  });

  it('ends at its deadline although the broker never answers', async () => {
    const { submitter, seal, transport } = await bundle();
    transport.gate = gate().promise;
    const first = submitter.submit(seal('1'));
    await expect.poll(() => transport.calls.length).toBe(1);
    const second = submitter.submit(seal('1'));
    await submitter.close(50);
    expect([(await first).kind, (await second).kind]).toEqual(['outcome-unknown', 'not-accepted']);
  });
});
