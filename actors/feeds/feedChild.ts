/** The actors of one feed, as data. */
import { backoffMs } from "../../src/backoff.ts";
import { MINUTE, SECOND } from "../../src/clock.ts";
import type { FeedRun } from "../../src/feeds/run.ts";
import type { Child, Plan } from "../supervision/plan.ts";
import { supervisor } from "../supervision/supervisor.ts";
import { feed } from "./feed.ts";
import { feedHealer } from "./healer.ts";

const RESTART = { baseMs: SECOND, maxMs: MINUTE };

const children = new WeakMap<FeedRun, Child>();

/** The supervisor of one feed; what fails in it stays in it. One run is always the same child. */
export function feedChild(run: FeedRun): Child {
  const known = children.get(run) ?? createChild(run);
  children.set(run, known);
  return known;
}

function createChild(run: FeedRun): Child {
  const plan: Plan = {
    strategy: "one_for_one",
    children: [
      {
        id: "stream",
        logic: feed,
        input: run,
        restart: "permanent",
        graceMs: SECOND,
      },
      {
        id: "healer",
        logic: feedHealer,
        input: run,
        restart: "permanent",
        graceMs: SECOND,
      },
    ],
    maxRestarts: 6,
    withinMs: MINUTE,
    backoffMs: (failures) => backoffMs(failures, RESTART),
  };
  return {
    id: `feed/${run.venue.id}`,
    logic: supervisor,
    input: plan,
    restart: "permanent",
    graceMs: 2 * SECOND,
  };
}
