import { expect, test } from "bun:test";
import {
  dryRunMarketWriter,
  dryRunWriter,
} from "../../../actors/sinks/dryRun.ts";
import type { AccountRecord } from "../../../schema/messages.ts";
import { createLogger } from "../../../src/log.ts";
import { fillOf, NOW, orderOf, uuid } from "../../support/accountScript.ts";

function record(
  kind: AccountRecord["kind"],
  raw: string | object,
  account = "alpha",
): AccountRecord {
  return {
    account,
    kind,
    raw: typeof raw === "string" ? raw : JSON.stringify(raw),
    receivedAtMs: NOW,
  };
}

/** What is said to a log, without times. */
function ear() {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger({
    destination: {
      write: (line) => {
        const { time: _, level: __, ...rest } = JSON.parse(line);
        lines.push(rest);
      },
    },
  });
  return { lines, log };
}

/** What a dry run of these records says. */
async function saidOf(...records: AccountRecord[]) {
  const { lines, log } = ear();
  const writer = dryRunWriter(log);
  await writer.open();
  await writer.ping();
  await writer.write(records, "time");
  return lines;
}

const told = (counts: object, account = "alpha") => ({
  message: "dry_run_would_write",
  account,
  orders: 0,
  events: 0,
  activities: 0,
  coverage: 0,
  deadLetters: 0,
  ...counts,
});

const filled = {
  event: "fill",
  event_id: "01M2TB1W73AAAAAAAAAAAAAAAA",
  execution_id: uuid(1),
  timestamp: "2026-09-16T14:00:00.123456789Z",
  price: "1.5",
  qty: "1",
  order: orderOf(1, NOW, { filled_qty: "1", status: "partially_filled" }),
};

test.each<[what: string, record: AccountRecord, counts: object]>([
  ["an order of REST", record("order", orderOf(1, NOW)), { orders: 1 }],
  ["a fill of REST", record("activity", fillOf(1, NOW)), { activities: 1 }],
  [
    "a fill of the stream",
    record("trade_update", filled),
    { orders: 1, events: 1, activities: 1 },
  ],
  [
    "a fact",
    record("coverage", {
      stream: "orders",
      state: "healed",
      from: "2026-09-16T14:00:00.000Z",
      to: "2026-09-16T14:01:00.000Z",
      session: "session-1",
    }),
    { coverage: 1 },
  ],
  ["a frame set aside", record("malformed", "{oops"), { deadLetters: 1 }],
  ["a row that cannot be read", record("order", "[]"), { deadLetters: 1 }],
])("%s would be written, and is counted as what it is", async (...row) => {
  const [, given, counts] = row;
  expect(await saidOf(given)).toEqual([told(counts)]);
});

test("accounts are told apart, in one line each", async () => {
  expect(
    await saidOf(
      record("order", orderOf(1, NOW)),
      record("order", orderOf(2, NOW), "beta"),
      record("order", orderOf(3, NOW)),
    ),
  ).toEqual([told({ orders: 2 }), told({ orders: 1 }, "beta")]);
});

test("no payload is told", async () => {
  const secret = orderOf(1, NOW, { client_order_id: "my-strategy-7" });
  expect(JSON.stringify(await saidOf(record("order", secret)))).not.toContain(
    "my-strategy-7",
  );
});

test("of market data it is told how many of which kind", async () => {
  const { lines, log } = ear();
  const writer = dryRunMarketWriter("bars", log);
  await writer.open();
  await writer.ping();
  await writer.write(
    [{ kind: "bar" }, { kind: "fact" }, { kind: "bar" }],
    "time",
  );
  expect(lines).toEqual([
    { message: "dry_run_would_write", sink: "bars", bar: 2, fact: 1 },
  ]);
});
