// Proves what the log says of an event, for machines and for people.
import { expect, test } from 'vitest';
import type { OnelaneEvent } from '../../../shared/process/events.ts';
import { describeError, logEvents, openLogger, type LogLevel } from '../../../shared/process/log.ts';
import { readableLines } from '../../../shared/process/log-lines.ts';

function bundle(level: LogLevel = 'info') {
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  const observe = logEvents(openLogger(level, { write }));
  const documents = () => lines.map((line): unknown => JSON.parse(line));
  return { lines, observe, documents };
}

const OUTAGE = (attempt: number): OnelaneEvent => ({
  kind: 'outage-waited',
  partition: 3,
  attempt,
  ms: 50,
  cause: new Error('no route'),
});

test('an event is one line: its kind, its level, its fields, errors in words', () => {
  const { observe, documents } = bundle();
  observe({ kind: 'tenure-lost', partition: 3, epoch: 7n, reason: 'another holder' });
  observe({ kind: 'connection-lost', what: 'leases', cause: Object.assign(new Error('gone'), { code: '57P01' }) });
  expect(documents()).toMatchObject([
    { level: 40, msg: 'tenure-lost', partition: 3, epoch: '7', reason: 'another holder' },
    { level: 40, msg: 'connection-lost', what: 'leases', cause: '57P01: gone' },
  ]);
});

test.each<OnelaneEvent>([
  { kind: 'lane-claimed', partition: 0, epoch: 1n, claims: 1 },
  { kind: 'upload-aborted', commands: 7 },
])('what happens all the time, or is the doing of a caller, is told only to who asks for it: $kind', (event) => {
  const { observe, lines } = bundle();
  observe(event);
  expect(lines).toEqual([]);
  const loud = bundle('debug');
  loud.observe(event);
  expect(loud.lines).toHaveLength(1);
});

test('a long outage is told at each doubling', () => {
  const { observe, documents } = bundle();
  for (let attempt = 1; attempt <= 100; attempt++) observe(OUTAGE(attempt));
  expect(documents().map((each) => Reflect.get(Object(each), 'attempt'))).toEqual([1, 2, 4, 8, 16, 32, 64]);
});

test('people get a clock time, a level, and fields that can be copied', () => {
  const printed: string[] = [];
  const observe = logEvents(
    openLogger(
      'info',
      readableLines((line) => void printed.push(line)),
    ),
  );
  observe({ kind: 'lane-halted', partition: 3, code: 'log-diverged', detail: 'not the log we know' });
  expect(printed[0]).toMatch(
    /^\d\d:\d\d:\d\d\.\d{3} error lane-halted partition=3 code=log-diverged detail="not the log we know"\n$/,
  );
});

test('an error is told with what caused it, and with those of an AggregateError', () => {
  const refused = new AggregateError([new Error('refused ::1'), new Error('refused 127.0.0.1')]);
  expect(describeError(new Error('cannot connect', { cause: refused }))).toBe(
    'cannot connect (refused ::1; refused 127.0.0.1)',
  );
});
