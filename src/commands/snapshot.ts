/** `snapshot SYMBOL` and `--test-snapshot SYMBOL`: fetches one snapshot, validates it, and prints it. Needs no database. */
import type { Output, SnapshotFlags } from "../cli.ts";
import type { Config } from "../config.ts";
import { SECOND } from "../clock.ts";
import { describeError } from "../errors.ts";
import { validateSnapshot } from "../registry/snapshot.ts";
import type { RegistryVenue } from "../venues/registryVenue.ts";
import { registryVenueOf } from "./registryParts.ts";

const ASK_MS_MAX = 60 * SECOND;

/** Exit code 0 when it is valid, else 1. @throws ConfigError without a key */
export async function snapshot(
  config: Config,
  { symbol, json }: SnapshotFlags,
  io: Output,
  venue: RegistryVenue = registryVenueOf(config),
): Promise<number> {
  const fail = (reason: string) => {
    if (json)
      io.stdout(`${JSON.stringify({ symbol, valid: false, error: reason })}\n`);
    else io.stderr(`FAIL: ${symbol}: ${reason}\n`);
    return 1;
  };
  try {
    const fetched = await venue.snapshot(symbol, {
      priority: "live",
      signal: AbortSignal.timeout(ASK_MS_MAX),
    });
    const verdict = validateSnapshot(fetched);
    if (!verdict.isValid) return fail(verdict.reason);
    const { of, values } = verdict;
    if (json)
      io.stdout(
        `${JSON.stringify({ symbol, valid: true, of, ...values, data: fetched.value })}\n`,
      );
    else {
      const { open, high, low, close, volume } = values;
      io.stdout(
        `${fetched.raw}\nPASS: ${symbol} ${of}: open ${open}, high ${high}, low ${low}, close ${close}, volume ${volume}\n`,
      );
    }
    return 0;
  } catch (error) {
    return fail(describeError(error));
  }
}
