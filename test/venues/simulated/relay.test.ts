import { afterEach, beforeEach, expect, test } from "bun:test";
import { connect, createServer, type Server, type Socket } from "node:net";
import { sleep } from "../../../src/clock.ts";
import { type Relay, startRelay } from "../../../src/venues/simulated/relay.ts";

let target: Server;
let relay: Relay;
let isAway = false;
/** The target's ends of the connections, and the ports they are known by. */
const inner: Socket[] = [];

beforeEach(async () => {
  isAway = false;
  target = createServer((socket) => {
    inner.push(socket);
    socket.on("error", () => undefined);
    socket.on("data", (bytes) => socket.write(`echo ${String(bytes)}`));
  });
  relay = await startRelay({
    host: "127.0.0.1",
    port: 0,
    targetPort: await listening(target),
    isAway: () => isAway,
  });
});

afterEach(async () => {
  for (const socket of inner.splice(0)) socket.destroy();
  await relay.stop();
  target.close();
});

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve()),
  );
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** A client of the relay that has been served once. */
async function served() {
  const socket = connect(relay.port, "127.0.0.1");
  const heard: string[] = [];
  const closed = new Promise<void>((resolve) => socket.on("close", resolve));
  socket.on("error", () => undefined);
  const answer = new Promise<void>((resolve) =>
    socket.on("data", (bytes) => {
      heard.push(String(bytes));
      resolve();
    }),
  );
  socket.write("hello");
  await answer;
  expect(heard).toEqual(["echo hello"]);
  const port = inner.at(-1)?.remotePort ?? 0;
  return { socket, heard, closed, port };
}

test("what is cut is closed at both ends, the others go on", async () => {
  const [first, second] = [await served(), await served()];
  const gone = new Promise((resolve) => inner[0]?.on("close", resolve));
  relay.cut(first.port);
  await Promise.all([first.closed, gone]);
  second.socket.write("again");
  await sleep(20);
  expect(second.heard).toEqual(["echo hello", "echo again"]);
  relay.cutAll();
  await second.closed;
});

test("what is held stays open whatever becomes of its other end, and is cut when it is time", async () => {
  const { socket, heard, closed, port } = await served();
  relay.hold(port);
  socket.write("again");
  inner[0]?.destroy();
  const first = await Promise.race([
    closed.then(() => "closed"),
    sleep(60).then(() => "open"),
  ]);
  expect([first, heard]).toEqual(["open", ["echo hello"]]);
  relay.cut(port);
  await closed;
});

test("a close from either end goes through to the other", async () => {
  const first = await served();
  const gone = new Promise((resolve) => inner[0]?.on("close", resolve));
  first.socket.destroy();
  await gone;
  const second = await served();
  inner[1]?.destroy();
  await second.closed;
});

test("nobody is let in while the venue is away", async () => {
  isAway = true;
  const socket = connect(relay.port, "127.0.0.1");
  socket.on("error", () => undefined);
  await new Promise((resolve) => socket.on("close", resolve));
  expect(inner).toEqual([]);
});

test("a port that is taken is an error at the start", async () => {
  await expect(
    startRelay({
      host: "127.0.0.1",
      port: relay.port,
      targetPort: 1,
      isAway: () => false,
    }),
  ).rejects.toMatchObject({ code: "EADDRINUSE" });
});
