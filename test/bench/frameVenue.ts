/**
 * A venue that does nothing but send, in a process of its own: the frames of a
 * file, as many at a time as its parent allows, to whoever listens. Its REST is
 * empty. Argument: the file, one `data` member a line.
 */
import { readFileSync } from "node:fs";
import type { ServerWebSocket } from "bun";

const [path = ""] = process.argv.slice(2);
const frames = readFileSync(path, "utf8")
  .trimEnd()
  .split("\n")
  // The paper venue sends binary frames.
  .map((data) => Buffer.from(`{"stream":"trade_updates","data":${data}}`));
let listener: ServerWebSocket<undefined> | undefined;
let next = 0;

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, own) {
    if (new URL(request.url).pathname !== "/stream") return Response.json([]);
    return own.upgrade(request)
      ? undefined
      : new Response("a WebSocket is expected", { status: 426 });
  },
  websocket: {
    message(socket, message) {
      if (String(message).includes('"auth"'))
        socket.send(
          '{"stream":"authorization","data":{"action":"authenticate","status":"authorized"}}',
        );
      else {
        listener = socket;
        next = 0;
        socket.send(
          '{"stream":"listening","data":{"streams":["trade_updates"]}}',
        );
      }
    },
  },
});

process.on("message", (count: number) => {
  for (const end = Math.min(next + count, frames.length); next < end; next++)
    listener?.send(frames[next]!);
});
process.send?.(server.port);
