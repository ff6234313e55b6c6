// Owns how spans of time and sizes are written by people: `30d`, `500ms`, `64MiB`.

const SPAN_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZE_BYTES: Readonly<Record<string, number>> = { B: 1, KiB: 1_024, MiB: 1_048_576, GiB: 1_073_741_824 };

/** `1h` → 3,600,000; null when it is not a number with one of the units ms, s, m, h, d. */
export function spanMs(text: string): number | null {
  return scaled(text, SPAN_MS);
}

/** `64MiB` → 67,108,864; a bare number counts bytes; null when it is neither. */
export function sizeBytes(text: string): number | null {
  return scaled(/^\d+$/.test(text) ? `${text}B` : text, SIZE_BYTES);
}

/** The shortest exact way to write it: 86,400,000 → `1d`. */
export function printSpan(ms: number): string {
  return printed(ms, SPAN_MS);
}

export function printSize(bytes: number): string {
  return printed(bytes, SIZE_BYTES);
}

/** For a sentence: 67,108,864 → `67108864 bytes (64MiB)`; 1,001 → `1001 bytes`. */
export function bytesText(bytes: number): string {
  const short = printSize(bytes);
  return short === `${bytes}B` ? `${bytes} bytes` : `${bytes} bytes (${short})`;
}

function scaled(text: string, units: Readonly<Record<string, number>>): number | null {
  const parts = /^(\d{1,15}(?:\.\d{1,6})?) ?([A-Za-z]{1,3})$/.exec(text);
  const factor = units[parts?.[2] ?? ''];
  if (factor === undefined) return null;
  const whole = Number(parts?.[1]) * factor;
  return Number.isSafeInteger(whole) ? whole : null;
}

function printed(count: number, units: Readonly<Record<string, number>>): string {
  const largest = Object.entries(units)
    .reverse()
    .find(([, factor]) => count !== 0 && count % factor === 0);
  const [unit, factor] = largest ?? [Object.keys(units)[0], 1];
  return `${count / factor}${unit}`;
}
