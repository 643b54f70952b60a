/** The venue's limit of requests: so many in each minute, counted for each account. */
import { MINUTE, SECOND } from "../../clock.ts";

export class Limiter {
  readonly #windows = new Map<string, { resetMs: number; used: number }>();

  constructor(
    readonly perMinute: number,
    readonly now: () => number,
  ) {}

  /** Counts a request; `allowed` is false when it is one too many. */
  count(account: string): {
    readonly allowed: boolean;
    readonly headers: Record<string, string>;
    readonly resetMs: number;
  } {
    const nowMs = this.now();
    let window = this.#windows.get(account);
    if (window === undefined || window.resetMs <= nowMs) {
      window = { resetMs: nowMs + MINUTE, used: 0 };
      this.#windows.set(account, window);
    }
    window.used++;
    return {
      allowed: window.used <= this.perMinute,
      resetMs: window.resetMs,
      headers: {
        "X-Ratelimit-Limit": String(this.perMinute),
        "X-Ratelimit-Remaining": String(
          Math.max(0, this.perMinute - window.used),
        ),
        "X-Ratelimit-Reset": String(Math.ceil(window.resetMs / SECOND)),
      },
    };
  }
}
