/** Which venue: the simulated one only when nothing real is configured. */
import { present, type Environment } from "./environment.ts";
import { marketKeyOf } from "./rules.ts";
import type { Settings } from "./variables.ts";

/** The venue that the settings ask for, or that `auto` comes to. */
export function venueOf(
  settings: Settings,
  environment: Environment,
): "simulated" | "live" {
  if (settings.VENUE !== "auto") return settings.VENUE;
  return isAnythingConfigured(settings, environment) ? "live" : "simulated";
}

function isAnythingConfigured(
  settings: Settings,
  environment: Environment,
): boolean {
  return (
    settings.DESTINATIONS !== undefined ||
    settings.DESTINATIONS_FILE !== undefined ||
    marketKeyOf(settings) !== undefined ||
    settings.POLYGON_API_KEY !== undefined ||
    settings.MASSIVE_API_KEY !== undefined ||
    accountKeys(environment).length > 0
  );
}

/** Keys of single accounts: `ALPACA_API_KEY_<NAME>`, or the file of one. */
function accountKeys(environment: Environment): string[] {
  return Object.keys(environment).filter(
    (name) =>
      /^ALPACA_API_KEY_(?!FILE$)/.test(name) &&
      present(environment[name]) !== undefined,
  );
}

/** Keys without a list of accounts would be a service that silently captures nothing. */
export function venueProblems(
  settings: Settings,
  environment: Environment,
): string[] {
  if (
    settings.VENUE === "simulated" ||
    settings.DESTINATIONS !== undefined ||
    settings.DESTINATIONS_FILE !== undefined
  )
    return [];
  const [key] = accountKeys(environment);
  if (key !== undefined)
    return [`DESTINATIONS is not set, but ${key} is: name its account there`];
  return settings.VENUE === "live" &&
    !isAnythingConfigured(settings, environment)
    ? [
        "VENUE is live, but neither DESTINATIONS nor a market data key says what to capture",
      ]
    : [];
}
