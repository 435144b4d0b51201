// Random numbers that a seed repeats.

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function random(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Those that the environment names, or so many new ones. */
export const seeds = (count: number) =>
  process.env["WSPULSE_SEED"]
    ? [Number(process.env["WSPULSE_SEED"])]
    : Array.from({ length: count }, () => (Math.random() * 1e9) | 0);
