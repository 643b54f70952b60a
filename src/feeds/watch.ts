/**
 * Tells a quiet feed from a deaf one. Silence alone proves nothing: when it is
 * longer than the habits of these symbols at this hour explain, REST is asked for
 * their newest trades. What it shows and the feed has not told is awaited; only
 * when a later answer finds it still untold is the feed deaf. Pure: time comes in,
 * the question goes out.
 */
import type { StreamVerdict } from "../../schema/service.ts";
import { MINUTE, SECOND } from "../clock.ts";
import type { ActivityMemory } from "./activity.ts";

/** Messages that should have come and did not: by chance this happens once in ten thousand silences. */
const OVERDUE_MESSAGES = Math.log(10_000);
/** A symbol alone, while its siblings speak, has to be overdue by more: its trades come in bursts. */
const OVERDUE_MESSAGES_OF_ONE = 30;
/** Shorter silences are never worth a question. */
const SILENCE_MS_MIN = 5 * SECOND;
/** Whatever the habits: a silence of this length in an open market is looked into. */
const SILENCE_MS_MAX = 45 * SECOND;
/** While the market is closed hardly anything can be missing. */
const SILENCE_MS_MAX_CLOSED = 10 * MINUTE;
/** So long after its close the market counts as open: the last trades may be missing. */
const CLOSING_MS = 5 * MINUTE;

/** Between two questions while nothing is overdue. */
const ASK_EVERY_MS = MINUTE;
/** A bar tells of a trade up to a minute later, so the trade has to be seen sooner; also the longest silence then. */
const ASK_EVERY_MS_BARS = 30 * SECOND;
const ASK_EVERY_MS_CLOSED = 10 * MINUTE;
/** While something is awaited: not before. */
const ASK_AGAIN_MS = 8 * SECOND;
/** Symbols of one question: they fit into one request. */
const ASKED_MAX = 200;

/** REST may show a trade before the stream delivers it: this long nothing is held against the stream. */
const DELIVERY_GRACE_MS = 10 * SECOND;
/** A bar follows its minute by some seconds. */
const BAR_GRACE_MS = 15 * SECOND;
/** Clocks differ, and a trade of the moment of subscribing may belong to the time before. */
const SUBSCRIBING_MARGIN_MS = 5 * SECOND;
/** A message this recent makes the feed live without further words. */
const FRESH_MS = 60 * SECOND;

export class FeedWatch {
  /** The last question, answered or not. */
  #askedMs = Number.NEGATIVE_INFINITY;
  #comparedMs: number | undefined;
  /** Trades that REST showed before the feed told of them, by symbol. */
  readonly #awaited = new Map<string, number>();
  #overdue: readonly string[] = [];

  constructor(
    readonly activity: ActivityMemory,
    readonly liveSinceMs: number,
    readonly isOpen: (ms: number) => boolean | undefined,
    /** So much later than it happens the feed tells of a trade, and REST shows it. */
    readonly delayMs = 0,
  ) {}

  /** Symbols to ask REST about now; undefined when there is no reason to. */
  question(nowMs: number): string[] | undefined {
    this.#forgetTold();
    if (nowMs < this.#askedMs + this.#restMs(nowMs)) return undefined;
    const candidates = this.activity.mostOverdue(ASKED_MAX, nowMs);
    if (this.#awaited.size > 0) {
      // The others cost nothing more, and may be missing by now, too.
      const names = candidates.map(({ symbol }) => symbol);
      const asked = new Set([...this.#awaited.keys(), ...names]);
      return [...asked].slice(0, ASKED_MAX);
    }
    if (candidates.length === 0) return undefined;
    if (this.#isFeedSuspicious(nowMs))
      return candidates.map(({ symbol }) => symbol);
    const alone = candidates.filter(
      ({ expected }) => expected >= OVERDUE_MESSAGES_OF_ONE,
    );
    return alone.length === 0 ? undefined : alone.map(({ symbol }) => symbol);
  }

  /** REST answered with the time of each symbol's newest trade. */
  answered(latest: ReadonlyMap<string, number>, askedMs: number): void {
    this.#askedMs = askedMs;
    this.#comparedMs = askedMs;
    this.#forgetTold();
    // The first sight of a trade is kept: of a busy symbol the newest one is always too young to be overdue.
    this.#overdue = [...this.#awaited]
      .filter(([symbol, tradeMs]) => this.#dueMs(symbol, tradeMs) <= askedMs)
      .map(([symbol]) => symbol);
    for (const [symbol, tradeMs] of latest)
      if (!this.#awaited.has(symbol) && !this.#isTold(symbol, tradeMs))
        this.#awaited.set(symbol, tradeMs);
    if (this.#awaited.size === 0) this.activity.confirmSilence(askedMs);
  }

  /** REST could not be asked. */
  unanswered(nowMs: number): void {
    this.#askedMs = nowMs;
  }

  verdict(nowMs: number): StreamVerdict {
    const [first] = this.#overdue;
    if (first !== undefined)
      return {
        verdict: "deaf",
        reason: `REST shows trades of ${this.#overdue.length} symbols that the feed never delivered, first ${first}`,
      };
    const silentMs = nowMs - this.#spokeMs;
    if (silentMs < FRESH_MS)
      return {
        verdict: "live",
        reason: `message or link ${seconds(silentMs)} ago`,
      };
    const compared =
      this.#comparedMs === undefined
        ? "REST was not asked"
        : `REST shows nothing missing ${seconds(nowMs - this.#comparedMs)} ago`;
    return this.#isClosed(nowMs)
      ? { verdict: "closed", reason: `no session is open; ${compared}` }
      : {
          verdict: "quiet",
          reason: `silent for ${seconds(silentMs)}; ${compared}`,
        };
  }

  /** When deaf: up to which venue time everything was told. A feed that is deaf to one symbol may speak of others. */
  get deafFromMs(): number | undefined {
    if (this.#overdue.length === 0) return undefined;
    const toldTo = this.#overdue.map((symbol) => {
      const fromMs = this.#fromMs(symbol) ?? this.liveSinceMs - this.delayMs;
      return Math.max(this.activity.toldTo(symbol) ?? fromMs, fromMs);
    });
    return Math.min(this.#spokeMs - this.delayMs, ...toldTo);
  }

  get #spokeMs(): number {
    return Math.max(this.liveSinceMs, this.activity.lastMessageMs ?? 0);
  }

  #isFeedSuspicious(nowMs: number): boolean {
    const silentMs = nowMs - this.#spokeMs;
    if (silentMs < SILENCE_MS_MIN) return false;
    const expected = this.activity.expectedSince(this.#spokeMs, nowMs);
    if (expected !== undefined && expected >= OVERDUE_MESSAGES) return true;
    if (this.#isClosed(nowMs)) return silentMs >= SILENCE_MS_MAX_CLOSED;
    const byBars = this.activity.hasBarsAlone;
    return silentMs >= (byBars ? ASK_EVERY_MS_BARS : SILENCE_MS_MAX);
  }

  /** Between the last question and the next. */
  #restMs(nowMs: number): number {
    const everyMs = this.activity.hasBarsAlone
      ? ASK_EVERY_MS_BARS
      : ASK_EVERY_MS;
    if (this.#awaited.size > 0) {
      const dues = [...this.#awaited].map(([symbol, tradeMs]) =>
        this.#dueMs(symbol, tradeMs),
      );
      const untilDueMs = Math.min(...dues) - this.#askedMs;
      return Math.max(ASK_AGAIN_MS, Math.min(untilDueMs, everyMs));
    }
    return this.#isClosed(nowMs) ? ASK_EVERY_MS_CLOSED : everyMs;
  }

  #forgetTold(): void {
    for (const [symbol, tradeMs] of this.#awaited)
      if (this.#isTold(symbol, tradeMs)) this.#awaited.delete(symbol);
  }

  /** Closed for a while: what was traded last has been told by now. */
  #isClosed(nowMs: number): boolean {
    return (
      this.isOpen(nowMs) === false && this.isOpen(nowMs - CLOSING_MS) === false
    );
  }

  /** The feed told of it, or it need not: it belongs to the time before, or nobody listens to the symbol any more. */
  #isTold(symbol: string, tradeMs: number): boolean {
    const fromMs = this.#fromMs(symbol);
    return (
      fromMs === undefined ||
      tradeMs < fromMs + SUBSCRIBING_MARGIN_MS ||
      tradeMs <= (this.activity.toldTo(symbol) ?? Number.NEGATIVE_INFINITY)
    );
  }

  /** Venue time from which on the feed has to tell of a symbol: those that came while it was live were not listened to before. */
  #fromMs(symbol: string): number | undefined {
    const fromMs = this.activity.expectedFrom(symbol);
    return fromMs && Math.max(fromMs, this.liveSinceMs) - this.delayMs;
  }

  /** From when on a trade counts against the feed. */
  #dueMs(symbol: string, tradeMs: number): number {
    const toldMs = tradeMs + this.delayMs;
    return this.activity.channelOf(symbol) === "bars"
      ? Math.floor(toldMs / MINUTE) * MINUTE + MINUTE + BAR_GRACE_MS
      : toldMs + DELIVERY_GRACE_MS;
  }
}

function seconds(ms: number): string {
  return `${Math.max(0, Math.round(ms / SECOND))} s`;
}
