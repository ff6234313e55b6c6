// Proves how spans and sizes are read and printed.
import { expect, test } from 'vitest';
import { bytesText, printSize, printSpan, sizeBytes, spanMs } from '../../../shared/process/quantity.ts';

test.each([
  ['500ms', 500],
  ['10s', 10_000],
  ['5m', 300_000],
  ['1h', 3_600_000],
  ['30d', 2_592_000_000],
  ['1.5s', 1_500],
  ['0ms', 0],
  ['10', null],
  ['s', null],
  ['-1s', null],
  ['1y', null],
  ['1.00001ms', null],
  ['999999999999999d', null],
])('the span %s is %s ms', (text, ms) => {
  expect(spanMs(text)).toBe(ms);
});

test.each([
  ['100', 100],
  ['1KiB', 1_024],
  ['64MiB', 67_108_864],
  ['1MB', null],
  ['', null],
])('the size %s is %s bytes', (text, bytes) => {
  expect(sizeBytes(text)).toBe(bytes);
});

test('what is printed reads back as the same, in the largest unit that fits', () => {
  expect(printSpan(86_400_000)).toBe('1d');
  expect(printSpan(1_500)).toBe('1500ms');
  expect(printSpan(0)).toBe('0ms');
  expect(printSize(67_108_864)).toBe('64MiB');
  for (const ms of [0, 1, 999, 60_000, 90_000_000]) expect(spanMs(printSpan(ms))).toBe(ms);
});

test('in a sentence a size has its unit, and is short where that is exact', () => {
  expect(bytesText(67_108_864)).toBe('67108864 bytes (64MiB)');
  expect(bytesText(1_001)).toBe('1001 bytes');
});
