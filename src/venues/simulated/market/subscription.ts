/** What a connection has subscribed to: each request checked whole, and either taken whole or refused. */
import {
  type Channel,
  channelsOf,
  CORRECTIONS,
  isChannelAnywhere,
  isCryptoPath,
  isSymbol,
  type MarketErrorCode,
  type MarketPath,
  type SentChannel,
  TEST_SYMBOL,
} from "./language.ts";
import type { WireMessage } from "./messages.ts";

export type Subscription = ReadonlyMap<Channel, ReadonlySet<string>>;

/** Channels that the plan's number of symbols counts. */
const COUNTED = ["trades", "quotes"] as const;

/** The subscription after a request, or why it is refused. */
export function changed(
  held: Subscription,
  request: Readonly<Record<string, unknown>>,
  { path, symbolsMax }: { path: MarketPath; symbolsMax: number },
): Subscription | MarketErrorCode {
  const isMore = request["action"] === "subscribe";
  const next = new Map<Channel, ReadonlySet<string>>(held);
  for (const [name, wanted] of Object.entries(request)) {
    // Some clients write null for a list that they have nothing in.
    if (name === "action" || wanted === null) continue;
    if (!isListOfSymbols(wanted, path)) return 400;
    if (wanted.length === 0) continue;
    const channel = channelsOf(path).find((each) => each === name);
    if (channel === undefined) return isChannelAnywhere(name) ? 410 : 400;
    const symbols = next.get(channel) ?? new Set<string>();
    next.set(
      channel,
      isMore
        ? symbols.union(new Set(wanted))
        : symbols.difference(new Set(wanted)),
    );
  }
  return isMore && countOf(next) > symbolsMax ? 405 : next;
}

function isListOfSymbols(
  wanted: unknown,
  path: MarketPath,
): wanted is readonly string[] {
  return (
    Array.isArray(wanted) &&
    wanted.every(
      (symbol) =>
        symbol === "*" ||
        (typeof symbol === "string" &&
          (path === "/v2/test"
            ? symbol === TEST_SYMBOL
            : isSymbol(symbol, isCryptoPath(path)))),
    )
  );
}

function countOf(subscription: Subscription): number {
  let count = 0;
  for (const channel of COUNTED) {
    const symbols = subscription.get(channel);
    count += symbols?.has("*") ? Infinity : (symbols?.size ?? 0);
  }
  return count;
}

/** The whole set, as the venue answers each request; trades bring their corrections along, except on the test feed. */
export function acknowledgement(
  path: MarketPath,
  subscription: Subscription,
): WireMessage {
  const list = (channel: Channel) => [...(subscription.get(channel) ?? [])];
  const channels = channelsOf(path).filter(
    // The documents' answers do not show it; nobody hears of it who did not ask.
    (channel) => channel !== "imbalances" || list(channel).length > 0,
  );
  return {
    T: "subscription",
    ...Object.fromEntries(channels.map((channel) => [channel, list(channel)])),
    ...(bringsCorrections(path)
      ? Object.fromEntries(CORRECTIONS.map((name) => [name, list("trades")]))
      : {}),
  };
}

/** By symbol the channels that are to be sent; `*` is all of `symbols` that fit the feed. */
export function wishesOf(
  path: MarketPath,
  subscription: Subscription,
  symbols: readonly string[],
): Map<string, Set<SentChannel>> {
  const everything =
    path === "/v2/test"
      ? [TEST_SYMBOL]
      : symbols.filter((symbol) => isSymbol(symbol, isCryptoPath(path)));
  const wishes = new Map<string, Set<SentChannel>>();
  const wish = (symbol: string, channel: SentChannel) => {
    let channels = wishes.get(symbol);
    if (channels === undefined)
      wishes.set(symbol, (channels = new Set<SentChannel>()));
    channels.add(channel);
  };
  for (const [channel, names] of subscription) {
    const along =
      channel === "trades" && bringsCorrections(path) ? CORRECTIONS : [];
    const meant = names.has("*") ? names.union(new Set(everything)) : names;
    for (const symbol of meant)
      if (symbol !== "*")
        for (const each of [channel, ...along]) wish(symbol, each);
  }
  return wishes;
}

function bringsCorrections(path: MarketPath): boolean {
  return path !== "/v2/test" && !isCryptoPath(path);
}
