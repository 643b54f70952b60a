/**
 * `bun run bench [name…]`: runs the benchmarks, or those that are named, one
 * after the other, each in a process of its own so that none warms up another.
 */
import { join } from "node:path";

const BENCHMARKS = [
  "streamToRows",
  "backfill",
  "idle",
  "firstRow",
  "redisPublish",
  "feedVerdict",
  "quotes",
  "gaps",
  "kafka",
  "dayFile",
];

const named = process.argv.slice(2);
const unknown = named.filter((name) => !BENCHMARKS.includes(name));
if (unknown.length > 0) {
  console.error(
    `no benchmark is called ${unknown.join(", ")}; there are ${BENCHMARKS.join(", ")}`,
  );
  process.exit(2);
}

const failed: string[] = [];
for (const name of named.length > 0 ? named : BENCHMARKS) {
  const child = Bun.spawn(
    [process.execPath, join(import.meta.dir, `${name}.ts`)],
    { stdio: ["ignore", "inherit", "inherit"] },
  );
  process.once("SIGTERM", () => child.kill());
  if ((await child.exited) !== 0) failed.push(name);
}
if (failed.length > 0) console.error(`failed: ${failed.join(", ")}`);
process.exit(failed.length > 0 ? 1 : 0);
