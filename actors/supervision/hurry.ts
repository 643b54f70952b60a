/** Waiting for what may hang: not longer than it deserves, and hardly any longer once somebody wants to leave. */
export interface Patience {
  /** Absent: as long as it takes, while nobody wants to leave. */
  readonly msMax?: number;
  /** From the shutdown on. */
  readonly leavingMsMax: number;
  readonly shutdown: AbortSignal;
}

/** The result of `work`, or a failure with `complaint` when patience is over. The work itself is not stopped. */
export async function hurried<Result>(
  work: Promise<Result>,
  { msMax, leavingMsMax, shutdown }: Patience,
  complaint: string,
): Promise<Result> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timers: ReturnType<typeof setTimeout>[] = [];
  const giveUpAfter = (ms: number) =>
    void timers.push(setTimeout(() => reject(new Error(complaint)), ms));
  const leave = () => giveUpAfter(leavingMsMax);
  if (msMax !== undefined) giveUpAfter(msMax);
  if (shutdown.aborted) leave();
  else shutdown.addEventListener("abort", leave, { once: true });
  try {
    return await Promise.race([work, late]);
  } finally {
    shutdown.removeEventListener("abort", leave);
    for (const timer of timers) clearTimeout(timer);
  }
}
