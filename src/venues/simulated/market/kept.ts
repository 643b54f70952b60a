/** What was made for a symbol and a minute, kept while it is asked for, in bounds. */

type Generation<Value> = Map<string, Map<number, Value>>;

/**
 * Two generations: what is asked for moves into the young one, and when that is
 * full the old one is forgotten. So a look-up costs no book-keeping.
 */
export class Kept<Value> {
  #young: Generation<Value> = new Map();
  #old: Generation<Value> = new Map();
  #weight = 0;

  /** `weightMax`: of one generation. */
  constructor(
    readonly weightMax: number,
    readonly weigh: (value: Value) => number,
  ) {}

  get(symbol: string, minuteMs: number, make: () => Value): Value {
    const young = this.#young.get(symbol)?.get(minuteMs);
    if (young !== undefined) return young;
    const value = this.#old.get(symbol)?.get(minuteMs) ?? make();
    this.#weight += this.weigh(value);
    if (this.#weight > this.weightMax) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#weight = this.weigh(value);
    }
    let minutes = this.#young.get(symbol);
    if (minutes === undefined)
      this.#young.set(symbol, (minutes = new Map<number, Value>()));
    minutes.set(minuteMs, value);
    return value;
  }
}
