/**
 * What came when on one feed: by symbol the newest message, and how many a second
 * are usual at this hour of the week. The evidence for telling quiet from deaf.
 */
import type { MarketMessage } from "../../schema/market.ts";
import { HOUR, MINUTE, SECOND } from "../clock.ts";

const HOURS_OF_WEEK = 7 * 24;
/** Weight of a new minute against what was learnt before: a change of habit shows within a quarter of an hour. */
const LEARNING_RATE = 0.1;
/** Marks an hour of which nothing is known yet. */
const UNKNOWN = -1;
/** What is remembered of symbols that are not subscribed at the moment: as many as a feed may have. */
const REMEMBERED_MAX = 20_000;

/** One symbol that is subscribed. */
interface Habit {
  readonly channel: "trades" | "bars";
  /** Since when, on this connection. */
  sinceMs: number;
  /** Messages a second by hour of the week. */
  readonly rates: Float32Array;
  /** Messages of the present minute. */
  count: number;
  lastMs: number;
  /** Venue times, as text: they are only parsed when REST is compared. */
  newestTrade: string | undefined;
  newestBar: string | undefined;
}

export class ActivityMemory {
  readonly #habits = new Map<string, Habit>();
  /** Rates of what is not subscribed at the moment, which at the begin of each connection is everything. */
  readonly #remembered = new Map<string, Float32Array>();
  #lastMessageMs: number | undefined;
  #sliceFromMs = 0;
  #sliceCount = 0;
  /** Silent minutes that are not yet known to be silent by nature, as starts. */
  #silent: number[] = [];

  /** When the last message came on this connection. */
  get lastMessageMs(): number | undefined {
    return this.#lastMessageMs;
  }

  /** A connection begins. What was learnt stays; what came on the last one says nothing of this one. */
  began(nowMs: number): void {
    this.#lastMessageMs = undefined;
    this.#sliceFromMs = nowMs;
    this.#sliceCount = 0;
    this.#silent = [];
    for (const habit of this.#habits.values()) {
      habit.sinceMs = nowMs;
      habit.count = 0;
      habit.lastMs = nowMs;
      habit.newestTrade = undefined;
      habit.newestBar = undefined;
    }
  }

  /** What is subscribed now; where trades are, they tell sooner than bars. */
  expect(
    subscribed: { trades: readonly string[]; bars: readonly string[] },
    nowMs: number,
  ): void {
    const channels = new Map<string, Habit["channel"]>([
      ...subscribed.bars.map((symbol) => [symbol, "bars"] as const),
      ...subscribed.trades.map((symbol) => [symbol, "trades"] as const),
    ]);
    for (const [symbol, { channel }] of this.#habits)
      if (channels.get(symbol) !== channel) this.#remember(symbol);
    for (const [symbol, channel] of channels) {
      if (this.#habits.has(symbol)) continue;
      this.#habits.set(symbol, {
        channel,
        sinceMs: nowMs,
        rates: this.#recall(`${channel} ${symbol}`),
        count: 0,
        lastMs: nowMs,
        newestTrade: undefined,
        newestBar: undefined,
      });
    }
  }

  /** Messages have come. Called for every frame: one look-up a message. */
  note(messages: readonly MarketMessage[], nowMs: number): void {
    if (nowMs >= this.#sliceFromMs + MINUTE) this.#closeSlice(nowMs);
    this.#lastMessageMs = nowMs;
    this.#sliceCount += messages.length;
    for (const message of messages) {
      const habit = this.#habits.get(message.symbol);
      if (habit === undefined) continue;
      habit.count++;
      habit.lastMs = nowMs;
      noteTime(habit, message);
    }
  }

  /** REST showed nothing that is missing: the silence until `nowMs` was one of nature, and is learnt. */
  confirmSilence(nowMs: number): void {
    if (nowMs >= this.#sliceFromMs + MINUTE) this.#closeSlice(nowMs);
    for (const fromMs of this.#silent)
      for (const habit of this.#habits.values()) learn(habit, fromMs, 0);
    this.#silent = [];
  }

  /** Messages that would usually have come since the last one; undefined while nothing was learnt of this hour. */
  expectedSince(sinceMs: number, nowMs: number): number | undefined {
    let perSecond: number | undefined;
    for (const habit of this.#habits.values()) {
      const rate = rateAt(habit, nowMs);
      if (rate !== undefined) perSecond = (perSecond ?? 0) + rate;
    }
    return perSecond === undefined
      ? undefined
      : (perSecond * (nowMs - sinceMs)) / SECOND;
  }

  /**
   * Symbols most worth asking REST about: those of which most is overdue by
   * their own habit, then those that were silent longest.
   */
  mostOverdue(
    count: number,
    nowMs: number,
  ): { symbol: string; expected: number }[] {
    return [...this.#habits]
      .map(([symbol, habit]) => ({
        symbol,
        expected:
          ((rateAt(habit, nowMs) ?? 0) * (nowMs - habit.lastMs)) / SECOND,
        silentMs: nowMs - habit.lastMs,
      }))
      .sort((a, b) => b.expected - a.expected || b.silentMs - a.silentMs)
      .slice(0, count)
      .map(({ symbol, expected }) => ({ symbol, expected }));
  }

  /**
   * Venue time up to which the connection told of a symbol's trades: the newest
   * trade, or the end of the newest bar. Undefined before the first.
   */
  toldTo(symbol: string): number | undefined {
    const habit = this.#habits.get(symbol);
    const trade = msOf(habit?.newestTrade);
    const bar = msOf(habit?.newestBar);
    const barEnd = bar === undefined ? undefined : bar + MINUTE;
    if (trade === undefined || barEnd === undefined) return trade ?? barEnd;
    return Math.max(trade, barEnd);
  }

  /** Whether some symbols are told of by bars alone, which is later than by trades. */
  get hasBarsAlone(): boolean {
    for (const { channel } of this.#habits.values())
      if (channel === "bars") return true;
    return false;
  }

  /** By which channel a symbol's trades are told: bars tell only after their minute. */
  channelOf(symbol: string): "trades" | "bars" | undefined {
    return this.#habits.get(symbol)?.channel;
  }

  /** From when on the connection has to tell of a symbol; undefined of one that is not subscribed. */
  expectedFrom(symbol: string): number | undefined {
    return this.#habits.get(symbol)?.sinceMs;
  }

  #remember(symbol: string): void {
    const habit = this.#habits.get(symbol);
    if (habit === undefined) return;
    this.#habits.delete(symbol);
    this.#remembered.set(`${habit.channel} ${symbol}`, habit.rates);
    const [oldest] = this.#remembered.keys();
    if (this.#remembered.size > REMEMBERED_MAX && oldest !== undefined)
      this.#remembered.delete(oldest);
  }

  #recall(name: string): Float32Array {
    const rates = this.#remembered.get(name);
    this.#remembered.delete(name);
    return rates ?? new Float32Array(HOURS_OF_WEEK).fill(UNKNOWN);
  }

  #closeSlice(nowMs: number): void {
    // A minute without any message may be the venue's fault: it is learnt once REST has confirmed it.
    if (this.#sliceCount === 0) this.#silent.push(this.#sliceFromMs);
    else
      for (const habit of this.#habits.values())
        learn(habit, this.#sliceFromMs, habit.count / (MINUTE / SECOND));
    for (
      let at = this.#sliceFromMs + MINUTE;
      at + MINUTE <= nowMs;
      at += MINUTE
    )
      this.#silent.push(at);
    this.#sliceFromMs +=
      MINUTE * Math.floor((nowMs - this.#sliceFromMs) / MINUTE);
    this.#sliceCount = 0;
    for (const habit of this.#habits.values()) habit.count = 0;
  }
}

function learn(habit: Habit, atMs: number, perSecond: number): void {
  const hour = hourOfWeek(atMs);
  const known = habit.rates[hour] ?? UNKNOWN;
  habit.rates[hour] =
    known === UNKNOWN ? perSecond : known + LEARNING_RATE * (perSecond - known);
}

/** Of an hour that is not known yet the hour before is the best guess: at the top of the hour habits do not stop. */
function rateAt(habit: Habit, nowMs: number): number | undefined {
  const hour = hourOfWeek(nowMs);
  const before = (hour + HOURS_OF_WEEK - 1) % HOURS_OF_WEEK;
  const rate = [habit.rates[hour], habit.rates[before]].find(
    (known) => known !== undefined && known !== UNKNOWN,
  );
  return rate;
}

function noteTime(habit: Habit, message: MarketMessage): void {
  if (message.kind === "trade") {
    if (isLater(message.timestamp, habit.newestTrade))
      habit.newestTrade = message.timestamp;
  } else if (message.kind === "bar" && message.span !== "daily") {
    if (isLater(message.timestamp, habit.newestBar))
      habit.newestBar = message.timestamp;
  }
}

/** Tapes are not in order. Both are UTC and end in Z; without it the text that is later is the greater one. */
function isLater(text: string, than: string | undefined): boolean {
  return than === undefined || text.slice(0, -1) >= than.slice(0, -1);
}

function hourOfWeek(ms: number): number {
  return Math.floor(ms / HOUR) % HOURS_OF_WEEK;
}

function msOf(text: string | undefined): number | undefined {
  const ms = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}
