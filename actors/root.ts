/**
 * The whole tree, as data:
 *
 *     root (one_for_one)
 *     ├─ http                        first up, last down
 *     ├─ embedded (one_for_one)      default set-up only: postgres · venue
 *     └─ pipeline (rest_for_one)     stop order: sources, then sinks flush
 *        ├─ sinks    (one_for_one)   postgres · bars · redis · quotes-postgres · quotes-firestore
 *        ├─ control  (one_for_one)   ownership · calendar · subscriptions · heartbeat · deadline
 *        ├─ accounts (one_for_one)   account/<slug>: stream · backfill · healer
 *        ├─ feeds    (one_for_one)   feed/stock · feed/crypto · feed/polygon-…: stream · healer
 *        ├─ registry (one_for_one)   executor · schedule · run/<symbol>
 *        └─ candles  (one_for_one)   consumer
 */
import { type Actor, createActor } from "xstate";
import { backoffMs } from "../src/backoff.ts";
import { MINUTE, SECOND } from "../src/clock.ts";
import type { Tree, TreeInput } from "../src/commands/serve.ts";
import { accountChild } from "./accounts/account.ts";
import { calendar } from "./control/calendar.ts";
import { deadline } from "./control/deadline.ts";
import { embeddedPostgres, simulatedVenue } from "./control/embedded.ts";
import { http } from "./control/http.ts";
import { ownership } from "./control/ownership.ts";
import { feedChild } from "./feeds/feedChild.ts";
import { marketControl, marketSinks } from "./market.ts";
import {
  candleChildren,
  registryChildren,
  type RunReach,
} from "./registryTree.ts";
import { accountWriter } from "./sinks/account.ts";
import { sink } from "./sinks/sink.ts";
import { watchLifecycle } from "./supervision/lifecycle.ts";
import type { Child, Plan, Strategy } from "./supervision/plan.ts";
import { supervisor } from "./supervision/supervisor.ts";
import {
  bookOf,
  describeTree,
  findActor,
  requestRestart,
} from "./supervision/tree.ts";

const RESTART = { baseMs: 500, maxMs: 30 * SECOND };

/** Starts the tree; it runs until it is told to stop or gives up. */
export function startTree(input: TreeInput): Tree {
  const root: Actor<typeof supervisor> = createActor(supervisor, {
    input: rootPlan(input, {
      stop: () => root.send({ type: "shutdown" }),
      assign: (isHeld) => {
        const { roster, feeds, runOf } = input.topology;
        const accounts = roster.accounts.filter(({ slug }) =>
          isHeld(`account/${slug}`),
        );
        assign(
          findActor(root, "pipeline/accounts"),
          accounts.map((account) => accountChild(runOf(account))),
        );
        const held = feeds.filter(({ venue }) => isHeld(`feed/${venue.id}`));
        assign(findActor(root, "pipeline/feeds"), held.map(feedChild));
      },
      runs: {
        start: (child) =>
          findActor(root, "pipeline/registry")?.send({
            type: "child.added",
            child,
          }),
        stop: (id) =>
          findActor(root, "pipeline/registry")?.send({
            type: "child.removed",
            id,
          }),
        isRunning: (id) =>
          findActor(root, `pipeline/registry/${id}`) !== undefined,
      },
    }),
    inspect: watchLifecycle(input.log),
  });
  const { promise: ended, resolve } = Promise.withResolvers<
    Error | undefined
  >();
  root.subscribe({
    error: (error) =>
      resolve(error instanceof Error ? error : new Error(String(error))),
    complete: () => resolve(undefined),
  });
  root.start();
  return {
    describe: () => describeTree(root),
    restart: (path) => requestRestart(root, path),
    stop: () => root.send({ type: "shutdown" }),
    ended,
  };
}

interface Reach {
  readonly stop: () => void;
  /** Makes exactly what is held run. */
  readonly assign: (isHeld: (name: string) => boolean) => void;
  readonly runs: RunReach;
}

function rootPlan(
  { topology, log, http: server, embedded }: TreeInput,
  reach: Reach,
): Plan {
  const { config, database, outbox } = topology;
  const isEmbedded = embedded.postgres || embedded.venue !== undefined;

  const sinks = group("sinks", "one_for_one", 4 * SECOND, [
    {
      id: "postgres",
      logic: sink,
      input: { outbox, writer: accountWriter(topology, log) },
      restart: "permanent",
      graceMs: 4 * SECOND,
    },
    ...marketSinks(topology, log),
  ]);
  const control = group("control", "one_for_one", SECOND, [
    {
      id: "ownership",
      logic: ownership,
      input: { topology, assign: reach.assign },
      restart: "permanent",
      graceMs: SECOND,
    },
    {
      id: "calendar",
      logic: calendar,
      input: {
        runs: () =>
          topology.roster.accounts.map((each) => topology.runOf(each)),
        log,
      },
      restart: "permanent",
      graceMs: SECOND,
    },
    ...marketControl(topology, log),
    ...when(config.stopAfterMs, (afterMs): Child => ({
      id: "deadline",
      logic: deadline,
      input: { afterMs, stop: reach.stop },
      restart: "transient",
      graceMs: SECOND,
    })),
  ]);
  // Its children come and go with the leases (control/ownership).
  const accounts = group(
    "accounts",
    "one_for_one",
    2.5 * SECOND,
    [],
    topology.roster.accounts.length,
  );
  const feeds = group(
    "feeds",
    "one_for_one",
    2.5 * SECOND,
    [],
    topology.feeds.length,
  );

  return planOf("one_for_one", [
    ...when(server, (given): Child => ({
      id: "http",
      logic: http,
      input: given,
      restart: "permanent",
      graceMs: SECOND,
    })),
    ...when(isEmbedded || undefined, () =>
      group("embedded", "one_for_one", 3 * SECOND, [
        ...when(embedded.postgres || undefined, (): Child => ({
          id: "postgres",
          logic: embeddedPostgres,
          input: {
            directory: config.directory,
            database,
            log,
            onStarted: embedded.onPostgres,
          },
          restart: "permanent",
          graceMs: 3 * SECOND,
        })),
        ...when(embedded.venue, (options): Child => ({
          id: "venue",
          logic: simulatedVenue,
          input: options,
          restart: "permanent",
          graceMs: SECOND,
        })),
      ]),
    ),
    group("pipeline", "rest_for_one", 8 * SECOND, [
      sinks,
      control,
      accounts,
      ...(topology.feeds.length === 0 ? [] : [feeds]),
      ...optionalGroup("registry", registryChildren(topology, log, reach.runs)),
      ...optionalGroup("candles", candleChildren(topology)),
    ]),
  ]);
}

function group(
  id: string,
  strategy: Strategy,
  graceMs: number,
  children: readonly Child[],
  expected = children.length,
): Child {
  return {
    id,
    logic: supervisor,
    input: planOf(strategy, children, expected),
    restart: "permanent",
    graceMs,
  };
}

/** A group that nobody is in is not there. */
function optionalGroup(id: string, children: readonly Child[]): Child[] {
  return children.length === 0
    ? []
    : [group(id, "one_for_one", 2.5 * SECOND, children)];
}

/** Intensity scales with the children: two restarts each within a minute, and never fewer than six in all. */
function planOf(
  strategy: Strategy,
  children: readonly Child[],
  expected = children.length,
): Plan {
  return {
    strategy,
    children,
    maxRestarts: Math.max(6, 2 * expected),
    withinMs: MINUTE,
    backoffMs: (failures) => backoffMs(failures, RESTART),
  };
}

/** Adds what should run and does not, removes what runs and should not; a changed child is both, one after the other. */
function assign(
  group: ReturnType<typeof findActor>,
  children: readonly Child[],
): void {
  const book = group === undefined ? undefined : bookOf(group);
  if (group === undefined || book === undefined) return;
  for (const { child } of book.members)
    if (!children.includes(child))
      group.send({ type: "child.removed", id: child.id });
  for (const child of children)
    if (!book.members.some((member) => member.child.id === child.id))
      group.send({ type: "child.added", child });
}

/** What a value, when there is one, adds to a list. */
function when<Value>(
  value: Value | undefined,
  make: (value: Value) => Child,
): Child[] {
  return value === undefined ? [] : [make(value)];
}
