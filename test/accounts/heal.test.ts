import { describe, expect, spyOn, test } from "bun:test";
import type { Fact } from "../../src/accounts/coverage.ts";
import { heal, REST_LAG_MS, surveyAccount } from "../../src/accounts/heal.ts";
import { DAY, HOUR, MINUTE, SECOND } from "../../src/clock.ts";
import {
  accountScript,
  fillOf,
  inShort,
  iso,
  NOW,
  orderOf,
  type Script,
  uuid,
} from "../support/accountScript.ts";

const never = new AbortController().signal;
const LOOKBACK_MS = 2 * MINUTE;

function pass({ run }: Script, lookbackMs = LOOKBACK_MS) {
  return heal(run, { lookbackMs }, never);
}

/** A pass whose rows and facts reach the store. */
async function committedPass(script: Script, atMs = script.clock.ms) {
  script.clock.ms = atMs;
  const receipt = await pass(script);
  script.store.commit(script.queue);
  return receipt;
}

function fact(
  state: Fact["state"],
  from: number,
  to: number,
  stream: Fact["stream"] = "trade_updates",
): Fact {
  return { stream, state, from: new Date(from), to: new Date(to), rows: 0 };
}

/** Bounds of the readings of a path, `after..until` on the clock. */
function readings({ venue }: Script, path: string): string[] {
  return venue.requests
    .map((request) => new URL(request, "http://venue.test"))
    .filter(
      ({ pathname, searchParams }) =>
        pathname === path && searchParams.has("after"),
    )
    .map(({ searchParams }) =>
      ["after", "until"]
        .map((bound) => searchParams.get(bound)?.slice(11, 23))
        .join(".."),
    );
}

describe("orders and activities", () => {
  test("the lookback window is read each time, up to what REST may still show late", async () => {
    const script = accountScript({ startedAtMs: NOW - HOUR });
    script.store.recorded.push(
      fact("healed", NOW - 2 * HOUR, NOW - REST_LAG_MS, "orders"),
      fact("healed", NOW - 2 * HOUR, NOW - REST_LAG_MS, "activities"),
    );
    script.venue.orders.push(
      orderOf(1, NOW - MINUTE),
      orderOf(2, NOW - SECOND),
    );
    script.venue.activities.push(
      fillOf(1, NOW - MINUTE),
      fillOf(2, NOW - SECOND),
    );
    expect(await committedPass(script)).toEqual({
      orders: 1,
      activities: 1,
      askedById: 0,
    });
    for (const path of ["/v2/orders", "/v2/account/activities"])
      expect(readings(script, path)).toEqual(["13:57:59.999..13:59:50.000"]);
  });

  test("a lookback shorter than the interval: each pass begins where the last one ended", async () => {
    const script = accountScript();
    await committedPass(script);
    script.venue.orders.push(orderOf(1, NOW + MINUTE));
    script.venue.requests.length = 0;
    expect((await committedPass(script, NOW + 10 * MINUTE)).orders).toBe(1);
    expect(readings(script, "/v2/orders")).toEqual([
      "13:59:49.999..14:09:50.000",
    ]);
  });

  test("what was read but not committed is read again", async () => {
    const script = accountScript();
    await pass(script);
    script.queue.takeUpTo(1000);
    script.venue.requests.length = 0;
    await committedPass(script, NOW + 10 * MINUTE);
    expect(readings(script, "/v2/orders")).toEqual([
      "13:56:59.999..14:09:50.000",
    ]);
  });

  test("each recorded gap since the start is read, whatever the lookback", async () => {
    const script = accountScript({ startedAtMs: NOW - 3 * HOUR });
    script.store.recorded.push(
      fact("healed", NOW - 4 * HOUR, NOW - 2 * HOUR, "activities"),
      fact("confirmed_empty", NOW - HOUR, NOW - MINUTE, "activities"),
    );
    script.venue.activities.push(fillOf(1, NOW - 90 * MINUTE));
    expect((await committedPass(script)).activities).toBe(1);
    expect(readings(script, "/v2/account/activities")).toEqual([
      "11:59:59.999..13:00:00.000",
      "13:57:59.999..13:59:50.000",
    ]);
  });

  test("a pass whose second stream fails keeps what the first one read", async () => {
    const script = accountScript();
    script.venue.orders.push(orderOf(1, NOW - MINUTE));
    script.venue.interrupt = ({ pathname }) =>
      pathname === "/v2/account/activities"
        ? Response.json({ message: "no" }, { status: 422 })
        : undefined;
    expect(await pass(script).catch((error) => error.failure)).toBe("rejected");
    script.store.commit(script.queue);
    expect(inShort(script.store.recorded)).toEqual([
      "orders healed 13:57:00..13:59:50",
    ]);
  });
});

describe("open orders", () => {
  test("are read whatever their age, even with nothing to heal", async () => {
    const script = accountScript();
    script.venue.orders.push(
      orderOf(1, NOW - 80 * DAY, {
        filled_qty: "3",
        status: "partially_filled",
      }),
    );
    await committedPass(script);
    expect(script.store.orders.get(uuid(1))?.filled_qty).toBe("3");
  });

  test("that vanished from the venue's list are asked for by id, once each", async () => {
    const script = accountScript();
    script.venue.orders.push(
      orderOf(1, NOW - 80 * DAY),
      orderOf(2, NOW - 80 * DAY),
    );
    await committedPass(script);
    script.venue.orders[0] = orderOf(1, NOW - 80 * DAY, { status: "canceled" });
    script.venue.requests.length = 0;
    expect((await committedPass(script, NOW + MINUTE)).askedById).toBe(1);
    expect(script.store.orders.get(uuid(1))?.status).toBe("canceled");
    expect(script.venue.requests).toContain(
      `/v2/orders/${uuid(1)}?nested=true`,
    );
    expect((await committedPass(script, NOW + 2 * MINUTE)).askedById).toBe(0);
  });

  test("that the venue does not know at all cost a question, and nothing else", async () => {
    const script = accountScript();
    script.venue.orders.push(orderOf(1, NOW - DAY));
    await committedPass(script);
    script.venue.orders = [];
    const { askedById } = await committedPass(script, NOW + MINUTE);
    expect(askedById).toBe(1);
    expect(script.store.orders.get(uuid(1))?.status).toBe("new");
  });

  test("of more than a page are read to the end", async () => {
    const script = accountScript();
    for (let number = 0; number < 1001; number++)
      script.venue.orders.push(orderOf(number, NOW - 80 * DAY));
    expect((await committedPass(script)).askedById).toBe(0);
    expect(script.store.orders.size).toBe(1001);
  });
});

describe("a gap of the stream", () => {
  /** Live until 13:00, and again from 13:10 to 13:58. */
  function interrupted(): Script {
    const script = accountScript({ startedAtMs: NOW - 2 * HOUR });
    script.store.recorded.push(
      fact("live", NOW - 2 * HOUR, NOW - HOUR),
      fact("live", NOW - 50 * MINUTE, NOW + 2 * HOUR),
    );
    return script;
  }
  const emptyGaps = ({ store }: Script) =>
    inShort(
      store.recorded.filter(
        ({ state, stream }) =>
          state === "confirmed_empty" && stream === "trade_updates",
      ),
    );

  test("is confirmed empty once the re-read is committed and no order was touched in it", async () => {
    const script = interrupted();
    await committedPass(script);
    expect(emptyGaps(script)).toEqual([]);
    await committedPass(script, NOW + 5 * MINUTE);
    expect(emptyGaps(script)).toEqual([
      // Before the service was there: no order has ever been touched.
      "trade_updates confirmed_empty 11:58:00..12:00:00",
      "trade_updates confirmed_empty 13:00:00..13:10:00",
    ]);
  });

  test("stays unknown where an order was touched, though the order itself is healed", async () => {
    const script = interrupted();
    script.venue.orders.push(
      orderOf(1, NOW - 90 * MINUTE, {
        status: "filled",
        updated_at: iso(NOW - 55 * MINUTE),
      }),
    );
    const asked = spyOn(script.store, "ordersTouchedBetween");
    for (let turn = 0; turn < 4; turn++)
      await committedPass(script, NOW + turn * 5 * MINUTE);
    expect(asked).toHaveBeenCalledTimes(2);
    expect(script.store.orders.get(uuid(1))?.status).toBe("filled");
    expect(emptyGaps(script)).toEqual([
      "trade_updates confirmed_empty 11:58:00..12:00:00",
    ]);
  });

  test("is not called empty while the rows that would tell are on their way", async () => {
    const script = interrupted();
    script.venue.orders.push(
      orderOf(1, NOW - 90 * MINUTE, { updated_at: iso(NOW - 55 * MINUTE) }),
    );
    for (let turn = 0; turn < 3; turn++) {
      script.clock.ms = NOW + turn * 5 * MINUTE;
      await pass(script);
    }
    script.store.commit(script.queue);
    expect(emptyGaps(script)).toEqual([]);
  });

  test("is not judged by backfill alone, which ends where the gap does", async () => {
    const script = interrupted();
    script.store.recorded.push(
      fact("healed", NOW - 3 * HOUR, NOW - 50 * MINUTE, "orders"),
    );
    await committedPass(script);
    expect(emptyGaps(script)).not.toContain(
      "trade_updates confirmed_empty 13:00:00..13:10:00",
    );
  });

  test("that lasts is not judged before it ends", async () => {
    const script = accountScript({ startedAtMs: NOW - HOUR });
    script.store.recorded.push(fact("live", NOW - HOUR, NOW));
    await committedPass(script, NOW + 20 * MINUTE);
    await committedPass(script, NOW + 25 * MINUTE);
    await committedPass(script, NOW + 30 * MINUTE);
    expect(
      emptyGaps(script).filter((gap) => !gap.endsWith("13:00:00")),
    ).toEqual([]);
  });

  test("left by a deaf session is one too", async () => {
    const script = accountScript({ startedAtMs: NOW - HOUR });
    script.store.recorded.push(
      fact("live", NOW - HOUR, NOW + HOUR),
      fact("deaf", NOW - 30 * MINUTE, NOW - 20 * MINUTE),
    );
    script.venue.orders.push(orderOf(1, NOW - 25 * MINUTE));
    await committedPass(script);
    await committedPass(script, NOW + 5 * MINUTE);
    expect(emptyGaps(script)).not.toContain(
      "trade_updates confirmed_empty 13:30:00..13:40:00",
    );
  });

  test("of the service's own absence is looked at after it is back", async () => {
    const script = accountScript();
    script.store.recorded.push(
      fact("live", NOW - 3 * DAY, NOW - 2 * DAY),
      fact("live", NOW, NOW + HOUR),
      // What backfill has read meanwhile.
      fact("confirmed_empty", NOW - 9 * DAY, NOW, "orders"),
    );
    await committedPass(script, NOW + 2 * MINUTE);
    await committedPass(script, NOW + 7 * MINUTE);
    expect(script.store.recorded).toContainEqual(
      fact("confirmed_empty", NOW - 2 * DAY, NOW),
    );
  });
});

describe("the survey", () => {
  test("counts the seconds that nothing covers, but not those still on their way", async () => {
    const script = accountScript({ startedAtMs: NOW - HOUR });
    script.store.recorded.push(
      fact("live", NOW - HOUR, NOW - 30 * MINUTE),
      fact("live", NOW - 29 * MINUTE, NOW),
      fact("healed", NOW - HOUR, NOW - 5 * MINUTE - REST_LAG_MS, "orders"),
    );
    await surveyAccount(script.run);
    expect(script.run.board.gapSeconds).toEqual({
      trade_updates: 60,
      orders: 0,
      activities: 54 * 60,
    });
  });

  test("shows no gap right after the start, and one that is closed is gone", async () => {
    const script = accountScript();
    script.run.board.gapSeconds.orders = 99;
    await surveyAccount(script.run);
    expect(script.run.board.gapSeconds).toEqual({
      trade_updates: 0,
      orders: 0,
      activities: 0,
    });
  });

  test("shows today's undelivered fills, by New York's day", async () => {
    const script = accountScript();
    const midnight = Date.parse("2026-09-16T04:00:00Z");
    script.venue.activities.push(
      fillOf(1, midnight - SECOND),
      fillOf(2, midnight),
      fillOf(3, NOW - HOUR),
    );
    await pass(script, DAY);
    script.store.commit(script.queue);
    await surveyAccount(script.run);
    expect(script.run.board.undeliveredToday).toBe(2);
    script.clock.ms = NOW + DAY;
    await surveyAccount(script.run);
    expect(script.run.board.undeliveredToday).toBe(0);
  });
});
