/** What the service says of itself, reckoned from the live tree and what the topology holds. Nothing is kept here but which checks were well and since when the others are not. */
import type { Account } from "../schema/account.ts";
import type {
  AccountStatus,
  Health,
  HealthCheck,
  ServiceStatus,
  SinkStatus,
  TreeNode,
} from "../schema/service.ts";
import { MINUTE, SECOND } from "./clock.ts";
import { undeliveredCount } from "./flow/outbox.ts";
import {
  controlChecks,
  feedCheck,
  feedStatus,
  marketSinkStatuses,
} from "./marketStatus.ts";
import type { Topology } from "./topology.ts";
import { nodeAt, outermost, streamStatus, stateOr } from "./treeReading.ts";
import { version } from "../package.json";

/** How long something required may be amiss, once it was well, before readiness is withdrawn. */
const STORE_GRACE_MS = 10 * SECOND;
const STREAM_GRACE_MS = MINUTE;

export function serviceStatus(
  topology: Topology,
  tree: TreeNode,
): ServiceStatus {
  const { config, startedAtMs, roster, outbox, market } = topology;
  return {
    version,
    startedAt: new Date(startedAtMs).toISOString(),
    uptimeSeconds: Math.round((Date.now() - startedAtMs) / SECOND),
    venue: config.venue,
    accounts: roster.accounts.map((account) =>
      accountStatus(topology, account, tree),
    ),
    feeds: topology.feeds.map((run) => feedStatus(run, tree)),
    sinks: [
      sinkStatus(topology, tree),
      ...(market === undefined ? [] : marketSinkStatuses(market, tree)),
    ],
    spool: outbox.spool.status(),
  };
}

/**
 * Judges the checks; an instance remembers which of them were ever well, and
 * since when the others are amiss: something that keeps trying enters a new
 * state with every attempt, and would otherwise never be amiss for long.
 */
export class HealthJudge {
  readonly #wasWell = new Set<string>();
  readonly #amiss = new Map<string, HealthCheck>();

  judge(topology: Topology, tree: TreeNode): Health {
    const { accounts, feeds, sinks, spool } = serviceStatus(topology, tree);
    const found: HealthCheck[] = [
      ...sinks.map(sinkCheck),
      {
        name: "spool",
        ok: !spool.full,
        required: true,
        state: spool.full ? "full" : "ok",
        since: spool.full ? new Date().toISOString() : tree.since,
        ...(spool.full
          ? { detail: `the disk takes no more; ${spool.records} records wait` }
          : {}),
      },
      ...accounts.map(accountCheck),
      ...feeds.map(feedCheck),
      ...controlChecks(tree),
    ];
    this.#forget(found);
    const checks = found.map((check) => this.#remember(check));
    const isDraining = tree.state === "stopping" || tree.state === "finished";
    const blocking = checks.filter((check) => this.#isBlocking(check));
    const ready = !isDraining && blocking.length === 0;
    return {
      status: isDraining
        ? "draining"
        : !ready
          ? "not_ready"
          : checks.every(({ ok }) => ok)
            ? "ok"
            : "degraded",
      ready,
      checks,
    };
  }

  /** What is amiss keeps the time it began at, and a refused account stays excused while it asks again. */
  #remember(check: HealthCheck): HealthCheck {
    const { name, ok, required } = check;
    if (ok) {
      this.#wasWell.add(name);
      this.#amiss.delete(name);
      return check;
    }
    const before = this.#amiss.get(name);
    const amiss = {
      ...check,
      since: before?.since ?? check.since,
      required: required && before?.required !== false,
    };
    this.#amiss.set(name, amiss);
    return amiss;
  }

  /** An account that is removed and comes back later begins anew. */
  #forget(present: readonly HealthCheck[]): void {
    const names = new Set(present.map(({ name }) => name));
    for (const name of [...this.#wasWell, ...this.#amiss.keys()])
      if (!names.has(name)) {
        this.#wasWell.delete(name);
        this.#amiss.delete(name);
      }
  }

  #isBlocking({ name, ok, required, since }: HealthCheck): boolean {
    if (ok || !required) return false;
    const graceMs = /^(account|feed)\//.test(name)
      ? STREAM_GRACE_MS
      : STORE_GRACE_MS;
    return !this.#wasWell.has(name) || Date.now() - Date.parse(since) > graceMs;
  }
}

function accountStatus(
  topology: Topology,
  account: Account,
  tree: TreeNode,
): AccountStatus {
  const path = `pipeline/accounts/account/${account.slug}`;
  const { board } = topology.runOf(account);
  return {
    account: account.slug,
    ...streamStatus(tree, path, `account/${account.slug}`),
    ...(board.lastFrameMs === undefined
      ? {}
      : { lastFrameAt: new Date(board.lastFrameMs).toISOString() }),
    backfill: stateOr(nodeAt(tree, `${path}/backfill`)),
    healer: stateOr(nodeAt(tree, `${path}/healer`)),
    undeliveredToday: board.undeliveredToday,
    rows: { ...board.rows },
  };
}

function sinkStatus(topology: Topology, tree: TreeNode): SinkStatus {
  const { outbox } = topology;
  const node = nodeAt(tree, `pipeline/sinks/${outbox.sink}`);
  const { memory, disk } = undeliveredCount(outbox);
  const lastError = node?.detail?.["lastError"] ?? node?.lastError;
  return {
    sink: outbox.sink,
    state: node === undefined ? "starting" : outermost(node.state),
    since: node?.since ?? tree.since,
    queued: memory,
    spooled: disk,
    written: writtenRows(topology),
    ...(typeof lastError === "string" ? { lastError } : {}),
  };
}

function writtenRows({ roster, runOf }: Topology): number {
  return roster.accounts
    .map((account) => runOf(account).board.rows)
    .reduce(
      (sum, rows) => sum + rows.orders + rows.events + rows.activities,
      0,
    );
}

function sinkCheck({
  sink,
  state,
  since,
  lastError,
  spooled,
}: SinkStatus): HealthCheck {
  // A store that opens and then refuses every write is in and out of replaying: after an error only `direct` proves it well.
  const ok =
    state === "direct" ||
    state === "writing" ||
    (state === "replaying" && lastError === undefined);
  return {
    name: sink,
    ok,
    required: true,
    state: ok ? "ok" : (WORDS[state] ?? "down"),
    since,
    ...(ok
      ? {}
      : {
          detail: `${lastError ?? "the store is not open yet"}; ${spooled} records wait on the disk`,
        }),
  };
}

const WORDS: Readonly<Record<string, string>> = {
  full: "full",
  replaying: "replaying",
};

function accountCheck({
  account,
  state,
  since,
  verdict,
}: AccountStatus): HealthCheck {
  const ok = state === "streaming" || state === "standby";
  return {
    name: `account/${account}`,
    ok,
    // One refused key is that account's trouble; it does not take the others out of service.
    required: state !== "refused",
    state: ok ? "ok" : state,
    since,
    ...(verdict === undefined
      ? {}
      : { detail: `${verdict.verdict}: ${verdict.reason}` }),
  };
}
