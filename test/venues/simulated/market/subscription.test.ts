import { describe, expect, test } from "bun:test";
import type {
  MarketErrorCode,
  MarketPath,
  SentChannel,
} from "../../../../src/venues/simulated/market/language.ts";
import {
  acknowledgement,
  changed,
  type Subscription,
  wishesOf,
} from "../../../../src/venues/simulated/market/subscription.ts";
import { CRYPTO, type Message } from "./feed.ts";

const NONE: Subscription = new Map();

function requests(
  path: MarketPath,
  frames: readonly Message[],
  symbolsMax = Infinity,
): Subscription | MarketErrorCode {
  let held: Subscription | MarketErrorCode = NONE;
  for (const frame of frames) {
    if (typeof held === "number") return held;
    held = changed(held, frame, { path, symbolsMax });
  }
  return held;
}

const subscribe = (wanted: Message) => ({ action: "subscribe", ...wanted });
const unsubscribe = (wanted: Message) => ({ action: "unsubscribe", ...wanted });

const EMPTY = {
  T: "subscription",
  trades: [],
  quotes: [],
  bars: [],
  updatedBars: [],
  dailyBars: [],
  statuses: [],
  lulds: [],
  corrections: [],
  cancelErrors: [],
};

describe("the acknowledgement", () => {
  test.each<[string, MarketPath, Message[], Message]>([
    [
      "is the whole set, with the corrections that trades bring along",
      "/v2/iex",
      [
        subscribe({ trades: ["AAPL"], quotes: ["AMD", "BRK.B"], bars: ["*"] }),
        subscribe({ dailyBars: ["VOO"], statuses: ["*"], trades: ["IBM"] }),
      ],
      {
        ...EMPTY,
        trades: ["AAPL", "IBM"],
        quotes: ["AMD", "BRK.B"],
        bars: ["*"],
        dailyBars: ["VOO"],
        statuses: ["*"],
        corrections: ["AAPL", "IBM"],
        cancelErrors: ["AAPL", "IBM"],
      },
    ],
    [
      "takes away what is given up, and passes over what was not held",
      "/v2/sip",
      [
        subscribe({ trades: ["A", "B"], bars: ["*"] }),
        unsubscribe({ trades: ["B", "C"], bars: ["*"], quotes: ["A"] }),
      ],
      { ...EMPTY, trades: ["A"], corrections: ["A"], cancelErrors: ["A"] },
    ],
    [
      "names a symbol once, however often it is asked for",
      "/v2/iex",
      [subscribe({ bars: ["A", "A"] }), subscribe({ bars: ["A"] })],
      { ...EMPTY, bars: ["A"] },
    ],
    [
      "shows imbalances to those who asked",
      "/v2/iex",
      [subscribe({ imbalances: ["A"] })],
      { ...EMPTY, imbalances: ["A"] },
    ],
    [
      "has three channels on the test feed",
      "/v2/test",
      [subscribe({ trades: ["FAKEPACA"], quotes: ["*"] })],
      { T: "subscription", trades: ["FAKEPACA"], quotes: ["*"], bars: [] },
    ],
    [
      "has order books for crypto, and no corrections",
      CRYPTO,
      [subscribe({ trades: ["BTC/USD"], orderbooks: ["ETH/USD"] })],
      {
        T: "subscription",
        trades: ["BTC/USD"],
        quotes: [],
        orderbooks: ["ETH/USD"],
        bars: [],
        updatedBars: [],
        dailyBars: [],
      },
    ],
    [
      "may be of nothing",
      "/v2/iex",
      [subscribe({ trades: [], bars: null, news: [] })],
      EMPTY,
    ],
  ])("%s", (_, path, frames, told) => {
    const held = requests(path, frames);
    if (typeof held === "number") throw new Error(`refused: ${held}`);
    expect(acknowledgement(path, held)).toEqual(told);
  });
});

describe("a request is refused", () => {
  test.each<[MarketPath, Message, MarketErrorCode]>([
    ["/v2/iex", { trades: "AAPL" }, 400],
    ["/v2/iex", { trades: [1] }, 400],
    ["/v2/iex", { trades: ["aapl"] }, 400],
    ["/v2/iex", { trades: [""] }, 400],
    ["/v2/iex", { trades: ["BTC/USD"] }, 400],
    ["/v2/iex", { trade: ["AAPL"] }, 400],
    [CRYPTO, { trades: ["BTCUSD"] }, 400],
    [CRYPTO, { trades: ["AAPL"] }, 400],
    ["/v2/test", { trades: ["AAPL"] }, 400],
    ["/v2/test", { updatedBars: ["FAKEPACA"] }, 410],
    ["/v2/iex", { orderbooks: ["AAPL"] }, 410],
    ["/v2/iex", { news: ["AAPL"] }, 410],
    ["/v2/iex", { corrections: ["AAPL"] }, 410],
    [CRYPTO, { statuses: ["BTC/USD"] }, 410],
  ])("on %s: %j with %d", (path, wanted, code) => {
    expect(requests(path, [subscribe(wanted)])).toBe(code);
  });

  test("whole, when one of its symbols is wrong", () => {
    const held = requests("/v2/iex", [subscribe({ bars: ["A"] })]);
    if (typeof held === "number") throw new Error(`refused: ${held}`);
    const next = changed(held, subscribe({ bars: ["B"], trades: ["b"] }), {
      path: "/v2/iex",
      symbolsMax: 30,
    });
    expect(next).toBe(400);
    expect(acknowledgement("/v2/iex", held)).toEqual({ ...EMPTY, bars: ["A"] });
  });
});

describe("a plan of 3 symbols", () => {
  test.each<[string, Message[], MarketErrorCode | "granted"]>([
    [
      "counts trades and quotes together",
      [subscribe({ trades: ["A", "B"], quotes: ["A"] })],
      "granted",
    ],
    [
      "refuses the fourth",
      [subscribe({ trades: ["A", "B"] }), subscribe({ quotes: ["A", "B"] })],
      405,
    ],
    [
      "does not count what is held already",
      [
        subscribe({ trades: ["A", "B", "C"] }),
        subscribe({ trades: ["A", "B", "C"] }),
      ],
      "granted",
    ],
    [
      "does not count bars",
      [subscribe({ bars: ["A", "B", "C", "D", "*"] })],
      "granted",
    ],
    ["knows that all are more", [subscribe({ quotes: ["*"] })], 405],
    [
      "gets room by giving up",
      [
        subscribe({ trades: ["A", "B", "C"] }),
        unsubscribe({ trades: ["A"] }),
        subscribe({ quotes: ["Z"] }),
      ],
      "granted",
    ],
  ])("%s", (_, frames, outcome) => {
    const held = requests("/v2/iex", frames, 3);
    expect<unknown>(typeof held === "number" ? held : "granted").toBe(outcome);
  });
});

test.each<[MarketPath, Message, Record<string, SentChannel[]>]>([
  [
    "/v2/iex",
    { trades: ["Z"], bars: ["*"] },
    {
      Z: ["trades", "corrections", "cancelErrors"],
      AAPL: ["bars"],
      SPY: ["bars"],
    },
  ],
  [
    "/v2/iex",
    { bars: ["*", "Z"] },
    { Z: ["bars"], AAPL: ["bars"], SPY: ["bars"] },
  ],
  [CRYPTO, { trades: ["*"] }, { "BTC/USD": ["trades"] }],
  ["/v2/test", { trades: ["*"] }, { FAKEPACA: ["trades"] }],
])("on %s %j comes to %j", (path, wanted, wishes) => {
  const held = requests(path, [subscribe(wanted)]);
  if (typeof held === "number") throw new Error(`refused: ${held}`);
  const found = wishesOf(path, held, ["AAPL", "SPY", "BTC/USD"]);
  expect(
    Object.fromEntries(
      Array.from(found, ([symbol, channels]) => [symbol, [...channels]]),
    ),
  ).toEqual(wishes);
});
