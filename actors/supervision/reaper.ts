/**
 * The reaper: a machine that throws is dead, but XState leaves its children
 * running, and whatever stops the machine or its parents later does not reach
 * them (measured on 5.33). So the moment any actor of the system fails, what
 * it left running is stopped, before its parent hears of the failure.
 */
import { type ActorRefLike, type AnyActorRef, fromCallback } from "xstate";

/** Systems that are watched already; one watch serves every supervisor in it. */
const watched = new WeakSet<AnyActorRef["system"]>();

/** Invoked by each supervisor. The watch lasts as long as the system. */
export const reaper = fromCallback(({ system }) => {
  if (watched.has(system)) return;
  watched.add(system);
  system.inspect((inspected) => {
    if (inspected.type !== "@xstate.event") return;
    if (!inspected.event.type.startsWith("xstate.error.actor.")) return;
    if (inspected.sourceRef !== undefined) reap(inspected.sourceRef);
  });
});

/** Stops what a failed actor left running, the youngest first; living machines stop their own. */
function reap(failed: ActorRefLike): void {
  for (const orphan of childrenOf(failed).toReversed())
    if (orphan.getSnapshot().status === "active")
      orphan.send({ type: "xstate.stop" });
}

/** The actors a machine spawned or invoked; none for any other actor. */
export function childrenOf(actor: ActorRefLike): readonly AnyActorRef[] {
  const snapshot: { children?: Record<string, AnyActorRef> } =
    actor.getSnapshot();
  return Object.values(snapshot.children ?? {});
}
