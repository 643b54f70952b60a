/** Two ways to do one work, in turn, and how they compare: since both meet the same machine, their ratio is what counts. */
import { SECOND } from "../../src/clock.ts";

/** What one way did in one round. */
export interface Round {
  readonly rows: number;
  readonly ms: number;
}

export interface Comparison {
  readonly title: string;
  readonly rounds: number;
  /** Smallest ratio of speeds, ours to the bare loop's, that is good enough. */
  readonly ratioMin: number;
  /** Done once each before the rounds that count. */
  readonly isWarmedUp: boolean;
  readonly bare: (round: number) => Promise<Round>;
  readonly real: (round: number) => Promise<Round>;
}

/** Runs the rounds, bare and real in turn, and prints the figures. @throws Error when the two did not do the same work. */
export async function compare(comparison: Comparison): Promise<void> {
  const { title, rounds, ratioMin, isWarmedUp } = comparison;
  const bare: number[] = [];
  const real: number[] = [];
  const ratios: number[] = [];
  for (let round = isWarmedUp ? 0 : 1; round <= rounds; round++) {
    // Whoever comes second finds warmer caches: each comes second in turn.
    const isBareFirst = round % 2 === 1;
    const early = isBareFirst ? await comparison.bare(round) : undefined;
    const ours = await comparison.real(round);
    const theirs = early ?? (await comparison.bare(round));
    if (ours.rows !== theirs.rows)
      throw new Error(
        `${title}: ${ours.rows} rows, but the bare loop made ${theirs.rows}`,
      );
    if (round === 0) continue;
    bare.push(perSecond(theirs));
    real.push(perSecond(ours));
    ratios.push(perSecond(ours) / perSecond(theirs));
    console.log(
      `  round ${round} of ${rounds}: ${whole(perSecond(ours))} rows/s, bare ${whole(perSecond(theirs))} rows/s, ratio ${hundredths(perSecond(ours) / perSecond(theirs))}`,
    );
  }
  console.log(spread("  bare rows/s", bare, whole));
  console.log(spread("  real rows/s", real, whole));
  console.log(spread("  ratio      ", ratios, hundredths));
  sayTarget(
    `median ratio ${hundredths(median(ratios))}`,
    `at least ${ratioMin}`,
    median(ratios) >= ratioMin,
  );
}

export function spread(
  name: string,
  values: readonly number[],
  format: (value: number) => string,
): string {
  const [min, middle, max] = [
    Math.min(...values),
    median(values),
    Math.max(...values),
  ].map(format);
  return `${name}: min ${min}, median ${middle}, max ${max}`;
}

/** A missed target is said, not thrown: on a busy machine figures are not verdicts. */
export function sayTarget(
  figure: string,
  target: string,
  isMet: boolean,
): void {
  console.log(`  ${isMet ? "met" : "MISSED"}: ${figure}, target ${target}\n`);
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? sorted[middle]!
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

export function hundredths(value: number): string {
  return value.toFixed(2);
}

function perSecond({ rows, ms }: Round): number {
  return (rows * SECOND) / ms;
}
