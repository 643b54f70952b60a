/** The actors of one account, as data. */
import { backoffMs } from "../../src/backoff.ts";
import { MINUTE, SECOND } from "../../src/clock.ts";
import type { AccountRun } from "../../src/accounts/run.ts";
import type { Child, Plan } from "../supervision/plan.ts";
import { supervisor } from "../supervision/supervisor.ts";
import { backfill } from "./backfill.ts";
import { healer } from "./healer.ts";
import { stream } from "./stream.ts";

const RESTART = { baseMs: SECOND, maxMs: MINUTE };
/**
 * At this backoff one child fails seven times a minute at most. Healer and backfill
 * may both do so for good (a request the venue rejects, a right the database denies)
 * and must not take the live stream down with them; a stream that fails as well does.
 */
const RESTARTS_MAX = 20;

/** Name of the account's supervisor among its siblings. */
export function accountId(slug: string): string {
  return `account/${slug}`;
}

const children = new WeakMap<AccountRun, Child>();

/** The supervisor of one account; what fails in it stays in it. One run is always the same child. */
export function accountChild(run: AccountRun): Child {
  const known = children.get(run) ?? createChild(run);
  children.set(run, known);
  return known;
}

function createChild(run: AccountRun): Child {
  const plan: Plan = {
    strategy: "one_for_one",
    children: [
      {
        id: "stream",
        logic: stream,
        input: run,
        restart: "permanent",
        graceMs: SECOND,
      },
      {
        id: "backfill",
        logic: backfill,
        input: run,
        restart: "transient",
        graceMs: SECOND,
      },
      {
        id: "healer",
        logic: healer,
        input: run,
        restart: "permanent",
        graceMs: SECOND,
      },
    ],
    maxRestarts: RESTARTS_MAX,
    withinMs: MINUTE,
    backoffMs: (failures) => backoffMs(failures, RESTART),
  };
  return {
    id: accountId(run.account.slug),
    logic: supervisor,
    input: plan,
    restart: "permanent",
    graceMs: 2 * SECOND,
  };
}
