/** `gaps`: missing minutes by the calendar of the exchange, shown and, when asked, filled. */
import type { GapsFlags } from "../cli.ts";
import { DAY } from "../clock.ts";
import type { Config } from "../config.ts";
import { ConfigError } from "../errors.ts";
import { fillSymbol, type Gap, listGaps } from "../registry/gaps.ts";
import { storedSymbols } from "../stores/postgres/gaps.ts";
import type { RegistryVenue } from "../venues/registryVenue.ts";
import { progressLine, type TerminalOutput } from "./progress.ts";
import {
  openMarketDatabase,
  openRegistryParts,
  registryVenueOf,
} from "./registryParts.ts";

/** Exit code 0, also with gaps: they are what was asked for. */
export async function gaps(
  config: Config,
  flags: GapsFlags,
  io: TerminalOutput,
  venue?: RegistryVenue,
): Promise<number> {
  const nowMs = Date.now();
  const range = {
    from: flags.from ?? new Date(nowMs - config.backfillDays * DAY),
    to: flags.to ?? new Date(nowMs),
  };
  if (range.from >= range.to)
    throw new ConfigError([
      `--from: there is nothing to look at between ${range.from.toISOString()} and ${range.to.toISOString()}`,
    ]);
  if (flags.fill) await fill(config, flags, range, io, venue);
  await using market = await openMarketDatabase(config);
  const { database } = market;
  const symbols =
    flags.symbols.length > 0
      ? flags.symbols
      : await storedSymbols(database.sql);
  const found = await listGaps(database, symbols, range, nowMs);
  if (flags.json) io.stdout(`${JSON.stringify(found, undefined, 2)}\n`);
  else io.stdout(tableOf(found));
  return 0;
}

async function fill(
  config: Config,
  flags: GapsFlags,
  range: { from: Date; to: Date },
  io: TerminalOutput,
  venue: RegistryVenue = registryVenueOf(config),
): Promise<void> {
  await using parts = await openRegistryParts(config, venue, io, {
    isQuiet: true,
  });
  if (config.dryRun) return io.stderr("nothing is filled (dry run)\n");
  const { database, run } = parts;
  const symbols =
    flags.symbols.length > 0
      ? flags.symbols
      : await storedSymbols(database.sql);
  const { signal } = new AbortController();
  for (const [index, symbol] of symbols.entries()) {
    const records = await fillSymbol(run, database, symbol, range, signal);
    progressLine(symbol, io)(records, (index + 1) / symbols.length);
  }
}

function tableOf(found: readonly Gap[]): string {
  if (found.length === 0) return "no minute is missing\n";
  const minutes = (state: Gap["state"]) =>
    found
      .filter((gap) => gap.state === state)
      .reduce((sum, { missing }) => sum + missing, 0);
  const lines = found.map(
    ({ symbol, from, to, missing, state }) =>
      `${symbol.padEnd(10)} ${short(from)} – ${short(to)} ${String(missing).padStart(7)}  ${state === "missing" ? "missing" : "verified empty"}\n`,
  );
  return `${lines.join("")}${minutes("missing")} minutes missing, ${minutes("verified_empty")} verified empty\n`;
}

function short(time: string): string {
  return `${time.slice(0, 16)}Z`;
}
