import { expect, test } from "bun:test";
import { MINUTE } from "../../../src/clock.ts";
import { Limiter } from "../../../src/venues/simulated/limiter.ts";

const NOW = Date.parse("2026-09-16T14:00:00.250Z");
const RESET = String(NOW / 1000 + 60 - 0.25 + 1);

test("a minute begins with its first request; each account has its own, and one too many is counted as well", () => {
  let nowMs = NOW;
  const limiter = new Limiter(2, () => nowMs);
  const log: string[] = [];
  const count = (account: string) => {
    const { allowed, headers } = limiter.count(account);
    log.push(
      `${account} ${allowed ? "may" : "may not"}: ${Object.values(headers).join(" ")}`,
    );
    expect(Object.keys(headers)).toEqual([
      "X-Ratelimit-Limit",
      "X-Ratelimit-Remaining",
      "X-Ratelimit-Reset",
    ]);
  };
  count("alpha");
  nowMs += MINUTE - 1;
  count("alpha");
  count("alpha");
  count("alpha");
  count("beta");
  nowMs += 1;
  count("alpha");
  expect(log).toEqual([
    `alpha may: 2 1 ${RESET}`,
    `alpha may: 2 0 ${RESET}`,
    `alpha may not: 2 0 ${RESET}`,
    `alpha may not: 2 0 ${RESET}`,
    `beta may: 2 1 ${Number(RESET) + 60}`,
    `alpha may: 2 1 ${Number(RESET) + 60}`,
  ]);
});
