import { describe, expect, test } from "bun:test";
import { ALPHA, liveOrder, openScene, type Scene } from "./wire.ts";

const BOOKS = `/sim/books/${ALPHA.name}`;

/** As nobody: the doors ask for no key. */
function knock(scene: Scene, method: string, path: string, body?: unknown) {
  return scene.call(method, path, body, {});
}

describe("the books", () => {
  test("are open to anyone: cash, positions and counts, and every order, activity and event as it stands there", async () => {
    await using scene = await openScene();
    const order = liveOrder(scene.desk);
    scene.desk.fill(order, 10e9, "99.5", { isLast: true });
    const [fill] = await scene.get("/v2/account/activities/FILL");
    const opening = await scene.get("/v2/account/activities/JNLC");

    const { body: summary } = await knock(scene, "GET", BOOKS);
    expect(summary).toEqual({
      cashCents: 500,
      number: expect.stringMatching(/^PA/),
      createdAt: expect.stringMatching(/Z$/),
      orders: 1,
      activities: 2,
      events: 3,
      positions: [{ symbol: "AAPL", qty: 10e9, costCents: 99_500 }],
    });
    const lines = async (kind: string) => {
      const answer = await knock(scene, "GET", `${BOOKS}/${kind}`);
      expect(answer.headers.get("content-type")).toBe("application/x-ndjson");
      const texts: string[] = answer.body.split("\n");
      expect(texts.pop()).toBe("");
      return texts.map((text) => JSON.parse(text));
    };
    expect(await lines("orders")).toEqual([{ ...order, status: "filled" }]);
    const activities = await lines("activities");
    expect(activities).toHaveLength(2);
    expect(activities).toEqual(expect.arrayContaining([...opening, fill]));
    const events = await lines("events");
    expect(events.map(({ event }) => event)).toEqual([
      "pending_new",
      "new",
      "fill",
    ]);
  });

  test("of a name with a blank are found", async () => {
    await using scene = await openScene({
      accounts: [{ ...ALPHA, name: "my account" }],
    });
    const { status, body } = await knock(
      scene,
      "GET",
      "/sim/books/my%20account/orders",
    );
    expect([status, body]).toEqual([200, ""]);
  });
});

test.each([
  ["GET", "/sim/books/gamma", 404],
  ["GET", "/sim/books", 404],
  ["GET", `${BOOKS}/secrets`, 404],
  ["GET", `${BOOKS}/orders/1`, 404],
  ["GET", "/sim/nothing", 404],
  ["GET", "/sim/faults/1", 404],
  ["POST", BOOKS, 405],
  ["DELETE", "/sim", 405],
  ["PUT", "/sim/faults", 405],
])("%s %s answers %d", async (method, path, status) => {
  await using scene = await openScene();
  const { body, ...answer } = await knock(scene, method, path);
  expect(answer.status).toBe(status);
  expect(body).toEqual({
    message: status === 404 ? "not found" : "method not allowed",
  });
});

test("the first door names all doors, the accounts, and what can be broken", async () => {
  await using scene = await openScene();
  const { body } = await knock(scene, "GET", "/sim");
  expect(Object.keys(body)).toEqual(["doors", "accounts", "faults"]);
  expect(body.accounts).toEqual(["alpha", "beta"]);
  expect(body.faults).toHaveProperty("half-open");
  for (const door of Object.keys(body.doors)) {
    const [method = "", path = ""] = door.split(" ");
    if (method === "POST") continue;
    const answer = await knock(
      scene,
      method,
      path.replace("{account}", ALPHA.name),
    );
    expect([door, answer.status]).toEqual([door, 200]);
  }
});

describe("faults", () => {
  test("are set, listed and ended by anyone", async () => {
    await using scene = await openScene();
    const mute = { kind: "mute", account: ALPHA.name, forMs: 60_000 };
    const lose = { kind: "lose", chance: 0.5 };
    const doings = [
      await knock(scene, "GET", "/sim/faults"),
      await knock(scene, "POST", "/sim/faults", mute),
      await knock(scene, "POST", "/sim/faults", lose),
      await knock(scene, "GET", "/sim/faults"),
      await knock(scene, "DELETE", "/sim/faults"),
    ];
    expect(doings.map(({ status, body }) => [status, body])).toEqual([
      [200, []],
      [200, [mute]],
      [200, [mute, lose]],
      [200, [mute, lose]],
      [200, []],
    ]);
  });

  test("of an instant strike and are over", async () => {
    await using scene = await openScene();
    const listener = await scene.listen();
    const { body } = await knock(scene, "POST", "/sim/faults", {
      kind: "drop",
    });
    expect(body).toEqual([]);
    expect(await listener.closed).toBe(1006);
  });

  test.each<[body: unknown, problem: string]>([
    ["{", "the body is no JSON"],
    [{ kind: "fall" }, "fault 1, kind: "],
    [{ kind: "delay" }, "fault 1, byMs: "],
    [{ kind: "mute", account: "gamma" }, "there is no account gamma"],
    [{ kind: "outage", account: "alpha" }, "it strikes the whole venue"],
  ])("that make no sense are refused: %j", async (fault, problem) => {
    await using scene = await openScene();
    const { status, body } = await knock(scene, "POST", "/sim/faults", fault);
    expect([status, body]).toEqual([
      400,
      { problems: [expect.stringContaining(problem)] },
    ]);
    expect((await knock(scene, "GET", "/sim/faults")).body).toEqual([]);
  });
});
