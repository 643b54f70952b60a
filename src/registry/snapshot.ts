/** Whether a snapshot says something: the validation of the older service, and the checks it lacked. */
import { isObject } from "../../schema/read.ts";
import type { VenueSnapshot } from "../venues/registryVenue.ts";

export interface SnapshotValues {
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
}

export type SnapshotVerdict =
  | {
      readonly isValid: true;
      /** Of the last minute; of the day while no minute has a value yet. */
      readonly values: SnapshotValues;
      readonly of: "min" | "day" | "prevDay";
    }
  | { readonly isValid: false; readonly reason: string };

/** Members that are looked at, in order: before the open the venue shows zeros, which mean "no value yet". */
const PARTS = ["min", "day", "prevDay"] as const;
const KEYS = ["o", "h", "l", "c", "v"] as const;

export function validateSnapshot({ value }: VenueSnapshot): SnapshotVerdict {
  if (value["status"] === "error" || value["status"] === "ERROR")
    return refused(String(value["error"] ?? "Unknown error"));
  const { ticker } = value;
  if (!isObject(ticker)) return refused("Missing ticker data");
  const part = ticker["min"];
  const missing = isObject(part)
    ? KEYS.filter((key) => !(key in part))
    : [...KEYS];
  if (missing.length > 0)
    return refused(`Missing OHLCV keys: ${missing.join(", ")}`);
  for (const name of PARTS) {
    const values = valuesOf(ticker[name]);
    if (values === undefined) continue;
    const problem = problemOf(values);
    return problem === undefined
      ? { isValid: true, values, of: name }
      : refused(`${name}: ${problem}`);
  }
  return refused("no value yet: the session has not begun");
}

/** Undefined where a price is 0 or no number: the venue has none yet. */
function valuesOf(part: unknown): SnapshotValues | undefined {
  if (!isObject(part)) return undefined;
  const [open, high, low, close, volume] = KEYS.map((key) => Number(part[key]));
  if (
    open === undefined ||
    high === undefined ||
    low === undefined ||
    close === undefined ||
    volume === undefined ||
    ![open, high, low, close].every((price) => price > 0) ||
    !Number.isFinite(volume)
  )
    return undefined;
  return { open, high, low, close, volume };
}

function problemOf({
  open,
  high,
  low,
  close,
  volume,
}: SnapshotValues): string | undefined {
  if (high < Math.max(open, close, low)) return "high is not the highest";
  if (low > Math.min(open, close)) return "low is not the lowest";
  return volume < 0 ? "volume is negative" : undefined;
}

function refused(reason: string): SnapshotVerdict {
  return { isValid: false, reason };
}
