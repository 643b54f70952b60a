/**
 * One owner each: claims the lease of every account on the roster and of every
 * feed, has those run that are ours, and leaves the others to whoever holds them.
 * What should run is compared with what does once a second, so nothing depends on
 * a message arriving.
 */
import { SECOND, sleep, within } from "../../src/clock.ts";
import { describeError } from "../../src/errors.ts";
import {
  claimLeases,
  releaseLeases,
} from "../../src/stores/postgres/leases.ts";
import type { Topology } from "../../src/topology.ts";
import { fromTask } from "../supervision/task.ts";

/** Without an answer for this long the accounts are run all the same: writes are idempotent, a missed stream is not. */
const ANSWER_MS_MAX = 5 * SECOND;
const LOOK_EVERY_MS = SECOND;

export interface OwnershipInput {
  readonly topology: Topology;
  /** Makes exactly those accounts and feeds run whose lease is held. */
  readonly assign: (isHeld: (name: string) => boolean) => void;
}

export const ownership = fromTask<OwnershipInput>(
  async ({ input: { topology, assign }, report, shutdown }) => {
    const { config, database, roster, session, predecessor } = topology;
    const names = () => leasesOf(topology);
    let held: ReadonlySet<string> | undefined;
    let renewAtMs = 0;
    let seen = roster.changed.raised;

    while (!shutdown.aborted) {
      if (Date.now() >= renewAtMs || roster.changed.raised > seen) {
        seen = roster.changed.raised;
        renewAtMs = Date.now() + config.leaseMs / 3;
        try {
          if (!config.dryRun) {
            if (held === undefined && predecessor !== undefined)
              await answered(releaseLeases(database.sql, predecessor, names()));
            held = new Set(
              (
                await answered(
                  claimLeases(database.sql, session, names(), config.leaseMs),
                )
              ).keys(),
            );
          }
          report(stateOf(names(), held));
        } catch (error) {
          report({
            ...stateOf(names(), held),
            state: "unleased",
            lastError: describeError(error),
          });
          // Asked again soon: the lease may lapse while nobody renews it.
          renewAtMs = Date.now() + LOOK_EVERY_MS;
          if (
            held === undefined &&
            Date.now() < topology.startedAtMs + ANSWER_MS_MAX
          ) {
            await sleep(LOOK_EVERY_MS / 4, shutdown);
            renewAtMs = 0;
            continue;
          }
        }
      }
      assign((name) => held?.has(name) ?? true);
      await sleep(LOOK_EVERY_MS, shutdown).catch(() => {});
    }
    if (held !== undefined)
      await answered(releaseLeases(database.sql, session, [...held])).catch(
        // They lapse by themselves.
        () => {},
      );
  },
);

function leasesOf({ roster, feeds }: Topology): string[] {
  return [
    ...roster.accounts.map(({ slug }) => `account/${slug}`),
    ...feeds.map(({ venue }) => `feed/${venue.id}`),
  ];
}

function stateOf(
  names: readonly string[],
  held: ReadonlySet<string> | undefined,
) {
  const isHeld = (name: string) => held?.has(name) ?? true;
  const standby = names.filter((name) => !isHeld(name));
  return {
    state: standby.length === 0 ? "owning" : "standby",
    held: names.length - standby.length,
    standby,
  };
}

/** A database that hangs must not hang us. */
function answered<Result>(query: Promise<Result>): Promise<Result> {
  return within(ANSWER_MS_MAX, query, "the database does not answer");
}
