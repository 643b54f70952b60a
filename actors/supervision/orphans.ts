/**
 * Orphans: a machine that throws is dead, but XState leaves its children
 * running, and nothing that stops the machine or its parents reaches them
 * (measured on 5.33). Whoever buries a machine has to find them.
 */
import type { AnyActorRef } from "xstate";

/** Every actor below `actor` that still runs although its parent failed. */
export function orphansOf(actor: AnyActorRef): readonly AnyActorRef[] {
  const isDead = actor.getSnapshot().status === "error";
  return childrenOf(actor).flatMap((child) => {
    const isOrphan = isDead && child.getSnapshot().status === "active";
    return isOrphan ? [...orphansOf(child), child] : orphansOf(child);
  });
}

/** The actors a machine spawned or invoked; none for any other actor. */
export function childrenOf(actor: AnyActorRef): readonly AnyActorRef[] {
  const snapshot: { children?: Record<string, AnyActorRef> } =
    actor.getSnapshot();
  return Object.values(snapshot.children ?? {});
}
