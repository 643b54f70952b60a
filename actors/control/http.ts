/** The HTTP server: up before anything else, and answering to the end of a drain. */
import { listen } from "../../src/http/listen.ts";
import { fromResource } from "../supervision/resource.ts";

type App = Parameters<typeof listen>[0];

export interface HttpInput {
  readonly app: App;
  readonly host: string;
  readonly port: number;
}

export const http = fromResource<HttpInput>(
  async ({ input: { app, host, port }, stack, onShutdown, finish, report }) => {
    const server = await listen(app, { host, port });
    stack.defer(() => void server.stop());
    onShutdown(async () => {
      await server.stop();
      finish();
    });
    report({ state: "listening", url: server.url });
  },
);
