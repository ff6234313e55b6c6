// Proves that no body, however it is made, stops the event loop long enough for the watchdog to bite.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openWorkplace, type Workplace } from '../../support/cli/workplace.ts';

const MIB = 1024 * 1024;
const JSON_TYPE = 'application/json';
const EVENT = 'application/cloudevents+json';
const BATCH = 'application/cloudevents-batch+json';
const LINES = 'application/x-ndjson';

let place: Workplace;
let up: Awaited<ReturnType<Workplace['serve']>>;
beforeAll(async () => {
  place = await openWorkplace('own');
  // The bodies below once took seconds to parse.
  up = await place.serve(['up'], { ONELANE_DECIDE_LIMIT: '1500ms' });
});
afterAll(() => place.close());

const nested = (size: number) => '['.repeat(size / 2) + ']'.repeat(size / 2);
const emptyObjects = (size: number) => `[${'{},'.repeat(size / 3 - 1)}{}]`;
const manyNames = (size: number) => `{${'"a":{},'.repeat(size / 7 - 1)}"a":{}}`;
const HEAVY = `{"type":"account.open","subject":"1","data":${emptyObjects(1.9 * MIB)}}`;
const LARGEST = `{"type":"account.open","subject":"1","data":${emptyObjects(255_900)}}`;

describe('up goes on serving beside', () => {
  test.each([
    {
      name: 'an array nested to its end',
      type: JSON_TYPE,
      body: () => nested(16 * MIB),
      said: [200, '"command-too-large"'],
    },
    {
      name: 'an array of empty objects',
      type: JSON_TYPE,
      body: () => emptyObjects(16 * MIB),
      said: [413, '"too-many-commands"'],
    },
    {
      name: 'an array that breaks at its end',
      type: JSON_TYPE,
      body: () => emptyObjects(16 * MIB).slice(0, -1),
      said: [400, '"json-invalid"'],
    },
    {
      name: 'a single command of many names',
      type: JSON_TYPE,
      body: () => manyNames(16 * MIB),
      said: [413, '"command-too-large"'],
    },
    { name: 'an event of many names', type: EVENT, body: () => manyNames(2 * MIB), said: [413, '"command-too-large"'] },
    {
      name: 'a batch of empty objects',
      type: BATCH,
      body: () => emptyObjects(16 * MIB),
      said: [413, '"too-many-commands"'],
    },
    {
      name: 'a batch with heavy elements',
      type: BATCH,
      body: () => `[${Array(8).fill(HEAVY).join(',')}]`,
      said: [200, '"command-too-large"'],
    },
    {
      name: 'lines with heavy elements',
      type: LINES,
      body: () => Array(8).fill(HEAVY).join('\n'),
      said: [200, '"command-too-large"'],
    },
    {
      name: 'the largest commands as elements',
      type: JSON_TYPE,
      body: () => `[${Array(60).fill(LARGEST).join(',')}]`,
      said: [200, '"payload-invalid"'],
    },
    {
      name: 'the largest commands as lines',
      type: LINES,
      body: () => Array(60).fill(LARGEST).join('\n'),
      said: [200, '"payload-invalid"'],
    },
    { name: 'nothing but ends of lines', type: LINES, body: () => '\n'.repeat(16 * MIB), said: [200, ''] },
  ])('$name', async ({ type, body, said: [status, code] }) => {
    const headers = { 'content-type': type };
    const answer = await fetch(`${up.url}/v1/commands`, { method: 'POST', headers, body: body() });
    expect([answer.status, await answer.text()]).toEqual([status, expect.stringContaining(String(code))]);
    expect((await fetch(`${up.url}/health/ready`)).status).toBe(200);
  });
});
