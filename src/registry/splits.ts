/** Bringing raw bars to the scale of today: prices and volumes before a split are those of other shares. */
import type { Bar } from "../../schema/market.ts";
import type { Split } from "../venues/registryVenue.ts";

/** `bar` of the day `day`, as the venue's adjusted history shows it after `splits`. */
export function adjusted(bar: Bar, day: string, splits: readonly Split[]): Bar {
  const factor = splits
    .filter((split) => split.day > day)
    .reduce((product, { from, to }) => (product * from) / to, 1);
  if (factor === 1) return bar;
  const price = (value: number) => Number((value * factor).toPrecision(12));
  return {
    ...bar,
    open: price(bar.open),
    high: price(bar.high),
    low: price(bar.low),
    close: price(bar.close),
    ...(bar.vwap === undefined ? {} : { vwap: price(bar.vwap) }),
    volume: Number((bar.volume / factor).toPrecision(12)),
  };
}
