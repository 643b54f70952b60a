/**
 * The phases of one symbol's run. Each reads from the venue and publishes; each
 * can be stopped anywhere and asked for again: what was published twice is one row.
 */
import type { Bar } from "../../schema/market.ts";
import type { RegistryEntry } from "../../schema/registry.ts";
import { newYorkDay } from "../../schema/instant.ts";
import { assetClassOf } from "../../schema/symbol.ts";
import { DAY, MINUTE } from "../clock.ts";
import { VenueError } from "../errors.ts";
import { sessionOn } from "../venues/calendar.ts";
import type { AskOptions, Split } from "../venues/registryVenue.ts";
import { candleOf, marker } from "./messages.ts";
import type { RegistryRun } from "./run.ts";
import { validateSnapshot } from "./snapshot.ts";
import { adjusted } from "./splits.ts";

export interface PhaseResult {
  readonly records: number;
}

/** A snapshot that says nothing is a failure of its phase. */
export class SnapshotError extends Error {
  override readonly name = "SnapshotError";
}

/** Read again before the newest stored minute: trades are reported late, bars recalculated at the end of the day. */
const OVERLAP_MS = 2 * DAY;
/** Files whose bars are waited for at one time, and read again when the run ends before. */
const UNNOTED_FILES_MAX = 50;

/**
 * History: day files first, then REST for what they lack. A split that the stored
 * history does not account for has all of it read again by REST.
 * @throws VenueError, or what the store failed with
 */
export async function runFlatpack(
  run: RegistryRun,
  entry: RegistryEntry,
  signal: AbortSignal,
  onProgress: (records: number, done: number) => void = () => {},
): Promise<PhaseResult> {
  const { clock, store, venue } = run;
  const { symbol } = entry;
  const options: AskOptions = { priority: "backfill", signal };
  const nowMs = clock.now();
  const floorMs = await firstMsOf(run, symbol, nowMs, options);
  await run.publish(marker(symbol, "backfill", "started", nowMs), signal);

  const splits = await splitsSince(run, symbol, floorMs, options);
  const newest = await store.newestMinute(symbol);
  // A history that is yet to be read is brought to scale on its way.
  const isRescaled =
    newest !== undefined && (await hasNewSplit(run, symbol, splits));
  const known = isRescaled ? undefined : readTo(entry, newest);
  const fromMs = Math.max(floorMs, (known ?? floorMs) - OVERLAP_MS);

  let records = 0;
  const take = async (bars: readonly Bar[]) => {
    for (const bar of bars)
      await run.publish(candleOf(bar, "backfill"), signal);
    records += bars.length;
    const last = bars.at(-1);
    if (last !== undefined)
      onProgress(
        records,
        Math.min(1, (Date.parse(last.timestamp) - fromMs) / (nowMs - fromMs)),
      );
  };
  const byRest =
    entry.strategy === "flatpack_api" || isRescaled
      ? [{ from: fromMs, to: nowMs }]
      : await readFiles(
          run,
          symbol,
          { from: fromMs, to: nowMs },
          splits,
          take,
          options,
        );
  for (const range of byRest)
    for await (const page of venue.bars(symbol, range, options))
      await take(page);

  await run.kept(symbol, signal);
  await store.noteSplits(symbol, splits);
  await run.publish(
    marker(symbol, "backfill", "completed", clock.now(), { records }),
    signal,
  );
  return { records };
}

/**
 * How far (ms) the history was read. A stored minute alone tells nothing of that: a
 * feed may have written it, with nothing before it; a run that ended alone does not
 * either: rows may have been taken away since.
 */
function readTo(
  { last_backfill }: RegistryEntry,
  newest: number | undefined,
): number | undefined {
  if (last_backfill === null || newest === undefined) return undefined;
  return Math.min(newest, Date.parse(last_backfill));
}

/** Splits that have happened: one that is only announced changes no scale yet. @throws VenueError */
export async function splitsSince(
  { clock, venue }: RegistryRun,
  symbol: string,
  sinceMs: number,
  options: AskOptions,
): Promise<Split[]> {
  const today = newYorkDay(clock.now());
  const splits = await venue.splits(symbol, dayOf(sinceMs), options);
  return splits.filter(({ day }) => day <= today);
}

/** Whether the stored history is of another scale than the venue's. */
export async function hasNewSplit(
  { store }: RegistryRun,
  symbol: string,
  splits: readonly Split[],
): Promise<boolean> {
  const applied = new Set((await store.appliedSplits(symbol)).map(nameOf));
  return splits.some((split) => !applied.has(nameOf(split)));
}

/** @throws SnapshotError when it says nothing; VenueError */
export async function runSnapshot(
  run: RegistryRun,
  symbol: string,
  signal: AbortSignal,
): Promise<PhaseResult> {
  const { clock, venue } = run;
  await run.publish(marker(symbol, "snapshot", "started", clock.now()), signal);
  const snapshot = await venue.snapshot(symbol, { priority: "live", signal });
  const verdict = validateSnapshot(snapshot);
  if (!verdict.isValid) throw new SnapshotError(`${symbol}: ${verdict.reason}`);
  const { ticker } = snapshot.value;
  await run.publish(
    {
      symbol,
      phase: "snapshot",
      type: "snapshot",
      timestamp: new Date(clock.now()).toISOString(),
      // The validation has seen that it is there.
      data: ticker as Readonly<Record<string, unknown>>,
    },
    signal,
  );
  await run.publish(
    marker(symbol, "snapshot", "completed", clock.now(), { records: 1 }),
    signal,
  );
  return { records: 1 };
}

/** From now on its minutes come by the stream. */
export async function runStream(
  run: RegistryRun,
  symbol: string,
  signal: AbortSignal,
): Promise<PhaseResult> {
  run.streams.add(symbol);
  await run.publish(
    marker(symbol, "stream", "started", run.clock.now()),
    signal,
  );
  return { records: 0 };
}

/** Where the history of the symbol begins, within the wanted days. */
async function firstMsOf(
  { backfillDays, venue }: RegistryRun,
  symbol: string,
  nowMs: number,
  options: AskOptions,
): Promise<number> {
  const listing = await venue.listing(symbol, options);
  if (listing === undefined)
    throw new VenueError(`${symbol} is not known to the venue`, {
      failure: "absent",
    });
  const wanted = Math.floor((nowMs - backfillDays * DAY) / MINUTE) * MINUTE;
  const listed = listing.from === undefined ? wanted : Date.parse(listing.from);
  return Math.max(wanted, Number.isNaN(listed) ? wanted : listed);
}

/** Reads what the day files have; returns the ranges that are left to REST. */
async function readFiles(
  run: RegistryRun,
  symbol: string,
  range: { readonly from: number; readonly to: number },
  splits: readonly Split[],
  take: (bars: readonly Bar[]) => Promise<void>,
  options: AskOptions,
): Promise<{ from: number; to: number }[]> {
  const { files } = run.venue;
  if (files === undefined) return [range];
  const assetClass = assetClassOf(symbol);
  const read = await run.store.filesRead(symbol);
  const left: { from: number; to: number }[] = [];
  const unnoted: {
    file: { readonly key: string; readonly etag: string };
    rows: number;
  }[] = [];
  let follows = false;
  for (const day of daysOf(symbol, range)) {
    options.signal.throwIfAborted();
    const file = await files.find(assetClass, day.name, options);
    const last = left.at(-1);
    if (file === undefined) {
      // Days without a file that follow each other are one question to REST.
      if (follows && last !== undefined) last.to = day.to;
      else left.push({ from: day.from, to: day.to });
      follows = true;
      continue;
    }
    follows = false;
    // A replaced file has another version, and is read again.
    if (read.get(file.key) === file.etag) continue;
    let rows = 0;
    const bars = files.bars(
      file,
      { assetClass, day: day.name, symbols: new Set([symbol]) },
      {
        ...options,
        onMalformed: ({ raw, reason }) => run.setAside(raw, reason),
      },
    );
    for await (const batch of bars) {
      await take(batch.map((bar) => adjusted(bar, day.name, splits)));
      rows += batch.length;
    }
    unnoted.push({ file, rows });
    if (unnoted.length >= UNNOTED_FILES_MAX) await note();
  }
  await note();
  return left;

  /** A file counts as read when its bars are kept. */
  async function note(): Promise<void> {
    await run.kept(symbol, options.signal);
    for (const { file, rows } of unnoted.splice(0))
      await run.store.noteFileRead(symbol, file, rows);
  }
}

interface NamedDay {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** Days on which the market of the symbol trades. */
function daysOf(
  symbol: string,
  { from, to }: { readonly from: number; readonly to: number },
): NamedDay[] {
  const days: NamedDay[] = [];
  const isCrypto = assetClassOf(symbol) === "crypto";
  for (let at = Math.floor(from / DAY) * DAY; at < to; at += DAY) {
    const name = dayOf(at);
    const session = isCrypto ? undefined : sessionOn(name);
    if (isCrypto) days.push({ name, from: at, to: Math.min(at + DAY, to) });
    else if (session !== undefined && session.preOpenMs < to)
      days.push({
        name,
        from: session.preOpenMs,
        to: Math.min(session.postCloseMs, to),
      });
  }
  return days;
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function nameOf({ day, from, to }: Split): string {
  return `${day} ${from}:${to}`;
}
