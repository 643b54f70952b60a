/**
 * The real program as a child process with an environment of its own, and what a
 * test wants of it: to be waited for, asked, read, stopped, killed.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Health, ServiceStatus, TreeNode } from "../../schema/service.ts";
import { SECOND, sleep } from "../../src/clock.ts";
import { readRunFile } from "../../src/commands/runFile.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const LOOK_EVERY_MS = 40;
/** A drain takes 10 s at most. */
const STOP_MS_MAX = 12 * SECOND;

export type Environment = Readonly<Record<string, string>>;

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly [member: string]: unknown;
}

export interface Exit {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ServiceOptions {
  readonly environment: Environment;
  /** Kept by the caller; otherwise one that goes with the service. */
  readonly directory?: string;
  readonly args?: readonly string[];
  /** No file of the service may become longer than this. */
  readonly fileBytesMax?: number;
}

/** What a program of ours needs of ours: everything else is the test's to say. */
function ownEnvironment(given: Environment): Environment {
  const { PATH = "", HOME = "", TMPDIR = tmpdir() } = process.env;
  return { PATH, HOME, TMPDIR, LOG_FORMAT: "json", ...given };
}

/** Runs a command to its end. */
export async function runProgram(
  args: readonly string[],
  environment: Environment,
): Promise<Exit> {
  const child = Bun.spawn([process.execPath, MAIN, ...args], {
    env: ownEnvironment(environment),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

/** A folder that is removed when the test is over. */
export function temporaryDirectory(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "feedkeeper-system-"));
  return {
    path,
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** Starts `serve` and waits until it says that it has started. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const service = new Service(options);
  await service.logged("service_started");
  return service;
}

export class Service implements AsyncDisposable {
  readonly directory: string;
  readonly lines: LogLine[] = [];
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #folder: Disposable | undefined;
  readonly #read: Promise<unknown>;
  #words = "";

  constructor({ environment, directory, args, fileBytesMax }: ServiceOptions) {
    const folder = directory === undefined ? temporaryDirectory() : undefined;
    this.#folder = folder;
    this.directory = directory ?? folder?.path ?? "";
    const command = [process.execPath, MAIN, ...(args ?? [])];
    this.#child = Bun.spawn(limited(command, fileBytesMax), {
      env: ownEnvironment({
        PORT: "0",
        FEEDKEEPER_DIR: this.directory,
        ...environment,
      }),
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#read = Promise.all([
      readLines(this.#child.stdout, (line) => this.#take(line)),
      readLines(this.#child.stderr, (line) => (this.#words += `${line}\n`)),
    ]);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** What came on stderr, and on stdout that is no line of the log. */
  get words(): string {
    return this.#words;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The first line of this message (with these members), as soon as there is one. */
  async logged(
    message: string,
    members: Readonly<Record<string, unknown>> = {},
    withinMs = 30 * SECOND,
  ): Promise<LogLine> {
    const find = () => this.#find(message, members);
    await this.until(
      `the line ${message} ${JSON.stringify(members)}`,
      () => find() !== undefined || !this.isRunning,
      withinMs,
    );
    const line = find();
    if (line === undefined)
      throw new Error(
        `the service ended without saying ${message}\n${this.tail()}`,
      );
    return line;
  }

  /** Polls until `condition` holds; says what the service said last when it never does. */
  until(
    what: string,
    condition: () => unknown,
    withinMs = 30 * SECOND,
  ): Promise<void> {
    return until(what, condition, withinMs, () => this.tail());
  }

  /** Resolves once `/health/ready` answers 200. */
  ready(withinMs = 45 * SECOND): Promise<void> {
    return this.until(
      "readiness",
      async () => (await this.answer("/health/ready")).status === 200,
      withinMs,
    );
  }

  async answer(path: string): Promise<Response> {
    const url = readRunFile(this.directory)?.httpUrl;
    if (url === undefined) throw new Error(`no service runs\n${this.tail()}`);
    return fetch(`${url}${path}`, { signal: AbortSignal.timeout(5 * SECOND) });
  }

  health = () => this.#json<Health>("/health");
  status = () => this.#json<ServiceStatus>("/api/v1/status");
  tree = () => this.#json<TreeNode>("/api/v1/tree");

  /** State of an account's stream, as the status shows it. */
  async stateOf(account: string): Promise<string | undefined> {
    const { accounts } = await this.status();
    return accounts.find((each) => each.account === account)?.state;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** SIGTERM, and what it came to. */
  async stop(): Promise<{ code: number; receipt: LogLine; tookMs: number }> {
    const startedMs = Date.now();
    this.signal("SIGTERM");
    const code = await this.exit();
    const tookMs = Date.now() - startedMs;
    const receipt = this.#find("service_stopped", {});
    if (receipt === undefined)
      throw new Error(`no stop receipt\n${this.tail()}`);
    return { code, receipt, tookMs };
  }

  /** SIGKILL: at any instant, without a word. */
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.#child.exited;
  }

  /** The exit code, when everything it said has been read. */
  async exit(withinMs = STOP_MS_MAX): Promise<number> {
    await this.until("the end of the service", () => !this.isRunning, withinMs);
    await this.#read;
    return this.#child.exitCode ?? -1;
  }

  /** The last lines, for whoever has to find out what went wrong. */
  tail(): string {
    const last = this.lines.slice(-25).map((line) => JSON.stringify(line));
    return [...last, this.#words].join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isRunning) {
      this.signal("SIGCONT");
      this.signal("SIGTERM");
      await Promise.race([this.#child.exited, sleep(STOP_MS_MAX)]);
      this.signal("SIGKILL");
      await this.#child.exited;
    }
    this.#folder?.[Symbol.dispose]();
  }

  async #json<Answer>(path: string): Promise<Answer> {
    const response = await this.answer(path);
    // Our own service: the shapes are checked where they are made.
    return (await response.json()) as Answer;
  }

  #find(
    message: string,
    members: Readonly<Record<string, unknown>>,
  ): LogLine | undefined {
    return this.lines.find(
      (line) =>
        line.message === message &&
        Object.entries(members).every(([name, value]) =>
          Bun.deepEquals(line[name], value),
        ),
    );
  }

  #take(line: string): void {
    try {
      this.lines.push(JSON.parse(line));
    } catch {
      this.#words += `${line}\n`;
    }
  }
}

/** Polls until `condition` holds; an error counts as "not yet", and is told when time is up. */
export async function until(
  what: string,
  condition: () => unknown,
  withinMs = 30 * SECOND,
  context: () => string = () => "",
): Promise<void> {
  const dueMs = Date.now() + withinMs;
  for (;;) {
    let failure: unknown;
    try {
      if (await condition()) return;
    } catch (error) {
      failure = error;
    }
    if (Date.now() > dueMs)
      throw new Error(`not within ${withinMs} ms: ${what}\n${context()}`, {
        cause: failure,
      });
    await sleep(LOOK_EVERY_MS);
  }
}

/** Polls until `read` gives nothing that is amiss; what is amiss then is the failure. */
export async function untilNothing(
  what: string,
  read: () => Promise<readonly string[]>,
  withinMs = 30 * SECOND,
): Promise<void> {
  let amiss: readonly string[] = [];
  await until(
    what,
    async () => {
      amiss = await read();
      return amiss.length === 0;
    },
    withinMs,
    () => amiss.slice(0, 20).join("\n"),
  );
}

/** A full disk for everyone: writing behind the limit fails, as it does behind the end of a disk. */
function limited(
  command: readonly string[],
  fileBytesMax: number | undefined,
): string[] {
  if (fileBytesMax === undefined) return [...command];
  const blocks = Math.ceil(fileBytesMax / 1024);
  // Ignored, the signal becomes an error of the write; only the soft limit, so that it may be lifted.
  const script = `trap '' XFSZ; ulimit -S -f ${blocks}; exec "$@"`;
  return ["bash", "-c", script, "bash", ...command];
}

async function readLines(
  stream: ReadableStream<Uint8Array>,
  take: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) take(line);
  }
  if (rest !== "") take(rest);
}
