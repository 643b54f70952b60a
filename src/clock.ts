/**
 * Time as a value: what needs the hour takes a {@link Clock}, so a test (or a
 * simulation) can hand it another one.
 */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** Longest delay a timer takes: beyond 2^31 - 1 ms it would fire at once. */
const DELAY_MS_MAX = 2 ** 31 - 1;

/**
 * Resolves after `ms`; rejects with the signal's reason when it is aborted
 * first. The timer never outlives the wait.
 */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(
      () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      },
      Math.min(Math.max(ms, 0), DELAY_MS_MAX),
    );
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** Waits for the first that happens; the others are called off, so that none outlives the wait. */
export async function firstOf(
  stop: AbortSignal,
  begin: (signal: AbortSignal) => readonly Promise<void>[],
): Promise<void> {
  const over = new AbortController();
  const waits = begin(AbortSignal.any([stop, over.signal]));
  // Those that were called off reject, which is nobody's news.
  for (const wait of waits) wait.catch(() => {});
  try {
    await Promise.race(waits);
  } finally {
    over.abort();
  }
}

/** The result of `work`, or a failure with `complaint` after `ms`: for what may hang. The work itself is not stopped. */
export async function within<Result>(
  ms: number,
  work: Promise<Result>,
  complaint: string,
): Promise<Result> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(complaint)), ms);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
