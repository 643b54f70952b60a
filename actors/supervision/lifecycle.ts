/**
 * One line for each start, exit and change of state of a supervised actor, told
 * by XState's inspector; otherwise quiet. Nothing is remembered here of an
 * actor that is gone, and of messages only the type is looked at.
 */
import type {
  ActorRefLike,
  AnyActorRef,
  AnyEventObject,
  InspectionEvent,
} from "xstate";
import type { Logger } from "../../src/log.ts";
import { find } from "./members.ts";
import { noteState, reportOf, stateOf } from "./state.ts";
import type { Reminder } from "./supervisor.ts";
import { bookOf, pathOf } from "./tree.ts";

/** For `createActor(supervisor, { inspect: watchLifecycle(log) })`. */
export function watchLifecycle(
  log: Logger,
): (inspectionEvent: InspectionEvent) => void {
  return (inspected) => {
    const { actorRef } = inspected;
    if (!isActor(actorRef)) return;
    switch (inspected.type) {
      case "@xstate.event":
        return onEvent(log, actorRef, inspected.event, inspected.sourceRef);
      case "@xstate.snapshot":
        return onSnapshot(log, actorRef, inspected.snapshot);
      case "@xstate.action":
        return onAction(log, actorRef, inspected.action.params);
    }
  };
}

function onEvent(
  log: Logger,
  target: AnyActorRef,
  event: AnyEventObject,
  source: ActorRefLike | undefined,
): void {
  if (event.type === "xstate.init") {
    noteState(target);
    if (isWatched(target))
      log.info(
        { actor: nameOf(target), state: stateOf(target) },
        "actor_started",
      );
    return;
  }
  const book = bookOf(target);
  if (book === undefined) return;
  if (event.type === "grace.over") {
    if (find(book.members, event["actorId"])?.phase === "asked")
      log.warn({ actor: nameOf(target, event["actorId"]) }, "actor_killed");
  } else if (event.type === "child.added") {
    if (find(book.members, event["child"].id) !== undefined)
      log.warn({ actor: nameOf(target, event["child"].id) }, "actor_refused");
  } else if (source !== undefined && isActor(source) && isWatched(source)) {
    if (event.type.startsWith("xstate.done.actor."))
      log.info({ actor: nameOf(source) }, "actor_finished");
    if (event.type.startsWith("xstate.error.actor."))
      log.warn(
        { actor: nameOf(source), error: event["error"] },
        "actor_failed",
      );
  }
}

/** States in which something does not go where it should: a line that nobody has to look for. */
const TROUBLES: ReadonlySet<string> = new Set(["refused", "spooling", "full"]);

/** Why it is in its state, where it says so. */
function reasonOf(actor: AnyActorRef): string | undefined {
  const { reason, lastError } = reportOf(actor) ?? {};
  return [reason, lastError].find((each) => typeof each === "string");
}

function onSnapshot(
  log: Logger,
  actor: AnyActorRef,
  { status, error }: { status: string; error: unknown },
): void {
  if (status === "active") {
    const from = noteState(actor);
    if (from === undefined || !isWatched(actor)) return;
    const state = stateOf(actor);
    const reason = reasonOf(actor);
    const change = {
      actor: nameOf(actor),
      from,
      state,
      ...(reason === undefined ? {} : { reason }),
    };
    if (TROUBLES.has(state)) log.warn(change, "actor_state_changed");
    else log.info(change, "actor_state_changed");
  } else if (actor._parent === undefined) {
    // Nobody is told of the root's end, so its last snapshot has to say it.
    if (status === "error")
      log.warn({ actor: nameOf(actor), error }, "actor_failed");
    if (status === "done") log.info({ actor: nameOf(actor) }, "actor_finished");
  }
}

/** A supervisor that sets itself a reminder to restart a child knows how long it will wait. */
function onAction(log: Logger, actor: AnyActorRef, params: unknown): void {
  if (!isRestartReminder(params) || bookOf(actor) === undefined) return;
  const { event, delay } = params;
  log.info(
    {
      actor: nameOf(actor, event.id),
      failures: event.failures,
      delayMs: delay,
    },
    "actor_restarting",
  );
}

/** The root, and what is in its supervisor's book; not the parts of a machine. */
function isWatched(actor: AnyActorRef): boolean {
  if (actor._parent === undefined) return true;
  const member = find(bookOf(actor._parent)?.members ?? [], actor.id);
  return member?.actor === actor;
}

function nameOf(actor: AnyActorRef, childId?: string): string {
  const names = [pathOf(actor), childId].filter(Boolean);
  return names.join("/") || "root";
}

function isActor(actor: ActorRefLike): actor is AnyActorRef {
  return "system" in actor;
}

/** What XState's `raise` is given for a delayed `restart.due`. */
interface RestartReminder {
  readonly event: Extract<Reminder, { type: "restart.due" }>;
  readonly delay: number;
}

function isRestartReminder(params: unknown): params is RestartReminder {
  return (
    typeof params === "object" &&
    params !== null &&
    "event" in params &&
    typeof params.event === "object" &&
    params.event !== null &&
    "type" in params.event &&
    params.event.type === "restart.due"
  );
}
