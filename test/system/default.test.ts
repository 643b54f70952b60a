/** Nothing configured: a Postgres of its own, a simulated venue, and everything a new user does in the first minutes. */
import { expect, test } from "bun:test";
import { MINUTE, SECOND } from "../../src/clock.ts";
import { readRunFile } from "../../src/commands/runFile.ts";
import { connect } from "../../src/stores/postgres/connect.ts";
import {
  runProgram,
  startService,
  temporaryDirectory,
  until,
} from "../support/service.ts";

test.concurrent(
  "started with nothing configured it captures, proves it, stops clean, and goes on at the next start",
  async () => {
    using directory = temporaryDirectory();
    const environment = { FEEDKEEPER_DIR: directory.path };
    await using first = await startService({
      environment,
      directory: directory.path,
    });
    await until("the first committed row", async () => {
      const url = readRunFile(directory.path)?.postgresUrl;
      if (url === undefined) return false;
      const sql = connect(url, { connectionsMax: 1 });
      try {
        const rows =
          await sql`select 1 from account_activities.raw_orders_paper limit 1`;
        return rows.length > 0;
      } finally {
        await sql.end({ timeout: 1 });
      }
    });
    await first.ready();
    await first.until("the whole past", async () => {
      const { accounts } = await first.status();
      return accounts.every(({ backfill }) => backfill === "done");
    });

    const audit = await runProgram(["audit", "accounts"], environment);
    expect(
      audit.stdout
        .split("\n")
        .map((line) => line.replace(/\d+ compared/, "some compared")),
    ).toEqual([
      "paper orders: some compared, 0 missing, 0 duplicate, 0 differing",
      "paper activities: some compared, 0 missing, 0 duplicate, 0 differing",
      "growth orders: some compared, 0 missing, 0 duplicate, 0 differing",
      "growth activities: some compared, 0 missing, 0 duplicate, 0 differing",
      "audit passed",
      "",
    ]);
    expect(audit.code).toBe(0);
    const status = await runProgram(["status"], environment);
    expect(status).toMatchObject({ code: 0, stderr: "" });
    expect(status.stdout).toContain("account paper: streaming");
    const tree = await runProgram(["tree"], environment);
    expect(tree).toMatchObject({ code: 0, stderr: "" });
    expect(tree.stdout).toContain(
      "      account/growth: running\n        stream: linked.streaming\n",
    );

    const second = await runProgram([], environment);
    expect(second).toEqual({
      code: 2,
      stdout: "",
      stderr: `FEEDKEEPER_DIR: another feedkeeper runs in ${directory.path}; stop it or choose another directory\n`,
    });

    const { code, receipt, tookMs } = await first.stop();
    expect(code).toBe(0);
    expect(tookMs).toBeLessThan(10 * SECOND);
    expect(receipt).toMatchObject({ level: "INFO", undelivered: 0 });
    expect(first.lines.filter(({ level }) => level !== "INFO")).toEqual([]);
    expect(readRunFile(directory.path)).toBeUndefined();

    await using next = await startService({
      environment,
      directory: directory.path,
    });
    await next.ready();
    const again = await runProgram(["audit", "accounts"], environment);
    expect(again.stdout).toEndWith("audit passed\n");
    expect((await next.stop()).code).toBe(0);
  },
  2 * MINUTE,
);
