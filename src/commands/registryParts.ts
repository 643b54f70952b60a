/**
 * What the commands of the registry work with: the market database (that of the
 * configuration, of the running service, or the embedded one brought up for as long
 * as the command lasts), the venue, and the way of its messages.
 */
import type { RegistryMessage } from "../../schema/registry.ts";
import type { Output } from "../cli.ts";
import { systemClock } from "../clock.ts";
import type { Config } from "../config.ts";
import type { PolygonAccess } from "../config/market.ts";
import { ConfigError } from "../errors.ts";
import { createLogger } from "../log.ts";
import type { RegistryRun, RegistryStore } from "../registry/run.ts";
import { recordOf, refusedRecordOf, Streams } from "../registryTopology.ts";
import { connectKafka } from "../stores/kafka/connect.ts";
import { openPublisher } from "../stores/kafka/produce.ts";
import type { Database } from "../stores/postgres/database.ts";
import { writeBarRecords } from "../stores/postgres/marketStore.ts";
import { migrateMarket } from "../stores/postgres/migrate.ts";
import { registryStore } from "../stores/postgres/registryStore.ts";
import { createPolygonRest, polygonBudget } from "../venues/polygon/rest.ts";
import { polygonVenue } from "../venues/polygon/venue.ts";
import type { RegistryVenue } from "../venues/registryVenue.ts";
import { demoPolygonAccess } from "./demoAccounts.ts";
import { lockDirectory } from "./directoryLock.ts";
import { openDatabase } from "./openDatabase.ts";
import { readRunFile } from "./runFile.ts";

/** Messages of a symbol that are written at one time. */
const BATCH_LENGTH = 2_000;

/** @throws Error when it does not answer */
export async function openMarketDatabase(
  config: Config,
): Promise<{ readonly database: Database } & AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const running = readRunFile(config.directory);
  const given =
    config.market.postgres?.url ?? config.postgres.url ?? running?.postgresUrl;
  if (given === undefined && running === undefined)
    stack.use(lockDirectory(config.directory));
  const database = await openDatabase(stack, config.directory, given);
  // A dry run looks at the tables that are there.
  if (!config.dryRun) await migrateMarket(database.sql);
  const rest = stack.move();
  return { database, [Symbol.asyncDispose]: () => rest.disposeAsync() };
}

/**
 * Polygon by the configured key; with the simulated venue its Polygon, as long as the service runs.
 * @throws ConfigError when there is neither
 */
export function registryVenueOf(config: Config): RegistryVenue {
  const access = accessOf(config);
  if (access === undefined)
    throw new ConfigError([
      config.venue === "simulated"
        ? `POLYGON_API_KEY: the simulated venue is asked in its place while the service runs, and none runs in ${config.directory}`
        : "POLYGON_API_KEY (or MASSIVE_API_KEY) must be set: without it there is nobody to ask",
    ]);
  const rest = createPolygonRest({
    key: access,
    budget: polygonBudget(access),
  });
  return polygonVenue({ rest, files: access.files, onMalformed: () => {} });
}

function accessOf({
  venue,
  directory,
  market,
}: Config): PolygonAccess | undefined {
  if (venue !== "simulated") return market.polygon;
  const url = readRunFile(directory)?.venueUrl;
  return url === undefined ? undefined : demoPolygonAccess(url);
}

export interface RegistryParts extends AsyncDisposable {
  readonly database: Database;
  readonly run: RegistryRun;
}

/** With `isQuiet` nothing is logged: the output is for reading. */
export async function openRegistryParts(
  config: Config,
  venue: RegistryVenue,
  io: Output,
  { isQuiet = false }: { isQuiet?: boolean } = {},
): Promise<RegistryParts> {
  await using stack = new AsyncDisposableStack();
  const { database } = stack.use(await openMarketDatabase(config));
  const kafka = config.dryRun ? undefined : config.market.kafka;
  const publisher =
    kafka === undefined
      ? undefined
      : stack.adopt(
          await openPublisher(
            connectKafka(kafka, "feedkeeper-command"),
            kafka.layout,
          ),
          (each) => each.close(),
        );

  async function write(messages: readonly RegistryMessage[]): Promise<void> {
    if (config.dryRun || messages.length === 0) return;
    const records =
      publisher === undefined
        ? messages.map(recordOf).filter((record) => record !== undefined)
        : (await publisher.publish(messages)).map(refusedRecordOf);
    if (records.length > 0) await writeBarRecords(database.sql, records);
  }

  // By symbol, so that what one run failed to write is not another's loss.
  const waiting = new Map<string, RegistryMessage[]>();
  async function publish(
    message: RegistryMessage,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    const messages = waiting.get(message.symbol) ?? [];
    waiting.set(message.symbol, messages);
    messages.push(message);
    if (message.type === "bar" && messages.length < BATCH_LENGTH) return;
    await write(messages.splice(0));
  }

  const kept = async (symbol: string) =>
    write(waiting.get(symbol)?.splice(0) ?? []);

  const store = registryStore(database, {
    owner: `command-${process.pid}-${Date.now()}`,
    leaseMs: config.leaseMs,
  });
  const run: RegistryRun = {
    venue,
    store: config.dryRun ? onlyLooking(store) : store,
    clock: systemClock,
    log: createLogger({
      level: isQuiet ? "ERROR" : config.logLevel,
      destination: { write: isQuiet ? io.stderr : io.stdout },
    }),
    leaseMs: config.leaseMs,
    backfillDays: config.backfillDays,
    publish,
    kept,
    setAside: (raw, reason) => io.stderr(`set aside (${reason}): ${raw}\n`),
    streams: new Streams(),
    usesKafka: kafka !== undefined,
    usesRedis: config.market.redis !== undefined,
  };
  const rest = stack.move();
  return { database, run, [Symbol.asyncDispose]: () => rest.disposeAsync() };
}

/** The same store, of which nothing is changed. */
function onlyLooking(store: RegistryStore): RegistryStore {
  const nothing = async () => {};
  return {
    ...store,
    claim: async (symbol) => ({ symbol, owner: "dry run", token: 0 }),
    renew: async () => true,
    stamp: nothing,
    release: nothing,
    fail: nothing,
    interrupt: nothing,
    clearStaleLocks: async () => [],
    noteFileRead: nothing,
    noteSplits: nothing,
  };
}
