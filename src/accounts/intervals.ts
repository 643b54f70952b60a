/** Arithmetic on intervals of time, half open: `from` belongs to it, `to` does not. Milliseconds since the epoch. */
export interface Interval {
  readonly from: number;
  readonly to: number;
}

/** Sorted, without overlaps; touching intervals become one; empty ones vanish. */
export function union(intervals: readonly Interval[]): Interval[] {
  const sorted = intervals
    .filter(({ from, to }) => to > from)
    .sort((a, b) => a.from - b.from);
  const joined: Interval[] = [];
  for (const interval of sorted) {
    const last = joined.at(-1);
    if (last !== undefined && interval.from <= last.to) {
      joined[joined.length - 1] = {
        from: last.from,
        to: Math.max(last.to, interval.to),
      };
    } else joined.push(interval);
  }
  return joined;
}

/** What of `intervals` lies outside all of `taken`. */
export function subtract(
  intervals: readonly Interval[],
  taken: readonly Interval[],
): Interval[] {
  const holes = union(taken);
  const rest: Interval[] = [];
  let first = 0;
  for (const { from, to } of union(intervals)) {
    while ((holes[first]?.to ?? to) <= from) first++;
    let at = from;
    for (let next = first; ; next++) {
      const hole = holes[next];
      if (hole === undefined || hole.from >= to) break;
      if (hole.from > at) rest.push({ from: at, to: hole.from });
      at = hole.to;
    }
    if (at < to) rest.push({ from: at, to });
  }
  return rest;
}

/** The part of `intervals` inside `range`. */
export function clip(
  intervals: readonly Interval[],
  range: Interval,
): Interval[] {
  return union(
    intervals.map(({ from, to }) => ({
      from: Math.max(from, range.from),
      to: Math.min(to, range.to),
    })),
  );
}
