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
import { PeerSocket, ScriptedNetwork } from "../../support/network.ts";

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

/** The far end of one connection of an account. */
export class ScriptedSocket extends PeerSocket {
  readonly sent: string[] = [];

  send(text: string): void {
    this.sent.push(text);
  }

  /** An object is sent as its JSON text. */
  says(frame: string | Uint8Array | object): this {
    const isSent = typeof frame === "string" || frame instanceof Uint8Array;
    if (this.isOpen)
      this.listener.frame(isSent ? frame : JSON.stringify(frame));
    return this;
  }

  /** The whole handshake. */
  accepts(): this {
    return this.opens().says(AUTHORIZED).says(LISTENING);
  }
}

export interface Stage extends Script {
  readonly run: AccountRun;
  readonly network: ScriptedNetwork<ScriptedSocket>;
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
  return { ...script, run, network: new ScriptedNetwork(ScriptedSocket) };
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
