/** A feed's run as the topologies make it: what all feeds have alike, whatever they hear and wherever it goes. */
import { systemClock } from "./clock.ts";
import type { Config } from "./config.ts";
import { ActivityMemory } from "./feeds/activity.ts";
import { emptyFeedBoard, emptyFeedStore, type FeedRun } from "./feeds/run.ts";
import { DialSchedule } from "./flow/dials.ts";
import { Notice } from "./flow/notice.ts";
import type { Database } from "./stores/postgres/database.ts";
import { feedStore } from "./stores/postgres/marketStore.ts";

/** What differs from feed to feed. */
type OwnParts = Pick<
  FeedRun,
  | "venue"
  | "history"
  | "wanted"
  | "wantedChanged"
  | "deliver"
  | "keep"
  | "keepNow"
  | "setAside"
>;

export function createFeedRun(
  {
    config,
    session,
    database,
  }: {
    readonly config: Config;
    readonly session: string;
    readonly database: Database;
  },
  own: OwnParts,
): FeedRun {
  return {
    ...own,
    session,
    clock: systemClock,
    dials: new DialSchedule(config.reconnect),
    // A dry run may have no database, and none whose gaps it could fill.
    store: config.dryRun ? emptyFeedStore : feedStore(database),
    activity: new ActivityMemory(),
    listening: new Notice(),
    healingWanted: new Notice(),
    healingIntervalMs: config.healing.intervalMs,
    board: emptyFeedBoard(),
  };
}
