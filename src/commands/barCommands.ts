/** `backfill bars` and `audit bars`: minutes of symbols read again by hand, to be stored or to be compared. */
import type { Bar } from "../../schema/market.ts";
import type { AuditBarsFlags, BackfillBarsFlags, Period } from "../cli.ts";
import { DAY, MINUTE } from "../clock.ts";
import type { Config } from "../config.ts";
import { ConfigError } from "../errors.ts";
import { candleOf, marker } from "../registry/messages.ts";
import { type StoredBar, storedBars } from "../stores/postgres/barRead.ts";
import { storedSymbols } from "../stores/postgres/gaps.ts";
import type { RegistryVenue } from "../venues/registryVenue.ts";
import { progressLine, type TerminalOutput } from "./progress.ts";
import { openRegistryParts, registryVenueOf } from "./registryParts.ts";

/** Trades are reported late: nothing younger is held against the store. */
const SETTLING_MS = 20 * MINUTE;
const EXAMPLES_MAX = 20;

/** Idempotent: the venue's word replaces what is there. */
export async function backfillBars(
  config: Config,
  flags: BackfillBarsFlags,
  io: TerminalOutput,
  venue: RegistryVenue = registryVenueOf(config),
): Promise<number> {
  const { from, to } = rangeOf(config, flags, 0);
  await using parts = await openRegistryParts(config, venue, io, {
    isQuiet: true,
  });
  const { run } = parts;
  const { symbol } = flags;
  const { signal } = new AbortController();
  const onProgress = progressLine(symbol, io);
  const now = () => run.clock.now();
  await run.publish(marker(symbol, "backfill", "started", now()), signal);
  let records = 0;
  for await (const page of venue.bars(
    symbol,
    { from, to },
    { priority: "backfill", signal },
  )) {
    for (const bar of page)
      await run.publish(candleOf(bar, "backfill"), signal);
    records += page.length;
    const last = page.at(-1);
    if (last !== undefined)
      onProgress(records, (Date.parse(last.timestamp) - from) / (to - from));
  }
  await run.publish(
    marker(symbol, "backfill", "completed", now(), { records }),
    signal,
  );
  onProgress(records, 1);
  io.stdout(
    `${symbol}: ${records} bars read${config.dryRun ? ", nothing written (dry run)" : ""}\n`,
  );
  return 0;
}

export interface BarAudit {
  readonly symbol: string;
  readonly compared: number;
  readonly missing: number;
  /** Always 0 while the table has its key. */
  readonly duplicate: number;
  readonly differing: number;
  readonly examples: readonly string[];
}

/** Exit code 0 when nothing is missing, double or different, else 1. Of minutes that other venues told only the absence counts. */
export async function auditBars(
  config: Config,
  flags: AuditBarsFlags,
  io: TerminalOutput,
  venue: RegistryVenue = registryVenueOf(config),
): Promise<number> {
  const range = rangeOf(config, flags, SETTLING_MS);
  await using parts = await openRegistryParts(config, venue, io, {
    isQuiet: true,
  });
  const { sql } = parts.database;
  const symbols = await storedSymbols(sql);
  if (symbols.length === 0)
    throw new Error(
      "nothing has been stored yet: registry run, or backfill bars",
    );
  const audits: BarAudit[] = [];
  for (const [index, symbol] of symbols.entries()) {
    const told = await fromVenue(venue, symbol, range);
    const stored = await storedBars(sql, symbol, range);
    const audit = compare(symbol, told, stored);
    audits.push(audit);
    progressLine(symbol, io)(audit.compared, (index + 1) / symbols.length);
    if (!flags.json) io.stdout(textOf(audit));
  }
  const bad = audits.filter((audit) => !isClean(audit));
  if (flags.json)
    io.stdout(
      `${JSON.stringify({ range: { from: new Date(range.from), to: new Date(range.to) }, symbols: audits, ok: bad.length === 0 }, undefined, 2)}\n`,
    );
  else
    io.stdout(
      bad.length === 0
        ? "audit passed\n"
        : `audit failed: ${bad.map(({ symbol }) => symbol).join(", ")}\n`,
    );
  return bad.length === 0 ? 0 : 1;
}

async function fromVenue(
  venue: RegistryVenue,
  symbol: string,
  range: { from: number; to: number },
): Promise<Map<number, Bar>> {
  const told = new Map<number, Bar>();
  const { signal } = new AbortController();
  const options = { priority: "backfill", signal } as const;
  for await (const page of venue.bars(symbol, range, options))
    for (const bar of page) told.set(Date.parse(bar.timestamp), bar);
  return told;
}

/** What the store has beyond the venue's is no fault: bars of the stream may be ahead of REST. Another venue's minute is there; its prices are its own. */
function compare(
  symbol: string,
  told: ReadonlyMap<number, Bar>,
  stored: readonly StoredBar[],
): BarAudit {
  const rows = Map.groupBy(stored, ({ at }) => at);
  const examples: string[] = [];
  let missing = 0;
  let duplicate = 0;
  let differing = 0;
  const note = (text: string, at: number) => {
    if (examples.length < EXAMPLES_MAX)
      examples.push(`${text} ${new Date(at).toISOString()}`);
  };
  for (const [at, bar] of told) {
    const [row, ...others] = rows.get(at) ?? [];
    duplicate += others.length;
    if (others.length > 0) note("duplicate", at);
    if (row === undefined) {
      missing++;
      note("missing", at);
      continue;
    }
    if (!row.isOfRegistry) continue;
    const members = (
      ["open", "high", "low", "close", "volume"] as const
    ).filter((member) => row[member] !== bar[member]);
    if (members.length === 0) continue;
    differing++;
    note(`differing ${members.join(", ")}`, at);
  }
  return {
    symbol,
    compared: told.size,
    missing,
    duplicate,
    differing,
    examples,
  };
}

function rangeOf(
  { backfillDays }: Config,
  { from, to }: Period,
  settlingMs: number,
): { from: number; to: number } {
  const nowMs = Date.now();
  const end = Math.min(+(to ?? Number.POSITIVE_INFINITY), nowMs - settlingMs);
  const start = +(from ?? end - backfillDays * DAY);
  if (start >= end)
    throw new ConfigError([
      `--from: there is nothing to read between ${new Date(start).toISOString()} and ${new Date(end).toISOString()}`,
    ]);
  return { from: start, to: end };
}

function isClean({ missing, duplicate, differing }: BarAudit): boolean {
  return missing + duplicate + differing === 0;
}

function textOf(audit: BarAudit): string {
  const { symbol, compared, missing, duplicate, differing, examples } = audit;
  const line = `${symbol} bars: ${compared} compared, ${missing} missing, ${duplicate} duplicate, ${differing} differing\n`;
  return line + examples.map((example) => `  ${example}\n`).join("");
}
