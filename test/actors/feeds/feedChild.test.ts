import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { createActor } from "xstate";
import { feedChild } from "../../../actors/feeds/feedChild.ts";
import { watchLifecycle } from "../../../actors/supervision/lifecycle.ts";
import type { Child, Plan } from "../../../actors/supervision/plan.ts";
import { supervisor } from "../../../actors/supervision/supervisor.ts";
import {
  describeTree,
  requestRestart,
} from "../../../actors/supervision/tree.ts";
import type { TreeNode } from "../../../schema/service.ts";
import { HOUR, MINUTE, SECOND } from "../../../src/clock.ts";
import { createLogger } from "../../../src/log.ts";
import { NOW } from "../../support/accountScript.ts";
import {
  errorOf,
  factsInShort,
  type FeedScript,
  feedScript,
  feedVenue,
  pastBar,
  peer,
  tradeOf,
} from "../../support/feedScript.ts";
import { elapse, fakeTime, settled } from "../accounts/stage.ts";
import { elapseAlive, feedOn } from "./stage.ts";

beforeEach(fakeTime);
afterEach(() => {
  jest.useRealTimers();
});

/** The feed's own plan, with the script's network in the place of the real one. */
function onStage(script: FeedScript): Child {
  const child = feedChild(script.run);
  const plan = child.input as Plan;
  const children = plan.children.map((member) =>
    member.id === "stream" ? { ...member, logic: feedOn(script) } : member,
  );
  return { ...child, input: { ...plan, children } };
}

/** Feeds side by side, as the tree has them. */
function startFeeds(...scripts: readonly FeedScript[]) {
  const errors: unknown[] = [];
  /** Paths of the actors that finished, in order. */
  const finished: string[] = [];
  const log = createLogger({
    destination: {
      write: (line) => {
        const { message, actor } = JSON.parse(line);
        if (message === "actor_finished") finished.push(actor);
      },
    },
  });
  const root = createActor(supervisor, {
    inspect: watchLifecycle(log),
    input: {
      strategy: "one_for_one",
      children: scripts.map(onStage),
      maxRestarts: 6,
      withinMs: MINUTE,
      backoffMs: () => SECOND,
    },
  });
  root.subscribe({ error: (error) => errors.push(error) });
  root.start();
  const node = (feed: string, id: string): TreeNode | undefined =>
    describeTree(root)
      .children?.find((child) => child.id === `feed/${feed}`)
      ?.children?.find((child) => child.id === id);
  return { root, errors, finished, node };
}

const crypto = () => feedScript({ venue: feedVenue({ id: "crypto" }) });

test("is a supervisor of a stream and a healer", () => {
  const { run } = feedScript();
  const child = feedChild(run);
  expect(child).toMatchObject({
    id: "feed/stock",
    logic: supervisor,
    restart: "permanent",
  });
  const { children, strategy } = child.input as Plan;
  expect(strategy).toBe("one_for_one");
  expect(
    children.map(({ id, restart, input }) => [id, restart, input === run]),
  ).toEqual([
    ["stream", "permanent", true],
    ["healer", "permanent", true],
  ]);
});

test("is the same child as long as its run is the same, so that nothing is restarted for nothing", () => {
  const { run } = feedScript();
  expect(feedChild(run)).toBe(feedChild(run));
  expect(feedChild({ ...run })).not.toBe(feedChild(run));
});

test("minutes that a broken link missed are read back, and every minute is known in the end", async () => {
  const script = feedScript({ wants: { bars: ["AAPL"] } });
  const { network, store, history } = script;
  for (let minute = 0; minute < 20; minute++)
    history.minutes.push(pastBar("AAPL", NOW + minute * MINUTE));
  network.peer = peer();
  const { root, node } = startFeeds(script);
  await elapseAlive(script, 303 * SECOND);
  network.peer = (socket) => socket.cuts();
  network.last.cuts();
  await elapseAlive(script, 267 * SECOND);
  network.peer = peer();
  await elapseAlive(script, 3 * MINUTE);

  expect(network.dials.at(-1)).toBe(607);
  expect(node("stock", "healer")?.state).toBe("resting");
  // Also while the link was down, a minute after the other; what a pass after the reconnect finds is the last one.
  expect(history.requests.filter((line) => line.includes("bars"))).toEqual([
    "360 bars AAPL 14:04..14:05",
    "420 bars AAPL 14:05..14:06",
    "480 bars AAPL 14:06..14:07",
    "540 bars AAPL 14:07..14:08",
    "600 bars AAPL 14:08..14:09",
    "667 bars AAPL 14:09..14:10",
  ]);
  // The minute of the cut was streamed in part; its bar never came.
  expect(
    factsInShort(store.facts).filter((fact) => fact.includes("healed")),
  ).toEqual(
    [4, 5, 6, 7, 8, 9].map(
      (minute) =>
        `AAPL healed 14:0${minute}:00..14:${String(minute + 1).padStart(2, "0")}:00`,
    ),
  );
  expect(await store.knownMinutes(["AAPL"], new Date(NOW))).toEqual(
    new Map([["AAPL", [{ from: NOW, to: NOW + 12 * MINUTE }]]]),
  );
  expect(store.bars).toHaveLength(6);
  root.stop();
});

test("a refused key stops this feed alone, and a new life of its actors asks no sooner", async () => {
  const [refused, well] = [feedScript(), crypto()];
  refused.network.peer = peer({ onAuth: () => errorOf(402) });
  well.network.peer = peer();
  const { root, errors, node } = startFeeds(refused, well);
  await elapse(4 * MINUTE);
  expect(node("stock", "stream")?.state).toBe("refused");
  expect(node("stock", "healer")?.state).toBe("waiting");
  expect(node("crypto", "stream")?.state).toBe("linked.streaming");
  expect(requestRestart(root, "feed/stock")).toBe(true);
  await elapse(MINUTE - SECOND);
  expect(refused.network.dials).toEqual([0]);
  await elapse(SECOND);
  expect(refused.network.dials).toEqual([0, 300]);
  expect(well.network.log).toEqual(["0 dial"]);
  expect(errors).toEqual([]);
  root.stop();
});

describe("what fails in it", () => {
  test("is the part alone: a stream that fails is started again, and dials by the schedule", async () => {
    let isBroken = false;
    const script = feedScript({
      deliver: () => {
        if (isBroken) throw new TypeError("no such thing");
      },
    });
    const well = crypto();
    script.network.peer = peer();
    well.network.peer = peer();
    const { root, node } = startFeeds(script, well);
    await elapse(10 * SECOND);
    isBroken = true;
    script.network.last.says(tradeOf("AAPL"));
    isBroken = false;
    expect(script.network.open).toBe(0);
    await elapse(5 * SECOND);
    expect(node("stock", "stream")).toMatchObject({
      state: "linked.streaming",
      restarts: 1,
      lastError: "no such thing",
    });
    expect(node("stock", "healer")).toMatchObject({
      state: "resting",
      restarts: 0,
    });
    expect(script.network.dials).toHaveLength(2);
    expect(script.network.dials[1]).toBeGreaterThanOrEqual(11);
    expect(well.network.log).toEqual(["0 dial"]);
    root.stop();
  });

  test("with every frame, for an hour, is dialled no more often than the schedule says, and the other feed streams on", async () => {
    const script = feedScript({
      deliver: () => {
        throw new TypeError("no such thing");
      },
    });
    const well = crypto();
    script.network.peer = (socket) => {
      peer()(socket);
      socket.says(tradeOf("AAPL"));
    };
    well.network.peer = peer();
    const { root, errors } = startFeeds(script, well);
    await elapse(HOUR, SECOND);
    expect(script.network.dials.slice(0, 4)).toEqual([0, 1, 3, 7]);
    expect(script.network.dials.length).toBeLessThanOrEqual(70);
    expect(well.network.log).toEqual(["0 dial"]);
    expect(errors).toEqual([]);
    root.stop();
  });
});

describe("shutdown", () => {
  test("asks healer and stream in that order, and leaves nothing behind", async () => {
    const script = feedScript();
    script.network.peer = peer();
    const { root, finished } = startFeeds(script);
    await elapse(5 * SECOND);
    root.send({ type: "shutdown" });
    await settled();
    expect(finished).toEqual([
      "feed/stock/healer",
      "feed/stock/stream",
      "feed/stock",
      "root",
    ]);
    expect(script.network.log).toEqual(["0 dial", "5 hang up"]);
    expect(jest.getTimerCount()).toBe(0);
  });

  test("of one feed leaves the other alone", async () => {
    const [stock, other] = [feedScript(), crypto()];
    for (const { network } of [stock, other]) network.peer = peer();
    const { root, node } = startFeeds(stock, other);
    await elapse(10 * SECOND);
    root.send({ type: "child.removed", id: "feed/stock" });
    await elapse(HOUR, SECOND);
    expect(stock.network.log).toEqual(["0 dial", "10 hang up"]);
    expect(other.network.log).toEqual(["0 dial"]);
    expect(node("stock", "stream")).toBeUndefined();
    expect(node("crypto", "stream")?.state).toBe("linked.streaming");
    root.stop();
  });
});
