/** One connection at a time for each key and feed, and for a while none after it broke. */

interface Taken<Holder> {
  readonly holder: Holder | undefined;
  readonly untilMs: number;
}

export class Slots<Holder> {
  readonly #taken = new Map<string, Taken<Holder>>();

  constructor(readonly now: () => number) {}

  /** False while somebody else has it, or broke off not long ago. */
  take(slot: string, holder: Holder): boolean {
    const other = this.#taken.get(slot);
    if (other !== undefined && this.now() < other.untilMs) return false;
    this.#taken.set(slot, { holder, untilMs: Number.POSITIVE_INFINITY });
    return true;
  }

  /** Who said goodbye gives the slot up at once. */
  leave(slot: string, holder: Holder): void {
    if (this.#taken.get(slot)?.holder === holder) this.#taken.delete(slot);
  }

  /** Of who just vanished the venue does not know it yet. */
  vanish(slot: string, holder: Holder, lingerMs: number): void {
    if (this.#taken.get(slot)?.holder !== holder) return;
    const untilMs = this.now() + lingerMs;
    this.#taken.set(slot, { holder: undefined, untilMs });
  }
}
