/**
 * One connection to an account's `trade_updates`: dials, shakes hands, and hands
 * frames to the queue. The machine hears only what changes its state; frames
 * never pass through it.
 */
import { MalformedError } from "../../schema/read.ts";
import type { AccountRecord, CoverageFact } from "../../schema/messages.ts";
import { describeError } from "../../src/errors.ts";
import type { AccountRun } from "../../src/accounts/run.ts";
import { SECOND } from "../../src/clock.ts";
import {
  authenticateText,
  listenText,
  readTradeFrame,
  textOfFrame,
  TRADE_UPDATES,
  type TradeFrame,
} from "../../src/venues/alpaca/tradeUpdates.ts";
import { dial, type Closing } from "../sources/socket.ts";
import { fromResource } from "../supervision/resource.ts";

/** What the link tells the stream's machine. */
export type LinkEvent =
  | { readonly type: "opened" }
  | { readonly type: "authorized" }
  | { readonly type: "listening"; readonly sinceMs: number }
  | { readonly type: "refused"; readonly reason: string }
  | { readonly type: "closed"; readonly reason: string }
  /** The queue had no room for a frame. */
  | { readonly type: "overflowed"; readonly reason: string };

/** A slot that the venue holds for another connection (406) frees itself: asked again at least this often. */
const SLOT_WAIT_MS_MAX = 20 * SECOND;

/** `dialled` is the network, or a script in its place. */
export function createLink(dialled: typeof dial) {
  return fromResource<AccountRun>(({ input: run, tell, guard, stack }) => {
    const { account, clock, dials } = run;
    const coverage = new LiveCoverage(run);
    const say = (event: LinkEvent) => tell(event);
    let hint: { retryAfterMs?: number; waitMsMax?: number } = {};

    dials.began(clock.now());
    run.delivered.clear();
    // Runs on stop and on failure alike: the next dial is reckoned from the end of this one.
    stack.defer(() => dials.ended(clock.now(), hint));

    const socket = dialled(account.streamUrl, {
      opened: guard(() => {
        say({ type: "opened" });
        socket.send(authenticateText(account.keyId, account.secretKey));
      }),
      frame: guard((frame: string | Uint8Array) => {
        run.board.lastFrameMs = clock.now();
        const reading = read(frame);
        if (reading !== undefined) take(reading);
      }),
      ponged: guard((sentAtMs: number) => coverage.provenTo(sentAtMs)),
      closed: guard((closing: Closing) => {
        hint = {
          ...(closing.retryAfterMs === undefined
            ? {}
            : { retryAfterMs: closing.retryAfterMs }),
          ...(closing.status === 406 ? { waitMsMax: SLOT_WAIT_MS_MAX } : {}),
        };
        const { status } = closing;
        if (status === 401 || status === 403)
          refuse(`upgrade refused with ${status}`);
        else say({ type: "closed", reason: sentenceOf(closing) });
      }),
    });
    stack.defer(() => socket.close());

    function read(frame: string | Uint8Array): TradeFrame | undefined {
      try {
        return readTradeFrame(textOfFrame(frame));
      } catch (error) {
        if (!(error instanceof MalformedError)) throw error;
        offer({
          account: account.slug,
          kind: "malformed",
          // Bytes that are no UTF-8 are kept one character a byte.
          raw:
            typeof frame === "string"
              ? frame
              : Buffer.from(frame).toString("latin1"),
          receivedAtMs: clock.now(),
          reason: describeError(error),
        });
        return undefined;
      }
    }

    function take(frame: TradeFrame): void {
      switch (frame.type) {
        case "update":
          run.delivered.note(frame.data);
          offer({
            account: account.slug,
            kind: "trade_update",
            raw: frame.raw,
            receivedAtMs: clock.now(),
          });
          return;
        case "authorized":
          say({ type: "authorized" });
          socket.send(listenText());
          return;
        case "unauthorized":
          return refuse(frame.reason);
        case "listening":
          if (!frame.streams.includes(TRADE_UPDATES))
            return say({
              type: "closed",
              reason: "the venue does not grant trade_updates",
            });
          // Clocks count whole milliseconds: what happened in this one may have been before.
          coverage.began(clock.now() + 1);
          socket.ping();
          run.listening.raise();
          return say({ type: "listening", sinceMs: clock.now() });
        case "fault":
          return say({
            type: "closed",
            reason: `venue error: ${frame.reason}`,
          });
        case "ignored":
          return;
        default:
          return frame satisfies never;
      }
    }

    function refuse(reason: string): void {
      dials.refused(clock.now());
      say({ type: "refused", reason });
    }

    function offer(record: AccountRecord): void {
      if (!run.queue.offer(record))
        say({ type: "overflowed", reason: "the queue is full" });
    }
  });
}

export const link = createLink(dial);

/** Claims as streamed live what a pong proves, and nothing after the last one. */
class LiveCoverage {
  #coveredTo: number | undefined;
  readonly #session: string;

  constructor(readonly run: AccountRun) {
    this.#session = `${run.session}/${run.account.slug}/${run.clock.now()}`;
  }

  began(nowMs: number): void {
    this.#coveredTo ??= nowMs;
  }

  /** The ping went out after everything before it had been sent: what the venue had to say until then is here. */
  provenTo(sentAtMs: number): void {
    if (this.#coveredTo === undefined || sentAtMs <= this.#coveredTo) return;
    const fact: CoverageFact = {
      stream: "trade_updates",
      state: "live",
      from: new Date(this.#coveredTo).toISOString(),
      to: new Date(sentAtMs).toISOString(),
      session: this.#session,
    };
    const taken = this.run.queue.offer({
      account: this.run.account.slug,
      kind: "coverage",
      raw: JSON.stringify(fact),
      receivedAtMs: this.run.clock.now(),
    });
    if (taken) this.#coveredTo = sentAtMs;
  }
}

function sentenceOf({ code, reason }: Closing): string {
  return reason === ""
    ? `closed with ${code}`
    : `closed with ${code}: ${reason}`;
}
