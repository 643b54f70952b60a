/** Chance as a value: one seed, one course of events. */

const UUID_DIGITS = 32;

export class Chance {
  #state: number;

  constructor(seed: number | string) {
    this.#state = typeof seed === "number" ? seed >>> 0 : hashOf(seed);
  }

  /** At least 0, below 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** True once in `1 / probability` times. */
  happens(probability: number): boolean {
    return this.next() < probability;
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** @throws RangeError when there is nothing to pick from. */
  pick<Item>(items: readonly Item[]): Item {
    const item = items[Math.floor(this.next() * items.length)];
    if (item === undefined) throw new RangeError("nothing to pick from");
    return item;
  }

  /** One of the items, each as often as its weight says. */
  weighed<Item extends { readonly weight: number }>(
    items: readonly Item[],
  ): Item {
    const total = items.reduce((sum, { weight }) => sum + weight, 0);
    let left = this.next() * total;
    return items.find(({ weight }) => (left -= weight) < 0) ?? this.pick(items);
  }

  uuid(): string {
    let digits = "";
    while (digits.length < UUID_DIGITS)
      digits += Math.floor(this.next() * 2 ** 32)
        .toString(16)
        .padStart(8, "0");
    const variant = ((Number.parseInt(digits.charAt(16), 16) & 3) | 8).toString(
      16,
    );
    return [
      digits.slice(0, 8),
      digits.slice(8, 12),
      `4${digits.slice(13, 16)}`,
      variant + digits.slice(17, 20),
      digits.slice(20),
    ].join("-");
  }
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (const character of text)
    hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  return hash >>> 0;
}
