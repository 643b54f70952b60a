import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  test,
} from "bun:test";
import { insertActivities } from "../../../src/stores/postgres/activities.ts";
import {
  type AccountFact,
  coverageFacts,
  deliveryShares,
  joinContinued,
  recordCoverage,
} from "../../../src/stores/postgres/coverage.ts";
import { insertOrderEvents } from "../../../src/stores/postgres/events.ts";
import type { FreshDatabase } from "../../support/postgres.ts";
import {
  accountDatabase,
  emptyTables,
  restFill,
  SLUG,
  streamFill,
  tables,
  uuid,
} from "./account.ts";

let fresh: FreshDatabase;

beforeAll(async () => {
  fresh = await accountDatabase();
});
beforeEach(() => emptyTables(fresh));
afterAll(() => fresh.drop());

const at = (minute: number) =>
  new Date(Date.UTC(2026, 9, 8, 15, minute)).toISOString();

function fact(
  from: number,
  to: number,
  members: Partial<AccountFact> = {},
): AccountFact {
  return {
    account: SLUG,
    stream: "trade_updates",
    state: "live",
    session: "one",
    from: at(from),
    to: at(to),
    ...members,
  };
}

const record = (...facts: AccountFact[]) => recordCoverage(fresh.sql, facts);

/** `state from-to rows`, the times in minutes. */
async function recorded(range = {}): Promise<string[]> {
  const facts = await coverageFacts(fresh.sql, SLUG, range);
  return facts.map(
    ({ state, from, to, rows }) =>
      `${state} ${from.getUTCMinutes()}-${to.getUTCMinutes()} ${rows}`,
  );
}

test("no facts are no statement", async () => {
  await record();
  expect(await recorded()).toEqual([]);
});

test("a session's facts that continue each other are one interval, in one batch and over several", async () => {
  await record(fact(0, 1, { rows: 1 }), fact(1, 2, { rows: 2 }));
  await record(fact(2, 3), fact(3, 4, { rows: 3 }));
  expect(await recorded()).toEqual(["live 0-4 6"]);
});

test("a batch that is written again changes nothing", async () => {
  const facts = [
    fact(0, 1, { rows: 1 }),
    fact(1, 2, { rows: 2 }),
    fact(5, 6, { state: "healed", rows: 7 }),
  ];
  await record(...facts);
  await record(...facts, ...facts);
  expect(await recorded()).toEqual(["live 0-2 3", "healed 5-6 7"]);
});

test("a gap, another session, state, stream or account starts an interval of its own", async () => {
  await record(
    fact(0, 1),
    fact(2, 3),
    fact(3, 4, { session: "two" }),
    fact(3, 5, { state: "healed", session: "one" }),
    fact(3, 6, { stream: "orders" }),
    fact(3, 7, { account: "paper" }),
  );
  expect(await recorded()).toEqual([
    "live 0-1 0",
    "live 2-3 0",
    "live 3-4 0",
    "healed 3-5 0",
    "live 3-6 0",
  ]);
});

test("facts that come late are recorded where they belong", async () => {
  await record(fact(4, 5));
  await record(fact(0, 1));
  await record(fact(1, 4));
  const facts = await recorded();
  expect(facts.sort()).toEqual(["live 0-4 0", "live 4-5 0"]);
});

test("an interval that ends before it begins is recorded as empty", async () => {
  await record(fact(5, 3));
  expect(await recorded()).toEqual(["live 5-5 0"]);
});

test("joining facts keeps those that do not touch", () => {
  expect(joinContinued([fact(0, 1), fact(2, 3), fact(3, 4)])).toEqual([
    fact(0, 1),
    { ...fact(2, 4), rows: 0 },
  ]);
});

test("only facts that touch the range are told", async () => {
  await record(fact(0, 1), fact(10, 11), fact(20, 21));
  const minute = (number: number) => new Date(at(number));
  expect(await recorded({ from: minute(11) })).toEqual([
    "live 10-11 0",
    "live 20-21 0",
  ]);
  expect(await recorded({ from: minute(5), to: minute(15) })).toEqual([
    "live 10-11 0",
  ]);
  expect(await recorded({ to: minute(9) })).toEqual(["live 0-1 0"]);
});

/** A fill of REST that no stream told of; `number` names it. */
const restOnly = (number: number, at: string) =>
  restFill({
    id: `${number}::${uuid(number)}`,
    execution_id: uuid(number),
    order_id: uuid(number),
    transaction_time: at,
  });

const shares = () =>
  deliveryShares(fresh.sql, tables, SLUG, {
    from: new Date("2026-10-01"),
    to: new Date("2026-11-01"),
  });

describe("of fills that the stream never delivered", () => {
  beforeEach(() =>
    insertActivities(fresh.sql, tables, SLUG, [
      restOnly(201, "2026-10-06T15:00:00.000000Z"),
      restOnly(202, "2026-10-08T14:59:59.999999Z"),
      restOnly(203, "2026-10-08T15:00:00.000000Z"),
      restOnly(204, "2026-10-09T15:00:00.000000Z"),
    ]),
  );

  test("none is counted while the stream never listened", async () => {
    await record(
      fact(0, 1, { state: "healed" }),
      fact(0, 1, { stream: "orders" }),
      fact(0, 1, { account: "paper" }),
    );
    expect(await shares()).toEqual([]);
  });

  test("those of before it first listened are not counted, those of a downtime are", async () => {
    await record(fact(0, 1), fact(5, 6, { session: "two" }));
    expect(await shares()).toEqual([
      { account: SLUG, day: "2026-10-08", fills: 1, undelivered: 1, share: 1 },
      { account: SLUG, day: "2026-10-09", fills: 1, undelivered: 1, share: 1 },
    ]);
  });

  test("a deaf stretch does not unsay that it listened", async () => {
    await record(fact(0, 1), fact(0, 1, { state: "deaf" }));
    expect((await shares()).map(({ day }) => day)).toEqual([
      "2026-10-08",
      "2026-10-09",
    ]);
  });
});

test("a share of undelivered fills is reckoned by New York day, and a late message corrects it", async () => {
  const { sql } = fresh;
  await record(fact(0, 1));
  expect(await shares()).toEqual([]);

  // Still the eighth in New York.
  const late = (number: number) =>
    restOnly(number, "2026-10-09T03:59:59.999999Z");
  await insertActivities(sql, tables, SLUG, [
    streamFill(),
    late(102),
    late(103),
    restOnly(104, "2026-10-09T04:00:00.000000Z"),
  ]);
  expect(await shares()).toEqual([
    {
      account: SLUG,
      day: "2026-10-08",
      fills: 3,
      undelivered: 2,
      share: 2 / 3,
    },
    { account: SLUG, day: "2026-10-09", fills: 1, undelivered: 1, share: 1 },
  ]);

  const event = (number: number, execution: number) => ({
    event_key: `event-${number}`,
    order_id: uuid(number),
    event: "fill",
    execution_id: uuid(execution),
    event_at: "2026-10-09T03:59:59.999999Z",
    raw_json: '{"event":"fill","order":{"filled_qty":"2.0"}}',
  });
  // One under its execution id, one by its order and cumulative quantity.
  await insertOrderEvents(sql, tables, [event(102, 102), event(103, 999)]);
  expect((await shares())[0]).toMatchObject({ undelivered: 0, share: 0 });
});
