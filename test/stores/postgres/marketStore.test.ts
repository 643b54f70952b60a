import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  test,
} from "bun:test";
import type {
  Bar,
  BarFact,
  BarRecord,
  MalformedMarketData,
} from "../../../schema/market.ts";
import { Database } from "../../../src/stores/postgres/database.ts";
import {
  barFacts,
  feedStore,
  writeBarRecords,
} from "../../../src/stores/postgres/marketStore.ts";
import { migrateMarket } from "../../../src/stores/postgres/migrate.ts";
import { type FreshDatabase, freshDatabase } from "../../support/postgres.ts";

let fresh: FreshDatabase;

beforeAll(async () => {
  fresh = await freshDatabase();
  await migrateMarket(fresh.sql);
});
beforeEach(
  async () =>
    void (await fresh.sql`
      truncate ohlcv_1m, feedkeeper.coverage, feedkeeper.dead_letters`),
);
afterAll(() => fresh.drop());

/** Minute `minute` of an hour, ISO. */
const at = (minute: number, second = 0) =>
  new Date(Date.UTC(2026, 8, 18, 13, minute, second)).toISOString();

const bar = (minute: number, members: Partial<Bar> = {}): Bar => ({
  kind: "bar",
  span: "minute",
  symbol: "AAPL",
  open: 1,
  high: 4,
  low: 0.5,
  close: 2,
  volume: 100,
  timestamp: at(minute),
  source: "alpaca:iex",
  receivedAtMs: 1,
  ...members,
});

const fact = (
  from: number,
  to: number,
  members: Partial<BarFact> = {},
): BarFact => ({
  kind: "fact",
  symbol: "AAPL",
  state: "live",
  from: at(from),
  to: at(to),
  session: "session-1/stock/1",
  ...members,
});

const malformed = (
  members: Partial<MalformedMarketData> = {},
): MalformedMarketData => ({
  kind: "malformed",
  feed: "feed/stock",
  raw: '{"T":"b"}',
  reason: "no symbol",
  receivedAtMs: Date.UTC(2026, 8, 18),
  ...members,
});

const write = (...records: BarRecord[]) => writeBarRecords(fresh.sql, records);

/** `AAPL 30`: symbol and minute of each row. */
const minutes = async () => {
  const rows = await fresh.sql<{ symbol: string; timestamp: Date }[]>`
    select symbol, timestamp from ohlcv_1m order by 1, 2`;
  return rows.map(
    ({ symbol, timestamp }) => `${symbol} ${timestamp.getUTCMinutes()}`,
  );
};

const letters = async () => [
  ...(await fresh.sql`
    select account, kind, reason, raw from feedkeeper.dead_letters order by id`),
];

/** `live 30-31 0`: state, minutes and rows of each fact. */
const facts = async (symbol = "AAPL") => {
  const database = new Database();
  database.use(fresh.url);
  const recorded = await barFacts(database, symbol).facts({});
  await database.close();
  return recorded.map(
    ({ state, from, to, rows }) =>
      `${state} ${from.getUTCMinutes()}-${to.getUTCMinutes()} ${rows}`,
  );
};

describe("a batch", () => {
  test("is bars, facts about them and what could not be read, each in its place", async () => {
    expect(
      await write(
        bar(30),
        bar(30, { symbol: "BTC/USD" }),
        fact(30, 31),
        fact(31, 32),
        fact(20, 30, { state: "healed", rows: 7, session: "session-1" }),
        malformed(),
      ),
    ).toEqual({ rows: 2, deadLetters: [malformed()] });
    expect(await minutes()).toEqual(["AAPL 30", "BTC/USD 30"]);
    expect(await facts()).toEqual(["healed 20-30 7", "live 30-32 0"]);
    expect(await letters()).toEqual([
      {
        account: "feed/stock",
        kind: "malformed",
        reason: "no symbol",
        raw: '{"T":"b"}',
      },
    ]);
  });

  test("of nothing is nothing", async () => {
    expect(await write()).toEqual({ rows: 0, deadLetters: [] });
  });

  test("that is written again changes nothing", async () => {
    const records = [
      bar(30),
      fact(30, 31),
      fact(20, 30, { state: "healed", rows: 7 }),
      malformed(),
    ];
    await write(...records);
    expect(await write(...records, ...records)).toMatchObject({ rows: 0 });
    expect(await minutes()).toEqual(["AAPL 30"]);
    expect(await facts()).toEqual(["healed 20-30 7", "live 30-31 0"]);
    expect(await letters()).toHaveLength(1);
  });

  test("is one transaction: no fact is there before the bars it vouches for", async () => {
    await write(bar(30), fact(30, 31));
    const [row] = await fresh.sql`
      select (select xmin::text from ohlcv_1m) = (select xmin::text from feedkeeper.coverage) as together`;
    expect(row).toEqual({ together: true });
  });
});

describe("a row that the database refuses", () => {
  test.each<[what: string, refused: Bar | BarFact, feed: string]>([
    ["a bar without a price", bar(31, { open: Number.NaN }), "alpaca:iex"],
    ["a bar of no time", bar(31, { timestamp: "noon" }), "alpaca:iex"],
    ["a fraction of a trade", bar(31, { trades: 1.5 }), "alpaca:iex"],
    ["a symbol with a NUL in it", bar(31, { symbol: "A\0" }), "alpaca:iex"],
    ["a fact of no time", fact(30, 31, { to: "noon" }), "fact"],
  ])(
    "is set aside whole, and its neighbours are written: %s",
    async (_what, refused, feed) => {
      const before = [bar(28), bar(29), fact(28, 29)];
      const after = [bar(32), fact(29, 30), malformed(), bar(33)];
      const { rows, deadLetters } = await write(...before, refused, ...after);
      expect(rows).toBe(4);
      const letter = {
        kind: "malformed" as const,
        feed,
        raw: JSON.stringify(refused),
        reason: expect.stringMatching(/^refused by Postgres: ./),
        receivedAtMs: expect.any(Number),
      };
      expect(
        deadLetters.toSorted((a, b) => a.feed.localeCompare(b.feed)),
      ).toEqual([letter, malformed()]);
      expect(await minutes()).toEqual(
        [28, 29, 32, 33].map((minute) => `AAPL ${minute}`),
      );
      expect(await facts()).toEqual(["live 28-30 0"]);
      expect(await letters()).toContainEqual({
        account: feed,
        kind: "malformed",
        reason: letter.reason,
        raw: letter.raw,
      });
    },
  );

  test("is set aside once, however often its batch is written", async () => {
    const records = [bar(30), bar(31, { trades: 1.5 })];
    await write(...records);
    await write(...records);
    expect(await letters()).toHaveLength(1);
  });

  test("is never what a reader stumbled over: a NUL in the reason or the frame stops nobody", async () => {
    const letter = malformed({ raw: "\0oops", reason: "unexpected \0" });
    expect(await write(letter, bar(30))).toMatchObject({ rows: 1 });
    expect(await letters()).toEqual([
      {
        account: "feed/stock",
        kind: "malformed",
        reason: "unexpected \\0",
        raw: Buffer.from("\0oops").toString("base64"),
      },
    ]);
  });

  test("many of them, far apart, cost no neighbour either", async () => {
    const records = Array.from({ length: 500 }, (_, index) =>
      bar(0, {
        symbol: `S${index}`,
        ...(index % 50 === 7 ? { trades: 0.5 } : {}),
      }),
    );
    const { rows, deadLetters } = await write(...records);
    expect([rows, deadLetters.length]).toEqual([490, 10]);
    expect(await minutes()).toHaveLength(490);
  });
});

test("a store that is away is nobody's fault: nothing is set aside, and the batch fails", async () => {
  await fresh.sql`alter table ohlcv_1m rename to away`;
  const failure = await write(bar(30), malformed()).catch(
    (error: unknown) => error,
  );
  await fresh.sql`alter table away rename to ohlcv_1m`;
  expect(failure).toMatchObject({ code: "42P01" });
  expect(await letters()).toEqual([]);
});

describe("minutes that are known", () => {
  const known = async (from: number, ...symbols: string[]) => {
    const database = new Database();
    database.use(fresh.url);
    const answer = await feedStore(database).knownMinutes(
      symbols,
      new Date(at(from)),
    );
    await database.close();
    const minuteOf = (ms: number) => (ms - Date.parse(at(0))) / 60_000;
    return Object.fromEntries(
      [...answer].map(([symbol, intervals]) => [
        symbol,
        intervals.map(({ from, to }) => `${minuteOf(from)}-${minuteOf(to)}`),
      ]),
    );
  };

  test.each<[what: string, facts: BarFact[], known: string[]]>([
    [
      "were streamed or read back, and what touches is one",
      [
        fact(10, 20),
        fact(20, 25, { state: "healed", session: "b" }),
        fact(25, 26, { state: "confirmed_empty", session: "c" }),
        fact(30, 31, { session: "d" }),
      ],
      ["10-26", "30-31"],
    ],
    [
      "are not those of a session that turned out deaf",
      [fact(10, 40), fact(20, 30, { state: "deaf", session: "b" })],
      ["10-20", "30-40"],
    ],
    [
      "are those of a deaf session again once they were read back",
      [
        fact(10, 40),
        fact(20, 30, { state: "deaf", session: "b" }),
        fact(20, 28, { state: "healed", session: "c" }),
      ],
      ["10-28", "30-40"],
    ],
    [
      "may be parts of minutes, where deafness began in the middle of one",
      [
        fact(10, 40),
        fact(20, 40, { state: "deaf", session: "b", from: at(20, 30) }),
      ],
      ["10-20.5"],
    ],
  ])("%s", async (_what, recorded, intervals) => {
    await write(...recorded);
    expect(await known(0, "AAPL")).toEqual({ AAPL: intervals });
  });

  test("are told by symbol, and not of one that no fact tells of", async () => {
    await write(
      fact(10, 20),
      fact(30, 40, { symbol: "BTC/USD", session: "b" }),
      fact(30, 40, { symbol: "SPY", session: "b" }),
    );
    expect(await known(0, "AAPL", "BTC/USD", "MSFT")).toEqual({
      AAPL: ["10-20"],
      "BTC/USD": ["30-40"],
    });
  });

  test("before the time that is asked for leave a trace: the symbol was known", async () => {
    await write(fact(0, 5), fact(0, 25, { symbol: "SPY", session: "b" }));
    expect(await known(20, "AAPL", "SPY")).toEqual({
      AAPL: ["20-20"],
      SPY: ["0-25", "20-20"],
    });
  });

  test("of nothing but deafness are none", async () => {
    await write(fact(10, 20, { state: "deaf" }));
    expect(await known(0, "AAPL")).toEqual({});
  });
});
