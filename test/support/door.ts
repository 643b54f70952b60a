/**
 * A way to a server that can be shut, reopened and made mute: outages as a client
 * of ours sees them, while the server itself never notices.
 */
import { connect, createServer, type Server, type Socket } from "node:net";

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface ServerDoor extends AsyncDisposable {
  readonly port: number;
  /** Connections that were ever let in. */
  readonly admitted: number;
  /** The server is gone: connections are cut, and new ones refused. */
  shut(): Promise<void>;
  /** The server is back, on the same port. */
  reopen(): Promise<void>;
  /** Connections stay, new ones too, but nothing passes any more, not even that one has hung up: a network that is gone. */
  mute(): void;
  /** The network is back: it delivers what it held back, late, and then everything else. */
  unmute(): void;
}

export async function openDoorTo(target: Address): Promise<ServerDoor> {
  const sockets = new Set<Socket>();
  /** What is held back, in order. */
  const kept: (() => void)[] = [];
  let isMute = false;
  let admitted = 0;
  let server = createServer(admit);

  function admit(outside: Socket): void {
    admitted++;
    const inside = connect(target);
    for (const [from, to] of [
      [outside, inside],
      [inside, outside],
    ] as const) {
      sockets.add(from);
      from.on("data", (bytes) => pass(() => to.write(bytes)));
      from.on("error", () => {});
      from.on("close", () => {
        sockets.delete(from);
        pass(() => to.end());
      });
    }
  }

  function pass(onward: () => void): void {
    if (isMute) kept.push(onward);
    else onward();
  }

  async function shut(): Promise<void> {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  }

  const port = await listen(server, 0);
  return {
    port,
    get admitted() {
      return admitted;
    },
    shut,
    async reopen() {
      server = createServer(admit);
      await listen(server, port);
    },
    mute: () => void (isMute = true),
    unmute() {
      isMute = false;
      for (const onward of kept.splice(0)) onward();
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
    const address = server.address();
    resolve(typeof address === "object" ? (address?.port ?? 0) : 0);
  });
  return promise;
}
