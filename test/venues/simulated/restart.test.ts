import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Books } from "../../../src/venues/simulated/books.ts";
import { Exchange } from "../../../src/venues/simulated/exchange.ts";
import type { SimulatedAccountSpec } from "../../../src/venues/simulated/venue.ts";
import { problemsOf } from "./audit.ts";
import { ALPHA, Listener, liveOrder, openScene, type Update } from "./wire.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0))
    rmSync(folder, { recursive: true, force: true });
});

function bookFile(): string {
  const folder = mkdtempSync(join(tmpdir(), "feedkeeper-venue-"));
  folders.push(folder);
  return join(folder, "venue.sqlite");
}

const KINDS = ["orders", "activities", "events"] as const;
const written = (books: Books) =>
  KINDS.map((kind) => [...books.all(ALPHA.name, kind)]);

describe("a venue that was stopped and starts again", () => {
  const PATHS = [
    "/v2/orders?status=all&nested=true",
    "/v2/account/activities",
    "/v2/positions",
    "/v2/account",
  ];

  test("shows by REST what it showed before, and makes no second past", async () => {
    const file = bookFile();
    const clock = { now: () => Date.parse("2026-09-16T14:00:00Z") };
    const options = { file, clock, historyOrdersPerDay: 30 };
    const answers: unknown[][] = [];
    for (const _ of ["before", "after"]) {
      await using scene = await openScene(options);
      if (answers.length === 0) {
        const order = liveOrder(scene.desk);
        scene.desk.fill(order, 4e9, "99.5", { isLast: false });
        scene.desk.book({ type: "FEE", netCents: -3, description: "fee" });
      }
      answers.push(await Promise.all(PATHS.map((path) => scene.get(path))));
    }
    const [before, after] = answers;
    expect(after).toEqual(before ?? []);
  });

  test("goes on in its books: later events, new ids, clients' ids still taken", async () => {
    const file = bookFile();
    const request = { symbol: "AAPL", side: "buy", type: "market" };
    const body = { ...request, time_in_force: "day", qty: 1 };
    for (const run of [1, 2, 3]) {
      await using scene = await openScene({ file });
      const listener = await scene.listen();
      const { status } = await scene.call("POST", "/v2/orders", {
        ...body,
        client_order_id: `order ${run}`,
      });
      expect(status).toBe(200);
      await listener.until("fill");
      const twice = { ...body, client_order_id: "order 1" };
      expect((await scene.call("POST", "/v2/orders", twice)).status).toBe(422);
      const { books } = scene.venue.exchange;
      expect(books.counts(ALPHA.name)).toEqual({
        orders: run,
        activities: run + 1,
        events: 3 * run,
      });
      expect(problemsOf(books, ALPHA.name)).toEqual([]);
    }
  });

  test("knows an account that was added to it, and forgets none that was left out", async () => {
    const file = bookFile();
    const options = { file, historyOrdersPerDay: 0, historyDays: 1 };
    const open = (account: SimulatedAccountSpec) =>
      openScene({ ...options, accounts: [account] });
    let before: string[][];
    {
      await using scene = await open(ALPHA);
      liveOrder(scene.desk);
      before = written(scene.venue.exchange.books);
    }
    await using scene = await open({ ...ALPHA, name: "gamma", cash: 5 });
    const { books } = scene.venue.exchange;
    expect(books.account("gamma").cashCents).toBe(500);
    expect(written(books)).toEqual(before);
  });
});

test("a past that could not be made whole is not made at all, and is made by the next start", () => {
  const books = new Books(":memory:");
  const open = () =>
    new Exchange({
      books,
      seed: 1,
      now: () => Date.now(),
      sharesExecutionIds: true,
      fillLagMs: () => 0,
      sticks: () => false,
      publish: () => {},
      onFailure: () => {},
    }).open({
      name: "alpha",
      cash: 100,
      ordersPerMinute: 0,
      historyDays: 1,
      historyOrdersPerDay: 0,
    });
  const { putActivity } = books;
  books.putActivity = () => {
    throw new Error("killed");
  };
  expect(open).toThrow("killed");
  expect(() => books.account("alpha")).toThrow("no account alpha");
  books.putActivity = putActivity;
  open();
  expect(books.account("alpha").cashCents).toBe(10_000);
});

test("killed at any instant, the books are sound, hold all that was told, and are gone on with", async () => {
  const file = bookFile();
  const heard: string[] = [];
  const counts: number[] = [];
  for (const wanted of [60, 90, 120]) {
    const child = Bun.spawn(
      [
        process.execPath,
        join(import.meta.dir, "venueProcess.ts"),
        file,
        ALPHA.name,
      ],
      { stdout: "pipe", stderr: "inherit" },
    );
    try {
      const url = await firstLine(child.stdout);
      const listener = new Listener(url);
      await listener.opened;
      listener.send({ action: "auth", key: "key", secret: "secret" });
      await listener.next();
      listener.send({ action: "listen", data: { streams: ["trade_updates"] } });
      await listener.next();
      const updates: Update[] = await listener.updates(wanted);
      heard.push(...updates.map(({ event_id }) => event_id));
    } finally {
      child.kill("SIGKILL");
      await child.exited;
    }
    const books = new Books(file);
    expect(problemsOf(books, ALPHA.name)).toEqual([]);
    const booked = Array.from(
      books.all(ALPHA.name, "events"),
      (body) => JSON.parse(body).event_id,
    );
    expect(booked).toEqual(expect.arrayContaining(heard));
    counts.push(booked.length);
    books.close();
  }
  expect(counts.toSorted((a, b) => a - b)).toEqual(counts);
});

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const chunk of stream) {
    text += new TextDecoder().decode(chunk);
    if (text.includes("\n")) break;
  }
  return text.trim();
}
