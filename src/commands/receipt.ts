/** The stop receipt: what was delivered, and what was not and where it lies. */
import { SECOND } from "../clock.ts";
import { describeError } from "../errors.ts";
import { type Outbox, setAside, undeliveredCount } from "../flow/outbox.ts";
import type { Logger } from "../log.ts";
import { marketSpools } from "../marketTopology.ts";
import { spoolPath, type Topology } from "../topology.ts";

/** What one outbox had left. */
interface Rest {
  readonly kept: number;
  readonly keptIn: string;
  readonly lost: number;
  readonly error?: string;
}

/** Puts what is left on the disk, says what came of everything, and closes the topology; returns the exit code. */
export async function writeReceipt(
  topology: Topology,
  failure: Error | undefined,
  log: Logger,
): Promise<number> {
  const { config, market, outbox, startedAtMs } = topology;
  const paths = marketSpools(config.directory);
  const isRing = config.market.redis?.overflow !== "keep";
  const rests = [
    restOf(outbox, spoolPath(config.directory)),
    ...(market === undefined ? [] : [restOf(market.bars, paths.bars)]),
    ...(market?.redis === undefined || isRing
      ? []
      : [restOf(market.redis, paths.redis)]),
    ...(market?.kafka === undefined ? [] : [restOf(market.kafka, paths.kafka)]),
  ];
  // What a ring still holds gives way when it is closed, and is counted as every other that did.
  if (market?.redis !== undefined && isRing) restOf(market.redis, "");
  await topology.close();

  const sum = (member: "kept" | "lost") =>
    rests.reduce((total, rest) => total + rest[member], 0);
  const errors = rests.flatMap(({ error }) => error ?? []);
  const receipt = {
    delivered: deliveredBy(topology),
    undelivered: sum("kept") + sum("lost"),
    ...(sum("kept") > 0
      ? {
          kept_in: rests
            .filter(({ kept }) => kept > 0)
            .map(({ keptIn }) => keptIn)
            .join(", "),
          kept: sum("kept"),
        }
      : {}),
    ...(sum("lost") > 0 ? { lost: sum("lost"), error: errors.join("; ") } : {}),
    ...(market !== undefined &&
    Object.values(market.dropped).some((count) => count > 0)
      ? { dropped: market.dropped }
      : {}),
    elapsed: Math.round((Date.now() - startedAtMs) / SECOND),
  };
  if (failure !== undefined)
    log.error({ ...receipt, error: failure }, "service_failed");
  else if (receipt.undelivered > 0) log.warn(receipt, "service_stopped");
  else log.info(receipt, "service_stopped");
  if (failure !== undefined) return 1;
  return receipt.undelivered > 0 ? 3 : 0;
}

function restOf<Item>(outbox: Outbox<Item>, keptIn: string): Rest {
  let error: string | undefined;
  try {
    setAside(outbox, outbox.queue.lengthMax);
  } catch (failure) {
    error = describeError(failure);
  }
  const { memory, disk } = undeliveredCount(outbox);
  return {
    kept: disk,
    keptIn,
    lost: memory,
    ...(error === undefined ? {} : { error }),
  };
}

function deliveredBy({ roster, runOf, market }: Topology) {
  const total = { orders: 0, events: 0, activities: 0 };
  for (const account of roster.accounts) {
    const { rows } = runOf(account).board;
    total.orders += rows.orders;
    total.events += rows.events;
    total.activities += rows.activities;
  }
  if (market === undefined) return total;
  const quotes = market.lanes.map(
    ({ sink, tally }) => [sink.replace("-", "_"), tally.written] as const,
  );
  return {
    ...total,
    bars: market.written.bars,
    ...(market.redis === undefined ? {} : { published: market.written.redis }),
    ...(market.kafka === undefined ? {} : { kafka: market.written.kafka }),
    ...Object.fromEntries(quotes),
  };
}
