import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { AssetClass } from "../../schema/market.ts";
import {
  type ControlEvent,
  readControlEvent,
  SubscriptionBook,
} from "../../src/feeds/subscriptions.ts";

const DEFAULTS = { stock: ["AAPL", "SPY"], crypto: ["BTC/USD"] };

/** An event as the channel brings it. @throws Error when it is none */
function eventOf(members: Record<string, unknown>): ControlEvent {
  const reading = readControlEvent(JSON.stringify(members));
  if ("refused" in reading) throw new Error(reading.refused);
  return reading.event;
}

const subscribe = (symbol: string, sessionId?: string) =>
  eventOf({ action: "subscribe", symbol, sessionId });
const unsubscribe = (symbol: string, sessionId?: string) =>
  eventOf({ action: "unsubscribe", symbol, sessionId });

const changed = { changed: true, refused: [] };
const same = { changed: false, refused: [] };

const wanted = (book: SubscriptionBook) => [
  book.wanted("stock"),
  book.wanted("crypto"),
];

describe("a control event", () => {
  const stock = (symbol: string, ...spellings: string[]) => ({
    assetClass: "stock",
    symbol,
    spellings,
  });
  const crypto = (symbol: string, ...spellings: string[]) => ({
    assetClass: "crypto",
    symbol,
    spellings,
  });

  test.each<[text: string, read: object]>([
    ['{"symbol":"TSLA","type":"stock"}', stock("TSLA", "TSLA")],
    ['{"symbol":" tsla "}', stock("TSLA", " tsla ", "TSLA")],
    ['{"symbol":"BRK.B","type":null}', stock("BRK.B", "BRK.B")],
    ['{"symbol":"eth/usd"}', crypto("ETH/USD", "eth/usd", "ETH/USD", "ETHUSD")],
    [
      '{"symbol":"BTCUSD","type":"crypto"}',
      crypto("BTC/USD", "BTCUSD", "BTC/USD"),
    ],
    [
      '{"symbol":"ethusdt","type":"crypto"}',
      crypto("ETH/USDT", "ethusdt", "ETH/USDT", "ETHUSDT"),
    ],
    // Without a word of its class it may as well be a stock's name.
    ['{"symbol":"BTCUSD"}', stock("BTCUSD", "BTCUSD")],
    // There are services that call every symbol a stock.
    [
      '{"symbol":"SOL/USD","type":"stock"}',
      crypto("SOL/USD", "SOL/USD", "SOLUSD"),
    ],
    [
      '{"symbol":"TSLA","strategyId":7,"sessionId":"s-1"}',
      { ...stock("TSLA", "TSLA"), sessionId: "s-1" },
    ],
    [
      '{"symbol":"TSLA","sessionId":12,"at":"now"}',
      { ...stock("TSLA", "TSLA"), sessionId: "12" },
    ],
    ['{"symbol":"TSLA","sessionId":null}', stock("TSLA", "TSLA")],
    ['{"symbol":"TSLA","sessionId":""}', stock("TSLA", "TSLA")],
  ])("is read: %s", (text, read) => {
    const whole = text.replace("{", '{"action":"subscribe",');
    expect(readControlEvent(whole)).toEqual({
      event: { action: "subscribe", ...read } as ControlEvent,
    });
  });

  test.each<[text: string, reason: string]>([
    ["", "event: no JSON"],
    ["{", "event: no JSON"],
    ["null", "event: must be an object"],
    ['["subscribe"]', "event: must be an object"],
    [
      "{}",
      'action: must be "subscribe" or "unsubscribe"; symbol: must be a text',
    ],
    [
      '{"action":"resubscribe","symbol":"TSLA"}',
      'action: must be "subscribe" or "unsubscribe"',
    ],
    ['{"action":"subscribe","symbol":["TSLA"]}', "symbol: must be a text"],
    ['{"action":"subscribe","symbol":"  "}', "symbol: is blank"],
    [
      '{"action":"subscribe","symbol":"A PL"}',
      'symbol: "A PL" is no stock (AAPL)',
    ],
    ['{"action":"subscribe","symbol":"*"}', 'symbol: "*" is no stock (AAPL)'],
    [
      '{"action":"subscribe","symbol":"AAPL","type":"crypto"}',
      'symbol: "AAPL" is no crypto pair (BTC/USD)',
    ],
    [
      '{"action":"subscribe","symbol":"BTC/","type":"crypto"}',
      'symbol: "BTC/" is no crypto pair (BTC/USD)',
    ],
    [
      '{"action":"subscribe","symbol":"TSLA","type":"bond"}',
      'type: must be "stock" or "crypto"',
    ],
    [
      '{"action":"subscribe","symbol":"TSLA","sessionId":{}}',
      "sessionId: must be a text or a number",
    ],
    [
      JSON.stringify({ action: "subscribe", symbol: "A".repeat(10_000) }),
      "event: longer than 10000 characters",
    ],
  ])("is refused with its reason: %s", (text, reason) => {
    expect(readControlEvent(text)).toEqual({ refused: reason });
  });
});

describe("the book", () => {
  test("wants the defaults first, then what was asked for, in that order", () => {
    const book = new SubscriptionBook(DEFAULTS);
    expect(wanted(book)).toEqual([["AAPL", "SPY"], ["BTC/USD"]]);
    expect(book.apply(subscribe("TSLA"))).toEqual(changed);
    expect(book.apply(subscribe("eth/usd", "s-1"))).toEqual(changed);
    expect(book.apply(subscribe("tsla"))).toEqual(same);
    expect(book.apply(subscribe("AAPL", "s-1"))).toEqual(same);
    expect(wanted(book)).toEqual([
      ["AAPL", "SPY", "TSLA"],
      ["BTC/USD", "ETH/USD"],
    ]);
  });

  test("drops no default, whoever asks", () => {
    const book = new SubscriptionBook(DEFAULTS);
    book.apply(subscribe("AAPL", "s-1"));
    for (const event of [
      unsubscribe("AAPL", "s-1"),
      unsubscribe("AAPL"),
      unsubscribe("BTC/USD"),
    ])
      expect(book.apply(event)).toEqual(same);
    expect(book.reconcile({ stock: [], crypto: [] })).toEqual(same);
    expect(wanted(book)).toEqual([["AAPL", "SPY"], ["BTC/USD"]]);
  });

  test("counts sessions: a symbol stays until the last of them lets go", () => {
    const book = new SubscriptionBook(DEFAULTS);
    book.apply(subscribe("TSLA", "s-1"));
    book.apply(subscribe("TSLA", "s-2"));
    // Said twice is one hold, and a session that never held lets nothing go.
    book.apply(subscribe("TSLA", "s-2"));
    expect(book.apply(unsubscribe("TSLA", "s-3"))).toEqual(same);
    expect(book.apply(unsubscribe("TSLA", "s-1"))).toEqual(same);
    expect(book.apply(unsubscribe("TSLA", "s-1"))).toEqual(same);
    expect(book.apply(unsubscribe("TSLA", "s-2"))).toEqual(changed);
    expect(book.apply(unsubscribe("TSLA", "s-2"))).toEqual(same);
  });

  test.each<
    [what: string, event: ControlEvent, isActive: boolean, stays: boolean]
  >([
    ["a session, the set has it still", unsubscribe("TSLA", "s-1"), true, true],
    [
      "a session, the set has it no more",
      unsubscribe("TSLA", "s-1"),
      false,
      false,
    ],
    ["nobody by name: for the set", unsubscribe("TSLA"), true, false],
  ])("a symbol of the set, let go by %s", (_what, event, isActive, stays) => {
    const book = new SubscriptionBook(DEFAULTS);
    book.reconcile({ stock: ["TSLA"], crypto: [] });
    expect(book.apply(event, isActive)).toEqual(stays ? same : changed);
    expect(book.wanted("stock").includes("TSLA")).toBe(stays);
  });

  test("who names no session does not speak for those who have one", () => {
    const book = new SubscriptionBook(DEFAULTS);
    book.apply(subscribe("TSLA"));
    book.apply(subscribe("TSLA", "s-1"));
    book.reconcile({ stock: ["TSLA"], crypto: [] });
    expect(book.apply(unsubscribe("TSLA"))).toEqual(same);
    expect(book.apply(unsubscribe("TSLA", "s-1"))).toEqual(changed);
  });

  test("the sets replace what they held, and only that", () => {
    const book = new SubscriptionBook(DEFAULTS);
    book.apply(subscribe("NVDA"));
    book.apply(subscribe("MSFT", "s-1"));
    expect(
      book.reconcile({
        stock: ["tsla", "NVDA", "SOL/USD", "AAPL"],
        crypto: ["ETHUSD", "eth/usd"],
      }),
    ).toEqual(changed);
    expect(wanted(book)).toEqual([
      ["AAPL", "SPY", "NVDA", "MSFT", "TSLA"],
      ["BTC/USD", "ETH/USD", "SOL/USD"],
    ]);
    expect(book.reconcile({ stock: ["SOL/USD"], crypto: [] })).toEqual(changed);
    expect(wanted(book)).toEqual([
      ["AAPL", "SPY", "NVDA", "MSFT"],
      ["BTC/USD", "SOL/USD"],
    ]);
  });

  test("members of a set that are no symbols are named, and cost the others nothing", () => {
    const book = new SubscriptionBook(DEFAULTS);
    expect(
      book.reconcile({ stock: ["", "TSLA", "A B"], crypto: ["EURO"] }),
    ).toEqual({
      changed: true,
      refused: [
        "is blank",
        '"A B" is no stock (AAPL)',
        '"EURO" is no crypto pair (BTC/USD)',
      ],
    });
    expect(book.wanted("stock")).toEqual(["AAPL", "SPY", "TSLA"]);
  });

  test("a set that cannot be read takes nothing away", () => {
    const book = new SubscriptionBook(DEFAULTS);
    book.reconcile({ stock: ["TSLA"], crypto: ["ETH/USD"] });
    expect(book.reconcile({ crypto: ["SOL/USD"] })).toEqual(changed);
    expect(book.reconcile({})).toEqual(same);
    expect(wanted(book)).toEqual([
      ["AAPL", "SPY", "TSLA"],
      ["BTC/USD", "ETH/USD", "SOL/USD"],
    ]);
  });

  test("ten thousand symbols at once are taken", () => {
    const book = new SubscriptionBook(DEFAULTS);
    const stock = Array.from({ length: 10_000 }, (_, n) => `S${n}`);
    expect(book.reconcile({ stock, crypto: [] })).toEqual(changed);
    expect(book.wanted("stock")).toHaveLength(10_002);
    expect(book.reconcile({ stock: [], crypto: [] })).toEqual(changed);
    expect(book.wanted("stock")).toHaveLength(2);
  });

  test("beyond twenty thousand a symbol is refused, be it by an event or in a set; a known one is not", () => {
    const book = new SubscriptionBook(DEFAULTS);
    const stock = Array.from({ length: 20_000 }, (_, n) => `S${n}`);
    expect(book.reconcile({ stock, crypto: [] }).refused).toEqual([
      "S9998: more than 20000 symbols",
      "S9999: more than 20000 symbols",
    ]);
    expect(book.apply(subscribe("TSLA"))).toEqual({
      changed: false,
      refused: ["more than 20000 symbols"],
    });
    expect(book.apply(subscribe("S7", "s-1"))).toEqual(same);
    expect(book.apply(subscribe("ETH/USD"))).toEqual(changed);
  });

  test("sessions that never let go do not fill the memory", () => {
    const book = new SubscriptionBook(DEFAULTS);
    const event = subscribe("TSLA");
    for (let n = 0; n < 200_000; n++)
      book.apply({ ...event, sessionId: String(n) });
    const refused = {
      changed: false,
      refused: ["more than 200000 holds of sessions"],
    };
    expect(book.apply({ ...event, sessionId: "one more" })).toEqual(refused);
    book.apply(unsubscribe("TSLA", "7"));
    expect(book.apply({ ...event, sessionId: "one more" })).toEqual(same);
  });
});

test("whatever happens in whatever order, what is wanted is what somebody holds", () => {
  const symbol = fc.constantFrom("AAPL", "TSLA", "NVDA", "BTC/USD", "ETH/USD");
  const step = fc.oneof(
    fc.record({
      action: fc.constantFrom("subscribe", "unsubscribe"),
      symbol,
      sessionId: fc.option(fc.constantFrom("s-1", "s-2"), { nil: undefined }),
      isActive: fc.boolean(),
    }),
    fc.record({ set: fc.uniqueArray(symbol) }),
  );
  const classOf = (name: string): AssetClass =>
    name.includes("/") ? "crypto" : "stock";
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const book = new SubscriptionBook(DEFAULTS);
      /** Each hold as a text: `AAPL default`, `TSLA set`, `TSLA s-1`, `TSLA nobody`. */
      const holds = new Set(
        [...DEFAULTS.stock, ...DEFAULTS.crypto].map(
          (name) => `${name} default`,
        ),
      );
      const held = () => new Set([...holds].map((hold) => hold.split(" ")[0]));
      for (const each of steps) {
        const before = held();
        let outcome;
        if ("set" in each) {
          for (const hold of holds)
            if (hold.endsWith(" set")) holds.delete(hold);
          for (const name of each.set) holds.add(`${name} set`);
          outcome = book.reconcile({
            stock: each.set.filter((name) => classOf(name) === "stock"),
            crypto: each.set.filter((name) => classOf(name) === "crypto"),
          });
        } else {
          const { symbol: name, sessionId, isActive } = each;
          const own = `${name} ${sessionId ?? "nobody"}`;
          if (each.action === "subscribe") holds.add(own);
          else {
            holds.delete(own);
            if (sessionId === undefined || !isActive)
              holds.delete(`${name} set`);
          }
          outcome = book.apply(eventOf(each), isActive);
        }
        const now = held();
        expect(new Set(wanted(book).flat())).toEqual(now as Set<string>);
        expect(outcome.changed).toBe(!Bun.deepEquals(before, now));
      }
    }),
  );
});
