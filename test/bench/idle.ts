/**
 * 200 accounts in one process, connected to a venue in another, with nothing to
 * do: the share of one core it takes over a minute, and its memory. The figures
 * are the service's own, as it tells them under `/metrics`.
 */
import { join } from "node:path";
import { MINUTE, SECOND, sleep } from "../../src/clock.ts";
import { readRunFile } from "../../src/commands/runFile.ts";
import { openPlace } from "./place.ts";
import { hundredths, sayTarget, whole } from "./rounds.ts";
import { spawnChild } from "./spawn.ts";
import { accountAt } from "./venueAccount.ts";

const ACCOUNTS = 200;
const CORE_PERCENT_MAX = 5;
const RESIDENT_MAX = 300;
const MEGABYTE = 1024 * 1024;
const READY_MS_MAX = 2 * MINUTE;
/** The history is empty, but it has to be asked for: that is not idling yet. */
const SETTLING_MS = 20 * SECOND;
const MEASURED_MS = MINUTE;

await using place = await openPlace();
await using venue = await spawnChild<string>("venueProcess.ts", [
  String(ACCOUNTS),
]);
const directory = join(place.directory, "service");
const service = Bun.spawn(
  [process.execPath, join(import.meta.dir, "../../src/main.ts")],
  {
    env: {
      PATH: process.env["PATH"],
      DESTINATIONS: JSON.stringify(
        Array.from({ length: ACCOUNTS }, (_, index) => {
          const account = accountAt(venue.told, index + 1);
          return {
            name: account.name,
            base_url: account.restUrl,
            key_id: account.keyId,
            secret_key: account.secretKey,
          };
        }),
      ),
      POSTGRESQL_LIVE_CONN_STRING: place.url,
      FEEDKEEPER_DIR: directory,
      FEEDKEEPER_ROLES: "accounts,http",
      // Five times as often as by default, so that the minute holds a healing of each.
      HEALING_INTERVAL_SEC: "60",
      PORT: "0",
      LOG_LEVEL: "ERROR",
    },
    stdio: ["ignore", "inherit", "inherit"],
  },
);
try {
  const url = await whenReady();
  await sleep(SETTLING_MS);
  const before = await reading(url);
  await sleep(MEASURED_MS);
  const after = await reading(url);

  const percent =
    ((after.cpuSeconds - before.cpuSeconds) * 100 * SECOND) /
    (after.atMs - before.atMs);
  const resident = after.residentBytes / MEGABYTE;
  console.log(
    `idle: ${ACCOUNTS} accounts, ${whole((after.atMs - before.atMs) / SECOND)} s`,
  );
  sayTarget(
    `${hundredths(percent)} % of one core`,
    `under ${CORE_PERCENT_MAX} %`,
    percent < CORE_PERCENT_MAX,
  );
  sayTarget(
    `${whole(resident)} MB resident`,
    `under ${RESIDENT_MAX} MB`,
    resident < RESIDENT_MAX,
  );
} finally {
  service.kill("SIGTERM");
  await service.exited;
}

/** Waits until every account streams; answers where the service's HTTP is. */
async function whenReady(): Promise<string> {
  for (const deadline = Date.now() + READY_MS_MAX; Date.now() < deadline;) {
    const url = readRunFile(directory)?.httpUrl;
    if (url !== undefined) {
      const answer = await fetch(`${url}/health/ready`).catch(() => undefined);
      if (answer?.ok === true) return url;
    }
    if (service.exitCode !== null)
      throw new Error(`the service ended with ${service.exitCode}`);
    await sleep(SECOND / 4);
  }
  throw new Error("the service did not become ready");
}

async function reading(url: string) {
  const answer = await fetch(`${url}/metrics`);
  const text = await answer.text();
  const valueOf = (name: string): number => {
    const value = new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1];
    if (value === undefined) throw new Error(`no ${name} under /metrics`);
    return Number(value);
  };
  return {
    atMs: performance.now(),
    cpuSeconds: valueOf("process_cpu_seconds_total"),
    residentBytes: valueOf("process_resident_memory_bytes"),
  };
}
