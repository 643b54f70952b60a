/** What single values cannot show: settings that do not go together. */
import { isLoopback } from "../http/access.ts";
import type { Settings } from "./variables.ts";

/** Nothing is said of a variable whose own value is wrong already. */
export function crossProblems(
  settings: Settings,
  wrong: ReadonlySet<string>,
): string[] {
  const marketSecret =
    settings.ALPACA_SECRET_KEY ?? settings.APCA_API_SECRET_KEY;
  const checks: readonly {
    readonly of: readonly string[];
    readonly isWrong: boolean;
    readonly problem: string;
  }[] = [
    {
      of: ["HOST", "API_TOKEN"],
      isWrong: !isLoopback(settings.HOST) && settings.API_TOKEN === undefined,
      problem: `HOST is ${settings.HOST}, which others can reach: API_TOKEN must be set`,
    },
    {
      of: ["RECONNECT_BACKOFF_BASE_S", "RECONNECT_BACKOFF_MAX_S"],
      isWrong:
        settings.RECONNECT_BACKOFF_BASE_S > settings.RECONNECT_BACKOFF_MAX_S,
      problem:
        "RECONNECT_BACKOFF_BASE_S must not be greater than RECONNECT_BACKOFF_MAX_S",
    },
    {
      of: [
        "ALPACA_API_KEY",
        "ALPACA_KEY_ID",
        "APCA_API_KEY_ID",
        "ALPACA_SECRET_KEY",
        "APCA_API_SECRET_KEY",
      ],
      isWrong:
        (marketKeyOf(settings) === undefined) !== (marketSecret === undefined),
      problem:
        "ALPACA_API_KEY and ALPACA_SECRET_KEY belong together: one of them is missing",
    },
    {
      of: [
        "KAFKA_SASL_MECHANISM",
        "KAFKA_SASL_USERNAME",
        "KAFKA_SASL_PASSWORD",
      ],
      isWrong: !allOrNone([
        settings.KAFKA_SASL_MECHANISM,
        settings.KAFKA_SASL_USERNAME,
        settings.KAFKA_SASL_PASSWORD,
      ]),
      problem:
        "KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD belong together: one of them is missing",
    },
    {
      of: ["POLYGON_FLATFILES_ACCESS_KEY", "POLYGON_FLATFILES_SECRET_KEY"],
      isWrong: !allOrNone([
        settings.POLYGON_FLATFILES_ACCESS_KEY,
        settings.POLYGON_FLATFILES_SECRET_KEY,
      ]),
      problem:
        "POLYGON_FLATFILES_ACCESS_KEY and POLYGON_FLATFILES_SECRET_KEY belong together: one of them is missing",
    },
    {
      of: ["TENANT_ID", "FIRESTORE_TENANT_ID"],
      isWrong:
        (settings.FIRESTORE_PROJECT_ID ?? settings.FIRESTORE_EMULATOR_HOST) !==
          undefined &&
        (settings.TENANT_ID ?? settings.FIRESTORE_TENANT_ID) === undefined,
      problem: "TENANT_ID must be set when the Firestore sink is on",
    },
    {
      of: ["TENANT_ID", "FIRESTORE_TENANT_ID"],
      // It is a part of a document's path.
      isWrong:
        (settings.TENANT_ID ?? settings.FIRESTORE_TENANT_ID)?.includes("/") ===
        true,
      problem: "TENANT_ID must not contain a slash",
    },
  ];
  return checks
    .filter(({ of, isWrong }) => isWrong && !of.some((name) => wrong.has(name)))
    .map(({ problem }) => problem);
}

function allOrNone(values: readonly unknown[]): boolean {
  const given = values.filter((value) => value !== undefined).length;
  return given === 0 || given === values.length;
}

export function marketKeyOf(settings: Settings): string | undefined {
  return (
    settings.ALPACA_API_KEY ??
    settings.ALPACA_KEY_ID ??
    settings.APCA_API_KEY_ID
  );
}
