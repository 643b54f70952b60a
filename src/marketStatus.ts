/** What feeds and their sinks say of themselves, reckoned from the live tree and the topology. */
import type {
  FeedStatus,
  HealthCheck,
  SinkStatus,
  TreeNode,
} from "../schema/service.ts";
import type { FeedRun } from "./feeds/run.ts";
import { undeliveredCount, type Outbox } from "./flow/outbox.ts";
import type { MarketTopology } from "./marketTopology.ts";
import { nodeAt, outermost, streamStatus, stateOr } from "./treeReading.ts";

export function feedStatus(run: FeedRun, tree: TreeNode): FeedStatus {
  const { board, venue } = run;
  const path = `pipeline/feeds/feed/${venue.id}`;
  return {
    feed: venue.id,
    ...streamStatus(tree, path, `feed/${venue.id}`),
    ...(board.lastMessageMs === undefined
      ? {}
      : { lastMessageAt: new Date(board.lastMessageMs).toISOString() }),
    messages: board.messages,
    subscribed: board.granted,
    notGranted: board.notGranted.map(
      ({ channel, symbol, reason }) => `${channel} ${symbol}: ${reason}`,
    ),
    healer: stateOr(nodeAt(tree, `${path}/healer`)),
  };
}

export function marketSinkStatuses(
  market: MarketTopology,
  tree: TreeNode,
): SinkStatus[] {
  const { bars, redis, kafka, lanes, written } = market;
  return [
    outboxStatus(bars, written.bars, tree),
    ...(redis === undefined
      ? []
      : [
          {
            ...outboxStatus(redis, written.redis, tree),
            dropped: market.dropped.redis,
          },
        ]),
    ...(kafka === undefined
      ? []
      : [
          {
            ...outboxStatus(kafka, written.kafka, tree),
            dropped: market.dropped.kafka,
          },
        ]),
    ...lanes.map(({ sink, coalescer, tally }) => ({
      ...nodeStatus(sink, tree),
      queued: coalescer.waiting,
      spooled: 0,
      written: tally.written,
    })),
  ];
}

/** A refused key or plan is that feed's trouble; it does not take the service out of service. */
export function feedCheck({
  feed,
  state,
  since,
  verdict,
  notGranted,
}: FeedStatus): HealthCheck {
  const ok = state === "streaming" || state === "standby";
  const told = [
    ...(verdict === undefined ? [] : [`${verdict.verdict}: ${verdict.reason}`]),
    ...(notGranted.length === 0
      ? []
      : [`${notGranted.length} subscriptions not granted`]),
  ];
  return {
    name: `feed/${feed}`,
    ok,
    required: state !== "refused",
    state: ok ? (notGranted.length === 0 ? "ok" : "limited") : state,
    since,
    ...(told.length === 0 ? {} : { detail: told.join("; ") }),
  };
}

/** Without its control plane a feed goes on with the symbols it knows: shown, not required. */
export function controlChecks(tree: TreeNode): HealthCheck[] {
  const node = nodeAt(tree, "pipeline/control/subscriptions");
  if (node === undefined) return [];
  const ok = node.state === "listening";
  const lastError = node.detail?.["lastError"] ?? node.lastError;
  return [
    {
      name: "subscriptions",
      ok,
      required: false,
      state: ok ? "ok" : node.state,
      since: node.since,
      ...(!ok && typeof lastError === "string" ? { detail: lastError } : {}),
    },
  ];
}

function outboxStatus(
  outbox: Outbox<never> | Outbox<unknown>,
  written: number,
  tree: TreeNode,
): SinkStatus {
  const { memory, disk } = undeliveredCount(outbox as Outbox<unknown>);
  return {
    ...nodeStatus(outbox.sink, tree),
    queued: memory,
    spooled: disk,
    written,
  };
}

function nodeStatus(sink: string, tree: TreeNode) {
  const node = nodeAt(tree, `pipeline/sinks/${sink}`);
  const lastError = node?.detail?.["lastError"] ?? node?.lastError;
  return {
    sink,
    state: node === undefined ? "starting" : outermost(node.state),
    since: node?.since ?? tree.since,
    ...(typeof lastError === "string" ? { lastError } : {}),
  };
}
