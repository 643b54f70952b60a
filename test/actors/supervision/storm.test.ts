/**
 * A storm: random failures, restarts, additions, removals and waits against a
 * tree of every strategy, machines that throw included. Whatever the order, no
 * child ever runs twice, and at the end nothing is left running.
 */
import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { type AnyActorLogic, type AnyActorRef, assign, setup } from "xstate";
import type { Child, Strategy } from "../../../actors/supervision/plan.ts";
import { fromResource } from "../../../actors/supervision/resource.ts";
import { supervisor } from "../../../actors/supervision/supervisor.ts";
import { findActor, requestRestart } from "../../../actors/supervision/tree.ts";
import { plan, run } from "./stage.ts";

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

type Order = { type: "fail" | "finish" | "throw" | "explode" };

/** Counts what is open, by name. */
class Books {
  readonly #open = new Map<string, number>();
  mostOfOne = 0;

  get open(): number {
    return this.#open.values().reduce((sum, count) => sum + count, 0);
  }

  /** A resource that does as it is told, and takes `leavesAfterMs` to leave. */
  resource(name: string, leavesAfterMs: number): AnyActorLogic {
    return fromResource<unknown, Order>((scope) => {
      this.#add(name, 1);
      scope.stack.defer(() => this.#add(name, -1));
      scope.onShutdown(() => {
        const timer = setTimeout(scope.finish, leavesAfterMs);
        scope.stack.defer(() => clearTimeout(timer));
      });
      scope.receive(({ type }) => {
        if (type === "fail") scope.fail(new Error("broke"));
        if (type === "finish") scope.finish();
        if (type === "throw") throw new Error("bug");
        if (type === "explode") scope.tell({ type: "explode" });
      });
    });
  }

  /** A machine with two resources, that throws when it, or a part of it, says so. */
  machine(name: string): AnyActorLogic {
    return setup({
      types: {} as { events: Order | { type: "shutdown" } },
      actors: {
        left: this.resource(`${name}.left`, 0),
        right: this.resource(`${name}.right`, 0),
      },
    }).createMachine({
      initial: "working",
      invoke: { src: "left" },
      on: {
        explode: {
          actions: assign(() => {
            throw new Error("bug");
          }),
        },
      },
      states: {
        working: {
          invoke: { src: "right", id: "right", onError: { target: "resting" } },
          on: { fail: "resting", shutdown: "left" },
        },
        resting: { after: { 20: "working" }, on: { shutdown: "left" } },
        left: { type: "final" },
      },
    });
  }

  #add(name: string, change: number): void {
    const count = (this.#open.get(name) ?? 0) + change;
    this.#open.set(name, count);
    this.mostOfOne = Math.max(this.mostOfOne, count);
  }
}

/** mulberry32: the same seed, the same storm. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function growTree(books: Books, name: string, strategy: Strategy): Child {
  const at = (child: string) => `${name}.${child}`;
  const children: Child[] = [
    {
      id: "quick",
      logic: books.resource(at("quick"), 0),
      restart: "permanent",
      graceMs: 30,
    },
    {
      id: "slow",
      logic: books.resource(at("slow"), 25),
      restart: "transient",
      graceMs: 30,
    },
    {
      id: "machine",
      logic: books.machine(at("machine")),
      restart: "permanent",
      graceMs: 30,
    },
    {
      id: "stubborn",
      logic: books.resource(at("stubborn"), 90),
      restart: "permanent",
      graceMs: 30,
    },
    {
      id: "brief",
      logic: books.resource(at("brief"), 0),
      restart: "temporary",
      graceMs: 30,
    },
  ];
  const input = plan(children, {
    strategy,
    maxRestarts: 4,
    withinMs: 200,
    backoffMs: (failures) => 5 * failures,
  });
  return {
    id: name,
    logic: supervisor,
    input,
    restart: "permanent",
    graceMs: 200,
  };
}

const paths = ["one", "rest", "all"].flatMap((group) => [
  group,
  ...[
    "quick",
    "slow",
    "machine",
    "machine/right",
    "stubborn",
    "brief",
    "extra",
  ].map((id) => `${group}/${id}`),
]);

test.each(Array.from({ length: 40 }, (_, index) => index + 1))(
  "nothing is left running after storm %d",
  (seed) => {
    const warned = jest.spyOn(console, "warn").mockImplementation(() => {});
    const random = createRandom(seed);
    const pick = <Value>(values: readonly Value[]) =>
      values[Math.floor(random() * values.length)];
    const books = new Books();
    const groups = [
      growTree(books, "one", "one_for_one"),
      growTree(books, "rest", "rest_for_one"),
      growTree(books, "all", "one_for_all"),
    ];
    // Every fourth storm may bring the root down as well.
    const maxRestarts = seed % 4 === 0 ? 3 : 100_000;
    const { root, errors } = run(
      plan(groups, { strategy: "rest_for_one", maxRestarts }),
    );

    const orders = ["fail", "finish", "throw", "explode"] as const;
    for (let gust = 0; gust < 300; gust += 1) {
      if (root.getSnapshot().status !== "active") break;
      const path = pick(paths) ?? "";
      const actor = findActor(root, path);
      const group = findActor(root, pick(["one", "rest", "all"]) ?? "");
      const chance = random();
      if (chance < 0.6) obey(actor, pick(orders));
      else if (chance < 0.7) requestRestart(root, path);
      else if (chance < 0.75) {
        const logic = books.resource(`${group?.id}.extra`, 10);
        const child = { id: "extra", logic, restart: "permanent", graceMs: 5 };
        group?.send({ type: "child.added", child });
      } else if (chance < 0.8) {
        group?.send({ type: "child.removed", id: pick(["extra", "quick"]) });
      } else jest.advanceTimersByTime(Math.floor(random() * 60));
      expect(books.mostOfOne).toBeLessThanOrEqual(1);
    }

    root.send({ type: "shutdown" });
    jest.advanceTimersByTime(2000);
    expect(root.getSnapshot().status).toBe(
      errors.length === 0 ? "done" : "error",
    );
    expect(books.open).toBe(0);
    expect(jest.getTimerCount()).toBe(0);
    warned.mockRestore();
  },
);

/** A supervisor has no order to fail; its machines and resources do. */
function obey(
  actor: AnyActorRef | undefined,
  type: Order["type"] | undefined,
): void {
  if (actor !== undefined && type !== undefined) actor.send({ type });
}
