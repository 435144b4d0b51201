// How long to wait before the next attempt.

export interface Backoff {
  /** The first bound in ms, 500 by default; it doubles from attempt to attempt. */
  base?: number;
  /** The last bound in ms, 30,000 by default. */
  max?: number;
  /** So many attempts in a row may fail; without end by default. */
  attempts?: number;
}

/** A random time between 0 and a bound that doubles with each failure, up to a maximum. */
export const backoff = (failures: number, { base = 500, max = 30_000 }: Backoff, random: number) =>
  random * Math.min(max, base * 2 ** failures);

// Codes by which a server says "not now": going away, restarting, try again later.
const LATER = [1001, 1012, 1013];
// So that a mistaken reason does not keep clients away for days.
const LEAST_DELAY_MS_MAX = 3_600_000;

/** The least time to stay away that a close reason asks for, as in `retry=5000`. */
export function leastDelay(code: number, reason: string): number {
  const found = LATER.includes(code) && /\bretry=(\d+)/.exec(reason);
  return found ? Math.min(Number(found[1]), LEAST_DELAY_MS_MAX) : 0;
}
