import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SECOND, sleep, within } from "../../src/clock.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");

/** The program as a user starts it, and what it says on stderr. */
class Program implements AsyncDisposable {
  readonly #child;
  readonly #read: Promise<void>;
  #said = "";
  #heard = Promise.withResolvers<void>();

  constructor(...args: readonly string[]) {
    this.#child = Bun.spawn([process.execPath, MAIN, "sim", ...args], {
      env: { PATH: process.env["PATH"], LOG_FORMAT: "json" },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#read = this.#listen(this.#child.stderr);
  }

  /** Where it is, once it has said all that it says at the start. */
  async introduction(): Promise<{ url: string; text: string }> {
    while (!this.#said.includes("/sim\n"))
      await within(20 * SECOND, this.#heard.promise, this.#said);
    const [url = ""] = /http:\S+?(?=,)/.exec(this.#said) ?? [];
    return { url, text: this.#said };
  }

  async ended(): Promise<{ code: number; said: string; log: string }> {
    const log = await new Response(this.#child.stdout).text();
    const code = await this.#child.exited;
    await this.#read;
    return { code, said: this.#said, log };
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal("SIGKILL");
    await this.#child.exited;
  }

  async #listen(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      this.#said += decoder.decode(chunk, { stream: true });
      this.#heard.resolve();
      this.#heard = Promise.withResolvers();
    }
  }
}

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0))
    rmSync(folder, { recursive: true, force: true });
});

function scriptOf(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "feedkeeper-sim-"));
  folders.push(folder);
  const file = join(folder, "faults.json");
  writeFileSync(file, text);
  return file;
}

describe("sim", () => {
  test("says where it is, which keys it takes and what is under /sim; serves with them; and ends with 0 when told to", async () => {
    await using program = new Program("--port", "0", "--seed", "5");
    const { url, text } = await program.introduction();
    expect(text.split("\n")).toEqual([
      `simulated venue at ${url}, trade_updates at ${url.replace("http", "ws")}/stream`,
      expect.stringMatching(/^ {2}account paper: key PK\w+, secret \S+$/),
      expect.stringMatching(/^ {2}account growth: key AK\w+, secret \S+$/),
      `its books, and what can be broken: ${url}/sim`,
      "",
    ]);
    const [, keyId = "", secretKey = ""] =
      /paper: key (\w+), secret (\S+)/.exec(text) ?? [];
    const account = await fetch(`${url}/v2/account`, {
      headers: { "APCA-API-KEY-ID": keyId, "APCA-API-SECRET-KEY": secretKey },
    });
    expect(account.status).toBe(200);
    const books = await fetch(`${url}/sim/books/paper`);
    expect(JSON.parse(await books.text()).orders).toBeGreaterThan(100);
    program.signal("SIGTERM");
    expect(await program.ended()).toEqual({ code: 0, said: text, log: "" });
  });

  test("plays a script of faults and says so in its log, and ends at Ctrl-C", async () => {
    const faults = scriptOf('[{"kind":"rest-500","account":"paper","atMs":0}]');
    await using program = new Program("--port", "0", "--faults", faults);
    const { url, text } = await program.introduction();
    const active = await fetch(`${url}/sim/faults`);
    expect(await active.json()).toEqual([
      { kind: "rest-500", account: "paper" },
    ]);
    program.signal("SIGINT");
    const { code, said, log } = await program.ended();
    expect([code, said]).toEqual([0, text]);
    expect(JSON.parse(log)).toMatchObject({
      message: "fault_injected",
      fault: { kind: "rest-500" },
    });
  });

  test("plays recorded days, at the speed that it is told", async () => {
    const days = join(scriptOf("[]"), "..");
    const startNanos = `${Date.parse("2026-09-16T13:30:00Z")}000000`;
    writeFileSync(
      join(days, "2026-09-16.csv"),
      `ticker,volume,open,close,high,low,window_start,transactions\nAAPL,552,256,256.07,256.19,256,${startNanos},5\n`,
    );
    const flags = ["--port", "0", "--replay", days, "--speed", "600"];
    await using program = new Program(...flags);
    const { url, text } = await program.introduction();
    const [, keyId = "", secretKey = ""] =
      /paper: key (\w+), secret (\S+)/.exec(text) ?? [];
    const bars = async () => {
      const answer = await fetch(
        `${url}/v2/stocks/AAPL/bars?timeframe=1Min&start=2026-09-16`,
        {
          headers: {
            "APCA-API-KEY-ID": keyId,
            "APCA-API-SECRET-KEY": secretKey,
          },
        },
      );
      return JSON.parse(await answer.text()).bars;
    };
    // The minute takes a tenth of a second.
    const deadlineMs = performance.now() + 10 * SECOND;
    while ((await bars()) === null && performance.now() < deadlineMs)
      await sleep(20);
    expect(await bars()).toEqual([
      expect.objectContaining({ o: 256, h: 256.19, l: 256, c: 256.07, v: 552 }),
    ]);
  });

  test("refuses days that are not there, and exits with 2", async () => {
    await using program = new Program("--port", "0", "--replay", "/nowhere");
    const { code, said } = await program.ended();
    expect(code).toBe(2);
    expect(said).toContain("--replay: /nowhere cannot be read");
  });

  test("is told to take another port where its own is taken, and exits with 2", async () => {
    const other = createServer();
    await new Promise<void>((resolve) =>
      other.listen(0, "127.0.0.1", () => resolve()),
    );
    const address = other.address();
    const port =
      typeof address === "object" && address !== null ? address.port : 0;
    try {
      await using program = new Program("--port", String(port));
      const { code, said } = await program.ended();
      expect(code).toBe(2);
      expect(said).toContain(
        `--port: ${port} is taken by another program; name a free one (0 takes any)`,
      );
    } finally {
      other.close();
    }
  });

  test.each<[what: string, file: () => string, complaints: string[]]>([
    [
      "is not there",
      () => "/nowhere/faults.json",
      ["--faults: /nowhere/faults.json cannot be read"],
    ],
    ["is no JSON", () => scriptOf("{"), ["the fault script is no JSON"]],
    [
      "is wrong in two places",
      () => scriptOf('[{"kind":"fall","atMs":0},{"kind":"mute"}]'),
      ["fault 1, kind", "fault 2, atMs"],
    ],
    [
      "names an account that is not there",
      () => scriptOf('[{"kind":"mute","account":"alpha","atMs":0}]'),
      ["there is no account alpha"],
    ],
  ])(
    "refuses a script that %s, and exits with 2",
    async (_, file, complaints) => {
      await using program = new Program("--port", "0", "--faults", file());
      const { code, said } = await program.ended();
      expect(code).toBe(2);
      for (const complaint of complaints) expect(said).toContain(complaint);
    },
  );
});
