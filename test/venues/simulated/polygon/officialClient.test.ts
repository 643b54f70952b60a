/** The official npm client, which nobody here wrote, pages through the venue's bars and streams from it: what it makes of both has to be the same. */
import {
  GetStocksAggregatesSortEnum,
  GetStocksAggregatesTimespanEnum,
  restClient,
  websocketClient,
} from "@massive.com/client-js";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { HOUR, MINUTE, SECOND } from "../../../../src/clock.ts";
import { DEMO_POLYGON_KEY } from "../../../../src/venues/simulated/polygon/polygon.ts";
import { type Message, NOW, Place, type Row } from "./place.ts";

let place: Place;
beforeAll(async () => {
  place = await Place.open();
});
afterAll(() => place[Symbol.asyncDispose]());

function client({
  apiKey = DEMO_POLYGON_KEY,
  pagination = true,
}: { apiKey?: string; pagination?: boolean } = {}) {
  return restClient(apiKey, place.venue.url, { pagination });
}

/** The client answers with the body itself, whatever its types say. */
async function barsOf(
  answer: Promise<unknown>,
): Promise<{ readonly results?: Row[]; readonly resultsCount: number }> {
  return (await answer) as { results?: Row[]; resultsCount: number };
}

function minutes(
  ticker: string,
  from: number,
  to: number,
  limit: number,
  rest = client(),
) {
  return barsOf(
    rest.getStocksAggregates({
      stocksTicker: ticker,
      multiplier: 1,
      timespan: GetStocksAggregatesTimespanEnum.Minute,
      from: String(from),
      to: String(to),
      adjusted: true,
      sort: GetStocksAggregatesSortEnum.Asc,
      limit,
    }),
  );
}

test("it reads all pages of minutes", async () => {
  const from = NOW - 3 * HOUR;
  const { results = [] } = await minutes("AAPL", from, NOW - HOUR - 1, 50);
  const expected = Array.from({ length: 120 }, (_, minute) =>
    place.row("AAPL", from + minute * MINUTE)!,
  );
  // It puts later pages before the first one.
  expect(results.toSorted((a, b) => a.t - b.t)).toEqual(expected);
});

test("it reads snapshots, tickers and what the exchanges do", async () => {
  const rest = client({ pagination: false });
  const read = async (answer: Promise<unknown>) =>
    (await answer) as Record<string, unknown>;
  expect(
    await read(rest.getStocksSnapshotTicker({ stocksTicker: "AAPL" })),
  ).toMatchObject({
    status: "OK",
    ticker: { ticker: "AAPL" },
  });
  expect(await read(rest.getMarketStatus())).toMatchObject({ market: "open" });
  expect(await read(rest.getTicker({ ticker: "AAPL" }))).toMatchObject({
    results: { list_date: "2016-01-04" },
  });
});

test("it is told what is wrong", async () => {
  const wrong = minutes("AAPL", NOW, NOW, 1, client({ apiKey: "wrong" }));
  await expect(wrong).rejects.toMatchObject({ response: { status: 401 } });
});

test("it streams minutes, and reads the same by REST", async () => {
  const startMs = place.nowMs;
  const url = place.venue.url.replace("http", "ws");
  const socket = websocketClient(DEMO_POLYGON_KEY, url).stocks();
  const messages: Message[] = [];
  socket.onmessage = ({ data }: { readonly data: unknown }) => {
    for (const message of JSON.parse(String(data)) as Message[]) {
      messages.push(message);
      if (message["status"] === "auth_success")
        socket.send(
          JSON.stringify({ action: "subscribe", params: "AM.AAPL,AM.SPY" }),
        );
    }
  };
  const acknowledged = () =>
    messages.filter(({ status }) => status === "success").length;
  await until(() => acknowledged() === 2);
  place.advance(5 * MINUTE + 50 * SECOND);
  const newest = () =>
    new Map(
      messages
        .filter(({ ev, s }) => ev === "AM" && Number(s) >= startMs)
        .map((bar) => [`${String(bar["sym"])} ${String(bar["s"])}`, bar]),
    );
  await until(() => newest().size === 10);
  socket.close();
  for (const ticker of ["AAPL", "SPY"]) {
    const { results = [] } = await minutes(
      ticker,
      startMs,
      startMs + 5 * MINUTE - 1,
      2,
    );
    expect(
      [...newest().values()]
        .filter(({ sym }) => sym === ticker)
        .map(({ s, o, h, l, c, v, vw }) => ({ t: s, o, h, l, c, v, vw })),
    ).toEqual(
      results
        .toSorted((a, b) => a.t - b.t)
        .map(({ n: _, ...row }) => row) as never[],
    );
  }
});

async function until(isSo: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 5 * SECOND;
  while (!isSo()) {
    if (performance.now() > deadlineMs) throw new Error("it never came");
    await Bun.sleep(5);
  }
}
