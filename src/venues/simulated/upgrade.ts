/** How every stream of the venue is opened. */
import type { Server } from "bun";
import type { FaultBoard } from "./faults.ts";

/** Takes the request over, with what its connection is known by, or says why not; `path` is what a fault may name. */
export function upgradeOrRefuse<Connection>(
  request: Request,
  server: Server<unknown>,
  { faults, path }: { faults: FaultBoard; path?: string | undefined },
  connectionOf: (port: number) => Connection,
): Response | undefined {
  if (faults.strikes("upgrade-429", path))
    return new Response("too many requests", { status: 429 });
  if (faults.strikes("upgrade-406", path))
    return new Response("connection limit exceeded", { status: 406 });
  const data = connectionOf(server.requestIP(request)?.port ?? 0);
  return server.upgrade(request, { data })
    ? undefined
    : new Response("a WebSocket is expected", { status: 426 });
}
