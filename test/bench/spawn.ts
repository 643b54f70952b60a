/** A part of a benchmark in a process of its own: it tells something when it is ready, and is ended with the benchmark. */
import { join } from "node:path";

export interface ChildProcess<Told> extends AsyncDisposable {
  readonly pid: number;
  /** What it told first. */
  readonly told: Told;
  send(message: unknown): void;
  /** The next thing it tells. */
  next(): Promise<Told>;
}

/** Runs a file of this folder. @throws Error when it ends before it told anything. */
export async function spawnChild<Told>(
  file: string,
  parameters: readonly string[],
): Promise<ChildProcess<Told>> {
  const heard: Told[] = [];
  let waiting: PromiseWithResolvers<Told> | undefined;
  const child = Bun.spawn(
    [process.execPath, join(import.meta.dir, file), ...parameters],
    {
      stdio: ["ignore", "inherit", "inherit"],
      ipc(message: Told) {
        if (waiting === undefined) heard.push(message);
        else waiting.resolve(message);
        waiting = undefined;
      },
      onExit(_, code) {
        waiting?.reject(new Error(`${file} ended with ${code}`));
      },
    },
  );
  const end = () => child.kill("SIGKILL");
  process.once("exit", end);
  async function next(): Promise<Told> {
    const [first] = heard.splice(0, 1);
    if (first !== undefined) return first;
    waiting = Promise.withResolvers<Told>();
    return waiting.promise;
  }
  return {
    pid: child.pid,
    told: await next(),
    send: (message) => void child.send(message),
    next,
    async [Symbol.asyncDispose]() {
      end();
      await child.exited;
    },
  };
}
