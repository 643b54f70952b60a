/** An S3 server that nobody here wrote (s3rver), in a process of its own, with the folder of the venue's day files. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { S3Client } from "bun";
import { SECOND, sleep } from "../../../src/clock.ts";
import type { FlatFilesAccess } from "../../../src/venues/polygon/flatFiles.ts";

/** It knows one pair of keys, and looks at the first of them only: it does not reckon signatures of this kind. */
const KEY = "S3RVER";
const BUCKET = "flatfiles";

const SERVER = `
const S3rver = require("s3rver");
new S3rver({
  port: 0,
  address: "127.0.0.1",
  silent: true,
  directory: process.env.DIRECTORY,
  configureBuckets: [{ name: "${BUCKET}" }],
}).run((error, address) => {
  if (error) throw error;
  console.log(address.port);
});`;

export interface FileStore {
  readonly access: FlatFilesAccess;
  /** A file, which replaces one that is there. */
  put(key: string, content: Uint8Array | Bun.BunFile): Promise<void>;
  stop(): Promise<void>;
}

export async function openFileStore(): Promise<FileStore> {
  const directory = mkdtempSync(join(tmpdir(), "feedkeeper-test-s3-"));
  const child = Bun.spawn([process.execPath, "-e", SERVER], {
    cwd: join(import.meta.dir, "../../.."),
    env: { ...process.env, DIRECTORY: directory },
    stdout: "pipe",
    stderr: "inherit",
  });
  const { value } = await child.stdout.getReader().read();
  const port = Number(new TextDecoder().decode(value));
  if (!(port > 0)) throw new Error("s3rver does not start");
  const endpoint = `http://127.0.0.1:${port}`;
  const client = new S3Client({
    endpoint,
    bucket: BUCKET,
    accessKeyId: KEY,
    secretAccessKey: KEY,
  });
  return {
    access: { endpoint, bucket: BUCKET, accessKey: KEY, secretKey: KEY },
    async put(key, content) {
      await client.write(key, content);
      // s3rver answers before the file is written.
      const deadline = Date.now() + 10 * SECOND;
      while (!(await holds(client, key, content))) {
        if (Date.now() > deadline) throw new Error(`${key} is not written`);
        await sleep(5);
      }
    },
    async stop() {
      child.kill();
      await child.exited;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function holds(
  client: S3Client,
  key: string,
  content: Uint8Array | Bun.BunFile,
): Promise<boolean> {
  return content instanceof Uint8Array
    ? Buffer.compare(await client.file(key).bytes(), content) === 0
    : (await client.stat(key)).size === content.size;
}
