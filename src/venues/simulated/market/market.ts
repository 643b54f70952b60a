/** The market-data side of the venue: one tape, its stream and its REST, and the time that it is there. */
import { MINUTE } from "../../../clock.ts";
import { isOpen } from "../../calendar.ts";
import type { FaultBoard } from "../faults.ts";
import { COINS, STOCKS } from "../prices.ts";
import type { Credentials } from "../rest.ts";
import { readRecording } from "./recording.ts";
import { MARKET_PLANS, MarketStreamFace } from "./stream.ts";
import { simulatedTape, type Tape } from "./tape.ts";

export interface MarketOptions {
  /** Folder of recorded days; they are played one after the other instead of the simulated market. */
  readonly replay?: string;
  /** Minutes of the recording in a minute of the clock. */
  readonly speed?: number;
  /** `exchange`: stocks rest when the exchange does; `always`: there is something to see at any hour. */
  readonly hours?: "always" | "exchange";
  readonly plan?: keyof typeof MARKET_PLANS;
  /** How long the slot of a connection that just broke stays taken; the venue's own is about 90 s. */
  readonly lingerMs?: number;
}

export interface Market {
  readonly tape: Tape;
  readonly stream: MarketStreamFace;
  /** Time of the market: the clock's, or that of the recording. */
  readonly now: () => number;
}

const LINGER_MS = 90_000;

/** @throws ConfigError for a recording that cannot be read */
export function createMarket(settings: {
  readonly options: MarketOptions;
  readonly seed: number;
  readonly faults: FaultBoard;
  readonly credentials: readonly Credentials[];
  readonly now: () => number;
}): Market {
  const { options, seed, faults, credentials } = settings;
  const { tape, now } =
    options.replay === undefined
      ? {
          tape: simulatedTape({
            seed,
            symbols: [...STOCKS, ...COINS],
            isOpen: (ms) =>
              options.hours !== "exchange" || isOpen(ms, { extended: true }),
          }),
          now: settings.now,
        }
      : replayed(options.replay, options.speed ?? 60, settings.now);
  return {
    tape,
    now,
    stream: new MarketStreamFace({
      tape,
      faults,
      credentials,
      plan: MARKET_PLANS[options.plan ?? "plus"],
      now,
      lingerMs: options.lingerMs ?? LINGER_MS,
    }),
  };
}

/** The recording begins with the venue and stays at its end. */
function replayed(
  directory: string,
  speed: number,
  now: () => number,
): Pick<Market, "tape" | "now"> {
  const tape = readRecording(directory);
  const begunMs = now();
  const endMs = tape.lastMs + 5 * MINUTE;
  return {
    tape,
    now: () => Math.min(tape.firstMs + (now() - begunMs) * speed, endMs),
  };
}
