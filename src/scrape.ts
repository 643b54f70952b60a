/** Metrics that mirror a state: set when somebody looks, from the topology and the live tree. */
import type { TreeNode } from "../schema/service.ts";
import type { DialSchedule } from "./flow/dials.ts";
import { type Metrics, recordTree } from "./metrics.ts";
import { serviceStatus } from "./status.ts";
import { SECOND } from "./clock.ts";
import type { Topology } from "./topology.ts";

export function mirrorState(
  metrics: Metrics,
  topology: Topology,
  tree: TreeNode,
  isReady: boolean,
): void {
  const { sinks, spool } = serviceStatus(topology, tree);
  recordTree(metrics, tree);
  metrics.ready.set(isReady ? 1 : 0);
  metrics.spoolBytes.set(spool.bytes);
  for (const { sink, queued, spooled } of sinks) {
    metrics.queueDepth.set({ sink }, queued);
    metrics.spoolDepth.set({ sink }, spooled);
  }
  // Who is gone from the configuration is no longer shown.
  for (const each of [
    metrics.gapSeconds,
    metrics.reconnects,
    metrics.undelivered,
    metrics.rateLimitWaiting,
    metrics.rateLimitWaitSeconds,
    metrics.marketMessages,
    metrics.marketUntaken,
  ])
    each.reset();
  mirrorAccounts(metrics, topology);
  mirrorFeeds(metrics, topology);
}

function mirrorAccounts(metrics: Metrics, { roster, runOf }: Topology): void {
  for (const each of roster.accounts) {
    const { board, budget, dials } = runOf(each);
    const account = each.slug;
    for (const [stream, seconds] of Object.entries(board.gapSeconds))
      metrics.gapSeconds.set({ account, stream }, seconds);
    metrics.reconnects.inc({ account }, reconnectsOf(dials));
    metrics.undelivered.inc(
      { account },
      [...board.undelivered.values()].reduce((sum, count) => sum + count, 0),
    );
    metrics.rateLimitWaiting.set({ account }, budget.waiting);
    metrics.rateLimitWaitSeconds.inc({ account }, budget.waitedMs / SECOND);
  }
}

function mirrorFeeds(metrics: Metrics, { feeds, market }: Topology): void {
  for (const { board, dials, venue } of feeds) {
    const account = `feed/${venue.id}`;
    metrics.gapSeconds.set({ account, stream: "bars" }, board.gapSeconds);
    metrics.reconnects.inc({ account }, reconnectsOf(dials));
    metrics.marketMessages.inc({ feed: venue.id }, board.messages);
  }
  for (const [kind, count] of market?.router.untaken ?? [])
    metrics.marketUntaken.inc({ kind }, count);
}

/** The first dial is no reconnect. */
function reconnectsOf({ dials }: DialSchedule): number {
  return Math.max(0, dials - 1);
}
