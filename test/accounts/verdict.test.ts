import { describe, expect, test } from "bun:test";
import { DeliveredMemory } from "../../src/accounts/delivered.ts";
import { judge, undelivered } from "../../src/accounts/verdict.ts";
import { DAY, HOUR, MINUTE, SECOND } from "../../src/clock.ts";
import {
  fillOf,
  iso,
  type Members,
  NOW,
  orderOf,
  uuid,
} from "../support/accountScript.ts";

/** The stream listens since ten minutes before {@link NOW}. */
const LIVE_SINCE = NOW - 10 * MINUTE;
const YESTERDAY = NOW - DAY;

function reading(of: { orders?: Members[]; fills?: Members[] }) {
  const rest = (rows: Members[] = []) =>
    rows.map((value) => ({ raw: JSON.stringify(value), value }));
  return { orders: rest(of.orders), fills: rest(of.fills) };
}

function missing(
  of: { orders?: Members[]; fills?: Members[] },
  told: Members[] = [],
): { overdue: string[]; due: string[] } {
  const delivered = new DeliveredMemory();
  for (const data of told) delivered.note(data);
  const { overdue, due } = undelivered(reading(of), delivered, {
    liveSinceMs: LIVE_SINCE,
    nowMs: NOW,
  });
  return {
    overdue: overdue.map(({ what }) => what),
    due: due.map(({ what }) => what),
  };
}

const nothing = { overdue: [], due: [] };

describe("fills that REST shows", () => {
  const at = NOW - 2 * MINUTE;
  const fill = fillOf(1, at, { order_id: uuid(7), cum_qty: "10" });

  test("are overdue when the stream told of none", () => {
    expect(missing({ fills: [fill] }).overdue).toEqual([`fill ${fill.id}`]);
  });

  test("are known by execution id", () => {
    const update = {
      event: "fill",
      execution_id: uuid(1),
      order: { id: uuid(8) },
    };
    expect(missing({ fills: [fill] }, [update])).toEqual(nothing);
  });

  test.each(["10", "10.0", "10.000000000"])(
    "are known by order and cumulative quantity where execution ids differ (%s)",
    (filled_qty) => {
      const update = {
        event: "partial_fill",
        execution_id: uuid(99),
        order: { id: uuid(7), filled_qty, status: "partially_filled" },
      };
      expect(missing({ fills: [fill] }, [update])).toEqual(nothing);
    },
  );

  test("are missing one by one: another execution of the order does not stand for them", () => {
    const update = {
      event: "partial_fill",
      execution_id: uuid(2),
      order: { id: uuid(7), filled_qty: "1", status: "partially_filled" },
    };
    expect(missing({ fills: [fill] }, [update]).overdue).toHaveLength(1);
  });

  test("are known by the execution of a leg of a multi-leg order", () => {
    const update = {
      event: "fill",
      legs: [{ execution_id: uuid(1), order_id: uuid(7) }, "no leg"],
      order: { id: uuid(8), status: "filled" },
    };
    expect(missing({ fills: [fill] }, [update])).toEqual(nothing);
  });

  test("are only due while the stream may still bring them", () => {
    const young = fillOf(3, NOW - 9 * SECOND);
    expect(missing({ fills: [young] })).toEqual({
      overdue: [],
      due: [`fill ${young.id}`],
    });
  });

  test("are not held against a stream that did not listen yet", () => {
    const before = fillOf(4, LIVE_SINCE - SECOND);
    const atTheEdge = fillOf(5, LIVE_SINCE + 4 * SECOND);
    expect(missing({ fills: [before, atTheEdge] })).toEqual(nothing);
  });

  test("are left to the sinks when they cannot be read", () => {
    const rows = [
      {},
      { ...fill, transaction_time: "yesterday" },
      { ...fill, transaction_time: 5 },
      { ...fill, id: { odd: 1 }, order_id: [] },
    ];
    expect(missing({ fills: rows })).toEqual(nothing);
  });
});

describe("orders that REST shows", () => {
  const at = NOW - 2 * MINUTE;
  const noted = (order: Members) => ({ event: "new", order });

  test("are overdue when they were made while the stream listened and it told nothing", () => {
    expect(missing({ orders: [orderOf(1, at)] }).overdue).toEqual([
      `order ${uuid(1)} new`,
    ]);
    expect(
      missing({ orders: [orderOf(1, at)] }, [noted(orderOf(1, at))]),
    ).toEqual(nothing);
  });

  test.each(["filled", "canceled", "expired", "replaced", "rejected"])(
    "are overdue when only their end was not told: %s",
    (status) => {
      const order = orderOf(1, YESTERDAY, { status, updated_at: iso(at) });
      expect(
        missing({ orders: [order] }, [noted(orderOf(1, YESTERDAY))]).overdue,
      ).toEqual([`order ${uuid(1)} ${status}`]);
      expect(missing({ orders: [order] }, [{ event: status, order }])).toEqual(
        nothing,
      );
    },
  );

  test("that ended are not reopened by an event that comes late", () => {
    const ended = orderOf(1, YESTERDAY, {
      status: "filled",
      filled_at: iso(at),
    });
    const told = [
      { event: "fill", order: ended },
      noted(orderOf(1, YESTERDAY)),
    ];
    expect(missing({ orders: [ended] }, told)).toEqual(nothing);
  });

  test("of before are not missed when routing or a trailing stop moves them without a word", () => {
    const trailing = orderOf(1, YESTERDAY, {
      updated_at: iso(at),
      submitted_at: iso(at),
    });
    const settled = orderOf(2, YESTERDAY, {
      status: "filled",
      filled_at: iso(YESTERDAY),
      updated_at: iso(at),
    });
    expect(missing({ orders: [trailing, settled] })).toEqual(nothing);
  });

  test("are judged by their end, not by a fill of before it", () => {
    const order = orderOf(1, YESTERDAY, {
      status: "canceled",
      filled_at: iso(YESTERDAY),
      canceled_at: iso(at),
    });
    expect(missing({ orders: [order] }).overdue).toHaveLength(1);
  });

  test("of a pair may be cancelled by the other without a word", () => {
    const other = orderOf(1, YESTERDAY, {
      status: "canceled",
      order_class: "oco",
      canceled_at: iso(at),
    });
    expect(missing({ orders: [other] })).toEqual(nothing);
    expect(missing({ orders: [{ ...other, order_class: undefined }] })).toEqual(
      nothing,
    );
  });

  test.each(["pending_new", "pending_cancel", "held", "calculated", undefined])(
    "in the state %s are no proof",
    (status) => {
      expect(missing({ orders: [orderOf(1, at, { status })] })).toEqual(
        nothing,
      );
    },
  );

  test("without id or time are left to the sinks", () => {
    const odd = [
      orderOf(1, at, { id: null }),
      orderOf(2, at, { created_at: "soon" }),
      orderOf(3, at, { id: {}, status: [] }),
    ];
    expect(missing({ orders: odd })).toEqual(nothing);
  });
});

describe("the verdict", () => {
  const evidence = {
    nowMs: NOW,
    liveSinceMs: NOW - 5 * HOUR,
    lastFrameMs: NOW - 2 * HOUR,
    sessionOpen: true,
    overdue: [],
    comparedMs: NOW - 20 * SECOND,
  };
  const overdue = [
    { kind: "activity" as const, raw: "{}", at: NOW - MINUTE, what: "fill 1" },
    { kind: "order" as const, raw: "{}", at: NOW - MINUTE, what: "order 2" },
  ];

  test("is live after a frame, and after a new link", () => {
    expect(judge({ ...evidence, lastFrameMs: NOW - 59 * SECOND }).verdict).toBe(
      "live",
    );
    expect(
      judge({
        ...evidence,
        liveSinceMs: NOW - 5 * SECOND,
        lastFrameMs: undefined,
      }).verdict,
    ).toBe("live");
  });

  test("is quiet in an open session when REST shows nothing missing", () => {
    expect(judge(evidence)).toEqual({
      verdict: "quiet",
      reason: "silent for 7200 s; REST shows nothing missing 20 s ago",
    });
  });

  test("is closed by night and on holidays, where silence is the rule", () => {
    expect(judge({ ...evidence, sessionOpen: false })).toEqual({
      verdict: "closed",
      reason: "no session is open; REST shows nothing missing 20 s ago",
    });
  });

  test("is quiet where the calendar is not known, and owns up when REST could not be asked", () => {
    expect(
      judge({ ...evidence, sessionOpen: undefined, comparedMs: undefined }),
    ).toEqual({
      verdict: "quiet",
      reason: "silent for 7200 s; REST could not be asked",
    });
  });

  test.each([
    ["frames still come", { lastFrameMs: NOW - SECOND }],
    [
      "the session is closed: orders are filled by night, too",
      { sessionOpen: false },
    ],
    ["no frame ever came", { lastFrameMs: undefined }],
  ])("is deaf when something is overdue, though %s", (_, more) => {
    expect(judge({ ...evidence, ...more, overdue })).toEqual({
      verdict: "deaf",
      reason: "REST shows 2 that the stream never delivered, first fill 1",
    });
  });

  test("is quiet after days without a frame: no timer makes a stream deaf", () => {
    expect(
      judge({
        ...evidence,
        liveSinceMs: NOW - 9 * DAY,
        lastFrameMs: undefined,
      }).verdict,
    ).toBe("quiet");
  });
});
