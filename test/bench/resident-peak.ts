// Owns the look at the most memory that this process ever had.
import { readFileSync } from 'node:fs';

/** The kernel's own high-water mark; Linux. */
export function residentPeakBytes(): number {
  const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  return Number(line?.[1] ?? Number.NaN) * 1_024;
}
