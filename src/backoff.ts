/** Lower and upper bound of a growing wait, in milliseconds. */
export interface BackoffBounds {
  readonly baseMs: number;
  readonly maxMs: number;
}

/**
 * Wait before try number `failures` (1 = after the first failure): doubled each
 * time up to `maxMs`, half of it fixed and half of it random, so that a herd of
 * actors that failed together does not come back together.
 */
export function backoffMs(
  failures: number,
  { baseMs, maxMs }: BackoffBounds,
  random: () => number = Math.random,
): number {
  const doublings = Math.min(Math.max(failures, 1) - 1, 30);
  const ceiling = Math.min(maxMs, baseMs * 2 ** doublings);
  return Math.round(ceiling / 2 + random() * (ceiling / 2));
}
