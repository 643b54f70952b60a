/**
 * One connection to a market-data stream: dials, shakes hands, keeps the
 * subscriptions as they are wanted, and hands messages on. The machine hears only
 * what changes its state; frames never pass through it.
 */
import type { MarketMessage } from "../../schema/market.ts";
import { backoffMs } from "../../src/backoff.ts";
import { SECOND } from "../../src/clock.ts";
import { LiveMinutes } from "../../src/feeds/liveMinutes.ts";
import type { FeedRun } from "../../src/feeds/run.ts";
import { SubscriptionWire } from "../../src/feeds/wire.ts";
import type { FeedControl, OutgoingFrame } from "../../src/venues/feedVenue.ts";
import { type Closing, dial } from "../sources/socket.ts";
import { fromResource } from "../supervision/resource.ts";

/** What the link tells the feed's machine. */
export type LinkEvent =
  | { readonly type: "opened" }
  | { readonly type: "welcomed" }
  | { readonly type: "authorized" }
  /** The first request was answered, or there was nothing to ask for. */
  | { readonly type: "subscribed"; readonly sinceMs: number }
  /** Another session holds the connection; it is asked for again on this socket. */
  | { readonly type: "slotTaken"; readonly reason: string }
  | { readonly type: "refused"; readonly reason: string }
  | { readonly type: "closed"; readonly reason: string };

/** A dead peer keeps its slot for about 90 s (csharp #558): asked for again at least this often. */
const SLOT_WAIT_MS_MAX = 20 * SECOND;
const SLOT_WAIT = { baseMs: 2 * SECOND, maxMs: SLOT_WAIT_MS_MAX };
/** A request that nobody answers: the connection is of no use. */
const ANSWER_MS_MAX = 10 * SECOND;

/** `dialled` is the network, or a script in its place. */
export function createFeedLink(dialled: typeof dial) {
  return fromResource<FeedRun>(({ input: run, tell, guard, stack, signal }) => {
    const { venue, clock, dials, board, activity } = run;
    const wire = new SubscriptionWire(venue.chunkLengthMax);
    const live = new LiveMinutes(run);
    const say = (event: LinkEvent) => tell(event);
    let hint: { retryAfterMs?: number; waitMsMax?: number } = {};
    let slotRefusals = 0;
    let isAuthorized = false;
    const timers = { slot: undefined, answer: undefined } as Record<
      "slot" | "answer",
      ReturnType<typeof setTimeout> | undefined
    >;

    dials.began(clock.now());
    activity.began(clock.now());
    // Runs on stop and on failure alike: the next dial is reckoned from the end of this one.
    stack.defer(() => dials.ended(clock.now(), hint));
    stack.defer(() => {
      clearTimeout(timers.slot);
      clearTimeout(timers.answer);
      board.granted = 0;
    });

    const socket = dialled(
      venue.url,
      {
        opened: guard(() => say({ type: "opened" })),
        frame: guard((frame: string | Uint8Array) => take(frame)),
        ponged: guard((sentAtMs: number) => live.provenTo(sentAtMs)),
        closed: guard((closing: Closing) => {
          hint = { ...hint, ...hintOf(closing) };
          if (closing.status === 401 || closing.status === 403)
            refuse(`upgrade refused with ${closing.status}`);
          else say({ type: "closed", reason: sentenceOf(closing) });
        }),
      },
      venue.headers === undefined ? {} : { headers: { ...venue.headers } },
    );
    stack.defer(() => socket.close());

    function take(frame: string | Uint8Array): void {
      const nowMs = clock.now();
      const { controls, messages, malformed } = venue.read(frame, nowMs);
      if (messages.length > 0) deliver(messages, nowMs);
      for (const { raw, reason } of malformed) run.setAside(raw, reason);
      // What stands behind the end of the link in the same frame is for nobody.
      for (const control of controls) if (!signal.aborted) obey(control);
    }

    function deliver(messages: readonly MarketMessage[], nowMs: number): void {
      board.lastMessageMs = nowMs;
      board.messages += messages.length;
      activity.note(messages, nowMs);
      run.deliver(messages);
    }

    function obey(control: FeedControl): void {
      switch (control.type) {
        case "welcomed":
          say({ type: "welcomed" });
          return socket.send(venue.authenticate());
        case "authorized":
          // Told again to whoever asks again.
          if (isAuthorized) return;
          isAuthorized = true;
          clearTimeout(timers.slot);
          hint = {};
          say({ type: "authorized" });
          pump();
          return followWishes();
        case "subscribed":
          wire.acknowledged(control.channels);
          return pump();
        case "error":
          return onError(control);
        default:
          return control satisfies never;
      }
    }

    function onError(error: FeedControl & { type: "error" }): void {
      const reason = `${error.code} ${error.reason}`;
      switch (error.kind) {
        case "refused":
          return refuse(reason);
        case "slot":
          slotRefusals++;
          hint = { waitMsMax: SLOT_WAIT_MS_MAX };
          // Who has lost the slot has lost the subscriptions with it.
          if (isAuthorized) return say({ type: "closed", reason });
          clearTimeout(timers.answer);
          clearTimeout(timers.slot);
          timers.slot = setTimeout(
            guard(() => ask(venue.authenticate())),
            backoffMs(slotRefusals, SLOT_WAIT, dials.random),
          );
          return say({ type: "slotTaken", reason });
        case "limit":
        case "request":
          // A refusal that answers nothing of ours is a word about the connection.
          if (!wire.isWaiting) return say({ type: "closed", reason });
          wire.refused(error.kind);
          return pump();
        case "reconnect":
          if (error.retryAfterMs !== undefined)
            hint = { ...hint, retryAfterMs: error.retryAfterMs };
          return say({ type: "closed", reason });
        case "harmless":
          return;
        default:
          return error.kind satisfies never;
      }
    }

    /** Asks for what is wanted and not there, or gives back what is there and not wanted. */
    function pump(): void {
      clearTimeout(timers.answer);
      const wanted = run.wanted();
      const request = wire.next(wanted);
      board.granted = wire.grantedCount;
      board.notGranted = wire.notGranted(wanted);
      live.granted(wire.granted("bars"), clock.now());
      activity.expect(
        { trades: wire.granted("trades"), bars: wire.granted("bars") },
        clock.now(),
      );
      if (request === undefined)
        return say({ type: "subscribed", sinceMs: clock.now() });
      ask(
        request.action === "subscribe"
          ? venue.subscribe(request.change)
          : venue.unsubscribe(request.change),
      );
    }

    /** Sends what has to be answered. */
    function ask(frame: OutgoingFrame): void {
      socket.send(frame);
      timers.answer = setTimeout(
        () => say({ type: "closed", reason: "a request was not answered" }),
        ANSWER_MS_MAX,
      );
    }

    /** Symbols come and go while it streams; a request under way sees to them itself when it is answered. */
    function followWishes(): void {
      run.wantedChanged.after(run.wantedChanged.raised, signal).then(
        guard(() => {
          followWishes();
          if (!wire.isWaiting) pump();
        }),
        // The link is over.
        () => {},
      );
    }

    function refuse(reason: string): void {
      dials.refused(clock.now());
      say({ type: "refused", reason });
    }
  });
}

export const feedLink = createFeedLink(dial);

function hintOf({ retryAfterMs, status }: Closing) {
  return {
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(status === 406 ? { waitMsMax: SLOT_WAIT_MS_MAX } : {}),
  };
}

function sentenceOf({ code, reason }: Closing): string {
  return reason === ""
    ? `closed with ${code}`
    : `closed with ${code}: ${reason}`;
}
