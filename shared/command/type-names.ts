// Owns the two names in a CloudEvents type: the resource type's, and its command's.
import { isResourceTypeName, type ResourceTypeName } from './identity.ts';

/** Kept for entries that are Onelane's own. */
export const RESERVED_TYPE = 'onelane';

export interface TypeNames {
  readonly type: ResourceTypeName;
  readonly name: string;
}

/** A system has few types; but anybody may make up others. */
const TYPES_KEPT_MAX = 1_000;
const namesOfTypes = new Map<string, TypeNames>();

/** `account.deposit` → account, deposit; null when it has not that form. What one event after the other says is read once. */
export function splitType(type: string): TypeNames | null {
  const known = namesOfTypes.get(type);
  if (known !== undefined) return known;
  const names = namesIn(type);
  if (namesOfTypes.size >= TYPES_KEPT_MAX) namesOfTypes.clear();
  if (names !== null) namesOfTypes.set(apart(type), names);
  return names;
}

function namesIn(type: string): TypeNames | null {
  const dot = type.indexOf('.');
  const resource = apart(type.slice(0, dot));
  if (dot < 1 || dot === type.length - 1 || !isResourceTypeName(resource)) return null;
  return { type: resource, name: apart(type.slice(dot + 1)) };
}

/** A part of a text keeps the whole of it in memory; this one stands alone. */
function apart(text: string): string {
  return String(JSON.parse(JSON.stringify(text)));
}
