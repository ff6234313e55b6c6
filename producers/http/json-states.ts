// Owns the grammar of JSON as a table: which byte leads from which state to which.

/** What a byte may be next. From `minus` on: inside a number. */
export const STATE = {
  afterValue: 0,
  value: 1,
  firstItem: 2,
  firstName: 3,
  name: 4,
  colon: 5,
  string: 6,
  escape: 7,
  hex: 8,
  minus: 12,
  zero: 13,
  integer: 14,
  point: 15,
  fraction: 16,
  exponent: 17,
  exponentSign: 18,
  exponentDigits: 19,
  words: 20,
} as const;

/** Instead of a state: what a byte does, where the next state depends on what is open. From 64 on. */
export const ACTION = {
  openList: 64,
  openObject: 65,
  closeList: 66,
  closeObject: 67,
  part: 68,
  assign: 69,
  beginText: 70,
  beginName: 71,
  endString: 72,
  refuse: 255,
} as const;

export const FIRST_ACTION = 64;
const BYTES = 256;
const DIGITS = '0123456789';
const SPACE = ' \t\n\r';

const table = transitions();

/** A state, or an action. */
export function nextOf(state: number, byte: number): number {
  return table[state * BYTES + byte] ?? ACTION.refuse;
}

/** Whether a document may end here. */
export function isComplete(state: number): boolean {
  return nextOf(state, SPACE.charCodeAt(0)) === STATE.afterValue;
}

function transitions(): Uint8Array {
  const filled = new Uint8Array(64 * BYTES).fill(ACTION.refuse);
  const on = (state: number, characters: string, next: number): void => {
    for (const character of characters) filled[state * BYTES + character.charCodeAt(0)] = next;
  };
  structure(on);
  strings(on, (state, from, next) => filled.fill(next, state * BYTES + from, (state + 1) * BYTES));
  numbers(on);
  words(on);
  return filled;
}

type On = (state: number, characters: string, next: number) => void;

function structure(on: On): void {
  const { afterValue, value, firstItem, firstName, name, colon } = STATE;
  for (const state of [value, firstItem, firstName, name, colon]) on(state, SPACE, state);
  for (const state of [value, firstItem]) {
    on(state, '[', ACTION.openList);
    on(state, '{', ACTION.openObject);
    on(state, '"', ACTION.beginText);
  }
  on(firstItem, ']', ACTION.closeList);
  on(firstName, '}', ACTION.closeObject);
  for (const state of [firstName, name]) on(state, '"', ACTION.beginName);
  on(colon, ':', ACTION.assign);
  endsValue(on, afterValue);
}

function endsValue(on: On, state: number): void {
  on(state, SPACE, STATE.afterValue);
  on(state, ',', ACTION.part);
  on(state, ']', ACTION.closeList);
  on(state, '}', ACTION.closeObject);
}

/** From the space on every byte may stand in a string; whether they are UTF-8 is not asked here. */
function strings(on: On, from: (state: number, byte: number, next: number) => unknown): void {
  const { string, escape, hex } = STATE;
  from(string, 0x20, string);
  on(string, '"', ACTION.endString);
  on(string, '\\', escape);
  on(escape, '"\\/bfnrt', string);
  on(escape, 'u', hex);
  for (let digit = 0; digit < 4; digit++)
    on(hex + digit, `${DIGITS}abcdefABCDEF`, digit === 3 ? string : hex + digit + 1);
}

function numbers(on: On): void {
  const { value, firstItem, minus, zero, integer, point, fraction, exponent, exponentSign, exponentDigits } = STATE;
  const nonZero = DIGITS.slice(1);
  for (const state of [value, firstItem]) on(state, '-', minus);
  for (const state of [value, firstItem, minus]) {
    on(state, '0', zero);
    on(state, nonZero, integer);
  }
  on(integer, DIGITS, integer);
  for (const state of [zero, integer]) on(state, '.', point);
  for (const state of [point, fraction]) on(state, DIGITS, fraction);
  for (const state of [zero, integer, fraction]) on(state, 'eE', exponent);
  on(exponent, '+-', exponentSign);
  for (const state of [exponent, exponentSign, exponentDigits]) on(state, DIGITS, exponentDigits);
  for (const state of [zero, integer, fraction, exponentDigits]) endsValue(on, state);
}

/** A state for each letter that has been read. */
function words(on: On): void {
  let state: number = STATE.words;
  for (const word of ['true', 'false', 'null']) {
    for (const start of [STATE.value, STATE.firstItem]) on(start, word.charAt(0), state);
    for (const letter of word.slice(1, -1)) on(state, letter, ++state);
    on(state++, word.slice(-1), STATE.afterValue);
  }
}
