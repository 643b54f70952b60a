/** An account's past: the lives that would have been, played one into the other in the order of their moments. */
import { DAY } from "../../clock.ts";
import { isOpen } from "../calendar.ts";
import type { Chance } from "./chance.ts";
import type { Life } from "./lives.ts";

/** How often orders are placed while the exchange is closed, compared with its hours. */
const CLOSED_SHARE = 0.1;

/** A life that goes on at this moment. */
export interface Appointment {
  readonly atMs: number;
  readonly life: Life;
}

/** Plays until `toMs` and answers what would have gone on after it. `at` is told each moment before anything happens in it. */
export function playPast(past: {
  readonly fromMs: number;
  readonly toMs: number;
  readonly ordersPerDay: number;
  readonly chance: Chance;
  readonly at: (ms: number) => void;
  readonly begin: () => Life;
  /** Goes on with a life; undefined when it is over. */
  readonly step: (life: Life) => number | undefined;
}): readonly Appointment[] {
  const agenda: Appointment[] = [];
  const goOn = ({ atMs, life }: Appointment) => {
    past.at(atMs);
    const waitMs = past.step(life);
    if (waitMs !== undefined) insert(agenda, { atMs: atMs + waitMs, life });
  };
  const playUntil = (ms: number) => {
    for (;;) {
      const next = agenda[0];
      if (next === undefined || next.atMs > ms) return;
      agenda.shift();
      goOn(next);
    }
  };
  for (const startMs of starts(past)) {
    playUntil(startMs);
    goOn({ atMs: startMs, life: past.begin() });
  }
  playUntil(past.toMs);
  return agenda;
}

/** When orders were placed: at any time of day, mostly while the exchange is open. */
function* starts(past: {
  readonly fromMs: number;
  readonly toMs: number;
  readonly ordersPerDay: number;
  readonly chance: Chance;
}): Generator<number> {
  const { fromMs, toMs, ordersPerDay, chance } = past;
  for (let day = fromMs; day < toMs; day += DAY) {
    const times = Array.from(
      { length: ordersPerDay },
      () => day + chance.next() * DAY,
    );
    for (const ms of times.sort((a, b) => a - b))
      if (
        ms < toMs &&
        (isOpen(ms, { extended: true }) || chance.happens(CLOSED_SHARE))
      )
        yield ms;
  }
}

/** Behind all that is due no later, so that what was agreed first happens first. */
function insert(agenda: Appointment[], appointment: Appointment): void {
  let low = 0;
  let high = agenda.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((agenda[middle]?.atMs ?? 0) <= appointment.atMs) low = middle + 1;
    else high = middle;
  }
  agenda.splice(low, 0, appointment);
}
