/**
 * What an actor is doing, in a word, and since when. XState keeps no time with
 * a state, so the inspector (lifecycle.ts) notes each change here; actors that
 * are gone fall out of the notes by themselves.
 */
import type { ActorRefLike, StateValue } from "xstate";
import type { Report } from "./resource.ts";

interface Note {
  readonly state: string;
  /** ISO UTC. */
  readonly since: string;
}

const notes = new WeakMap<ActorRefLike, Note>();

/** A machine's state value with dots, a resource's reported `state`; of one that ended, how. */
export function stateOf(actor: ActorRefLike): string {
  const snapshot: Look = actor.getSnapshot();
  switch (snapshot.status) {
    case "done":
      return "finished";
    case "error":
      return "failed";
    case "stopped":
      return "stopped";
    default: {
      if (snapshot.value !== undefined) return dotted(snapshot.value);
      const reported = snapshot.report?.["state"];
      return typeof reported === "string" ? reported : "running";
    }
  }
}

/** What an actor wishes to show: a resource's report, or `report` in a machine's context. */
export function reportOf(actor: ActorRefLike): Report | undefined {
  const snapshot: Look = actor.getSnapshot();
  return snapshot.report ?? snapshot.context?.report;
}

/** When it entered its state, as far as anyone watched. */
export function sinceOf(actor: ActorRefLike): string | undefined {
  return notes.get(actor)?.since;
}

/** Notes the present state; returns the one before when it is another one. */
export function noteState(actor: ActorRefLike): string | undefined {
  const state = stateOf(actor);
  const before = notes.get(actor)?.state;
  if (before === state) return undefined;
  notes.set(actor, { state, since: new Date().toISOString() });
  return before;
}

/** The members of a snapshot that matter here; which of them there are depends on the kind of actor. */
interface Look {
  readonly status: string;
  readonly value?: StateValue;
  readonly context?: { readonly report?: Report };
  readonly report?: Report;
}

/** `{ streaming: "live" }` is `streaming.live`; parallel regions are joined by `+`. */
function dotted(value: StateValue): string {
  if (typeof value === "string") return value;
  return Object.entries(value)
    .map(([name, below]) =>
      below === undefined || isEmpty(below) ? name : `${name}.${dotted(below)}`,
    )
    .join("+");
}

function isEmpty(value: StateValue): boolean {
  return typeof value !== "string" && Object.keys(value).length === 0;
}
