/** The default set-up: a real Postgres as a child process, and the simulated venue. */
import { join } from "node:path";
import type { Logger } from "../../src/log.ts";
import type { Database } from "../../src/stores/postgres/database.ts";
import { startEmbeddedPostgres } from "../../src/stores/postgres/embedded.ts";
import {
  startSimulatedVenue,
  type SimulatedVenueOptions,
} from "../../src/venues/simulated/venue.ts";
import { fromResource } from "../supervision/resource.ts";

export interface EmbeddedPostgresInput {
  /** `FEEDKEEPER_DIR`. */
  readonly directory: string;
  readonly database: Database;
  readonly log: Logger;
  /** Told where it is, at each start. */
  readonly onStarted: (url: string) => void;
}

export const embeddedPostgres = fromResource<EmbeddedPostgresInput>(
  async ({ input, signal, stack, onShutdown, finish, fail, report }) => {
    const { directory, database, log, onStarted } = input;
    report({ state: "starting" });
    const server = await startEmbeddedPostgres({
      directory: join(directory, "postgres"),
      log,
      signal,
    });
    // Killed hard, nobody waits: the server gets its signal and ends by itself.
    stack.defer(() => void server.stop());
    const leaving = new AbortController();
    onShutdown(async () => {
      leaving.abort();
      await server.stop();
      finish();
    });
    void server.exited.then(({ code }) => {
      // What was asked to stop and did is no failure.
      if (leaving.signal.aborted) return;
      fail(
        new Error(`the embedded Postgres exited with ${code ?? "a signal"}`),
      );
    });
    database.use(server.url);
    onStarted(server.url);
    report({ state: "running", port: server.port });
  },
);

export const simulatedVenue = fromResource<SimulatedVenueOptions>(
  async ({ input, stack, onShutdown, finish, report }) => {
    report({ state: "starting" });
    const venue = await startSimulatedVenue(input);
    stack.defer(() => void venue.stop());
    onShutdown(async () => {
      await venue.stop();
      finish();
    });
    report({ state: "running", url: venue.url });
  },
);
