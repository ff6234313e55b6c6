// Proves that one entry under suspicion is decided while no other lane decides.
import { expect, test } from 'vitest';
import { decideGate } from '../../../consumers/decide-gate.ts';

function bundle() {
  const gate = decideGate();
  const story: string[] = [];
  const hold = async (name: string) => {
    const open = await gate.exclusive();
    story.push(`${name} in`);
    return () => {
      story.push(`${name} out`);
      open();
    };
  };
  const decide = async (name: string) => {
    const handBack = await gate.pass();
    story.push(name);
    handBack();
  };
  return { gate, story, hold, decide };
}

const turnOfTheLoop = () => new Promise((resolve) => setImmediate(resolve));

test('a pass costs no promise while nobody is alone', () => {
  const { gate } = bundle();
  const one = gate.pass();
  const two = gate.pass();
  expect(typeof one).toBe('function');
  expect(typeof two).toBe('function');
});

test('the holder waits for passes that are out, and new passes wait for the holder', async () => {
  const { gate, story, hold, decide } = bundle();
  const first = await gate.pass();
  const holding = hold('suspect');
  const late = decide('neighbour');
  await turnOfTheLoop();
  expect(story).toEqual([]);
  first();
  const out = await holding;
  await turnOfTheLoop();
  expect(story).toEqual(['suspect in']);
  out();
  await late;
  expect(story).toEqual(['suspect in', 'suspect out', 'neighbour']);
});

test('between two holders everybody who waited gets a pass', async () => {
  const { story, hold, decide } = bundle();
  const first = await hold('a');
  const second = hold('b').then((out) => out());
  const neighbours = Promise.all([decide('x'), decide('y')]);
  first();
  await Promise.all([second, neighbours]);
  expect(story).toEqual(['a in', 'a out', 'x', 'y', 'b in', 'b out']);
});

test('holders come one at a time, in the order in which they asked', async () => {
  const { story, hold } = bundle();
  await Promise.all(['a', 'b', 'c'].map((name) => hold(name).then((out) => out())));
  expect(story).toEqual(['a in', 'a out', 'b in', 'b out', 'c in', 'c out']);
});

test('handing back twice opens nothing that somebody else holds', async () => {
  const { gate, story, decide } = bundle();
  const first = await gate.exclusive();
  first();
  const second = await gate.exclusive();
  first();
  const waiting = decide('neighbour');
  await turnOfTheLoop();
  expect(story).toEqual([]);
  second();
  await waiting;
  const pass = await gate.pass();
  pass();
  pass();
  const other = await gate.pass();
  const holding = gate.exclusive();
  let isAlone = false;
  void holding.then(() => (isAlone = true));
  await turnOfTheLoop();
  expect(isAlone).toBe(false);
  other();
  (await holding)();
});
