// Owns the sentences about a path where nothing is: what it is, and what was probably meant.

/** The first that fits. */
const HINTS: readonly (readonly [RegExp, string])[] = [
  [/^\/(?:v1\/commands|health\/live|health\/ready|metrics|openapi\.json)\/$/, 'write it without the slash at its end'],
  [/^\/v1\/commands\/./, 'a command is at /v1/commands/{id}, with each slash of its id written %2F'],
  [/^\/v1\/resources(?:\/|$)/, 'a resource is at /v1/resources/{type}/{id}'],
];
const PATH_SHOWN_MAX = 200;

export function nothingAt(method: string, url: string): string {
  const path = pathOf(url);
  return withHint(`There is nothing at ${method} ${path.slice(0, PATH_SHOWN_MAX)}`, url);
}

export function withHint(sentence: string, url: string): string {
  const path = pathOf(url);
  const hint = HINTS.find(([pattern]) => pattern.test(path))?.[1];
  return hint === undefined ? `${sentence}.` : `${sentence}: ${hint}.`;
}

function pathOf(url: string): string {
  return url.split('?', 1)[0] ?? '';
}
