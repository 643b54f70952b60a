/** A stage for the actors of a feed: the feed of a script under fake time, its actors on the script's network. */
import { type Actor, type AnyActor, createActor } from "xstate";
import { feed } from "../../../actors/feeds/feed.ts";
import { createFeedLink } from "../../../actors/feeds/link.ts";
import { reportOf, stateOf } from "../../../actors/supervision/state.ts";
import type { FeedScript } from "../../support/feedScript.ts";
import { elapse } from "../accounts/stage.ts";

/** The feed's machine with the script's network in the place of the real one. */
export function feedOn({ network }: Pick<FeedScript, "network">): typeof feed {
  return feed.provide({ actors: { link: createFeedLink(network.dial) } });
}

export interface FeedActor {
  readonly actor: Actor<typeof feed>;
  /** Every state it was in, in order. */
  readonly states: string[];
  readonly errors: unknown[];
}

export function startFeed(script: FeedScript): FeedActor {
  const actor = createActor(feedOn(script), { input: script.run });
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
export function shown({
  actor,
}: {
  readonly actor: AnyActor;
}): Record<string, unknown> {
  return { state: stateOf(actor), ...reportOf(actor) };
}

/** Time passes on a connection that answers a ping every 20 s, and whose records are committed each second. */
export async function elapseAlive(
  { network, store, queue }: FeedScript,
  ms: number,
  each: () => void = () => {},
): Promise<void> {
  const endMs = Date.now() + ms;
  while (Date.now() < endMs) {
    await elapse(1000, 1000);
    if (Date.now() % 20_000 === 0) network.last.pongs();
    each();
    store.commit(queue);
  }
}
