/** A Redis of one's own: the installed one, or where that is possible one that is installed now. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { SECOND, sleep } from "../../src/clock.ts";
import { freePort } from "../../src/http/listen.ts";

export interface RedisServer {
  readonly url: string;
  /** Bun ends the processes of a test that takes too long. */
  readonly isGone: () => boolean;
  stop(): Promise<void>;
}

/** @throws Error saying what to start when the program is not there and cannot be installed */
export async function startRedis(): Promise<RedisServer> {
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
  "these tests need a Redis: install redis-server, or start one (docker compose run --detach --publish 127.0.0.1:6379:6379 redis) and set REDIS_URL=redis://127.0.0.1:6379";

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
