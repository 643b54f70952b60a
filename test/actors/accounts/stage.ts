/**
 * A stage for the account actors: the account of a script under fake time, and a
 * network whose far end is played by the test. Every dial, hang-up and cut is
 * written down with its second.
 */
import { jest } from "bun:test";
import { type Actor, type AnyActor, createActor } from "xstate";
import { createLink } from "../../../actors/accounts/link.ts";
import { stream } from "../../../actors/accounts/stream.ts";
import type {
  Closing,
  dial,
  Socket,
  SocketListener,
} from "../../../actors/sources/socket.ts";
import type {
  Report,
  ResourceLogic,
} from "../../../actors/supervision/resource.ts";
import { reportOf, stateOf } from "../../../actors/supervision/state.ts";
import type { TaskMessage } from "../../../actors/supervision/task.ts";
import type { AccountRun } from "../../../src/accounts/run.ts";
import { MINUTE, SECOND, systemClock } from "../../../src/clock.ts";
import { DialSchedule } from "../../../src/flow/dials.ts";
import {
  accountScript,
  type Members,
  NOW,
  type Script,
} from "../../support/accountScript.ts";

export const AUTHORIZED = {
  stream: "authorization",
  data: { status: "authorized", action: "authenticate" },
};
export const LISTENING = {
  stream: "listening",
  data: { streams: ["trade_updates"] },
};
export const UNAUTHORIZED = {
  stream: "authorization",
  data: {
    message: "code=401, message=Unauthorized",
    status: "unauthorized",
  },
};
/** How a connection that just broke is told. */
export const BROKEN: Closing = { code: 1006, reason: "cut" };

/** A trade update as the venue sends it. */
export function update(data: Members): Members {
  return { stream: "trade_updates", data };
}

/** Fake time from {@link NOW} on. Call it before anything is made that sets timers. */
export function fakeTime(): void {
  jest.useFakeTimers();
  jest.setSystemTime(new Date(NOW));
}

/** Whatever is under way without waiting for time has happened. */
export function settled(): Promise<void> {
  // The immediate queue is not faked, and runs after every microtask.
  return new Promise((resolve) => setImmediate(resolve));
}

/** Lets time pass in steps, so that what one timer starts can set the next one. */
export async function elapse(ms: number, stepMs = 250): Promise<void> {
  await settled();
  for (let leftMs = ms; leftMs > 0; leftMs -= stepMs) {
    jest.advanceTimersByTime(Math.min(stepMs, leftMs));
    await settled();
  }
}

/** Seconds since the test began. */
export function seconds(): number {
  return (Date.now() - NOW) / SECOND;
}

/** The far end of one connection. */
export class ScriptedSocket implements Socket {
  readonly sent: string[] = [];
  /** When each ping was asked for beyond the regular ones. */
  readonly pings: number[] = [];
  #isOpen = true;

  constructor(
    readonly listener: SocketListener,
    readonly log: (what: string) => void,
  ) {}

  get isOpen(): boolean {
    return this.#isOpen;
  }

  send(text: string): void {
    this.sent.push(text);
  }

  ping(): void {
    this.pings.push(Date.now());
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.log("hang up");
  }

  opens(): this {
    if (this.#isOpen) this.listener.opened();
    return this;
  }

  /** An object is sent as its JSON text. */
  says(frame: string | Uint8Array | object): this {
    const isSent = typeof frame === "string" || frame instanceof Uint8Array;
    if (this.#isOpen)
      this.listener.frame(isSent ? frame : JSON.stringify(frame));
    return this;
  }

  /** Answers the ping sent at `sentAtMs`. */
  pongs(sentAtMs = Date.now()): this {
    if (this.#isOpen) this.listener.ponged(sentAtMs);
    return this;
  }

  cuts(closing = BROKEN): this {
    if (!this.#isOpen) return this;
    this.#isOpen = false;
    this.log("cut");
    this.listener.closed(closing);
    return this;
  }

  /** The whole handshake. */
  accepts(): this {
    return this.opens().says(AUTHORIZED).says(LISTENING);
  }
}

/** Where every dial of an account ends. */
export class ScriptedNetwork {
  /** `0 dial`, `10 hang up`, `12 cut`: the second, and what happened. */
  readonly log: string[] = [];
  readonly sockets: ScriptedSocket[] = [];
  /** What the peer does with a connection, once it is dialled. */
  peer: (socket: ScriptedSocket) => void = () => {};

  readonly dial: typeof dial = (_url, listener) => {
    const note = (what: string) => this.log.push(`${seconds()} ${what}`);
    const socket = new ScriptedSocket(listener, note);
    note("dial");
    this.sockets.push(socket);
    queueMicrotask(() => this.peer(socket));
    return socket;
  };

  get last(): ScriptedSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error("nobody has dialled");
    return socket;
  }

  get open(): number {
    return this.sockets.filter(({ isOpen }) => isOpen).length;
  }

  /** Seconds at which it was dialled. */
  get dials(): number[] {
    return this.log
      .filter((line) => line.endsWith(" dial"))
      .map((line) => Number(line.split(" ")[0]));
  }
}

export interface Stage extends Script {
  readonly run: AccountRun;
  readonly network: ScriptedNetwork;
}

/** A dial schedule of one second, doubled up to a minute, with the longest of its random waits. */
export function accountStage(
  settings: Parameters<typeof accountScript>[0] & Partial<AccountRun> = {},
): Stage {
  const script = accountScript(settings);
  const run = {
    ...script.run,
    clock: systemClock,
    dials: new DialSchedule({ baseMs: SECOND, maxMs: MINUTE }, () => 1),
    ...settings,
    store: script.store,
  };
  return { ...script, run, network: new ScriptedNetwork() };
}

/** The stream's machine with the stage's network in the place of the real one. */
export function streamOn({ network }: Pick<Stage, "network">): typeof stream {
  return stream.provide({ actors: { link: createLink(network.dial) } });
}

export interface StreamRun {
  readonly actor: Actor<typeof stream>;
  /** Every state it was in, in order. */
  readonly states: string[];
  readonly errors: unknown[];
}

export function startStream(stage: Stage): StreamRun {
  const actor = createActor(streamOn(stage), { input: stage.run });
  const states: string[] = [];
  const errors: unknown[] = [];
  const look = () => {
    const state = stateOf(actor);
    if (states.at(-1) !== state) states.push(state);
  };
  actor.subscribe({ next: look, error: (error) => errors.push(error) });
  actor.start();
  return { actor, states, errors };
}

/** The innermost state, and what the actor shows of itself. */
export function shown({ actor }: StreamRun): Record<string, unknown> {
  return { state: stateOf(actor), ...reportOf(actor) };
}

export interface TaskRun {
  readonly actor: AnyActor;
  /** Every report, in order, without those that repeat the last one. */
  readonly reports: Report[];
  readonly errors: unknown[];
}

/** Starts one of the account's tasks by itself. */
export function startTask(
  logic: ResourceLogic<AccountRun, TaskMessage>,
  { run }: Stage,
): TaskRun {
  const actor = createActor(logic, { input: run });
  const reports: Report[] = [];
  const errors: unknown[] = [];
  const look = () => {
    const report = reportOf(actor);
    if (report !== undefined && report !== reports.at(-1)) reports.push(report);
  };
  actor.subscribe({ next: look, error: (error) => errors.push(error) });
  actor.start();
  return { actor, reports, errors };
}

/** The words of a task's reports, repeats left out. */
export function wordsOf({ reports }: TaskRun): unknown[] {
  const words = reports.map((report) => report["state"]);
  return words.filter((word, index) => word !== words[index - 1]);
}
