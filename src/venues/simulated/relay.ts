/**
 * The wire in front of the venue: it passes bytes on, until it is told to cut a
 * connection or to let nothing through any more. A half-open socket answers no
 * ping, which no server that owns the socket could feign.
 */
import { createServer, connect, type Socket } from "node:net";

export interface Relay {
  readonly port: number;
  /** Connections are known by the port from which the venue sees them come. */
  cut(port: number): void;
  /** Nothing passes any more, either way, and nobody is told. */
  hold(port: number): void;
  cutAll(): void;
  stop(): Promise<void>;
}

interface Pair {
  readonly outer: Socket;
  readonly inner: Socket;
  /** Of the inner socket; a closed one does not tell it any more. */
  innerPort: number | undefined;
  isHeld: boolean;
}

export async function startRelay(options: {
  readonly host: string;
  readonly port: number;
  readonly targetPort: number;
  /** While it answers true, new connections are cut at once. */
  readonly isAway: () => boolean;
}): Promise<Relay> {
  const pairs = new Set<Pair>();
  const server = createServer((outer) => {
    if (options.isAway()) {
      outer.destroy();
      return;
    }
    const inner = connect(options.targetPort, "127.0.0.1");
    const pair: Pair = { outer, inner, innerPort: undefined, isHeld: false };
    pairs.add(pair);
    inner.once("connect", () => (pair.innerPort = inner.localPort));
    for (const [socket, other] of [
      [outer, inner],
      [inner, outer],
    ] as const) {
      socket.setNoDelay(true);
      // A peer that hangs up hard is nothing to report here.
      socket.on("error", () => undefined);
      socket.on("close", () => {
        // Of a connection that is held nobody is told that its other end is gone.
        if (pair.isHeld && socket === inner) return;
        pairs.delete(pair);
        other.destroy();
      });
      socket.pipe(other);
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host, resolve);
  });
  const address = server.address();
  const port =
    typeof address === "object" && address !== null
      ? address.port
      : options.port;

  const find = (port: number) =>
    [...pairs].find(({ innerPort }) => innerPort === port);
  const cut = ({ outer, inner }: Pair) => {
    outer.destroy();
    inner.destroy();
  };
  return {
    port,
    cut(innerPort) {
      const pair = find(innerPort);
      if (pair !== undefined) cut(pair);
    },
    hold(innerPort) {
      const pair = find(innerPort);
      if (pair === undefined) return;
      pair.isHeld = true;
      pair.outer.unpipe(pair.inner);
      pair.inner.unpipe(pair.outer);
      pair.outer.pause();
      pair.inner.pause();
    },
    cutAll() {
      for (const pair of pairs) cut(pair);
    },
    async stop() {
      for (const pair of pairs) cut(pair);
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
