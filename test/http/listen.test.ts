import { afterEach, describe, expect, test } from "bun:test";
import { ConfigError } from "../../src/errors.ts";
import { createApp } from "../../src/http/app.ts";
import {
  DRAIN_MS_MAX,
  freePort,
  type HttpApp,
  type HttpServer,
  listen,
  requireFreePort,
} from "../../src/http/listen.ts";
import { LOOPBACK, refusal, serviceView } from "./view.ts";

const servers: HttpServer[] = [];

async function served(app: HttpApp, host = LOOPBACK.host): Promise<HttpServer> {
  const server = await listen(app, { host, port: 0 });
  servers.push(server);
  return server;
}

const standIn = (answer: HttpApp["fetch"]): HttpApp => ({ fetch: answer });

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

/** The answer to bytes that no client library would send, read to the end of the connection. */
async function raw(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  let answer = "";
  await Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      open: (socket) => void socket.write(text),
      data: (_socket, bytes) => void (answer += bytes.toString()),
      close: () => resolve(),
    },
  });
  await closed;
  return answer;
}

describe("the whole application on a socket", () => {
  const app = (view = serviceView()) => createApp(view, LOOPBACK);

  test("answers by every name of loopback", async () => {
    const { url } = await served(app());
    expect(await (await fetch(`${url}/health/live`)).json()).toEqual({
      live: true,
    });
    const byName = url.replace("127.0.0.1", "localhost");
    expect((await fetch(`${byName}/health/ready`)).status).toBe(200);
  });

  test("refuses a name that was pointed at it from outside", async () => {
    const { url } = await served(app());
    expect(
      await refusal(
        await fetch(`${url}/api/v1/status`, {
          headers: { host: "rebound.example" },
        }),
      ),
    ).toEqual([421, "unknown host; this service is 127.0.0.1:8000"]);
  });

  test.each([
    ["none at all", "GET /health HTTP/1.0\r\n\r\n"],
    [
      "one that is no name",
      "GET /health HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n",
    ],
  ])("answers 400 to a Host that is %s", async (_what, request) => {
    const { url } = await served(app());
    const answer = await raw(url, request);
    expect(answer).toStartWith("HTTP/1.1 400 ");
    expect(answer).toEndWith('{"detail":"Host: is missing or cannot be read"}');
  });

  test("tells the head of an answer as the answer has it", async () => {
    const { url } = await served(app());
    const whole = await fetch(`${url}/health`);
    const head = await fetch(`${url}/health`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    for (const name of ["content-type", "content-length"])
      expect(head.headers.get(name)).toBe(whole.headers.get(name) ?? "none");
    expect(whole.headers.get("content-length")).toBe(
      String((await whole.arrayBuffer()).byteLength),
    );
  });

  test("counts a body whose length nobody told", async () => {
    const { url } = await served(app());
    const pieces = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let piece = 0; piece < 65; piece++)
          controller.enqueue(new Uint8Array(1024));
        controller.close();
      },
    });
    const response = await fetch(`${url}/api/v1/actors/pipeline/restart`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: pieces,
    });
    expect(await refusal(response)).toEqual([
      413,
      "the body is larger than 65536 bytes",
    ]);
  });

  test.each(["a/b/c", "a%2Fb%2Fc"])(
    "restarts an actor whose id has slashes: %s",
    async (id) => {
      const view = serviceView({ restart: (path) => path === "a/b/c" });
      const { url } = await served(app(view));
      const response = await fetch(`${url}/api/v1/actors/${id}/restart`, {
        method: "POST",
      });
      expect(response.status).toBe(202);
      expect(await response.json()).toEqual({ restarting: "a/b/c" });
    },
  );
});

describe("a stop", () => {
  test("lets the request under way end, and takes no other", async () => {
    const begun = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<Response>();
    const server = await served(
      standIn(() => {
        begun.resolve();
        return answer.promise;
      }),
    );
    const asked = fetch(server.url);
    await begun.promise;
    const stopped = server.stop();
    expect(await fetch(server.url).catch(() => "refused")).toBe("refused");
    answer.resolve(new Response("to the end"));
    expect(await (await asked).text()).toBe("to the end");
    await stopped;
  });

  test("cuts what does not end in time", async () => {
    const begun = Promise.withResolvers<void>();
    const server = await served(
      standIn(() => {
        begun.resolve();
        return new Promise<Response>(() => {});
      }),
    );
    const asked = fetch(server.url).catch(() => "cut");
    await begun.promise;
    const startedMs = performance.now();
    await server.stop();
    expect(performance.now() - startedMs).toBeLessThan(4 * DRAIN_MS_MAX);
    expect(await asked).toBe("cut");
  });

  test("said twice is one, and leaves the port free", async () => {
    const server = await served(standIn(() => new Response("here")));
    expect(server.stop()).toBe(server.stop());
    await server.stop();
    await requireFreePort({
      host: LOOPBACK.host,
      port: Number(new URL(server.url).port),
    });
  });
});

describe("a port", () => {
  test("that is taken is told before anything starts, and cannot be listened on", async () => {
    using occupant = Bun.listen({
      hostname: LOOPBACK.host,
      port: 0,
      socket: { data() {} },
    });
    const address = { host: LOOPBACK.host, port: occupant.port };
    const problem: unknown = await requireFreePort(address).catch(
      (error: unknown) => error,
    );
    expect(problem).toBeInstanceOf(ConfigError);
    expect(problem).toMatchObject({
      problems: [
        `PORT: ${address.port} on 127.0.0.1 is taken by another program; stop it, or set PORT to a free port (0 takes any)`,
      ],
    });
    const answer = () => new Response("here");
    expect(await listen(standIn(answer), address).catch(() => "refused")).toBe(
      "refused",
    );
  });

  test("that is free is found, and is free", async () => {
    const port = await freePort(LOOPBACK.host);
    expect(port).toBeGreaterThan(0);
    await requireFreePort({ host: LOOPBACK.host, port });
  });

  // TEST-NET-1: an address that no machine has.
  test("of a host that is not ours names HOST", async () => {
    const problem: unknown = await freePort("192.0.2.1").catch(
      (error: unknown) => error,
    );
    expect(problem).toBeInstanceOf(ConfigError);
    expect(String(problem)).toMatch(
      /HOST: .+; set HOST to an address of this machine$/,
    );
  });

  test("of IPv6 is written as clients write it", async () => {
    const server = await served(
      standIn(() => new Response("here")),
      "::1",
    );
    expect(server.url).toMatch(/^http:\/\/\[::1\]:\d+$/);
    expect(await (await fetch(server.url)).text()).toBe("here");
  });
});
