/**
 * The control plane: hears which symbols others need while the service runs, and
 * keeps the book of subscriptions in step with Redis.
 *
 *     waiting → connecting → listening → waiting …
 *
 * On every connection it listens first and reads the sets then, so that no event
 * falls between; what came meanwhile is applied after. Redis away changes nothing
 * in the book: what is wanted stays wanted.
 */
import type { BackoffBounds } from "../../src/backoff.ts";
import { MINUTE, sleep } from "../../src/clock.ts";
import { describeError } from "../../src/errors.ts";
import {
  type ControlEvent,
  readControlEvent,
  type SubscriptionBook,
} from "../../src/feeds/subscriptions.ts";
import { DialSchedule } from "../../src/flow/dials.ts";
import type { Notice } from "../../src/flow/notice.ts";
import { BoundedQueue } from "../../src/flow/queue.ts";
import type { Logger } from "../../src/log.ts";
import {
  hearUpdates,
  isActive,
  readActiveSubscriptions,
} from "../../src/stores/redis/activeSubscriptions.ts";
import {
  type ControlLink,
  dialControl,
  RedisError,
} from "../../src/stores/redis/connect.ts";
import { fromTask } from "../supervision/task.ts";

export interface SubscriptionsInput {
  readonly url: string;
  readonly book: SubscriptionBook;
  /** Raised when other symbols are wanted than before. */
  readonly changed: Notice;
  /** RECONNECT_BACKOFF: between two dials. */
  readonly backoff: BackoffBounds;
  readonly log: Logger;
}

/** Events that wait to be applied. When more come at once, the sets are read anew: they say the same. */
const EVENTS_MAX = 50_000;
/** A connection that lived this long has earned a fresh backoff. */
const SETTLED_MS = 3 * MINUTE;
/** Of a text that was refused, and of names in a line. */
const SHOWN_MAX = 200;
const NAMES_MAX = 5;

export const subscriptions = fromTask<SubscriptionsInput>(
  async ({ input, shutdown, report }) => {
    const dials = new DialSchedule(input.backoff);
    let lastError: string | undefined;
    const say = (state: string) =>
      report({
        state,
        stock: input.book.wanted("stock").length,
        crypto: input.book.wanted("crypto").length,
        ...(lastError === undefined ? {} : { lastError }),
      });

    while (!shutdown.aborted) {
      say("waiting");
      await sleep(dials.waitMs(Date.now()), shutdown);
      dials.began(Date.now());
      const settling = setTimeout(() => dials.settled(), SETTLED_MS);
      try {
        say("connecting");
        await attend(input, shutdown, () => {
          lastError = undefined;
          say("listening");
        });
      } catch (error) {
        if (shutdown.aborted) break;
        if (!(error instanceof RedisError)) throw error;
        lastError = describeError(error);
      } finally {
        clearTimeout(settling);
        dials.ended(Date.now());
      }
    }
  },
);

/** One connection, from its dial to its end. @throws RedisError when it ends, or the signal's reason. */
async function attend(
  input: SubscriptionsInput,
  shutdown: AbortSignal,
  onListening: () => void,
): Promise<never> {
  const { url, changed } = input;
  using stack = new DisposableStack();
  // Redis lets a connection that listens ask nothing else.
  const ear = stack.use(await dialControl(url, shutdown));
  const mouth = stack.use(await dialControl(url, shutdown));
  const over = AbortSignal.any([ear.lost, mouth.lost]);
  const texts = new BoundedQueue<string>(EVENTS_MAX);

  const takeAll = async () => {
    let isOther = false;
    for (const text of texts.takeUpTo(EVENTS_MAX))
      if (await take(text, input, mouth)) isOther = true;
    if (isOther) changed.raise();
  };

  try {
    await hearUpdates(ear, (text) => {
      if (texts.offer(text)) return;
      for (const link of [ear, mouth])
        link.hangUp(`more than ${EVENTS_MAX} events wait`);
    });
    if (await readSets(input, mouth)) changed.raise();
    for (;;) {
      onListening();
      await texts.whenHolding(1, over);
      await takeAll();
    }
  } finally {
    // What was heard counts, whatever became of the connection.
    await takeAll();
  }
}

/** Whether other symbols are wanted now. */
async function readSets(
  { book, log }: SubscriptionsInput,
  mouth: ControlLink,
): Promise<boolean> {
  const { members, problems } = await readActiveSubscriptions(mouth);
  for (const reason of problems)
    log.warn({ reason }, "active_subscriptions_unreadable");
  const outcome = book.reconcile(members);
  if (outcome.refused.length > 0)
    log.warn(
      {
        count: outcome.refused.length,
        reasons: outcome.refused.slice(0, NAMES_MAX),
      },
      "active_subscriptions_refused",
    );
  return outcome.changed;
}

/** Whether other symbols are wanted now. */
async function take(
  text: string,
  { book, log }: SubscriptionsInput,
  mouth: ControlLink,
): Promise<boolean> {
  const refuse = (reason: string) =>
    log.warn(
      { reason, event: text.slice(0, SHOWN_MAX) },
      "control_event_refused",
    );
  const reading = readControlEvent(text);
  if ("refused" in reading) {
    refuse(reading.refused);
    return false;
  }
  const { event } = reading;
  const { changed, refused } = book.apply(
    event,
    needsAsking(event) && (await isStillActive(event, mouth)),
  );
  for (const reason of refused) refuse(reason);
  return changed;
}

/** A session that lets go may have been the last one: whoever keeps the sets knows. */
function needsAsking({ action, sessionId }: ControlEvent): boolean {
  return action === "unsubscribe" && sessionId !== undefined;
}

/** Without an answer the symbol stays: the next connection begins with the sets. */
async function isStillActive(
  { spellings }: ControlEvent,
  mouth: ControlLink,
): Promise<boolean> {
  try {
    return await isActive(mouth, spellings);
  } catch (error) {
    if (!(error instanceof RedisError)) throw error;
    mouth.hangUp(describeError(error));
    return true;
  }
}
