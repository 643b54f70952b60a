/** `config check --plan`: what taking a configuration would change for the service that runs. */
import type { ServiceStatus } from "../../schema/service.ts";
import type { Config } from "../config.ts";

export interface Step {
  readonly action: "open" | "close" | "create" | "re-read";
  readonly what: string;
}

/** What the plan needs to know of a running service. */
export type Running = Pick<ServiceStatus, "venue"> & {
  readonly accounts: readonly { readonly account: string }[];
};

/**
 * The steps from what runs (undefined: nothing does) to `config`, by account.
 * Empty when nothing would change. `create` and `re-read` of an account that has
 * been captured before find their tables and watermarks and do little.
 */
export function planOf(config: Config, running: Running | undefined): Step[] {
  if (config.venue === "simulated")
    return running?.venue === "simulated"
      ? []
      : [
          ...closing(running, new Set()),
          { action: "open", what: "the simulated venue and its accounts" },
        ];
  const wanted = new Set(config.accounts.map(({ slug }) => slug));
  const present = new Set(
    running?.venue === "live"
      ? running.accounts.map(({ account }) => account)
      : [],
  );
  const added = config.accounts.filter(({ slug }) => !present.has(slug));
  return [
    ...closing(running, running?.venue === "live" ? wanted : new Set()),
    ...added.flatMap(({ slug, streamUrl }): Step[] => [
      {
        action: "create",
        what: `tables of ${slug} in ${config.schema}, where they are not there`,
      },
      { action: "open", what: `account ${slug} at ${streamUrl}` },
      {
        action: "re-read",
        what: `orders and activities of ${slug} since its watermark, or of ${config.backfillDays} days`,
      },
    ]),
  ];
}

function closing(
  running: Running | undefined,
  wanted: ReadonlySet<string>,
): Step[] {
  return (running?.accounts ?? [])
    .filter(({ account }) => !wanted.has(account))
    .map(({ account }) => ({ action: "close", what: `account ${account}` }));
}
