/** A topology for the actors that need a whole one: made as the service makes it, in a directory that goes with the test. */
import { afterEach } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readConfig } from "../../../src/config.ts";
import { createMetrics } from "../../../src/metrics.ts";
import { createTopology, type Topology } from "../../../src/topology.ts";

const directories: string[] = [];
const topologies: Topology[] = [];

afterEach(async () => {
  for (const topology of topologies.splice(0)) await topology.close();
  for (const path of directories.splice(0))
    rmSync(path, { recursive: true, force: true });
});

export function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), "feedkeeper-control-"));
  directories.push(path);
  return path;
}

/** Accounts at addresses where nobody listens. */
export function topologyOf(
  session: string,
  names: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Topology {
  const directory = temporaryDirectory();
  const config = readConfig({
    VENUE: "live",
    DESTINATIONS: JSON.stringify(
      names.map((name) => ({
        name,
        base_url: "http://127.0.0.1:1",
        key_id: "key",
        secret_key: "secret",
      })),
    ),
    FEEDKEEPER_DIR: directory,
    ...environment,
  });
  const topology = {
    ...createTopology(config, config.accounts, createMetrics()),
    session,
  };
  topologies.push(topology);
  return topology;
}
