/** The store of day files, read by the runtime's own S3 client and by signed addresses. */
import { S3Client } from "bun";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { DAY, HOUR, MINUTE } from "../../../../src/clock.ts";
import type { PolygonOptions } from "../../../../src/venues/simulated/polygon/polygon.ts";
import { Place } from "./place.ts";

/** A Wednesday, 11:30 in New York: the day before has just been released. */
const NOW = Date.parse("2026-09-16T15:30:00Z");
const STOCKS = "us_stocks_sip/minute_aggs_v1/2026/09";
const TUESDAY = `${STOCKS}/2026-09-15.csv.gz`;
const COINS = "global_crypto/minute_aggs_v1/2026/09/2026-09-13.csv.gz";
const HEADER = "ticker,volume,open,close,high,low,window_start,transactions";

const open = (options: PolygonOptions = {}) =>
  Place.open(options, { hours: "exchange" }, NOW);

let place: Place;
beforeAll(async () => {
  place = await open({
    splits: [{ symbol: "MSFT", day: "2026-09-16", from: 1, to: 4 }],
  });
});
afterAll(() => place[Symbol.asyncDispose]());

function clientOf({ venue }: Place, keys: Record<string, string> = {}) {
  return new S3Client({
    endpoint: venue.url,
    bucket: "flatfiles",
    accessKeyId: venue.polygon.files.accessKey,
    secretAccessKey: venue.polygon.files.secretKey,
    ...keys,
  });
}

async function rowsOf(from: Place, key: string): Promise<string[]> {
  const bytes = await clientOf(from).file(key).bytes();
  return Buffer.from(Bun.gunzipSync(bytes)).toString().trimEnd().split("\n");
}

function ask(key: string, init: RequestInit = {}): Promise<Response> {
  const method = init.method === "HEAD" ? "HEAD" : "GET";
  const url = clientOf(place).presign(key, { method });
  return fetch(url, { ...init, decompress: false } as RequestInit);
}

describe("a file", () => {
  test("has the minutes of every stock, on the scale of its day", async () => {
    const [header, ...rows] = await rowsOf(place, TUESDAY);
    const { tape } = place.venue.market;
    const startMs = Date.parse("2026-09-15T08:00:00Z");
    const expected = tape.symbols
      .filter((symbol) => !symbol.includes("/"))
      .flatMap((symbol) =>
        Array.from({ length: 16 * 60 }, (_, minute) => {
          const bar = tape.bar(symbol, startMs + minute * MINUTE, "whole");
          if (bar === undefined) return [];
          const scale = symbol === "MSFT" ? 4 : 1;
          const [o, c, h, l] = [bar.o, bar.c, bar.h, bar.l].map((price) =>
            Number((price * scale).toFixed(9)),
          );
          return [
            `${symbol},${bar.v / scale},${o},${c},${h},${l},${bar.startMs}000000,${bar.n}`,
          ];
        }).flat(),
      );
    expect(header).toBe(HEADER);
    expect(rows.toSorted()).toEqual(expected.toSorted());
    expect(rows.length).toBeGreaterThan(6_000);
  });

  test("of crypto has the day of UTC, on a Sunday too, under the names of files", async () => {
    const [, ...rows] = await rowsOf(place, COINS);
    const minutes = rows
      .filter((row) => row.startsWith("X:BTC-USD,"))
      .map((row) => Number(row.split(",")[6]) / 1e6);
    const startMs = Date.parse("2026-09-13T00:00:00Z");
    expect(minutes).toEqual(
      Array.from({ length: 1440 }, (_, minute) => startMs + minute * MINUTE),
    );
  });

  test("tells its version, and is given in parts while it is that version", async () => {
    const head = await ask(TUESDAY, { method: "HEAD" });
    const whole = await (await ask(TUESDAY)).bytes();
    const etag = head.headers.get("ETag") ?? "";
    const part = await ask(TUESDAY, {
      headers: { Range: "bytes=100-", "If-Match": etag },
    });
    expect(head.headers.get("Content-Length")).toBe(String(whole.length));
    expect(etag).toBe(
      `"${new Bun.CryptoHasher("md5").update(whole).digest("hex")}"`,
    );
    expect([part.status, part.headers.get("Content-Range")]).toEqual([
      206,
      `bytes 100-${whole.length - 1}/${whole.length}`,
    ]);
    expect(await part.bytes()).toEqual(whole.slice(100));
    const old = await ask(TUESDAY, { headers: { "If-Match": '"old"' } });
    expect(old.status).toBe(412);
    expect(await old.text()).toContain("<Code>PreconditionFailed</Code>");
    const known = await ask(TUESDAY, { headers: { "If-None-Match": etag } });
    expect(known.status).toBe(304);
    const beyond = await ask(TUESDAY, {
      headers: { Range: `bytes=${whole.length}-` },
    });
    expect(beyond.status).toBe(416);
  });

  test.each([
    ["a day that is not released", `${STOCKS}/2026-09-16.csv.gz`],
    ["a Sunday", `${STOCKS}/2026-09-13.csv.gz`],
    ["Labor Day", `${STOCKS}/2026-09-07.csv.gz`],
    [
      "a day before all others",
      "us_stocks_sip/minute_aggs_v1/2015/12/2015-12-31.csv.gz",
    ],
    [
      "a day in the folder of another month",
      "us_stocks_sip/minute_aggs_v1/2026/08/2026-09-15.csv.gz",
    ],
    [
      "a product that it does not have",
      "us_options_opra/minute_aggs_v1/2026/09/2026-09-15.csv.gz",
    ],
    ["no day", `${STOCKS}/index.html`],
  ])("is not there of %s", async (_, key) => {
    const answer = await ask(key);
    expect(answer.status).toBe(404);
    expect(await answer.text()).toContain("<Code>NoSuchKey</Code>");
    expect((await ask(key, { method: "HEAD" })).status).toBe(404);
  });

  test("is released at eleven in New York", async () => {
    await using early = await open();
    const exists = () => clientOf(early).file(TUESDAY).exists();
    early.nowMs = NOW - HOUR / 2 - 1;
    expect(await exists()).toBe(false);
    early.nowMs++;
    expect(await exists()).toBe(true);
  });

  test("is replaced by a whole one, where that is wanted", async () => {
    await using revised = await open({ revisedAfterMs: DAY });
    const version = async () => {
      const { etag } = await clientOf(revised).file(TUESDAY).stat();
      return { etag, rows: (await rowsOf(revised, TUESDAY)).length };
    };
    const first = await version();
    expect(await version()).toEqual(first);
    revised.nowMs += DAY;
    const second = await version();
    expect(second.etag).not.toBe(first.etag);
    expect(second.rows).toBeGreaterThan(first.rows + 100);
    expect(second.rows).toBe((await rowsOf(place, TUESDAY)).length);
  });

  test("has rows that cannot be read or belong elsewhere, where that is wanted", async () => {
    await using damaged = await open({ damagedRows: 4 });
    const rows = await rowsOf(damaged, TUESDAY);
    const whole = new Set(await rowsOf(place, TUESDAY));
    const others = rows.filter(
      (row) => !whole.has(row) && !row.startsWith("MSFT"),
    );
    expect(others).toEqual([
      "AAPL,12,1.5,1.5",
      "AAPL,100,1,1,1,1,-68400000000000,1",
      "AAPL,100,n/a,1,1,1,1565614800000000000,1",
      "AAPL,100,200.1,200.2,200.3,200,1565614800000000000,4",
    ]);
  });
});

describe("a key", () => {
  test.each([
    [
      "whose secret is wrong",
      { secretAccessKey: "wrong" },
      "SignatureDoesNotMatch",
    ],
    ["that nobody knows", { accessKeyId: "wrong" }, "InvalidAccessKeyId"],
  ])("%s is refused", async (_, keys, code) => {
    const client = clientOf(place, keys);
    const url = client.presign(TUESDAY);
    const [answer, head] = await Promise.all([
      fetch(url),
      fetch(client.presign(TUESDAY, { method: "HEAD" }), { method: "HEAD" }),
    ]);
    expect([answer.status, head.status]).toEqual([403, 403]);
    expect(await answer.text()).toContain(`<Code>${code}</Code>`);
    await expect(client.file(TUESDAY).text()).rejects.toMatchObject({ code });
  });

  test("is needed", async () => {
    const answer = await fetch(`${place.venue.url}/flatfiles/${TUESDAY}`);
    expect(answer.status).toBe(403);
    expect(await answer.text()).toContain("<Code>AccessDenied</Code>");
  });

  test("of a plan without files may list them and not read them", async () => {
    await using basic = await open({ plan: "basic" });
    const client = clientOf(basic);
    const { contents } = await client.list({ prefix: TUESDAY });
    expect(contents?.map(({ key }) => key)).toEqual([TUESDAY]);
    await expect(client.file(TUESDAY).text()).rejects.toMatchObject({
      code: "AccessDenied",
    });
  });

  test("may read and not write", async () => {
    await expect(clientOf(place).write(TUESDAY, "mine")).rejects.toMatchObject({
      code: "MethodNotAllowed",
    });
  });
});

test("a list is of the released sessions, page by page, with their versions", async () => {
  const client = clientOf(place);
  const first = await client.list({ prefix: `${STOCKS}/`, maxKeys: 6 });
  const second = await client.list({
    prefix: `${STOCKS}/`,
    ...(first.nextContinuationToken !== undefined && {
      continuationToken: first.nextContinuationToken,
    }),
  });
  const keys = [first, second].flatMap(({ contents = [] }) =>
    contents.map(({ key }) => key),
  );
  expect(keys).toEqual(
    [1, 2, 3, 4, 8, 9, 10, 11, 14, 15].map(
      (day) => `${STOCKS}/2026-09-${String(day).padStart(2, "0")}.csv.gz`,
    ),
  );
  expect([first.isTruncated, second.isTruncated]).toEqual([true, false]);
  const { etag, size } = await client.file(TUESDAY).stat();
  const row = second.contents?.at(-1);
  expect([row?.eTag, row?.size]).toEqual([
    `"${etag.replaceAll('"', "")}"`,
    size,
  ]);
});
