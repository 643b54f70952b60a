/**
 * The Firestore emulator for the test run: the one of `FIRESTORE_EMULATOR_HOST`,
 * else one that is started when the first test asks for it. Documents are read
 * back with the official client.
 */
import { afterAll } from "bun:test";
import type { Firestore } from "@google-cloud/firestore";
import { SECOND, sleep } from "../../src/clock.ts";
import { freePort } from "../../src/http/listen.ts";
import { type Door, openDoor } from "./door.ts";

export type Document = Readonly<Record<string, unknown>>;

interface Shared {
  /** `host:port`. */
  readonly emulator: string;
  readonly client: Firestore;
  stop(): Promise<void>;
}

const PROJECT = "feedkeeper";

const GIVEN = process.env["FIRESTORE_EMULATOR_HOST"];
// The official client would go there whatever it is told, past every door.
delete process.env["FIRESTORE_EMULATOR_HOST"];

let starting: Promise<Shared> | undefined;
let tenants = 0;

/** The way to the emulator as the product sees it; `host` is as `FIRESTORE_EMULATOR_HOST` has it. */
export async function openFirestoreDoor(): Promise<Door> {
  return openDoor(`http://${(await shared()).emulator}`);
}

/** A tenant that nobody has written to. */
export function newTenant(): string {
  return `tenant-${process.pid}-${++tenants}`;
}

/** A document, times as ISO text; undefined when there is none. */
export async function readDocument(
  path: string,
): Promise<Document | undefined> {
  const { client } = await shared();
  return shown((await client.doc(path).get()).data());
}

/** Documents of a collection by their ids. */
export async function readDocuments(
  path: string,
): Promise<Record<string, Document>> {
  const { client } = await shared();
  const { docs } = await client.collection(path).get();
  return Object.fromEntries(
    docs.map((document) => [document.id, shown(document.data()) ?? {}]),
  );
}

export async function putDocument(
  path: string,
  members: Document,
): Promise<void> {
  const { client } = await shared();
  await client.doc(path).set(members);
}

/** An emulator of one's own, at a port where it can be stopped and started; what it knew is gone then. */
export async function startEmulator(
  port: number,
): Promise<{ readonly emulator: string; stop(): void }> {
  const { FirestoreServer } = await import("@firestore-emulator/server");
  const server = new FirestoreServer();
  // It listens a moment after the one before has stopped.
  for (const deadline = Date.now() + 5 * SECOND; ; await sleep(20))
    try {
      await server.start(port);
      return {
        emulator: `127.0.0.1:${port}`,
        stop: () => void server.stop(),
      };
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
}

function shared(): Promise<Shared> {
  return (starting ??= start());
}

async function start(): Promise<Shared> {
  if (GIVEN !== undefined && GIVEN !== "") {
    return sharedAt(GIVEN, () => {});
  }
  const port = await freePort("127.0.0.1");
  const { emulator, stop } = await startEmulator(port);
  return sharedAt(emulator, stop);
}

async function sharedAt(emulator: string, stop: () => void): Promise<Shared> {
  // Loaded only where it is used: this file is loaded with every test.
  const { Firestore } = await import("@google-cloud/firestore");
  const client = new Firestore({
    projectId: PROJECT,
    host: emulator,
    ssl: false,
    // Or it would look for credentials.
    clientOptions: { universeDomain: "googleapis.com" },
  });
  return {
    emulator,
    client,
    async stop() {
      await client.terminate();
      stop();
    },
  };
}

function shown(members: Document | undefined): Document | undefined {
  return (
    members &&
    Object.fromEntries(
      Object.entries(members).map(([name, value]) => [name, plain(value)]),
    )
  );
}

function plain(value: unknown): unknown {
  return typeof value === "object" && value !== null && "toDate" in value
    ? (value as { toDate(): Date }).toDate().toISOString()
    : value;
}

/** Preloaded by bunfig.toml, so this runs once, behind the last test file. */
afterAll(async () => {
  if (starting === undefined) return;
  const { stop } = await starting;
  starting = undefined;
  await stop();
});
