/**
 * A real Redis for the test run: the one of `REDIS_URL`, else one that is started
 * when the first test asks for it. Outages are made at a door in front of it, so
 * that they work with any Redis, and the server itself stays as it is.
 */
import { afterAll } from "bun:test";
import { Redis } from "ioredis";
import { SECOND, sleep } from "../../src/clock.ts";
import { type Door, openDoor } from "./door.ts";
import { type RedisServer, startRedis } from "./redisServer.ts";

let starting: Promise<RedisServer> | undefined;

/** Its address. @throws Error saying what to start when there is none and none can be had. */
export async function redisUrl(): Promise<string> {
  if ((await starting)?.isGone()) starting = undefined;
  starting ??= given() ?? startRedis();
  return (await starting).url;
}

/** A way to it that can be shut, as a client of ours sees it. */
export async function openRedisDoor(): Promise<Door> {
  return openDoor(await redisUrl());
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

function given(): Promise<RedisServer> | undefined {
  const url = process.env["REDIS_URL"];
  return url === undefined || url === ""
    ? undefined
    : Promise.resolve({ url, isGone: () => false, stop: async () => {} });
}

/** Preloaded by bunfig.toml, so this runs once, behind the last test file. */
afterAll(async () => {
  if (starting === undefined) return;
  const { stop } = await starting;
  starting = undefined;
  await stop();
});
