/** `symbols list|add|set|remove`: the registry by hand. */
import type { RegistryEntry } from "../../schema/registry.ts";
import type {
  Output,
  ReadFlags,
  SymbolsAddFlags,
  SymbolsRemoveFlags,
  SymbolsSetFlags,
} from "../cli.ts";
import type { Config } from "../config.ts";
import {
  addSymbol,
  changeSymbol,
  deleteSymbol,
  findSymbol,
  listSymbols,
  setStatus,
} from "../stores/postgres/registry.ts";
import { openMarketDatabase } from "./registryParts.ts";

export async function symbolsList(
  config: Config,
  flags: ReadFlags & { readonly enabledOnly: boolean },
  io: Output,
): Promise<number> {
  await using market = await openMarketDatabase(config);
  const entries = await listSymbols(market.database.sql, flags);
  if (flags.json) io.stdout(`${JSON.stringify(entries, undefined, 2)}\n`);
  else if (entries.length === 0)
    io.stdout(
      "the registry is empty: symbols add SYMBOL --strategy STRATEGY\n",
    );
  else io.stdout(entries.map(lineOf).join(""));
  return 0;
}

export async function symbolsAdd(
  config: Config,
  flags: SymbolsAddFlags,
  io: Output,
): Promise<number> {
  const { symbol, strategy, enabled, description } = flags;
  if (config.dryRun) return dry(io, `${symbol} would be added (${strategy})`);
  await using market = await openMarketDatabase(config);
  const { isNew, entry } = await addSymbol(market.database.sql, {
    symbol,
    strategy,
    enabled,
    description,
  });
  io.stdout(`${isNew ? "added" : "changed"} ${lineOf(entry)}`);
  return 0;
}

/** Exit code 1 when there is no such symbol. */
export async function symbolsSet(
  config: Config,
  flags: SymbolsSetFlags,
  io: Output,
): Promise<number> {
  const { symbol, strategy, enabled, description, status } = flags;
  await using market = await openMarketDatabase(config);
  const { sql } = market.database;
  if ((await findSymbol(sql, symbol)) === undefined) return absent(io, symbol);
  if (config.dryRun) return dry(io, `${symbol} would be changed`);
  const changed = await changeSymbol(sql, symbol, {
    strategy,
    enabled,
    description,
  });
  const entry =
    status === undefined ? changed : await setStatus(sql, symbol, status);
  if (entry === undefined) return absent(io, symbol);
  io.stdout(`changed ${lineOf(entry)}`);
  return 0;
}

/** Exit code 1 when there is no such symbol. Its bars stay. */
export async function symbolsRemove(
  config: Config,
  { symbol }: SymbolsRemoveFlags,
  io: Output,
): Promise<number> {
  await using market = await openMarketDatabase(config);
  const { sql } = market.database;
  if ((await findSymbol(sql, symbol)) === undefined) return absent(io, symbol);
  if (config.dryRun) return dry(io, `${symbol} would be removed`);
  await deleteSymbol(sql, symbol);
  io.stdout(`removed ${symbol}\n`);
  return 0;
}

function lineOf(entry: RegistryEntry): string {
  const { symbol, strategy, status, enabled, last_backfill, error_message } =
    entry;
  const parts = [
    symbol.padEnd(10),
    strategy.padEnd(24),
    (enabled ? status : `${status}, disabled`).padEnd(10),
    `history ${last_backfill ?? "never"}`,
    ...(error_message === null ? [] : [error_message]),
  ];
  return `${parts.join("  ")}\n`;
}

function absent(io: Output, symbol: string): number {
  io.stderr(`${symbol}: is not in the registry\n`);
  return 1;
}

function dry(io: Output, text: string): number {
  io.stdout(`${text} (dry run)\n`);
  return 0;
}
