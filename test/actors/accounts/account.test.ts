import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { createActor } from "xstate";
import { accountChild, accountId } from "../../../actors/accounts/account.ts";
import { createLink } from "../../../actors/accounts/link.ts";
import { stream } from "../../../actors/accounts/stream.ts";
import type { Child, Plan } from "../../../actors/supervision/plan.ts";
import { supervisor } from "../../../actors/supervision/supervisor.ts";
import {
  describeTree,
  requestRestart,
} from "../../../actors/supervision/tree.ts";
import { watchLifecycle } from "../../../actors/supervision/lifecycle.ts";
import type { TreeNode } from "../../../schema/service.ts";
import { DAY, HOUR, MINUTE, SECOND } from "../../../src/clock.ts";
import { createLogger } from "../../../src/log.ts";
import { NOW, orderOf } from "../../support/accountScript.ts";
import {
  accountStage,
  elapse,
  fakeTime,
  settled,
  type Stage,
  UNAUTHORIZED,
  update,
} from "./stage.ts";

beforeEach(fakeTime);
afterEach(() => {
  jest.useRealTimers();
});

/** The account's own plan, with the stage's network in the place of the real one. */
function onStage(stage: Stage, slug: string): Child {
  const child = accountChild(stage.run);
  const plan = child.input as Plan;
  const scripted = stream.provide({
    actors: { link: createLink(stage.network.dial) },
  });
  const children = plan.children.map((member) =>
    member.id === "stream" ? { ...member, logic: scripted } : member,
  );
  return { ...child, id: accountId(slug), input: { ...plan, children } };
}

/** Accounts side by side, as the tree has them. */
function startAccounts(stages: Readonly<Record<string, Stage>>) {
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
      children: Object.entries(stages).map(([slug, stage]) =>
        onStage(stage, slug),
      ),
      maxRestarts: 6,
      withinMs: MINUTE,
      backoffMs: () => SECOND,
    },
  });
  root.subscribe({ error: (error) => errors.push(error) });
  root.start();
  const states = (slug: string) => {
    const account = describeTree(root).children?.find(
      ({ id }) => id === accountId(slug),
    );
    return Object.fromEntries(
      (account?.children ?? []).map(({ id, state }) => [id, state]),
    );
  };
  const node = (slug: string, id: string): TreeNode | undefined =>
    describeTree(root)
      .children?.find((account) => account.id === accountId(slug))
      ?.children?.find((child) => child.id === id);
  return { root, errors, finished, states, node };
}

test("is a supervisor of a stream, a backfill that is done once, and a healer", () => {
  const { run } = accountStage();
  const child = accountChild(run);
  expect(child).toMatchObject({
    id: "account/alpha",
    logic: supervisor,
    restart: "permanent",
  });
  const { children, ...plan } = child.input as Plan;
  expect(plan).toMatchObject({ strategy: "one_for_one" });
  expect(
    children.map(({ id, restart, input }) => [id, restart, input === run]),
  ).toEqual([
    ["stream", "permanent", true],
    ["backfill", "transient", true],
    ["healer", "permanent", true],
  ]);
});

test("is the same child as long as its run is the same, so that nothing is restarted for nothing", () => {
  const { run } = accountStage();
  expect(accountChild(run)).toBe(accountChild(run));
  expect(accountChild({ ...run })).not.toBe(accountChild(run));
});

test("its parts wait for the stream, then read the past, and rest", async () => {
  const stage = accountStage();
  stage.venue.orders.push(orderOf(1, NOW - DAY));
  const { root, states } = startAccounts({ alpha: stage });
  await settled();
  expect(states("alpha")).toEqual({
    stream: "linked.connecting",
    backfill: "waiting",
    healer: "waiting",
  });
  stage.network.last.accepts();
  await settled();
  expect(states("alpha")).toEqual({
    stream: "linked.streaming",
    backfill: "finished",
    healer: "resting",
  });
  root.stop();
});

test("a refused key stops this account alone, and a new life of its actors asks no sooner", async () => {
  const stages = { refused: accountStage(), well: accountStage() };
  stages.refused.network.peer = (socket) => socket.opens().says(UNAUTHORIZED);
  stages.well.network.peer = (socket) => socket.accepts();
  const { root, errors, states } = startAccounts(stages);
  await elapse(4 * MINUTE);
  expect(states("refused")).toMatchObject({
    stream: "refused",
    backfill: "waiting",
  });
  expect(states("well")).toEqual({
    stream: "linked.streaming",
    backfill: "finished",
    healer: "resting",
  });
  expect(requestRestart(root, "account/refused")).toBe(true);
  await elapse(MINUTE - SECOND);
  expect(stages.refused.network.dials).toEqual([0]);
  await elapse(SECOND);
  expect(stages.refused.network.dials).toEqual([0, 300]);
  expect(stages.well.network.log).toEqual(["0 dial"]);
  expect(errors).toEqual([]);
  root.stop();
});

describe("what fails in it", () => {
  test("is the part alone: a stream that fails is started again, and dials by the schedule", async () => {
    const stage = accountStage();
    stage.network.peer = (socket) => socket.accepts();
    const { root, states, node } = startAccounts({ alpha: stage });
    await elapse(10 * SECOND);
    const note = stage.run.delivered.note.bind(stage.run.delivered);
    stage.run.delivered.note = () => {
      throw new TypeError("no such thing");
    };
    stage.network.last.says(update({ event: "new" }));
    stage.run.delivered.note = note;
    expect(stage.network.open).toBe(0);
    await elapse(5 * SECOND);
    expect(node("alpha", "stream")).toMatchObject({
      state: "linked.streaming",
      restarts: 1,
      lastError: "no such thing",
    });
    expect(states("alpha")).toMatchObject({
      backfill: "finished",
      healer: "resting",
    });
    expect(stage.network.dials).toHaveLength(2);
    expect(stage.network.dials[1]).toBeGreaterThanOrEqual(11);
    root.stop();
  });

  test("does not cut the live stream: a healer and a backfill that fail for an hour leave it alone", async () => {
    const stage = accountStage();
    stage.network.peer = (socket) => socket.accepts();
    stage.venue.interrupt = ({ searchParams }) =>
      // The probe's own reading is answered.
      searchParams.get("direction") === "desc"
        ? undefined
        : Response.json({ message: "no such request" }, { status: 422 });
    const { root, node } = startAccounts({ alpha: stage });
    await elapse(HOUR, SECOND);
    expect(node("alpha", "stream")).toMatchObject({
      state: "linked.streaming",
      restarts: 0,
    });
    expect(stage.network.log).toEqual(["0 dial"]);
    root.stop();
  });
});

describe("shutdown", () => {
  test("asks healer, backfill and stream in that order, and leaves nothing behind", async () => {
    const stage = accountStage();
    const { root, finished } = startAccounts({ alpha: stage });
    await settled();
    stage.network.last.opens();
    await elapse(5 * SECOND);
    root.send({ type: "shutdown" });
    await settled();
    expect(finished).toEqual([
      "account/alpha/healer",
      "account/alpha/backfill",
      "account/alpha/stream",
      "account/alpha",
      "root",
    ]);
    expect(stage.network.log).toEqual(["0 dial", "5 hang up"]);
    expect(jest.getTimerCount()).toBe(0);
  });

  test("of one account leaves the other alone", async () => {
    const stages = { alpha: accountStage(), beta: accountStage() };
    for (const { network } of Object.values(stages))
      network.peer = (socket) => socket.accepts();
    const { root, states } = startAccounts(stages);
    await elapse(10 * SECOND);
    root.send({ type: "child.removed", id: "account/alpha" });
    await elapse(HOUR, SECOND);
    expect(stages.alpha.network.log).toEqual(["0 dial", "10 hang up"]);
    expect(stages.beta.network.log).toEqual(["0 dial"]);
    expect([states("alpha"), states("beta")["stream"]]).toEqual([
      {},
      "linked.streaming",
    ]);
    root.stop();
  });
});
