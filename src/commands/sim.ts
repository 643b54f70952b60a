/** `sim`: the simulated venue on its own, for anyone's consumers. */
import { readFileSync } from "node:fs";
import type { Output, SimFlags } from "../cli.ts";
import { ConfigError, describeError } from "../errors.ts";
import { createLogger } from "../log.ts";
import { readFaults } from "../venues/simulated/faults.ts";
import { startSimulatedVenue } from "../venues/simulated/venue.ts";

const PORT = 8001;

/** Runs until it is told to stop. @throws ConfigError for a fault script that cannot be used. */
export async function sim(flags: SimFlags, io: Output): Promise<number> {
  const faults = flags.faults === undefined ? [] : readScript(flags.faults);
  const venue = await startSimulatedVenue({
    port: flags.port ?? PORT,
    trading: true,
    faults,
    log: createLogger({ level: flags.logLevel ?? "INFO" }),
    ...(flags.seed === undefined ? {} : { seed: flags.seed }),
  });
  io.stderr(
    [
      `simulated venue at ${venue.url}, trade_updates at ${venue.streamUrl}`,
      ...venue.accounts.map(
        ({ name, keyId, secretKey }) =>
          `  account ${name}: key ${keyId}, secret ${secretKey}`,
      ),
      "",
    ].join("\n"),
  );
  await new Promise<void>((resolve) => {
    process.once("SIGTERM", resolve).once("SIGINT", resolve);
  });
  await venue.stop();
  return 0;
}

function readScript(path: string) {
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
