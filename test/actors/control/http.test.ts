import { expect, test } from "bun:test";
import { createActor } from "xstate";
import { http, type HttpInput } from "../../../actors/control/http.ts";
import { supervisor } from "../../../actors/supervision/supervisor.ts";
import { describeTree } from "../../../actors/supervision/tree.ts";
import { MINUTE } from "../../../src/clock.ts";
import { freePort } from "../../../src/http/listen.ts";
import { until } from "../../support/service.ts";

const HOST = "127.0.0.1";
const app: HttpInput["app"] = {
  fetch: () => new Response("here"),
};

function inputAt(port: number, served = app): HttpInput {
  return { app: served, host: HOST, port };
}

function start(input: HttpInput) {
  const errors: unknown[] = [];
  const actor = createActor(http, { input });
  actor.subscribe({ error: (error) => errors.push(error) });
  actor.start();
  const status = () => actor.getSnapshot().status;
  const url = () => String(actor.getSnapshot().report?.["url"]);
  return { actor, errors, status, url };
}

const ask = (url: string) =>
  fetch(url, { keepalive: false }).then(
    (answer) => answer.text(),
    () => "nobody",
  );

test("listens, says where, and answers", async () => {
  const { actor, url } = start(inputAt(0));
  await until("it listens", () => actor.getSnapshot().report);
  expect(actor.getSnapshot().report).toEqual({
    state: "listening",
    url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
  });
  expect(await ask(url())).toBe("here");
  actor.send({ type: "shutdown" });
  await until("it is done", () => actor.getSnapshot().status === "done");
  expect(await ask(url())).toBe("nobody");
});

test("a request under way is answered before it is done", async () => {
  const gate = Promise.withResolvers<Response>();
  const asked = Promise.withResolvers<void>();
  const { actor, status, url } = start(
    inputAt(0, {
      fetch: () => {
        asked.resolve();
        return gate.promise;
      },
    }),
  );
  await until("it listens", () => actor.getSnapshot().report);
  const answer = ask(url());
  await asked.promise;
  actor.send({ type: "shutdown" });
  expect(status()).toBe("active");
  gate.resolve(new Response("late, but here"));
  expect(await answer).toBe("late, but here");
  await until("it is done", () => status() === "done");
});

test("a hard stop closes the port", async () => {
  const { actor, url } = start(inputAt(0));
  await until("it listens", () => actor.getSnapshot().report);
  actor.stop();
  await until("the port is free", async () => (await ask(url())) === "nobody");
});

test("a port that is taken fails it, and it comes up once the port is free", async () => {
  const port = await freePort(HOST);
  const other = Bun.serve({
    hostname: HOST,
    port,
    fetch: () => new Response("another program"),
  });
  const alone = start(inputAt(port));
  await until("it has failed", () => alone.status() === "error");
  expect(String(alone.errors[0])).toContain("port");

  const root = createActor(supervisor, {
    input: {
      strategy: "one_for_one",
      children: [
        {
          id: "http",
          logic: http,
          input: inputAt(port),
          restart: "permanent",
          graceMs: 1000,
        },
      ],
      maxRestarts: 1000,
      withinMs: MINUTE,
      backoffMs: () => 20,
    },
  });
  root.start();
  const node = () => describeTree(root).children?.[0];
  await until("it is tried again", () => (node()?.restarts ?? 0) > 1);
  expect(node()?.lastError).toContain("port");
  await other.stop(true);
  await until("it listens", () => node()?.state === "listening");
  expect(await ask(`http://${HOST}:${port}`)).toBe("here");
  root.send({ type: "shutdown" });
  await until("all is over", () => root.getSnapshot().status === "done");
});
