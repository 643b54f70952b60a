/** `sim`: the simulated venue on its own, for anyone's consumers. */
import { readFileSync } from "node:fs";
import type { Output, SimFlags } from "../cli.ts";
import { ConfigError, describeError } from "../errors.ts";
import { createLogger } from "../log.ts";
import { readFaults, type ScheduledFault } from "../venues/simulated/faults.ts";
import {
  type SimulatedVenue,
  startSimulatedVenue,
} from "../venues/simulated/venue.ts";

const PORT = 8001;

/** Runs until it is told to stop. @throws ConfigError for a fault script that cannot be used, or a port that is taken. */
export async function sim(flags: SimFlags, io: Output): Promise<number> {
  const port = flags.port ?? PORT;
  const faults = flags.faults === undefined ? [] : readScript(flags.faults);
  const venue = await startSimulatedVenue({
    port,
    trading: true,
    faults,
    log: createLogger({ level: flags.logLevel ?? "INFO" }),
    ...(flags.seed === undefined ? {} : { seed: flags.seed }),
    market: {
      ...(flags.replay === undefined ? {} : { replay: flags.replay }),
      ...(flags.speed === undefined ? {} : { speed: flags.speed }),
      ...(flags.hours === undefined ? {} : { hours: flags.hours }),
      ...(flags.plan === undefined ? {} : { plan: flags.plan }),
    },
  }).catch((error: unknown) => {
    throw isTaken(error)
      ? new ConfigError([
          `--port: ${port} is taken by another program; name a free one (0 takes any)`,
        ])
      : error;
  });
  // Said before it is, a signal that comes at once would kill.
  const stopped = new Promise<void>((resolve) => {
    process.once("SIGTERM", resolve).once("SIGINT", resolve);
  });
  io.stderr(introduction(venue));
  await stopped;
  await venue.stop();
  return 0;
}

function introduction({ url, streamUrl, accounts }: SimulatedVenue): string {
  return [
    `simulated venue at ${url}, trade_updates at ${streamUrl}`,
    ...accounts.map(
      ({ name, keyId, secretKey }) =>
        `  account ${name}: key ${keyId}, secret ${secretKey}`,
    ),
    `its books, and what can be broken: ${url}/sim`,
    "",
  ].join("\n");
}

function readScript(path: string): ScheduledFault[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigError([
      `--faults: ${path} cannot be read (${describeError(error)})`,
    ]);
  }
  return readFaults(text);
}

function isTaken(error: unknown): boolean {
  return (
    error instanceof Error && "code" in error && error.code === "EADDRINUSE"
  );
}
