import { describe, expect, test } from "bun:test";
import {
  dialControl,
  dialPublisher,
  RedisError,
} from "../../../src/stores/redis/connect.ts";
import {
  openRedisDoor,
  redisClient,
  redisUrl,
  until,
} from "../../support/redis.ts";

const never = new AbortController().signal;

async function addressOf(user: string, password: string): Promise<string> {
  const url = new URL(await redisUrl());
  url.username = user;
  url.password = encodeURIComponent(password);
  return url.href;
}

describe.each<
  [
    name: string,
    open: (url: string) => Promise<{ ping(): Promise<unknown>; close(): void }>,
  ]
>([
  [
    "control plane",
    async (url) => {
      const link = await dialControl(url, never);
      return { ping: () => link.client.ping(), close: link[Symbol.dispose] };
    },
  ],
  [
    "publishing",
    async (url) => {
      const client = await dialPublisher(url);
      return {
        ping: () => client.send("PING", []),
        close: () => client.close(),
      };
    },
  ],
])("a connection for %s", (_name, open) => {
  test("answers, also to a user whose password has every kind of character", async () => {
    await using admin = await redisClient();
    const password = "p:a/s@s?w#o%r d";
    await admin.acl(
      "SETUSER",
      "odd",
      "on",
      `>${password}`,
      "~*",
      "&*",
      "+@all",
    );
    for (const url of [await redisUrl(), await addressOf("odd", password)]) {
      const connection = await open(url);
      expect(await connection.ping()).toBe("PONG");
      connection.close();
    }
    await admin.acl("DELUSER", "odd");
  });

  test("says in Redis' words why it is refused", async () => {
    const error = await open(await addressOf("nobody", "wrong")).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(RedisError);
    expect(error).toHaveProperty(
      "message",
      expect.stringMatching(/^WRONGPASS /),
    );
  });

  test("says in the network's words why there is none", async () => {
    await using door = await openRedisDoor();
    await door.shut();
    const error = await open(door.url).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RedisError);
    expect(error).toHaveProperty(
      "message",
      expect.stringContaining("ECONNREFUSED"),
    );
  });
});

describe("the control plane's connection", () => {
  test.each<
    [
      why: string,
      end: (
        door: Awaited<ReturnType<typeof openRedisDoor>>,
        leave: () => void,
      ) => void,
    ]
  >([
    ["the connection breaks", (door) => door.cut()],
    ["the service leaves", (_door, leave) => leave()],
  ])("tells at once when %s, and hangs up", async (_why, end) => {
    await using door = await openRedisDoor();
    const leaving = new AbortController();
    using link = await dialControl(door.url, leaving.signal);
    door.mute();
    const waiting = link.client.smembers("nothing");
    end(door, () => leaving.abort());
    expect(await waiting.catch(() => "given up")).toBe("given up");
    await until(() => link.lost.aborted && door.open === 0);
    expect(link.lost.reason).toBeInstanceOf(RedisError);
  });

  test("is not dialled for a service that is leaving", async () => {
    await using door = await openRedisDoor();
    const reason = new Error("leaving");
    await expect(dialControl(door.url, AbortSignal.abort(reason))).rejects.toBe(
      reason,
    );
    const leaving = new AbortController();
    door.mute();
    const dialling = dialControl(door.url, leaving.signal);
    await until(() => door.open === 1);
    leaving.abort(reason);
    await expect(dialling).rejects.toBe(reason);
    await until(() => door.open === 0);
  });
});
