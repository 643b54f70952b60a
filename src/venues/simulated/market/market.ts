/** The market-data side of the venue: one tape, its stream and its REST, and the time that it is there. */
import { SECOND } from "../../../clock.ts";
import { isOpen } from "../../calendar.ts";
import type { FaultBoard } from "../faults.ts";
import { COINS, STOCKS } from "../prices.ts";
import type { Credentials } from "../rest.ts";
import { MARKET_PLANS } from "./plans.ts";
import { readRecording } from "./recording.ts";
import type { MarketRestFace } from "./rest.ts";
import { simulatedTape } from "./simulatedTape.ts";
import { MarketStreamFace } from "./stream.ts";
import type { Tape } from "./tape.ts";

export interface MarketOptions {
  /** Folder of recorded days; they are played one after the other instead of the simulated market. */
  readonly replay?: string;
  /** Minutes of the recording in a minute of the clock. */
  readonly speed?: number;
  /** `exchange`: stocks rest when the exchange does; `always`: there is something to see at any hour. */
  readonly hours?: "always" | "exchange";
  readonly plan?: keyof typeof MARKET_PLANS;
  /** How long the slot of a connection that just broke stays taken. */
  readonly lingerMs?: number;
}

export interface Market extends MarketRestFace {
  readonly stream: MarketStreamFace;
  /** Of its REST, by the plan. */
  readonly requestsPerMinute: number;
}

const SPEED = 60;
/** As long as the real venue was seen to hold it. */
const LINGER_MS = 90 * SECOND;

/** @throws ConfigError for a recording that cannot be read */
export function createMarket(settings: {
  readonly options: MarketOptions;
  readonly seed: number;
  readonly faults: FaultBoard;
  readonly credentials: readonly Credentials[];
  readonly now: () => number;
  readonly cut: (port: number) => void;
}): Market {
  const { options, now, faults, credentials, cut } = settings;
  const { tape, marketNow } = open(settings);
  const plan = MARKET_PLANS[options.plan ?? "plus"];
  return {
    tape,
    now: marketNow,
    showsRecentSip: plan.feeds.includes("/v2/sip"),
    requestsPerMinute: plan.requestsPerMinute,
    stream: new MarketStreamFace({
      tape,
      faults,
      credentials,
      plan,
      marketNow,
      now,
      lingerMs: options.lingerMs ?? LINGER_MS,
      cut,
    }),
  };
}

function open({ options, seed, now }: Parameters<typeof createMarket>[0]): {
  readonly tape: Tape;
  readonly marketNow: () => number;
} {
  const { replay, speed = SPEED, hours = "always" } = options;
  if (replay !== undefined) {
    const tape = readRecording(replay);
    const begunMs = now();
    return { tape, marketNow: () => tape.timeAt((now() - begunMs) * speed) };
  }
  const tape = simulatedTape({
    seed,
    symbols: [...STOCKS, ...COINS],
    isOpen: (ms) => hours === "always" || isOpen(ms, { extended: true }),
  });
  return { tape, marketNow: now };
}
