/** The streams: the handshake, what is acknowledged, what is sent when, and how connections end. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { HOUR, MINUTE, SECOND } from "../../../../src/clock.ts";
import { DEMO_POLYGON_KEY } from "../../../../src/venues/simulated/polygon/polygon.ts";
import {
  framesOf,
  type Message,
  messagesOf,
  NOW,
  Place,
  type Row,
} from "./place.ts";

let place: Place;
beforeEach(async () => {
  place = await Place.open();
});
afterEach(() => place[Symbol.asyncDispose]());

const status = (word: string, message: string) => ({
  ev: "status",
  status: word,
  message,
});
const WITHOUT_CLOSE_FRAME = 1006;
const AUTH = { action: "auth", params: DEMO_POLYGON_KEY };

describe("the handshake", () => {
  test("welcomes, and says who is in", async () => {
    const listener = await place.dial("/stocks");
    listener.send(AUTH);
    expect(await framesOf(listener)).toEqual([
      [status("connected", "Connected Successfully")],
      [status("auth_success", "authenticated")],
    ]);
  });

  test("with a wrong key ends without a close frame", async () => {
    const listener = await place.dial("/crypto");
    listener.send({ action: "auth", params: "wrong" });
    await listener.next();
    expect(await listener.next()).toEqual([
      status("auth_failed", "authentication failed"),
    ]);
    expect(await listener.closed).toBe(WITHOUT_CLOSE_FRAME);
  });

  test("on a plan without streams says where to get one", async () => {
    await using basic = await Place.open({ plan: "basic" });
    const listener = await basic.dial("/stocks");
    listener.send(AUTH);
    await listener.next();
    expect(await listener.next()).toEqual([
      status(
        "auth_failed",
        "Your plan doesn't include websocket access. Visit https://polygon.io/pricing to upgrade.",
      ),
    ]);
  });

  test("that never comes is told so after a while", async () => {
    const listener = await place.dial("/stocks");
    await listener.next();
    place.advance(29 * SECOND);
    expect(await framesOf(listener)).toEqual([]);
    place.advance(2 * SECOND);
    expect(await listener.next()).toEqual([
      status("auth_timeout", "No authentication request received."),
    ]);
    expect(await listener.closed).toBe(WITHOUT_CLOSE_FRAME);
  });

  test("goes before anything else", async () => {
    const listener = await place.dial("/stocks");
    listener.send({ action: "subscribe", params: "AM.AAPL" });
    listener.send("what?");
    expect((await framesOf(listener)).slice(1)).toEqual([
      [status("auth_required", "authentication required")],
      [status("error", "unknown action")],
    ]);
  });
});

describe("a subscription", () => {
  const subscribed = (name: string) =>
    status("success", `subscribed to: ${name}`);

  test("is acknowledged parameter by parameter, what is held already not again, an unknown channel never", async () => {
    const listener = await place.enter("/stocks");
    for (const params of [
      "AM.AAPL,ZZ.AAPL, T.MSFT",
      "AM.AAPL,AM.NOSUCH",
      "ZZ.A",
    ])
      listener.send({ action: "subscribe", params });
    listener.send({ action: "unsubscribe", params: "T.MSFT,T.SPY" });
    expect(await framesOf(listener)).toEqual([
      [subscribed("AM.AAPL"), subscribed("T.MSFT")],
      [subscribed("AM.NOSUCH")],
      [status("success", "unsubscribed to: T.MSFT")],
    ]);
  });

  test("is acknowledged in frames of their own, where that is wanted", async () => {
    await using split = await Place.open({ splitsAcknowledgements: true });
    const listener = await split.enter("/stocks");
    listener.send({ action: "subscribe", params: "AM.*,T.AAPL" });
    expect(await framesOf(listener)).toEqual([
      [subscribed("AM.*")],
      [subscribed("T.AAPL")],
    ]);
  });

  test("to what the plan lacks is refused without naming it, before the rest is granted", async () => {
    await using starter = await Place.open({ plan: "starter" });
    const listener = await starter.enter("/stocks");
    listener.send({ action: "subscribe", params: "AM.AAPL,T.AAPL,Q.AAPL" });
    expect(await messagesOf(listener)).toEqual([
      status("error", "not authorized"),
      subscribed("AM.AAPL"),
    ]);
  });

  test.each(["AM.NOSUCH", "AM.aapl", "T.QUIETER"])(
    "to %s is acknowledged, and then there is silence",
    async (params) => {
      const listener = await place.listen("/stocks", params);
      place.advance(5 * MINUTE);
      expect(await framesOf(listener)).toEqual([]);
    },
  );

  test("to a pair under its name of REST is acknowledged, and then there is silence", async () => {
    const listener = await place.listen("/crypto", "XT.X:BTCUSD");
    place.advance(5 * MINUTE);
    expect(await framesOf(listener)).toEqual([]);
  });
});

describe("what is sent", () => {
  /** Of the minutes from NOW on, as REST tells them in the end. */
  async function history(ticker: string, minutes: number): Promise<Row[]> {
    place.advance(HOUR);
    const path = `/v2/aggs/ticker/${ticker}/range/1/minute/${NOW}/${NOW + minutes * MINUTE - 1}`;
    return (await place.get(path)).results;
  }

  const asRow = (bar: Message) => ({
    ...Object.fromEntries(
      ["o", "h", "l", "c", "v", "vw"].map((name) => [name, bar[name]]),
    ),
    t: bar["s"],
  });
  const withoutCount = ({ n: _, ...row }: Row) => row;

  test("are minutes behind their end, once more when trades came late, in the end those of REST", async () => {
    const listener = await place.listen("/stocks", "AM.AAPL");
    place.advance(20 * MINUTE + 20 * SECOND);
    place.advance(20 * SECOND);
    const bars = await messagesOf(listener);
    const newest = new Map(bars.map((bar) => [bar["s"], asRow(bar)]));
    expect(new Set(bars.map((bar) => bar["ev"]))).toEqual(new Set(["AM"]));
    // The minute before NOW ended with it.
    newest.delete(NOW - MINUTE);
    expect([...newest.values()]).toEqual(
      (await history("AAPL", 20)).map(withoutCount),
    );
    expect(bars.length).toBeGreaterThan(newest.size + 1);
  });

  test("are minutes with the day so far", async () => {
    const listener = await place.listen("/stocks", "AM.AAPL");
    place.advance(MINUTE + 2 * SECOND);
    const bar = (await messagesOf(listener)).find(({ s }) => s === NOW);
    const rows: Row[] = (
      await place.get(
        `/v2/aggs/ticker/AAPL/range/1/minute/2026-09-16/${NOW}?limit=50000`,
      )
    ).results;
    const volume = rows.reduce((sum, { v }) => sum + v, 0);
    const open = rows.find(({ t }) => t === NOW - HOUR / 2)?.o;
    expect(bar).toMatchObject({
      ev: "AM",
      sym: "AAPL",
      av: volume,
      dav: `${volume}.0`,
      op: open,
      s: NOW,
      e: NOW + MINUTE,
    });
  });

  test("are seconds two of them behind, trades and quotes, several kinds in a frame", async () => {
    const listener = await place.listen("/stocks", "A.SPY,T.SPY,Q.SPY");
    place.advance(MINUTE);
    const [frame = []] = await framesOf(listener);
    const of = (ev: string) => frame.filter((each) => each["ev"] === ev);
    const { trades, quotes } = place.venue.market.tape.minute("SPY", NOW);
    const prompt = trades.filter(({ reportedMs }) => reportedMs < NOW + MINUTE);
    expect(of("T").filter(({ t }) => Number(t) >= NOW)).toEqual(
      prompt.map(({ id, price, size, atMs }) => ({
        ev: "T",
        sym: "SPY",
        x: 4,
        i: String(id),
        z: 3,
        p: price,
        s: size,
        ...(size < 100 && { c: [37] }),
        t: Math.floor(atMs),
        q: id,
        trfi: 202,
        trft: Math.floor(atMs),
        ds: `${size}.0`,
      })),
    );
    expect(of("Q").length).toBe(quotes.length);
    expect(of("Q")[0]).toMatchObject({ bp: quotes[0]?.bid, c: 1, z: 3 });
    const seconds = of("A").filter(({ s }) => Number(s) >= NOW);
    const known = prompt.filter(({ atMs }) => atMs < NOW + 58 * SECOND);
    expect(seconds.reduce((sum, { v }) => sum + Number(v), 0)).toBe(
      known.reduce((sum, { size }) => sum + size, 0),
    );
    expect(seconds.every(({ s, e }) => Number(e) - Number(s) === SECOND)).toBe(
      true,
    );
  });

  test("are pairs under the stream's name, without the day", async () => {
    const listener = await place.listen(
      "/crypto",
      "XA.BTC-USD,XT.BTC-USD,XQ.BTC-USD",
    );
    place.advance(MINUTE + 2 * SECOND);
    const messages = await messagesOf(listener);
    const bar = messages.find(({ ev, s }) => ev === "XA" && s === NOW);
    expect(Object.keys(bar ?? {}).sort()).toEqual([
      "c",
      "e",
      "ev",
      "h",
      "l",
      "o",
      "pair",
      "s",
      "v",
      "vw",
      "z",
    ]);
    expect(new Set(messages.map(({ pair }) => pair))).toEqual(
      new Set(["BTC-USD"]),
    );
    expect(new Set(messages.map(({ ev }) => ev))).toEqual(
      new Set(["XA", "XT", "XQ"]),
    );
    expect(asRow(bar ?? {})).toEqual(
      withoutCount(
        (
          await place.get(
            `/v2/aggs/ticker/X:BTCUSD/range/1/minute/${NOW}/${NOW}`,
          )
        ).results[0],
      ),
    );
  });

  test("is all that a star stands for, a quarter of an hour behind on a plan that is late", async () => {
    await using late = await Place.open({ plan: "starter" });
    const listener = await late.listen("/stocks", "AM.*");
    late.advance(MINUTE + 2 * SECOND);
    const bars = await messagesOf(listener);
    expect(new Set(bars.map(({ sym }) => sym)).size).toBe(7);
    expect(Math.max(...bars.map(({ s }) => Number(s)))).toBe(NOW - 15 * MINUTE);
  });
});

describe("a second connection", () => {
  const TOO_MANY = "Maximum number of websocket connections exceeded. ";

  test("throws the first one out, which is cut", async () => {
    const older = await place.listen("/stocks", "AM.AAPL");
    const newer = await place.listen("/stocks", "AM.AAPL");
    expect(await older.next()).toEqual([status("max_connections", TOO_MANY)]);
    expect(await older.closed).toBe(WITHOUT_CLOSE_FRAME);
    place.advance(2 * MINUTE);
    expect((await messagesOf(newer)).length).toBeGreaterThan(1);
  });

  test("is itself thrown out, where that is wanted", async () => {
    await using strict = await Place.open({ overfull: "refuse" });
    const older = await strict.listen("/stocks", "AM.AAPL");
    const newer = await strict.enter("/stocks");
    const [answer] = await newer.next();
    expect(answer.status).toBe("max_connections");
    expect(await newer.closed).toBe(1008);
    strict.advance(2 * MINUTE);
    expect((await messagesOf(older)).length).toBeGreaterThan(1);
  });

  test("on the other cluster is nobody's rival", async () => {
    const stocks = await place.enter("/stocks");
    await place.enter("/crypto");
    expect(await framesOf(stocks)).toEqual([]);
  });
});

describe("a fault", () => {
  test("cuts a stream without a close frame", async () => {
    const [stocks, crypto] = [
      await place.enter("/stocks"),
      await place.enter("/crypto"),
    ];
    place.venue.inject({ kind: "drop", account: "/stocks" });
    expect(await stocks.closed).toBe(WITHOUT_CLOSE_FRAME);
    await crypto.pong();
  });

  test("cuts who is told of it", async () => {
    const listener = await place.enter("/stocks");
    place.venue.inject({ kind: "feed-error", code: 407, account: "/stocks" });
    expect(await listener.next()).toEqual([
      status("slow_consumer", "Consumer is too slow."),
    ]);
    expect(await listener.closed).toBe(WITHOUT_CLOSE_FRAME);
  });

  test("brings an event that nobody knows, doubles a frame, or says nothing", async () => {
    const listener = await place.listen("/stocks", "T.AAPL");
    const sent = async (kind: "unknown-event" | "duplicate" | "mute") => {
      place.venue.inject({ kind, account: "/stocks", count: 1 });
      place.advance(MINUTE);
      return (await framesOf(listener)).map((frame) =>
        frame.length === 1 ? frame[0]?.["ev"] : "trades",
      );
    };
    expect(await sent("unknown-event")).toEqual(["lagg", "trades"]);
    expect(await sent("duplicate")).toEqual(["trades", "trades"]);
    expect(await sent("mute")).toEqual([]);
  });

  test("lets a stream stand open in silence, until the next connection throws it out", async () => {
    const older = await place.listen("/stocks", "AM.AAPL");
    place.venue.inject({ kind: "half-open", account: "/stocks" });
    place.advance(2 * MINUTE);
    const newer = await place.listen("/stocks", "AM.AAPL");
    expect(await older.closed).toBe(WITHOUT_CLOSE_FRAME);
    expect(older.waiting).toBe(0);
    place.advance(2 * MINUTE);
    expect((await messagesOf(newer)).length).toBeGreaterThan(1);
  });

  test("that keeps a client from reading ends its connection once too much has piled up", async () => {
    await using small = await Place.open({ bufferedBytesMax: 1_000 });
    const listener = await small.listen("/stocks", "T.*,Q.*");
    small.venue.inject({ kind: "half-open", account: "/stocks" });
    const { stream } = small.venue.polygon;
    // What lies between takes some megabytes.
    for (let hours = 0; hours < 9 && stream.ports().length > 0; hours++)
      small.advance(HOUR);
    expect(stream.ports()).toEqual([]);
    expect(await listener.closed).toBe(WITHOUT_CLOSE_FRAME);
  });

  test("that this face cannot have is a mistake", () => {
    expect(() =>
      place.venue.inject({ kind: "fill-lag", byMs: 1, account: "/stocks" }),
    ).toThrow("it does not strike streams of market data");
  });
});
