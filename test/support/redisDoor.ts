/**
 * A door in front of a Redis, for outages: it works with any Redis, and the server
 * itself stays as it is.
 */
import {
  createServer,
  connect as dial,
  type Server,
  type Socket,
} from "node:net";

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

export async function doorTo(redisUrl: string): Promise<Door> {
  const target = new URL(redisUrl);
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
