/**
 * Who needs which symbols. A symbol is wanted while at least one hold is on it:
 * it is a default, it is in Redis' set, a session holds it, or somebody who named
 * no session does. Pure: events and sets come in, the wanted symbols go out.
 */
import * as z from "zod";
import type { AssetClass } from "../../schema/market.ts";
import { assetClassOf, symbolOf } from "../../schema/symbol.ts";

/** Symbols of a class: more than any venue lists. */
const SYMBOLS_MAX = 20_000;
/** Holds of sessions, all symbols together: whoever forgets to let go must not fill the memory. */
const SESSION_HOLDS_MAX = 200_000;

export interface ControlEvent {
  readonly action: "subscribe" | "unsubscribe";
  readonly assetClass: AssetClass;
  readonly symbol: string;
  readonly sessionId?: string;
  /** How the symbol may be spelt in Redis' sets, the sender's own spelling among them. */
  readonly spellings: readonly string[];
}

interface Holds {
  readonly isDefault: boolean;
  isInSet: boolean;
  isAnonymous: boolean;
  readonly sessions: Set<string>;
}

type Members = Readonly<Partial<Record<AssetClass, readonly string[]>>>;

/** What an event or a reading of the sets has changed, and what of it was not taken. */
export interface Outcome {
  /** Whether other symbols are wanted than before. */
  readonly changed: boolean;
  /** Why something was not taken; it has changed nothing. */
  readonly refused: readonly string[];
}

export class SubscriptionBook {
  readonly #holds: Readonly<Record<AssetClass, Map<string, Holds>>> = {
    stock: new Map(),
    crypto: new Map(),
  };
  #sessionHolds = 0;

  constructor(defaults: Readonly<Record<AssetClass, readonly string[]>>) {
    for (const assetClass of ["stock", "crypto"] as const)
      for (const symbol of defaults[assetClass])
        this.#holds[assetClass].set(symbol, emptyHolds(true));
  }

  /** Defaults first, then in the order they were asked for: where a plan has a limit, the last ones go without. */
  wanted(assetClass: AssetClass): readonly string[] {
    return [...this.#holds[assetClass].keys()];
  }

  /**
   * A session's word counts for its own hold alone. Who names no session speaks
   * for all who named none, and for the set.
   *
   * @param isActive whether Redis' sets have the symbol; asked for when a session lets go
   */
  apply(event: ControlEvent, isActive = false): Outcome {
    const { action, assetClass, symbol, sessionId } = event;
    const before = this.#holds[assetClass].has(symbol);
    if (action === "subscribe") {
      const refused = this.#refusal(event);
      if (refused !== undefined) return { changed: false, refused: [refused] };
      const holds = this.#holdsOf(assetClass, symbol);
      if (sessionId === undefined) holds.isAnonymous = true;
      else this.#setSession(holds, sessionId, true);
    } else {
      const holds = this.#holds[assetClass].get(symbol);
      if (holds === undefined) return { changed: false, refused: [] };
      if (sessionId === undefined) holds.isAnonymous = false;
      else this.#setSession(holds, sessionId, false);
      if (!isActive || sessionId === undefined) holds.isInSet = false;
      this.#forgetIfFree(assetClass, symbol);
    }
    const changed = before !== this.#holds[assetClass].has(symbol);
    return { changed, refused: [] };
  }

  /** What the sets hold now replaces what they held; where one of them is absent, it is only added. */
  reconcile(members: Members): Outcome {
    const before = [this.wanted("stock"), this.wanted("crypto")];
    const refused: string[] = [];
    const active = { stock: new Set<string>(), crypto: new Set<string>() };
    for (const assetClass of ["stock", "crypto"] as const)
      for (const member of members[assetClass] ?? []) {
        const found = readSymbol(member, assetClass);
        if (typeof found === "string") refused.push(found);
        else active[found.assetClass].add(found.symbol);
      }
    // A set that could not be read cannot say that nobody needs a symbol.
    const isWhole = members.stock !== undefined && members.crypto !== undefined;
    for (const assetClass of ["stock", "crypto"] as const) {
      if (isWhole)
        for (const [symbol, holds] of this.#holds[assetClass])
          if (holds.isInSet && !active[assetClass].has(symbol)) {
            holds.isInSet = false;
            this.#forgetIfFree(assetClass, symbol);
          }
      // A set has no order of its own, and where a plan has a limit the order decides.
      for (const symbol of [...active[assetClass]].sort())
        if (this.#hasRoomFor(assetClass, symbol))
          this.#holdsOf(assetClass, symbol).isInSet = true;
        else refused.push(`${symbol}: ${TOO_MANY_SYMBOLS}`);
    }
    const after = [this.wanted("stock"), this.wanted("crypto")];
    return { changed: !Bun.deepEquals(before, after), refused };
  }

  #refusal({
    assetClass,
    symbol,
    sessionId,
  }: ControlEvent): string | undefined {
    if (!this.#hasRoomFor(assetClass, symbol)) return TOO_MANY_SYMBOLS;
    if (sessionId !== undefined && this.#sessionHolds >= SESSION_HOLDS_MAX)
      return `more than ${SESSION_HOLDS_MAX} holds of sessions`;
    return undefined;
  }

  #hasRoomFor(assetClass: AssetClass, symbol: string): boolean {
    const held = this.#holds[assetClass];
    return held.size < SYMBOLS_MAX || held.has(symbol);
  }

  #holdsOf(assetClass: AssetClass, symbol: string): Holds {
    const known = this.#holds[assetClass].get(symbol);
    if (known !== undefined) return known;
    const holds = emptyHolds(false);
    this.#holds[assetClass].set(symbol, holds);
    return holds;
  }

  #setSession({ sessions }: Holds, sessionId: string, isHeld: boolean): void {
    const before = sessions.size;
    if (isHeld) sessions.add(sessionId);
    else sessions.delete(sessionId);
    this.#sessionHolds += sessions.size - before;
  }

  #forgetIfFree(assetClass: AssetClass, symbol: string): void {
    const holds = this.#holds[assetClass].get(symbol);
    if (holds !== undefined && !isHeld(holds))
      this.#holds[assetClass].delete(symbol);
  }
}

const TOO_MANY_SYMBOLS = `more than ${SYMBOLS_MAX} symbols`;

function emptyHolds(isDefault: boolean): Holds {
  return {
    isDefault,
    isInSet: false,
    isAnonymous: false,
    sessions: new Set(),
  };
}

function isHeld({ isDefault, isInSet, isAnonymous, sessions }: Holds): boolean {
  return isDefault || isInSet || isAnonymous || sessions.size > 0;
}

/** Events are small; what is longer is none. */
const EVENT_LENGTH_MAX = 10_000;

// Members of no use here (strategyId) are not looked at; null is how some senders write "none".
const controlEvent = z.object(
  {
    action: z.enum(["subscribe", "unsubscribe"], {
      error: 'must be "subscribe" or "unsubscribe"',
    }),
    symbol: z.string({ error: "must be a text" }),
    type: z
      .enum(["stock", "crypto"], { error: 'must be "stock" or "crypto"' })
      .nullish(),
    sessionId: z
      .union([z.string(), z.number()], { error: "must be a text or a number" })
      .nullish(),
  },
  { error: "must be an object" },
);

export type ControlReading =
  | { readonly event: ControlEvent }
  /** Why it is no control event. */
  | { readonly refused: string };

/** Reads what came on the channel. Never throws. */
export function readControlEvent(text: string): ControlReading {
  if (text.length > EVENT_LENGTH_MAX)
    return { refused: `event: longer than ${EVENT_LENGTH_MAX} characters` };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { refused: "event: no JSON" };
  }
  const parsed = controlEvent.safeParse(value);
  if (!parsed.success)
    return {
      refused: parsed.error.issues
        .map(({ path, message }) => `${path.join(".") || "event"}: ${message}`)
        .join("; "),
    };
  const { action, symbol, type, sessionId } = parsed.data;
  const found = readSymbol(symbol, type ?? "stock");
  if (typeof found === "string") return { refused: `symbol: ${found}` };
  const isNamed =
    sessionId !== undefined && sessionId !== null && sessionId !== "";
  return {
    event: {
      action,
      ...found,
      ...(isNamed ? { sessionId: String(sessionId) } : {}),
      spellings: [
        ...new Set([symbol, found.symbol, found.symbol.replace("/", "")]),
      ],
    },
  };
}

interface Found {
  readonly assetClass: AssetClass;
  readonly symbol: string;
}

/**
 * The symbol, or why it is none. A slash makes a crypto pair whatever the type
 * says: there are services that call everything a stock.
 */
function readSymbol(text: string, type: AssetClass): Found | string {
  if (text.trim() === "") return "is blank";
  const assetClass = assetClassOf(text) === "crypto" ? "crypto" : type;
  const symbol = symbolOf(text, assetClass);
  if (symbol !== undefined) return { assetClass, symbol };
  const form =
    assetClass === "stock" ? "stock (AAPL)" : "crypto pair (BTC/USD)";
  return `${JSON.stringify(text.slice(0, 40))} is no ${form}`;
}
