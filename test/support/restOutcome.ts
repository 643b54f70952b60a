/** What a request by REST comes to under fake time. */
import { jest } from "bun:test";
import { describeError, VenueError } from "../../src/errors.ts";

export async function turns(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
}

/** The result, or what the failure says; time passes as it is waited for. */
export async function settled<Result>(
  work: Promise<Result>,
): Promise<Result | { failure: string; message: string; status?: number }> {
  let isSettled = false;
  const outcome = work
    .catch((error: unknown) => {
      if (!(error instanceof VenueError)) throw error;
      const { failure, status } = error;
      return {
        failure,
        message: describeError(error),
        ...(status === undefined ? {} : { status }),
      };
    })
    .finally(() => {
      isSettled = true;
    });
  for (let step = 0; !isSettled; step++) {
    if (step > 1000) throw new Error("nobody answers");
    await turns();
    if (!isSettled && jest.getTimerCount() > 0) jest.advanceTimersToNextTimer();
  }
  return outcome;
}
