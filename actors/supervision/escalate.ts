/**
 * Failing on purpose: a machine that cannot go on invokes this with the error
 * as input (and no `onError`); it then fails with that error, its other
 * children are stopped in order, and its supervisor decides.
 */
import { type EventObject, fromCallback } from "xstate";

export const escalate = fromCallback<EventObject, unknown>(({ input }) => {
  throw input;
});
