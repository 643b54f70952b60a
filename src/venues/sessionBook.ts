/**
 * Whether the exchange is open: by the venue's own calendar for the days that it
 * was asked about, which knows of closures that no rule foresees; else by ours.
 */
import { newYorkDay } from "../../schema/instant.ts";
import { DAY } from "../clock.ts";
import { type Session, sessionOn } from "./calendar.ts";

export class SessionBook {
  readonly #told = new Map<string, Session | undefined>();

  /** The venue's sessions of [fromDay, toDay]; returns the days on which it differs from our table. */
  learn(
    fromDay: string,
    toDay: string,
    sessions: ReadonlyMap<string, Session>,
  ): string[] {
    const differing: string[] = [];
    const last = Date.parse(toDay);
    for (let ms = Date.parse(fromDay); ms <= last; ms += DAY) {
      const day = new Date(ms).toISOString().slice(0, 10);
      const told = sessions.get(day);
      const ours = sessionOn(day);
      if (told?.openMs !== ours?.openMs || told?.closeMs !== ours?.closeMs)
        differing.push(day);
      this.#told.set(day, told);
    }
    return differing;
  }

  session(day: string): Session | undefined {
    return this.#told.has(day) ? this.#told.get(day) : sessionOn(day);
  }

  /** Early and late hours included. */
  isOpen(ms: number): boolean {
    const session = this.session(newYorkDay(ms));
    return (
      session !== undefined &&
      session.preOpenMs <= ms &&
      ms < session.postCloseMs
    );
  }
}
