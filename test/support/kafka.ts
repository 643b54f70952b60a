/** Brokers for tests, each of which may take its own away; all go behind the last test of the file. */
import { afterAll } from "bun:test";
import { type BrokerServer, startBrokerServer } from "./kafkaServer.ts";

export type Broker = Pick<BrokerServer, "address" | "start" | "stop">;

export async function startBroker(): Promise<Broker> {
  const server = await startBrokerServer();
  leavers.push(server.leave);
  return server;
}

const leavers: (() => Promise<void>)[] = [];

afterAll(async () => {
  await Promise.all(leavers.splice(0).map((leave) => leave()));
});
