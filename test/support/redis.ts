/**
 * A real Redis for the test run: the one of `REDIS_URL`, else one that is started
 * when the first test asks for it. Outages are made at a door in front of it, so
 * that they work with any Redis, and the server itself stays as it is.
 */
import { afterAll } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import {
  createServer,
  connect as dial,
  type Server,
  type Socket,
} from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { SECOND, sleep } from "../../src/clock.ts";
import { freePort } from "../../src/http/listen.ts";

interface Shared {
  readonly url: string;
  /** Bun ends the processes of a test that takes too long; the next test gets another one. */
  readonly isGone: () => boolean;
  stop(): Promise<void>;
}

let starting: Promise<Shared> | undefined;

/** Its address. @throws Error saying what to start when there is none and none can be had. */
export async function redisUrl(): Promise<string> {
  if ((await starting)?.isGone()) starting = undefined;
  starting ??= given() ?? start();
  return (await starting).url;
}

/** A client for asking and telling what the outside does; hung up at the end of its scope. */
export async function redisClient(): Promise<Redis & AsyncDisposable> {
  const client = new Redis(await redisUrl(), { maxRetriesPerRequest: 2 });
  return Object.assign(client, {
    [Symbol.asyncDispose]: async () => client.disconnect(),
  });
}

/** What was published on channels of these patterns since the call, as `channel payload`. */
export async function hearAll(...patterns: string[]) {
  const client = await redisClient();
  const heard: string[] = [];
  client.on("pmessage", (_pattern: string, channel: string, text: string) =>
    heard.push(`${channel} ${text}`),
  );
  await client.psubscribe(...patterns);
  return { heard, [Symbol.asyncDispose]: client[Symbol.asyncDispose] };
}

/** Waits until it is so. @throws Error after 20 s */
export async function until(isSo: () => boolean): Promise<void> {
  const deadline = Date.now() + 20 * SECOND;
  while (!isSo()) {
    if (Date.now() > deadline) throw new Error(`never came true: ${isSo}`);
    await sleep(2);
  }
}

function given(): Promise<Shared> | undefined {
  const url = process.env["REDIS_URL"];
  return url === undefined || url === ""
    ? undefined
    : Promise.resolve({ url, isGone: () => false, stop: async () => {} });
}

async function start(): Promise<Shared> {
  const program = findProgram();
  const directory = mkdtempSync(join(tmpdir(), "feedkeeper-test-redis-"));
  for (let tries = 1; ; tries++) {
    const port = await freePort("127.0.0.1");
    const server = Bun.spawn(
      [
        program,
        ...["--port", String(port), "--bind", "127.0.0.1"],
        ...["--dir", directory, "--save", "", "--appendonly", "no"],
        // A burst of half a million trades waits for the subscriber of the same process.
        ...["--client-output-buffer-limit", "pubsub 0 0 0"],
      ],
      { stdout: Bun.file(join(directory, "log")), stderr: "inherit" },
    );
    if (await answers(port, server)) {
      return {
        url: `redis://127.0.0.1:${port}`,
        isGone: () => server.exitCode !== null || server.signalCode !== null,
        async stop() {
          server.kill();
          await server.exited;
          rmSync(directory, { recursive: true, force: true });
        },
      };
    }
    // Somebody may have taken the port in between.
    if (tries === 3)
      throw new Error(
        `redis-server does not start: ${await Bun.file(join(directory, "log")).text()}`,
      );
  }
}

const WHAT_TO_START =
  "these tests need a Redis: install redis-server, or start one (docker compose up -d redis) and set REDIS_URL=redis://127.0.0.1:6379";

function findProgram(): string {
  const found = Bun.which("redis-server");
  if (found !== null) return found;
  if (process.getuid?.() !== 0 || !existsSync("/etc/debian_version"))
    throw new Error(WHAT_TO_START);
  for (const line of [
    ["apt-get", "update"],
    ["apt-get", "install", "-y", "redis-server"],
  ]) {
    const { exitCode, stderr } = Bun.spawnSync(line, {
      // A machine that has an init system must not start a server of its own on the usual port.
      env: {
        ...process.env,
        DEBIAN_FRONTEND: "noninteractive",
        RUNLEVEL: "1",
      },
      stdout: "ignore",
      stderr: "pipe",
    });
    if (exitCode !== 0)
      throw new Error(
        `${WHAT_TO_START} (${line.join(" ")} failed: ${stderr.toString().trim()})`,
      );
  }
  return Bun.which("redis-server") ?? "redis-server";
}

function listen(server: Server, port: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.once("error", reject);
  server.listen(port, "127.0.0.1", () => {
    server.off("error", reject);
    const address = server.address();
    resolve(typeof address === "object" ? (address?.port ?? 0) : 0);
  });
  return promise;
}

async function answers(
  port: number,
  server: { readonly exitCode: number | null },
): Promise<boolean> {
  const client = new Redis({
    port,
    host: "127.0.0.1",
    retryStrategy: () => 20,
    maxRetriesPerRequest: null,
  });
  client.on("error", () => {});
  try {
    const deadline = Date.now() + 10 * SECOND;
    while (server.exitCode === null && Date.now() < deadline) {
      const pong = await Promise.race([
        client.ping().catch(() => undefined),
        sleep(50),
      ]);
      if (pong === "PONG") return true;
    }
    return false;
  } finally {
    client.disconnect();
  }
}

/** The way to Redis as a client of ours sees it; what is behind it never notices. */
export interface Door extends AsyncDisposable {
  readonly url: string;
  /** Connections that are open now. */
  readonly open: number;
  /** Those of them on which answers wait. */
  readonly held: number;
  /** Redis is gone: connections are cut, and new ones refused. */
  shut(): Promise<void>;
  /** Redis is back, on the same port. */
  reopen(): Promise<void>;
  /** Cuts the connections; new ones are let in. */
  cut(): void;
  /** Connections stay, but nothing passes any more, also on new ones: a frozen server. */
  mute(): void;
  /** From now on, answers wait on each connection that has asked with this word. */
  hold(word: string): void;
  /** Passes on what {@link mute} and {@link hold} held back, and everything from now on. */
  release(): void;
}

interface Passage {
  readonly inside: Socket;
  readonly outside: Socket;
  isHeld: boolean;
  /** Kept back, in order. */
  readonly kept: (() => void)[];
}

export async function openDoor(): Promise<Door> {
  const target = new URL(await redisUrl());
  const passages = new Set<Passage>();
  let server = createServer();
  let isMute = false;
  let heldWord: string | undefined;

  function pass(passage: Passage, onward: () => void): void {
    if (isMute || passage.isHeld) passage.kept.push(onward);
    else onward();
  }

  function admit(outside: Socket): void {
    const inside = dial({
      host: target.hostname,
      port: Number(target.port || 6379),
    });
    const passage: Passage = { inside, outside, isHeld: false, kept: [] };
    passages.add(passage);
    const end = () => {
      passages.delete(passage);
      inside.destroy();
      outside.destroy();
    };
    for (const socket of [inside, outside])
      socket.on("close", end).on("error", end);
    outside.on("data", (bytes) => {
      const asks = bytes.toString("latin1").toLowerCase();
      if (isMute) return void passage.kept.push(() => inside.write(bytes));
      if (heldWord !== undefined && asks.includes(heldWord))
        passage.isHeld = true;
      inside.write(bytes);
    });
    inside.on("data", (bytes) => pass(passage, () => outside.write(bytes)));
  }

  function cut(): void {
    for (const { inside, outside } of passages) {
      inside.destroy();
      outside.destroy();
    }
    passages.clear();
  }

  async function shut(): Promise<void> {
    const closed = new Promise((resolve) => server.close(resolve));
    cut();
    await closed;
  }

  server.on("connection", admit);
  const port = await listen(server, 0);
  const url = new URL(target);
  url.hostname = "127.0.0.1";
  url.port = String(port);

  return {
    url: url.href.replace(/\/$/, ""),
    get open() {
      return passages.size;
    },
    get held() {
      return [...passages].filter(({ isHeld }) => isHeld).length;
    },
    shut,
    async reopen() {
      server = createServer().on("connection", admit);
      await listen(server, port);
    },
    cut,
    mute: () => void (isMute = true),
    hold: (word) => void (heldWord = word.toLowerCase()),
    release() {
      isMute = false;
      heldWord = undefined;
      for (const passage of passages) {
        passage.isHeld = false;
        for (const onward of passage.kept.splice(0)) onward();
      }
    },
    [Symbol.asyncDispose]: async () => {
      if (server.listening) await shut();
    },
  };
}

/** Preloaded by bunfig.toml, so this runs once, behind the last test file. */
afterAll(async () => {
  if (starting === undefined) return;
  const { stop } = await starting;
  starting = undefined;
  await stop();
});
