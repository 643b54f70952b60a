/** What the stream sends and what REST shows are one market: for every minute, at every moment, trade by trade. */
import { describe, expect, test } from "bun:test";
import { MINUTE, SECOND } from "../../../../src/clock.ts";
import { CRYPTO, Feed, type Message, messagesOf, NOW } from "./feed.ts";

const iso = (ms: number) => new Date(ms).toISOString();
const without = (names: readonly string[], message: Message) =>
  Object.fromEntries(
    Object.entries(message).filter(([name]) => !names.includes(name)),
  );

/** Rows by symbol, as the stream told them: a later word on the same minute replaces the former. */
class Told {
  readonly bars = new Map<string, Map<unknown, Message>>();
  readonly trades = new Map<string, Map<unknown, Message>>();
  readonly types = new Set<unknown>();

  take(messages: readonly Message[]): void {
    for (const message of messages) {
      const { T, S, t, i, oi, ci, cp, cs, cc } = message;
      this.types.add(T);
      const row = without(["T", "S"], message);
      const trades = rowsIn(this.trades, S);
      switch (T) {
        case "b":
        case "u":
          rowsIn(this.bars, S).set(t, row);
          break;
        case "t":
          trades.set(i, row);
          break;
        case "x":
          trades.set(i, { ...trades.get(i), u: "canceled" });
          break;
        case "c":
          trades.set(ci, {
            ...trades.get(oi),
            i: ci,
            p: cp,
            s: cs,
            c: cc,
            u: "corrected",
          });
          trades.set(oi, { ...trades.get(oi), u: "incorrect" });
      }
    }
  }

  of(kind: "bars" | "trades", symbol: string): Message[] {
    return sorted([...rowsIn(this[kind], symbol).values()]);
  }
}

function rowsIn(
  all: Map<string, Map<unknown, Message>>,
  symbol: unknown,
): Map<unknown, Message> {
  const name = String(symbol);
  const rows = all.get(name) ?? new Map<unknown, Message>();
  all.set(name, rows);
  return rows;
}

/** By time; a correction stands behind what it corrects. */
function sorted(rows: readonly Message[]): Message[] {
  const key = ({ t, i }: Message) =>
    `${String(t).replace("Z", "").padEnd(30, "0")} ${String(i)}`;
  return rows.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}

describe.each([
  ["/v2/iex", "/v2/stocks", ["SPY", "NVDA", "ABC", "QUIET", "HALT"]],
  [CRYPTO, CRYPTO, ["BTC/USD", "ETH/USD", "SHIB/USD"]],
] as const)("%s", (path, rest, symbols) => {
  test("agrees with REST on bars and trades whenever one looks", async () => {
    await using feed = await Feed.open();
    const channels = { trades: symbols, bars: symbols, updatedBars: symbols };
    const listener = await feed.listen(path, channels);
    const told = new Told();
    // What was before the first minute's bar the stream did not tell.
    const start = iso(NOW);
    let updates = 0;
    for (let step = 0; step < 40; step++) {
      feed.advance(23 * SECOND);
      const messages = await messagesOf(listener);
      updates += messages.filter(({ T }) => T === "u").length;
      told.take(messages);
      for (const kind of ["bars", "trades"] as const) {
        const query = kind === "bars" ? "&timeframe=1Min" : "";
        for (const symbol of symbols) {
          const page = await feed.get(
            `${rest}/${kind}?symbols=${symbol}&start=${start}&limit=10000${query}`,
          );
          const streamed = told
            .of(kind, symbol)
            .filter(({ t }) => Date.parse(`${t}`) >= NOW);
          expect(sorted(page[kind][symbol] ?? [])).toEqual(streamed);
        }
      }
    }
    expect(updates).toBeGreaterThan(2);
    expect(told.types).toEqual(
      new Set(path === CRYPTO ? ["t", "b", "u"] : ["t", "b", "u", "c", "x"]),
    );
  });

  test("agrees with REST on quotes, the newest trade and the day's bar", async () => {
    await using feed = await Feed.open();
    const [symbol] = symbols;
    const listener = await feed.listen(path, {
      trades: [symbol],
      quotes: [symbol],
      dailyBars: [symbol],
    });
    feed.advance(3 * MINUTE + 10 * SECOND);
    const messages = await messagesOf(listener);
    const of = (type: string) =>
      messages
        .filter(({ T }) => T === type)
        .map((message) => without(["T", "S"], message));
    const list = async (more: string) =>
      await feed.get(`${rest}/${more}symbols=${encodeURIComponent(symbol)}`);
    const quotes = await list(`quotes?limit=10000&start=${iso(NOW + 1)}&`);
    expect(quotes.quotes[symbol]).toEqual(of("q"));
    const latest = path === CRYPTO ? "latest/trades?" : "trades/latest?";
    const newest = of("t")
      .filter(({ s }) => path === CRYPTO || Number(s) >= 100)
      .toSorted((a, b) => (String(a["t"]) < String(b["t"]) ? -1 : 1))
      .at(-1);
    expect((await list(latest)).trades[symbol]).toEqual(newest);
    // At the moment it was sent, the day was what REST shows up to then.
    const days = await list("bars?timeframe=1Day&");
    expect(days.bars[symbol].at(-1)).toEqual(of("d").at(-1));
  });
});
