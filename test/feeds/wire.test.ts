import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { SubscriptionWire, type WireRequest } from "../../src/feeds/wire.ts";
import type { Channel, ChannelSymbols } from "../../src/venues/feedVenue.ts";

const symbolsOf = (count: number, prefix = "S") =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);

/** A venue that behaves as told. */
interface Venue {
  /** Symbols over trades and quotes; beyond them a request is refused whole. */
  readonly symbolsMax?: number;
  /** A request that names one of these is refused whole. */
  readonly unknown?: readonly string[];
  /** Channels it does not offer: a request that names one is refused whole. */
  readonly lacks?: readonly Channel[];
  /** Left out of every acknowledgement, as `trades AAPL`. */
  readonly withheld?: readonly string[];
  /** Kept although they are given back. */
  readonly sticky?: readonly string[];
  /** Acknowledges only what was asked, and drops the rest. */
  readonly forgets?: boolean;
}

/** A connection to such a venue; it plays until nothing is left to ask. */
function connection(venue: Venue = {}, chunkLengthMax = 1_000) {
  const wire = new SubscriptionWire(chunkLengthMax);
  let granted: [Channel, string][] = [];
  /** `subscribe bars A B, trades A`; a refusal has its code behind it. */
  const log: string[] = [];

  function answer({ action, change }: WireRequest): string {
    const pairs = (Object.entries(change) as [Channel, string[]][]).flatMap(
      ([channel, symbols]) =>
        symbols.map((symbol): [Channel, string] => [channel, symbol]),
    );
    if (action === "subscribe") {
      const isBad = pairs.some(
        ([channel, symbol]) =>
          venue.unknown?.includes(symbol) || venue.lacks?.includes(channel),
      );
      if (isBad) {
        wire.refused("request");
        return " 400";
      }
      const names = new Set([...granted, ...pairs].map(String));
      const counted = [...names].filter((name) =>
        /^(trades|quotes)/.test(name),
      );
      if (counted.length > (venue.symbolsMax ?? Infinity)) {
        wire.refused("limit");
        return " 405";
      }
    }
    const asked = new Set(pairs.map(String));
    const others = granted.filter((pair) => !asked.has(String(pair)));
    const added = pairs.filter(
      (pair) => !venue.withheld?.includes(pair.join(" ")),
    );
    const stuck = pairs.filter(([, symbol]) => venue.sticky?.includes(symbol));
    granted = [
      ...(venue.forgets ? [] : others),
      ...(action === "subscribe" ? added : stuck),
    ];
    wire.acknowledged(setOf(granted));
    return "";
  }

  return {
    wire,
    log,
    granted: () => granted.map((pair) => pair.join(" ")),
    /** Asks for what is wanted until there is nothing to ask; returns how many requests it took. */
    settle(wanted: ChannelSymbols, requestsMax = 5_000): number {
      for (let requests = 0; ; requests++) {
        const request = wire.next(wanted);
        if (request === undefined) return requests;
        if (requests === requestsMax) throw new Error("it never ends");
        log.push(`${shown(request)}${answer(request)}`);
      }
    },
    /** What is wanted and not there, as `trades A limit`. */
    missing: (wanted: ChannelSymbols) =>
      wire
        .notGranted(wanted)
        .map(({ channel, symbol, reason }) => `${channel} ${symbol} ${reason}`),
  };
}

function setOf(pairs: readonly [Channel, string][]): ChannelSymbols {
  return Object.fromEntries(
    [...Map.groupBy(pairs, ([channel]) => channel)].map(([channel, own]) => [
      channel,
      own.map(([, symbol]) => symbol),
    ]),
  );
}

function shown({ action, change }: WireRequest): string {
  const lists = Object.entries(change).map(
    ([channel, symbols]) => `${channel} ${symbols.join(" ")}`,
  );
  return `${action} ${lists.join(", ")}`;
}

describe("what goes over the wire", () => {
  test("is everything at first, and then only what has changed", () => {
    const { settle, log, granted } = connection();
    settle({ bars: ["A", "B"], trades: ["A"] });
    settle({ bars: ["A", "B"], trades: ["A"] });
    settle({ bars: ["B", "C"], trades: ["A", "C"] });
    expect(log).toEqual([
      "subscribe bars A B, trades A",
      "unsubscribe bars A",
      "subscribe bars C, trades C",
    ]);
    expect(granted().toSorted()).toEqual([
      "bars B",
      "bars C",
      "trades A",
      "trades C",
    ]);
  });

  test("is nothing when nothing is wanted", () => {
    const { settle, log } = connection();
    expect(settle({})).toBe(0);
    expect(settle({ bars: [], trades: [] })).toBe(0);
    expect(log).toEqual([]);
  });

  test("is one request at a time", () => {
    const { wire } = connection();
    expect(wire.next({ bars: ["A"] })).toBeDefined();
    expect(wire.isWaiting).toBe(true);
    expect(wire.next({ bars: ["A", "B"] })).toBeUndefined();
    wire.acknowledged({ bars: ["A"] });
    expect(wire.isWaiting).toBe(false);
    expect(wire.next({ bars: ["A", "B"] })).toEqual({
      action: "subscribe",
      change: { bars: ["B"] },
    });
  });

  test("is cut into chunks, symbol by symbol", () => {
    const { settle, log } = connection({}, 4);
    settle({ bars: ["A", "B", "C"], trades: ["A", "B", "C"] });
    settle({});
    expect(log).toEqual([
      "subscribe bars A B, trades A B",
      "subscribe bars C, trades C",
      "unsubscribe bars A B C, trades A",
      "unsubscribe trades B C",
    ]);
  });

  test("names a symbol once that is wanted twice", () => {
    const { settle, log } = connection();
    settle({ quotes: ["SPY", "SPY"] });
    expect(log).toEqual(["subscribe quotes SPY"]);
  });

  test("of ten thousand symbols is soon asked, and everything is there", () => {
    const symbols = symbolsOf(10_000);
    const wanted = { bars: symbols, updatedBars: symbols, trades: symbols };
    const { settle, wire, missing } = connection({}, 400);
    const begunMs = performance.now();
    expect(settle(wanted)).toBe(75);
    expect(performance.now() - begunMs).toBeLessThan(20_000);
    expect(wire.grantedCount).toBe(30_000);
    expect(wire.granted("bars")).toEqual(symbols);
    expect(missing(wanted)).toEqual([]);
  });
});

describe("an acknowledgement", () => {
  test("that lacks what was asked for is believed: it is reported, and not asked for again", () => {
    const { settle, log, missing, wire } = connection({
      withheld: ["trades B"],
    });
    const wanted = { bars: ["A", "B"], trades: ["A", "B"] };
    settle(wanted);
    settle(wanted);
    expect(log).toHaveLength(1);
    expect(wire.granted("trades")).toEqual(["A"]);
    expect(missing(wanted)).toEqual(["trades B not granted"]);
  });

  test("of what was given back and kept is not argued with", () => {
    const { settle, log, wire } = connection({ sticky: ["A"] });
    settle({ bars: ["A", "B"] });
    settle({ bars: ["B"] });
    settle({ bars: ["B"] });
    expect(log).toEqual(["subscribe bars A B", "unsubscribe bars A"]);
    expect(wire.granted("bars")).toEqual(["B"]);
    // It can be had again.
    settle({ bars: ["A", "B"] });
    expect(wire.granted("bars").toSorted()).toEqual(["A", "B"]);
  });

  test("that nobody asked for is what is there now", () => {
    const { settle, wire, missing } = connection();
    const wanted = { bars: ["A", "B"] };
    settle(wanted);
    wire.acknowledged({ bars: ["A"] });
    expect(wire.granted("bars")).toEqual(["A"]);
    expect(missing(wanted)).toEqual(["bars B not granted"]);
    expect(settle(wanted)).toBe(0);
  });

  test("of a venue that forgets the ones before does not send it round in circles", () => {
    const symbols = symbolsOf(10);
    const { settle, wire, missing } = connection({ forgets: true }, 4);
    expect(settle({ bars: symbols })).toBe(3);
    expect(wire.granted("bars")).toEqual(["S8", "S9"]);
    expect(missing({ bars: symbols })).toHaveLength(8);
  });
});

describe("a plan's limit", () => {
  test("leaves as many symbols as it allows, in the order they are wanted; the rest is reported, with the reason", () => {
    const symbols = symbolsOf(100);
    const { settle, wire, missing } = connection({ symbolsMax: 30 });
    const requests = settle({ trades: symbols });
    expect(wire.granted("trades")).toEqual(symbols.slice(0, 30));
    expect(missing({ trades: symbols })).toEqual(
      symbols.slice(30).map((symbol) => `trades ${symbol} limit`),
    );
    expect(requests).toBeLessThan(20);
    expect(settle({ trades: symbols })).toBe(0);
  });

  test("on trades and quotes does not cost the bars, which it does not count", () => {
    const symbols = symbolsOf(100);
    const wanted = { bars: symbols, trades: symbols, quotes: symbols };
    const { settle, wire } = connection({ symbolsMax: 30 });
    const requests = settle(wanted);
    expect(wire.granted("bars").toSorted()).toEqual(symbols.toSorted());
    expect(wire.granted("trades")).toEqual(symbols.slice(0, 15));
    expect(wire.granted("quotes")).toEqual(symbols.slice(0, 15));
    expect(requests).toBeLessThan(40);
  });

  test("is tried anew when something was given back, and only then", () => {
    const { settle, wire, log, missing } = connection({ symbolsMax: 2 });
    settle({ trades: ["A", "B", "C", "D"] });
    expect(wire.granted("trades")).toEqual(["A", "B"]);
    log.length = 0;
    settle({ trades: ["A", "B", "D"] });
    expect(log).toEqual([]);
    settle({ trades: ["A", "D"] });
    expect(log).toEqual(["unsubscribe trades B", "subscribe trades D"]);
    expect(missing({ trades: ["A", "D"] })).toEqual([]);
  });

  test("of no symbol at all is reported of each, after a few requests", () => {
    const symbols = symbolsOf(1_000);
    const { settle, missing } = connection({ symbolsMax: 0 }, 400);
    expect(settle({ trades: symbols })).toBeLessThan(30);
    expect(missing({ trades: symbols })).toHaveLength(1_000);
  });
});

describe("a request that is refused as wrong", () => {
  test("is halved until the culprit is found; everybody else is there", () => {
    const symbols = symbolsOf(100);
    const { settle, wire, missing } = connection({ unknown: ["S37"] });
    const requests = settle({ bars: symbols });
    expect(missing({ bars: symbols })).toEqual(["bars S37 request"]);
    expect(wire.grantedCount).toBe(99);
    expect(requests).toBeLessThan(20);
    expect(settle({ bars: symbols })).toBe(0);
  });

  test("because of one channel costs the other channels nothing", () => {
    const symbols = symbolsOf(1_000);
    const wanted = { bars: symbols, updatedBars: symbols, trades: symbols };
    const { settle, wire, missing } = connection(
      { lacks: ["updatedBars"] },
      400,
    );
    const requests = settle(wanted);
    expect(wire.granted("bars").toSorted()).toEqual(symbols.toSorted());
    expect(wire.granted("trades").toSorted()).toEqual(symbols.toSorted());
    expect(missing(wanted)).toEqual(
      symbols.map((symbol) => `updatedBars ${symbol} request`),
    );
    expect(requests).toBeLessThan(1_000);
  });

  test("is asked for again by whoever lets go of the symbol and wants it again", () => {
    const { settle, log } = connection({ unknown: ["BAD"] });
    settle({ bars: ["A", "BAD"] });
    log.length = 0;
    settle({ bars: ["A"] });
    settle({ bars: ["A", "BAD"] });
    expect(log).toEqual(["subscribe bars BAD 400"]);
  });

  test("whatever it holds is an end: thousands of symbols that the venue knows nothing of", () => {
    const symbols = symbolsOf(2_000);
    const wanted = { bars: symbols, trades: symbols };
    const { settle, missing } = connection({ unknown: symbols }, 400);
    expect(settle(wanted)).toBeLessThan(1_700);
    expect(missing(wanted)).toHaveLength(4_000);
  });

  test("while symbols are given up is not asked for in pieces any more", () => {
    const { wire } = connection();
    wire.next({ bars: ["A", "B", "C", "D"] });
    wire.refused("request");
    expect(wire.next({ bars: ["A", "D"] })).toEqual({
      action: "subscribe",
      change: { bars: ["A"] },
    });
    wire.acknowledged({ bars: ["A"] });
    expect(wire.next({ bars: ["D"] })).toEqual({
      action: "unsubscribe",
      change: { bars: ["A"] },
    });
  });

  test("to give something back leaves nothing to argue about", () => {
    const { wire, settle } = connection();
    settle({ bars: ["A"] });
    wire.next({});
    wire.refused("request");
    expect(wire.next({})).toBeUndefined();
    expect(wire.grantedCount).toBe(0);
  });

  test("and that nobody made is no matter", () => {
    const { wire } = connection();
    wire.refused("limit");
    expect(wire.next({ bars: ["A"] })).toBeDefined();
  });
});

test("whatever the venue is like and however wishes change, it ends, and what is wanted is there or has a reason", () => {
  const name = fc.constantFrom(..."ABCDEFGH");
  const channel = fc.constantFrom<Channel[]>("bars", "trades", "quotes");
  const names = fc.uniqueArray(name, { maxLength: 8 });
  const venue = fc.record(
    {
      symbolsMax: fc.integer({ min: 0, max: 10 }),
      unknown: fc.uniqueArray(name, { maxLength: 3 }),
      lacks: fc.uniqueArray(channel, { maxLength: 2 }),
      withheld: fc.array(
        fc.tuple(channel, name).map((pair) => pair.join(" ")),
        { maxLength: 3 },
      ),
      sticky: fc.uniqueArray(name, { maxLength: 2 }),
      forgets: fc.boolean(),
    },
    { requiredKeys: [] },
  );
  const wishes = fc.array(
    fc.record({ bars: names, trades: names, quotes: names }),
    { minLength: 1, maxLength: 6 },
  );
  fc.assert(
    fc.property(
      venue,
      wishes,
      fc.integer({ min: 1, max: 9 }),
      (like, list, chunk) => {
        const { settle, wire, missing } = connection(like, chunk);
        for (const wanted of list) {
          settle(wanted, 400);
          const told = new Set(
            missing(wanted).map((line) => line.split(" ", 2).join(" ")),
          );
          for (const [each, symbols] of Object.entries(wanted) as [
            Channel,
            string[],
          ][]) {
            const granted = new Set(wire.granted(each));
            for (const symbol of symbols)
              expect(granted.has(symbol)).toBe(!told.has(`${each} ${symbol}`));
            for (const symbol of granted) expect(symbols).toContain(symbol);
          }
        }
      },
    ),
    { numRuns: 500 },
  );
});
