// Owns the names of our NOTIFY channels. What travels on them is a hint: a lost one costs a poll, never an answer.
import type { SchemaName } from './schema-name.ts';

export const outcomesChannel = (schema: SchemaName): string => `${schema}_outcomes`;
export const appendedChannel = (schema: SchemaName): string => `${schema}_appended`;

export { openListener, type Listener } from './listener.ts';
export { openNotifier, type Notifier } from './notifier.ts';
