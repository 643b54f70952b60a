/**
 * A way to a server that can be shut, reopened, made mute and held: outages as a
 * client of ours sees them, while the server itself never notices.
 */
import { connect, createServer, type Server, type Socket } from "node:net";

export interface Door extends AsyncDisposable {
  /** The server's address, by way of the door. */
  readonly url: string;
  /** `host:port` of the same. */
  readonly host: string;
  /** Connections that were ever let in. */
  readonly admitted: number;
  /** Connections that are open now. */
  readonly open: number;
  /** Those of them on which answers wait. */
  readonly held: number;
  /** The server is gone: connections are cut, and new ones refused. */
  shut(): Promise<void>;
  /** The server is back, on the same port. */
  reopen(): Promise<void>;
  /** Cuts the connections; new ones are let in. */
  cut(): void;
  /** Connections stay, new ones too, but nothing passes any more, not even that one has hung up: a network that is gone. */
  mute(): void;
  /** From now on, answers wait on each connection that has asked with this word. */
  hold(word: string): void;
  /** Delivers what {@link mute} and {@link hold} held back, late, and then everything else. */
  release(): void;
}

interface Passage {
  readonly inside: Socket;
  readonly outside: Socket;
  isHeld: boolean;
  /** Kept back, in order. */
  readonly kept: (() => void)[];
}

/** @param serverUrl with a port */
export async function openDoor(serverUrl: string): Promise<Door> {
  const { hostname, port: serverPort } = new URL(serverUrl);
  const target = { host: hostname, port: Number(serverPort) };
  const passages = new Set<Passage>();
  let server = createServer(admit);
  let isMute = false;
  let heldWord: string | undefined;
  let admitted = 0;

  function admit(outside: Socket): void {
    admitted++;
    const inside = connect(target);
    const passage: Passage = { inside, outside, isHeld: false, kept: [] };
    passages.add(passage);
    const pass = (onward: () => void) => {
      if (isMute || passage.isHeld) passage.kept.push(onward);
      else onward();
    };
    outside.on("data", (bytes) => {
      const asks = bytes.toString("latin1").toLowerCase();
      const isPassed = !isMute && !passage.isHeld;
      if (heldWord !== undefined && asks.includes(heldWord))
        passage.isHeld = true;
      // What holds the answers back is asked itself.
      if (isPassed) inside.write(bytes);
      else passage.kept.push(() => inside.write(bytes));
    });
    inside.on("data", (bytes) => pass(() => outside.write(bytes)));
    for (const [from, to] of [
      [outside, inside],
      [inside, outside],
    ] as const) {
      from.on("error", () => {});
      from.on("close", () => pass(() => to.end()));
    }
  }

  function all(): Passage[] {
    for (const passage of passages)
      if (passage.outside.closed && passage.inside.closed)
        passages.delete(passage);
    return [...passages];
  }

  function cut(): void {
    for (const { inside, outside } of all()) {
      inside.destroy();
      outside.destroy();
    }
  }

  async function shut(): Promise<void> {
    const closed = new Promise((resolve) => server.close(resolve));
    cut();
    await closed;
  }

  const port = await listen(server, 0);
  const url = new URL(serverUrl);
  url.hostname = "127.0.0.1";
  url.port = String(port);
  const openOnes = () => all().filter(({ outside }) => !outside.closed);

  return {
    url: url.href.replace(/\/$/, ""),
    host: `127.0.0.1:${port}`,
    get admitted() {
      return admitted;
    },
    get open() {
      return openOnes().length;
    },
    get held() {
      return openOnes().filter(({ isHeld }) => isHeld).length;
    },
    shut,
    async reopen() {
      server = createServer(admit);
      await listen(server, port);
    },
    cut,
    mute: () => void (isMute = true),
    hold: (word) => void (heldWord = word.toLowerCase()),
    release() {
      isMute = false;
      heldWord = undefined;
      for (const passage of all()) {
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
