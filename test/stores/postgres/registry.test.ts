import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  test,
} from "bun:test";
import { MINUTE } from "../../../src/clock.ts";
import { migrateMarket } from "../../../src/stores/postgres/migrate.ts";
import {
  addSymbol,
  changeSymbol,
  claimSymbol,
  clearStaleLocks,
  deleteSymbol,
  failClaim,
  findSymbol,
  interruptClaim,
  listSymbols,
  releaseClaim,
  renewClaim,
  retriesDue,
  setStatus,
  stampPhase,
} from "../../../src/stores/postgres/registry.ts";
import { type FreshDatabase, freshDatabase } from "../../support/postgres.ts";

let fresh: FreshDatabase;
beforeAll(async () => {
  fresh = await freshDatabase();
  await migrateMarket(fresh.sql);
});
beforeEach(async () => void (await fresh.sql`truncate symbol_registry`));
afterAll(() => fresh.drop());

const add = (symbol = "AAPL") =>
  addSymbol(fresh.sql, { symbol, strategy: "flatpack" });
const claim = async (owner = "one", leaseMs = MINUTE) => {
  const claimed = await claimSymbol(fresh.sql, "AAPL", owner, leaseMs);
  if (claimed === undefined) throw new Error("it is locked");
  return claimed;
};
const find = async (symbol = "AAPL") => {
  const entry = await findSymbol(fresh.sql, symbol);
  if (entry === undefined) throw new Error(`${symbol} is not there`);
  return entry;
};
const lapse = () =>
  fresh.sql`update symbol_registry set lease_expires_at = now() - interval '1 s'`;
const state = async () => {
  const { status, error_message, failures, next_retry_at } = await find();
  return [status, error_message, failures, next_retry_at !== null];
};

const ISO = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
const ENTRY = {
  symbol: "AAPL",
  strategy: "flatpack",
  timeframe: "1m",
  enabled: true,
  status: "idle",
  description: null,
  last_backfill: null,
  last_snapshot: null,
  last_stream: null,
  error_message: null,
  failures: 0,
  next_retry_at: null,
  metadata: null,
  created_at: ISO,
  updated_at: ISO,
};

test("a symbol is added with its defaults, found, listed by name, changed and removed", async () => {
  expect(await add()).toMatchObject({ isNew: true, entry: ENTRY });
  await addSymbol(fresh.sql, {
    symbol: "AA",
    strategy: "stream",
    enabled: false,
    description: "Alcoa",
    metadata: { desk: 7 },
  });
  const alcoa = {
    ...ENTRY,
    symbol: "AA",
    strategy: "stream",
    enabled: false,
    description: "Alcoa",
    metadata: { desk: 7 },
  };
  expect<unknown>(await listSymbols(fresh.sql)).toEqual([alcoa, ENTRY]);
  expect<unknown>(await listSymbols(fresh.sql, { enabledOnly: true })).toEqual([
    ENTRY,
  ]);
  expect<unknown>(
    await changeSymbol(fresh.sql, "AAPL", { strategy: "snapshot_stream" }),
  ).toEqual({ ...ENTRY, strategy: "snapshot_stream" });
  expect(await changeSymbol(fresh.sql, "NONE", { enabled: false })).toBe(
    undefined,
  );
  expect([
    await deleteSymbol(fresh.sql, "AAPL"),
    await deleteSymbol(fresh.sql, "AAPL"),
    await findSymbol(fresh.sql, "AAPL"),
  ]).toEqual([true, false, undefined]);
});

test("adding a symbol again changes its strategy, and keeps its times, its status and what is not said", async () => {
  await addSymbol(fresh.sql, {
    symbol: "AAPL",
    strategy: "flatpack",
    description: "Apple",
  });
  const claimed = await claim();
  await stampPhase(fresh.sql, claimed, "flatpack");
  const { isNew, entry } = await addSymbol(fresh.sql, {
    symbol: "AAPL",
    strategy: "stream",
  });
  expect<unknown>({ isNew, entry }).toEqual({
    isNew: false,
    entry: {
      ...ENTRY,
      strategy: "stream",
      status: "running",
      description: "Apple",
      last_backfill: ISO,
    },
  });
});

test("a status set by hand overwrites the message, and `disabled` disables until another is set", async () => {
  await add();
  await failClaim(fresh.sql, await claim(), { message: "no", retryMs: 1 });
  const told = async (
    status: "disabled" | "idle" | "error",
    message?: string,
  ) => {
    const entry = await setStatus(fresh.sql, "AAPL", status, message);
    return [
      entry?.status,
      entry?.enabled,
      entry?.error_message,
      entry?.failures,
    ];
  };
  expect([
    await told("error", "by hand"),
    await told("disabled"),
    await told("idle"),
    await setStatus(fresh.sql, "NONE", "idle"),
  ]).toEqual([
    ["error", true, "by hand", 1],
    ["disabled", false, null, 0],
    ["idle", true, null, 0],
    undefined,
  ]);
});

describe("a claim", () => {
  test("is one owner's while it lives, and the next one's when it has lapsed", async () => {
    await add();
    const first = await claim("one");
    expect(await claimSymbol(fresh.sql, "AAPL", "two", MINUTE)).toBe(undefined);
    expect(await claimSymbol(fresh.sql, "AAPL", "one", MINUTE)).toBe(undefined);
    await lapse();
    const second = await claim("two");
    expect(second).toEqual({
      symbol: "AAPL",
      owner: "two",
      token: first.token + 1,
    });
    expect(await claimSymbol(fresh.sql, "NONE", "one", MINUTE)).toBe(undefined);
  });

  test("of many that ask at one time goes to one", async () => {
    await add();
    const claims = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        claimSymbol(fresh.sql, "AAPL", `replica ${index}`, MINUTE),
      ),
    );
    expect(claims.filter((each) => each !== undefined)).toHaveLength(1);
  });

  test("that has lapsed and was taken changes nothing any more", async () => {
    await add();
    const late = await claim("one");
    await lapse();
    const present = await claim("two");
    await stampPhase(fresh.sql, late, "snapshot");
    await releaseClaim(fresh.sql, late);
    await failClaim(fresh.sql, late, { message: "late", retryMs: 1 });
    await interruptClaim(fresh.sql, late);
    expect([
      await renewClaim(fresh.sql, late, MINUTE),
      await renewClaim(fresh.sql, present, MINUTE),
      await find(),
    ]).toEqual([false, true, { ...ENTRY, status: "running" } as never]);
  });

  test("is renewed for as long as nobody else has taken it", async () => {
    await add();
    const claimed = await claim();
    await lapse();
    expect(await renewClaim(fresh.sql, claimed, MINUTE)).toBe(true);
    expect(await claimSymbol(fresh.sql, "AAPL", "two", MINUTE)).toBe(undefined);
  });

  test("is given back as idle, as failed with the time of the next try, or as interrupted and due at once", async () => {
    await add();
    await releaseClaim(fresh.sql, await claim());
    expect(await state()).toEqual(["idle", null, 0, false]);
    await failClaim(fresh.sql, await claim(), {
      message: "no",
      retryMs: MINUTE,
    });
    await failClaim(fresh.sql, await claim(), {
      message: "never",
      retryMs: MINUTE,
    });
    expect(await state()).toEqual(["error", "never", 2, true]);
    expect(await retriesDue(fresh.sql)).toEqual([]);
    await interruptClaim(fresh.sql, await claim());
    expect(await state()).toEqual(["idle", null, 2, true]);
    expect(await retriesDue(fresh.sql)).toEqual(["AAPL"]);
    await releaseClaim(fresh.sql, await claim());
    expect(await state()).toEqual(["idle", null, 0, false]);
  });

  test("that is given back leaves standing what was set by hand meanwhile", async () => {
    await add();
    const claimed = await claim();
    await setStatus(fresh.sql, "AAPL", "paused");
    await releaseClaim(fresh.sql, claimed);
    expect(await state()).toEqual(["paused", null, 0, false]);
  });
});

test("stale locks are those that no live lease holds: a live run keeps its own", async () => {
  for (const symbol of ["DEAD", "LIVE", "OLD", "WELL"]) await add(symbol);
  await claimSymbol(fresh.sql, "DEAD", "one", -1000);
  await claimSymbol(fresh.sql, "LIVE", "two", MINUTE);
  // As an older service left it.
  await fresh.sql`update symbol_registry set status = 'running' where symbol = 'OLD'`;
  expect((await clearStaleLocks(fresh.sql)).toSorted()).toEqual([
    "DEAD",
    "OLD",
  ]);
  expect(await clearStaleLocks(fresh.sql)).toEqual([]);
  const entries = await listSymbols(fresh.sql);
  expect(entries.map(({ symbol, status }) => `${symbol} ${status}`)).toEqual([
    "DEAD idle",
    "LIVE running",
    "OLD idle",
    "WELL idle",
  ]);
  // What was cut off is taken up again; what the older service left is not ours to repeat.
  expect(await retriesDue(fresh.sql)).toEqual(["DEAD"]);
});

test("what is disabled or paused is not tried again", async () => {
  for (const symbol of ["AAPL", "MSFT", "SPY"]) {
    await add(symbol);
    const claimed = await claimSymbol(fresh.sql, symbol, "one", MINUTE);
    if (claimed !== undefined)
      await failClaim(fresh.sql, claimed, { message: "no", retryMs: -1 });
  }
  await setStatus(fresh.sql, "MSFT", "paused");
  await changeSymbol(fresh.sql, "SPY", { enabled: false });
  expect(await retriesDue(fresh.sql)).toEqual(["AAPL"]);
});
