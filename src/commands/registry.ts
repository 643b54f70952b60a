/** `registry run`: every enabled symbol, or those named, once by its strategy. */
import type { RegistryRunFlags } from "../cli.ts";
import { SECOND } from "../clock.ts";
import type { Config } from "../config.ts";
import { ConfigError } from "../errors.ts";
import type { SymbolResult } from "../registry/jobs.ts";
import { runSymbolOnce } from "../registry/runOnce.ts";
import type { RegistryVenue } from "../venues/registryVenue.ts";
import { progressLine, type TerminalOutput } from "./progress.ts";
import { openRegistryParts, registryVenueOf } from "./registryParts.ts";

/** As the service: the venue's budget is shared anyhow. */
const PARALLEL_MAX = 4;

/** Exit code 1 if a symbol failed. Streams of stream strategies are the running service's: it takes them up by itself. */
export async function registryRun(
  config: Config,
  flags: RegistryRunFlags,
  io: TerminalOutput,
  venue: RegistryVenue = registryVenueOf(config),
): Promise<number> {
  await using parts = await openRegistryParts(config, venue, io);
  const { run } = parts;
  const { log, store } = run;
  for (const symbol of await store.clearStaleLocks())
    log.warn({ symbol }, "stale_lock_cleared");
  const entries = await store.list({ enabledOnly: false });
  const wanted = new Set(flags.symbols);
  const unknown = flags.symbols.filter(
    (symbol) => !entries.some((entry) => entry.symbol === symbol),
  );
  if (unknown.length > 0)
    throw new ConfigError(
      unknown.map((symbol) => `${symbol}: is not in the registry`),
    );
  const chosen = entries.filter(({ symbol, enabled, status }) =>
    wanted.size > 0 ? wanted.has(symbol) : enabled && status !== "paused",
  );
  log.info(
    { symbol_count: chosen.length, dry_run: config.dryRun },
    "orchestration_cycle_started",
  );

  const startedMs = performance.now();
  const results: SymbolResult[] = [];
  const waiting = chosen.values();
  const signal = new AbortController().signal;
  await Promise.all(
    Array.from({ length: PARALLEL_MAX }, async () => {
      for (const entry of waiting)
        results.push(
          await runSymbolOnce(
            run,
            entry,
            signal,
            progressLine(entry.symbol, io),
          ),
        );
    }),
  );
  const counted = (status: SymbolResult["status"]) =>
    results.filter((result) => result.status === status).length;
  log.info(
    {
      total: results.length,
      success: counted("success"),
      errors: counted("error"),
      locked: counted("locked"),
      elapsed: Number(((performance.now() - startedMs) / SECOND).toFixed(2)),
    },
    "cycle_completed",
  );
  return counted("error") > 0 ? 1 : 0;
}
