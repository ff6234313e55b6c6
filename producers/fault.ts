// Owns why a command was not taken: a stable code, a sentence, and where in the command it is.
import type { PointedFault } from '../shared/command/json-fault.ts';

/** What can be wrong with one command; documented in docs/problems.md. */
export type FaultCode =
  | 'json-invalid'
  | 'command-malformed'
  | 'type-unknown'
  | 'command-name-unknown'
  | 'subject-invalid'
  | 'subject-not-canonical'
  | 'payload-invalid'
  | 'command-too-large'
  | 'precondition-invalid'
  | 'idempotency-key-invalid';

export interface Fault {
  readonly kind: 'fault';
  readonly code: FaultCode;
  readonly detail: string;
  readonly pointers: readonly PointedFault[];
}

export function isFault(value: object): value is Fault {
  return 'kind' in value && value.kind === 'fault';
}

export function faultAt(code: FaultCode, pointer: string, detail: string): Fault {
  return { kind: 'fault', code, detail, pointers: [{ pointer, detail }] };
}

export function fault(code: FaultCode, detail: string): Fault {
  return { kind: 'fault', code, detail, pointers: [] };
}
