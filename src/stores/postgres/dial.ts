/**
 * Sockets to a Postgres server. The library's own dialling reports no failure
 * when there are several hosts, and dials a host that hangs up at once again and
 * again without a pause; so it is handed sockets that are dialled here.
 */
import { Socket } from "node:net";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { SECOND } from "../../clock.ts";
import type { Address, Host } from "./address.ts";

/**
 * Makes sockets to the first host that answers, each host being given
 * `secondsMax`. What comes back is never a rejection, of which the library
 * would not recover: without a host it is a socket that fails at the first word.
 */
export function dialler(
  { hosts, targetSession }: Address,
  secondsMax: number,
): () => Promise<Duplex> {
  let dialled = 0;
  return async () => {
    // Where only a certain kind of server will do, one that answers may still be the wrong one.
    const start = targetSession === undefined ? 0 : dialled++ % hosts.length;
    let failure: unknown = new Error("there is no host to dial");
    for (const host of [...hosts.slice(start), ...hosts.slice(0, start)]) {
      try {
        return await dial(host, secondsMax);
      } catch (error) {
        failure = error;
      }
    }
    return dead(
      failure instanceof Error ? failure : new Error(String(failure)),
    );
  };
}

export function isSocketDirectory({ name }: Host): boolean {
  return name.startsWith("/");
}

function dial(host: Host, secondsMax: number): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = new Socket();
  const timer = setTimeout(
    () => socket.destroy(failed(host, "ETIMEDOUT", "does not answer")),
    secondsMax * SECOND,
  );
  socket.once("error", reject);
  socket.once("connect", () => {
    clearTimeout(timer);
    socket.off("error", reject);
    socket.once("end", () => {
      if (socket.bytesRead === 0)
        socket.destroy(failed(host, "ECONNRESET", "hung up before a word"));
    });
    // The library looks at `host` for the name that TLS is to check.
    resolve(Object.assign(socket, { host: host.name }));
  });
  socket.once("close", () => clearTimeout(timer));
  if (isSocketDirectory(host))
    socket.connect(join(host.name, `.s.PGSQL.${host.port}`));
  else socket.connect(host.port, host.name);
  return promise;
}

function failed({ name, port }: Host, code: string, what: string): Error {
  return Object.assign(new Error(`${name}:${port} ${what}`), { code });
}

function dead(error: Error): Duplex {
  return new Duplex({
    read() {},
    write(_chunk, _encoding, done) {
      done(error);
    },
  });
}
