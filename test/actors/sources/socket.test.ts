import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { createHash } from "node:crypto";
import { createServer, type Socket as TcpSocket } from "node:net";
import {
  type Closing,
  dial,
  type Socket,
} from "../../../actors/sources/socket.ts";
import { MINUTE, SECOND } from "../../../src/clock.ts";

/** What a peer does with a connection whose request has been read. */
type Peer = (line: Line) => void;

const stops: (() => void)[] = [];
afterEach(() => {
  jest.useRealTimers();
  for (const stop of stops.splice(0)) stop();
});

/** The server's end of one connection, spoken without a library so that it may misbehave. */
class Line {
  /** Opcodes and payloads of the frames that came, `9:…` for a ping. */
  readonly heard: string[] = [];
  readonly ended: Promise<void>;
  #pending = Buffer.alloc(0);
  #calls: (() => void)[] = [];

  constructor(
    readonly socket: TcpSocket,
    readonly request: string,
    readonly answersPings: boolean,
  ) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    socket.on("close", () => resolve());
    socket.on("data", (bytes) => this.#read(Buffer.from(bytes as Uint8Array)));
  }

  /** The upgrade as the protocol wants it. */
  accept(accepted = this.#acceptance()): void {
    this.socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accepted}\r\n\r\n`,
    );
  }

  refuse(head: string, body = ""): void {
    this.socket.end(
      `HTTP/1.1 ${head}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
  }

  send(opcode: number, payload: string | Uint8Array, isLast = true): void {
    const bytes = Buffer.from(payload);
    this.socket.write(
      Buffer.concat([frameHead(opcode, bytes.length, isLast), bytes]),
    );
  }

  /** Resolves once `count` frames have come. */
  async has(count: number): Promise<void> {
    while (this.heard.length < count)
      await new Promise<void>((resolve) => this.#calls.push(resolve));
  }

  #acceptance(): string {
    const key = /sec-websocket-key: (.*)\r\n/i.exec(this.request)?.[1] ?? "";
    return createHash("sha1")
      .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest("base64");
  }

  /** Client frames are masked and, in these tests, short. */
  #read(bytes: Uint8Array): void {
    this.#pending = Buffer.concat([this.#pending, bytes]);
    for (;;) {
      const [first, second] = this.#pending;
      if (first === undefined || second === undefined) return;
      const length = second & 0x7f;
      if (this.#pending.length < 6 + length) return;
      const mask = this.#pending.subarray(2, 6);
      const payload = this.#pending
        .subarray(6, 6 + length)
        .map((byte, index) => byte ^ (mask[index % 4] ?? 0));
      this.#pending = this.#pending.subarray(6 + length);
      const opcode = first & 0x0f;
      this.heard.push(`${opcode}:${Buffer.from(payload).toString()}`);
      if (opcode === 9 && this.answersPings) this.send(10, payload);
      for (const call of this.#calls.splice(0)) call();
    }
  }
}

function frameHead(opcode: number, length: number, isLast = true): Buffer {
  const first = (isLast ? 0x80 : 0) | opcode;
  if (length < 126) return Buffer.from([first, length]);
  const head = Buffer.alloc(10);
  head.set([first, 127]);
  head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}

/** A server whose `peer` gets every connection once its request is complete. */
async function serve(
  peer: Peer,
  { answersPings = true }: { answersPings?: boolean } = {},
): Promise<{ url: string; line: Promise<Line> }> {
  const first = Promise.withResolvers<Line>();
  const open = new Set<TcpSocket>();
  const server = createServer((socket) => {
    let request = "";
    open.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => open.delete(socket));
    const onData = (bytes: Uint8Array) => {
      request += Buffer.from(bytes).toString("latin1");
      if (!request.endsWith("\r\n\r\n")) return;
      socket.off("data", onData);
      const line = new Line(socket, request, answersPings);
      first.resolve(line);
      peer(line);
    };
    socket.on("data", onData);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stops.push(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  const address = server.address();
  if (address === null || typeof address === "string")
    throw new Error("no port");
  return {
    url: `ws://127.0.0.1:${address.port}/stream`,
    line: first.promise,
  };
}

/** Dials and writes down all that the listener is told. */
function call(url: string, options?: { headers: Record<string, string> }) {
  const told: unknown[] = [];
  const opened = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<Closing>();
  const calls: (() => void)[] = [];
  const tell = (what: unknown) => {
    told.push(what);
    for (const each of calls.splice(0)) each();
  };
  const socket: Socket = dial(
    url,
    {
      opened: () => {
        tell("opened");
        opened.resolve();
      },
      frame: (frame) => tell(frame),
      ponged: (sentAtMs) => tell({ sentAtMs }),
      closed: (closing) => {
        tell(closing);
        closed.resolve(closing);
      },
    },
    options,
  );
  stops.push(() => socket.close());
  return {
    socket,
    told,
    opened: opened.promise,
    closed: closed.promise,
    /** Resolves once it was told `count` things. */
    async has(count: number) {
      while (told.length < count)
        await new Promise<void>((resolve) => calls.push(resolve));
    },
  };
}

/** What was told, pongs left out. */
function said({ told }: { told: unknown[] }): unknown[] {
  return told.filter(
    (what) =>
      !(typeof what === "object" && what !== null && "sentAtMs" in what),
  );
}

/** A few turns of the event loop, in which the network may still have something to say. */
async function quietly(): Promise<void> {
  for (let turn = 0; turn < 20; turn++)
    await new Promise((resolve) => setImmediate(resolve));
}

describe("a dial", () => {
  test("asks for the address with the headers it was given", async () => {
    const { url, line } = await serve((peer) => peer.accept());
    const { opened } = call(url, { headers: { "X-Test": "yes" } });
    await opened;
    const { request } = await line;
    expect(request).toStartWith("GET /stream HTTP/1.1\r\n");
    expect(request.toLowerCase()).toContain("\r\nx-test: yes\r\n");
  });

  test.each<[what: string, peer: Peer, closing: Closing]>([
    [
      "429 and when to come back",
      (line) => line.refuse("429 Too Many Requests\r\nRetry-After: 7"),
      {
        code: 1006,
        reason: "upgrade refused with 429",
        status: 429,
        retryAfterMs: 7000,
      },
    ],
    [
      "429 and nothing more",
      (line) => line.refuse("429 Too Many Requests"),
      { code: 1006, reason: "upgrade refused with 429", status: 429 },
    ],
    [
      "406, the slot being taken",
      (line) => line.refuse("406 Not Acceptable", "connection limit exceeded"),
      { code: 1006, reason: "upgrade refused with 406", status: 406 },
    ],
    [
      "401",
      (line) => line.refuse("401 Unauthorized"),
      { code: 1006, reason: "upgrade refused with 401", status: 401 },
    ],
    [
      "a proxy's page",
      (line) => line.refuse("503 Service Unavailable", "<html>sorry</html>"),
      { code: 1006, reason: "upgrade refused with 503", status: 503 },
    ],
    [
      "another address, which is not followed",
      (line) => line.refuse("302 Found\r\nLocation: /elsewhere"),
      { code: 1006, reason: "upgrade refused with 302", status: 302 },
    ],
    [
      "a page where a socket was wanted",
      (line) => line.refuse("200 OK", "hello"),
      { code: 1006, reason: "upgrade refused with 200", status: 200 },
    ],
    [
      "a wrong acceptance",
      (line) => line.accept("AAAA"),
      { code: 1006, reason: expect.stringMatching(/accept/i) },
    ],
    [
      "what is no HTTP",
      (line) => line.socket.end("what?\r\n\r\n"),
      { code: 1006, reason: expect.stringMatching(/./) },
    ],
    [
      "a hang-up",
      (line) => line.socket.destroy(),
      { code: 1006, reason: expect.stringMatching(/./) },
    ],
  ])("answered with %s is over, told once", async (_what, peer, closing) => {
    const { url, line } = await serve(peer);
    const { told, closed } = call(url);
    await closed;
    await (
      await line
    ).ended;
    await quietly();
    expect(told).toEqual([closing]);
  });

  test("to where nobody listens is over", async () => {
    const { url } = await serve(() => {});
    for (const stop of stops.splice(0)) stop();
    const { told, closed } = call(url);
    await closed;
    await quietly();
    expect(told).toEqual([
      { code: 1006, reason: expect.stringContaining("ECONNREFUSED") },
    ]);
  });

  test("that is taken and never answered is given up after 10 s", async () => {
    const { url, line } = await serve(() => {});
    jest.useFakeTimers();
    const { told } = call(url);
    const { ended } = await line;
    jest.advanceTimersByTime(10 * SECOND - 1);
    await quietly();
    expect(told).toEqual([]);
    jest.advanceTimersByTime(1);
    await ended;
    await quietly();
    expect(told).toEqual([{ code: 1006, reason: "no handshake within 10 s" }]);
    expect(jest.getTimerCount()).toBe(0);
  });

  test("that is called off tells nothing and hangs up", async () => {
    const { url, line } = await serve(() => {});
    const { socket, told } = call(url);
    const { ended } = await line;
    socket.close();
    socket.close();
    await ended;
    await quietly();
    expect(told).toEqual([]);
  });

  test("that is called off at once does so too", async () => {
    const { url } = await serve((peer) => peer.accept());
    const { socket, told } = call(url);
    socket.close();
    await quietly();
    expect(told).toEqual([]);
  });
});

describe("frames", () => {
  test("are told as they come: text as text, bytes as bytes, pieces as one", async () => {
    const { url, line } = await serve((peer) => peer.accept());
    const connection = call(url);
    await connection.opened;
    const peer = await line;
    peer.send(1, "héllo");
    peer.send(2, "bytes");
    peer.send(2, new Uint8Array([1]));
    peer.send(1, "to", false);
    peer.send(0, "gether");
    peer.send(1, "");
    while (said(connection).length < 6)
      await connection.has(connection.told.length + 1);
    expect(said(connection)).toEqual([
      "opened",
      "héllo",
      Buffer.from("bytes"),
      Buffer.from([1]),
      "together",
      "",
    ]);
  });

  test("are sent as they are given, and nothing after the end", async () => {
    const { url, line } = await serve((peer) => peer.accept());
    const { socket, opened } = call(url);
    await opened;
    socket.send("héllo");
    const peer = await line;
    await peer.has(2);
    socket.close();
    socket.send("too late");
    socket.ping();
    await peer.has(3);
    await quietly();
    const opcodes = peer.heard.map((frame) => frame.split(":")[0]);
    expect(peer.heard).toContain("1:héllo");
    expect(opcodes).toEqual(["9", "1", "8"]);
  });

  test("of 16 MiB are taken", async () => {
    const { url, line } = await serve((peer) => peer.accept());
    const connection = call(url);
    await connection.opened;
    (await line).send(2, new Uint8Array(16 * 1024 * 1024));
    while (said(connection).length < 2)
      await connection.has(connection.told.length + 1);
    expect(said(connection)[1]).toHaveLength(16 * 1024 * 1024);
  });

  test.each<[what: string, play: Peer]>([
    [
      "longer than that",
      ({ socket }) => socket.write(frameHead(2, 16 * 1024 * 1024 + 1)),
    ],
    ["of text that is none", (line) => line.send(1, new Uint8Array([0xff]))],
    ["of no known kind", (line) => line.send(3, "?")],
  ])("%s end the connection", async (_what, play) => {
    const { url, line } = await serve((peer) => peer.accept());
    const connection = call(url);
    await connection.opened;
    play(await line);
    await connection.closed;
    await (
      await line
    ).ended;
    await quietly();
    expect(said(connection)).toEqual([
      "opened",
      { code: 1006, reason: expect.stringMatching(/./) },
    ]);
  });
});

describe("the end", () => {
  test.each<[by: string, end: Peer, closing: Closing]>([
    [
      "a close with its reason",
      (line) => line.send(8, Buffer.from([0x03, 0xf3, ...Buffer.from("bye")])),
      { code: 1011, reason: "bye" },
    ],
    [
      "a close without a word",
      (line) => line.send(8, ""),
      { code: 1005, reason: "" },
    ],
    [
      "a cut",
      (line) => line.socket.destroy(),
      { code: 1006, reason: expect.any(String) },
    ],
  ])("by %s is told once, and nothing after it", async (_by, end, closing) => {
    const { url, line } = await serve((peer) => peer.accept());
    const connection = call(url);
    await connection.opened;
    const peer = await line;
    end(peer);
    peer.send(1, "late");
    await connection.closed;
    connection.socket.close();
    await quietly();
    expect(said(connection)).toEqual(["opened", closing]);
  });

  test("by us is told to the peer, not to the listener; twice is once", async () => {
    const { url, line } = await serve((peer) => peer.accept());
    const connection = call(url);
    await connection.opened;
    const peer = await line;
    await peer.has(1);
    connection.socket.close();
    connection.socket.close();
    peer.send(1, "late");
    await peer.has(2);
    expect(peer.heard.slice(1)).toEqual(["8:\u0003\ufffd"]);
    peer.send(8, Buffer.from([0x03, 0xe8]));
    await peer.ended;
    await quietly();
    expect(said(connection)).toEqual(["opened"]);
  });

  test("by us does not wait longer than a second for a peer that ignores it", async () => {
    const { url, line } = await serve((peer) => peer.accept());
    jest.useFakeTimers();
    const connection = call(url);
    await connection.opened;
    const peer = await line;
    connection.socket.close();
    await peer.has(2);
    jest.advanceTimersByTime(SECOND);
    await peer.ended;
    await quietly();
    expect(said(connection)).toEqual(["opened"]);
    expect(jest.getTimerCount()).toBe(0);
  });
});

describe("a heartbeat", () => {
  beforeEach(() => {
    jest.useFakeTimers();
    jest.setSystemTime(new Date("2026-09-16T14:00:00Z"));
  });
  const NOW = Date.parse("2026-09-16T14:00:00Z");

  test("is asked for at once, every 20 s, and when wanted; each answer says when it was asked for", async () => {
    const { url, line } = await serve((peer) => peer.accept());
    const connection = call(url);
    await connection.has(2);
    jest.advanceTimersByTime(20 * SECOND);
    await connection.has(3);
    jest.advanceTimersByTime(5 * SECOND);
    connection.socket.ping();
    await connection.has(4);
    expect(connection.told).toEqual([
      "opened",
      { sentAtMs: NOW },
      { sentAtMs: NOW + 20 * SECOND },
      { sentAtMs: NOW + 25 * SECOND },
    ]);
    expect((await line).heard).toEqual([
      `9:${NOW}`,
      `9:${NOW + 20 * SECOND}`,
      `9:${NOW + 25 * SECOND}`,
    ]);
  });

  test("that is answered keeps a silent connection for as long as it takes", async () => {
    const { url } = await serve((peer) => peer.accept());
    const connection = call(url);
    await connection.opened;
    // One more while the first is still on its way.
    connection.socket.ping();
    for (let beat = 1; beat <= 90; beat++) {
      await connection.has(beat + 2);
      jest.advanceTimersByTime(20 * SECOND);
    }
    expect(said(connection)).toEqual(["opened"]);
    expect(Date.now()).toBe(NOW + 30 * MINUTE);
  });

  test("that is not answered within 20 s is the end of it", async () => {
    const { url, line } = await serve((peer) => peer.accept(), {
      answersPings: false,
    });
    const connection = call(url);
    await connection.opened;
    jest.advanceTimersByTime(20 * SECOND - 1);
    await quietly();
    expect(connection.told).toEqual(["opened"]);
    jest.advanceTimersByTime(1);
    await (
      await line
    ).ended;
    await quietly();
    expect(connection.told).toEqual([
      "opened",
      { code: 1006, reason: "no pong within 20 s" },
    ]);
    expect(jest.getTimerCount()).toBe(0);
  });

  test("is no longer answered by a peer that has gone: found within 40 s of the last answer", async () => {
    let isGone = false;
    const { url, line } = await serve((peer) => peer.accept(), {
      answersPings: false,
    });
    const connection = call(url);
    await connection.opened;
    const peer = await line;
    const answer = async (count: number) => {
      await peer.has(count);
      if (!isGone) peer.send(10, peer.heard[count - 1]?.slice(2) ?? "");
    };
    await answer(1);
    await connection.has(2);
    jest.advanceTimersByTime(20 * SECOND);
    await answer(2);
    await connection.has(3);
    isGone = true;
    // Traffic of the other kind proves nothing of what we send.
    peer.send(1, "frame");
    await connection.has(4);
    jest.advanceTimersByTime(20 * SECOND);
    await answer(3);
    expect(connection.told).toHaveLength(4);
    jest.advanceTimersByTime(20 * SECOND);
    expect(connection.told.at(-1)).toEqual({
      code: 1006,
      reason: "no pong within 20 s",
    });
  });

  test("is not what the peer says unasked", async () => {
    const { url, line } = await serve((peer) => peer.accept(), {
      answersPings: false,
    });
    const connection = call(url);
    await connection.opened;
    const peer = await line;
    for (const payload of ["", "hello", "0"]) peer.send(10, payload);
    peer.send(1, "frame");
    await connection.has(2);
    expect(connection.told).toEqual(["opened", "frame"]);
    jest.advanceTimersByTime(20 * SECOND);
    expect(connection.told.at(-1)).toMatchObject({ code: 1006 });
  });
});
