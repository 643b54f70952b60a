/** `smoke`: runs the feeds for a while and says whether real quotes arrived and were written. */
import type { Output, SmokeFlags } from "../cli.ts";
import { SECOND } from "../clock.ts";
import { type Environment, readConfig } from "../config.ts";
import { ConfigError } from "../errors.ts";
import { FIRESTORE_LANE, type MarketTopology } from "../marketTopology.ts";
import { runService, type StartTree } from "./serve.ts";

/**
 * PASS and exit code 0 only when quotes came and at least one was written (or, in
 * a dry run, would have been). Heartbeats are counted apart: they prove nothing
 * about the feed. @throws ConfigError
 */
export async function smoke(
  startTree: StartTree,
  environment: Environment,
  flags: SmokeFlags,
  io: Output,
): Promise<number> {
  const read = readConfig(environment, { flags });
  if (read.venue === "live" && read.market.access === undefined)
    throw new ConfigError([
      "ALPACA_API_KEY and ALPACA_SECRET_KEY must be set: without them no quote can arrive",
    ]);
  if (read.market.monitored.length === 0)
    throw new ConfigError(["MONITORED_SYMBOLS names no symbol to wait for"]);
  const config = {
    ...read,
    roles: new Set(["feeds"] as const),
    stopAfterMs: flags.seconds * SECOND,
    // The verdict is the output; what goes wrong on the way is still told.
    logLevel: flags.logLevel ?? ("WARN" as const),
  };
  const { code, topology } = await runService(startTree, config);
  const { isWell, text } = verdictOf(topology.market, flags.seconds, code);
  io.stdout(`${text}\n`);
  return isWell ? 0 : 1;
}

function verdictOf(
  market: MarketTopology | undefined,
  seconds: number,
  code: number,
): { isWell: boolean; text: string } {
  const lanes = market?.lanes ?? [];
  const lane = lanes.find(({ sink }) => sink === FIRESTORE_LANE) ?? lanes[0];
  const quotes = market?.quotes.seen ?? 0;
  const { written = 0, failed = 0 } = lane?.tally ?? {};
  const counts = `(quotes=${quotes}, writes_ok=${written}, writes_err=${failed}, heartbeats=${market?.beats.count ?? 0})`;
  if (code === 1)
    return { isWell: false, text: `FAIL: the service gave up ${counts}.` };
  if (quotes === 0)
    return {
      isWell: false,
      text: `FAIL: no quote arrived in ${seconds} s ${counts}.`,
    };
  return written === 0
    ? {
        isWell: false,
        text: `FAIL: quotes arrived, none was written ${counts}.`,
      }
    : {
        isWell: true,
        text: `PASS: quotes arrived and were written ${counts}.`,
      };
}
