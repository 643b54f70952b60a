/**
 * The disk spool: what a sink's store cannot take now, kept in order until it
 * can. One SQLite file, flushed to the disk before {@link Spool.append} returns;
 * each sink has a cursor of its own, and a record goes when every sink is past it.
 */
import { Database, SQLiteError } from "bun:sqlite";
import { mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { SpoolFullError } from "../errors.ts";
import type { SpoolStatus } from "../../schema/service.ts";

/** Disk the spool may use before it counts as full. */
export const SPOOL_BYTES_MAX = 4 * 1024 ** 3;

export interface Spooled<Item> {
  readonly sequence: number;
  readonly item: Item;
}

export interface Spool<Item> {
  /**
   * Keeps the items, in order, all or none.
   * @throws SpoolFullError when the disk (or the allowed size) is exhausted.
   */
  append(items: readonly Item[]): void;
  /** The oldest records this sink has not been past. */
  read(sink: string, limit: number): Spooled<Item>[];
  /** The sink has delivered everything up to `sequence`. */
  advance(sink: string, sequence: number): void;
  /** Records this sink has not been past. */
  depth(sink: string): number;
  status(): SpoolStatus;
  close(): void;
}

/**
 * Opens the file, making it (and its folder) when it is not there. A sink that is
 * no longer among `sinks` is forgotten: nobody would ever take what waits for it.
 * Throws what SQLite says of a damaged file.
 */
export function openSpool<Item>(settings: SpoolSettings): Spool<Item> {
  const { path, sinks } = settings;
  const first = openFile(settings, 0);
  /** Absent when it was given up to a full disk; the next append makes another. */
  let file: SpoolFile | undefined = first;
  const positions = new Map(sinks.map((sink) => [sink, first.cursorOf(sink)]));
  // Depths are asked for at every batch and every scrape; counting rows each time would grow with the outage.
  const depths = new Map(
    [...positions].map(([sink, position]) => [
      sink,
      first.count(position, Number.MAX_SAFE_INTEGER),
    ]),
  );
  let full = false;

  function writeDown(sink: string, position: number): void {
    try {
      file?.advance(sink, position);
      if (depths.get(sink) === 0) file?.shrink();
      full = false;
    } catch (error) {
      if (!isFull(error)) throw error;
      // Even forgetting takes room. What is delivered is passed all the same, so that the
      // rest is; killed now, it is delivered again. Once all is, the file itself can go.
      full = true;
      if ([...depths.values()].some((depth) => depth > 0)) return;
      file?.remove();
      file = undefined;
      full = false;
    }
  }

  return {
    append(items) {
      try {
        file ??= openFile(settings, Math.max(0, ...positions.values()));
        file.append(items.map((item) => JSON.stringify(item)));
      } catch (error) {
        full = isFull(error);
        if (!full) throw error;
        throw new SpoolFullError(`the spool ${path} can take no more`, {
          cause: error,
        });
      }
      full = false;
      for (const [sink, depth] of depths)
        depths.set(sink, depth + items.length);
    },
    read: (sink, limit) =>
      (file?.select(positions.get(sink) ?? 0, limit) ?? []).map(
        ({ sequence, body }) => ({
          sequence,
          // Written by append above, with a checksum; `spool verify` reads it again.
          item: JSON.parse(body) as Item,
        }),
      ),
    advance(sink, sequence) {
      const from = positions.get(sink) ?? 0;
      const to = Math.max(from, sequence);
      positions.set(sink, to);
      depths.set(sink, (depths.get(sink) ?? 0) - (file?.count(from, to) ?? 0));
      writeDown(sink, to);
    },
    depth: (sink) => depths.get(sink) ?? 0,
    status: () => ({
      ...(file === undefined
        ? { path, records: 0, bytes: 0, cursors: Object.fromEntries(positions) }
        : statusOf(file.database, path)),
      full,
    }),
    close: () => file?.database.close(),
  };
}

export interface SpoolSettings {
  readonly path: string;
  readonly sinks: readonly string[];
  readonly bytesMax?: number;
}

/** The statements on one file. */
interface SpoolFile {
  readonly database: Database;
  append(bodies: readonly string[]): void;
  /** The oldest records behind a position. */
  select(position: number, limit: number): { sequence: number; body: string }[];
  /** Records behind `from`, up to `to`. */
  count(from: number, to: number): number;
  cursorOf(sink: string): number;
  advance(sink: string, position: number): void;
  /** Gives the disk back what the log of an outage took. */
  shrink(): void;
  /** Closes it and takes it off the disk. */
  remove(): void;
}

/** `sequence`: numbers of a new file begin behind it, for no number is used twice. */
function openFile(
  { path, sinks, bytesMax = SPOOL_BYTES_MAX }: SpoolSettings,
  sequence: number,
): SpoolFile {
  mkdirSync(dirname(path), { recursive: true });
  const database = new Database(path, { create: true, strict: true });
  prepare(database, sinks, sequence);
  database.run(
    "delete from cursors where sink not in (select value from json_each(?))",
    [JSON.stringify(sinks)],
  );
  limitSize(database, bytesMax);

  const insert = database.prepare<unknown, [string, number, number]>(
    "insert into records (body, checksum, kept_at_ms) values (?, ?, ?)",
  );
  const select = database.prepare<
    { sequence: number; body: string },
    [number, number]
  >(
    "select sequence, body from records where sequence > ? order by sequence limit ?",
  );
  return {
    database,
    append: database.transaction((bodies: readonly string[]) => {
      const now = Date.now();
      for (const body of bodies) insert.run(body, checksum(body), now);
    }),
    select: (position, limit) => select.all(position, limit),
    count: (from, to) =>
      database
        .query<{ count: number }, [number, number]>(
          "select count(*) as count from records where sequence > ? and sequence <= ?",
        )
        .get(from, to)?.count ?? 0,
    cursorOf: (sink) =>
      database
        .query<{ sequence: number }, [string]>(
          "select sequence from cursors where sink = ?",
        )
        .get(sink)?.sequence ?? 0,
    advance: database.transaction((sink: string, position: number) => {
      database.run(
        "update cursors set sequence = max(sequence, ?) where sink = ?",
        [position, sink],
      );
      database.run(
        "delete from records where sequence <= (select min(sequence) from cursors)",
      );
    }),
    shrink: () => void database.run("pragma wal_checkpoint(truncate)"),
    remove: () => {
      database.close();
      for (const suffix of ["", "-wal", "-shm"])
        rmSync(`${path}${suffix}`, { force: true });
    },
  };
}

/** What the file holds, as `spool status` and `/api/v1/status` show it. */
export function statusOf(
  database: Database,
  path: string,
): Omit<SpoolStatus, "full"> {
  const totals = database
    .query<{ records: number; oldest: number | null }, []>(
      "select count(*) as records, min(kept_at_ms) as oldest from records",
    )
    .get();
  const cursors = database
    .query<{ sink: string; sequence: number }, []>("select * from cursors")
    .all();
  const oldest = totals?.oldest ?? undefined;
  return {
    path,
    records: totals?.records ?? 0,
    bytes:
      pragma(database, "page_size") *
      (pragma(database, "page_count") - pragma(database, "freelist_count")),
    ...(oldest === undefined
      ? {}
      : { oldestSeconds: Math.max(0, (Date.now() - oldest) / 1000) }),
    cursors: Object.fromEntries(
      cursors.map(({ sink, sequence }) => [sink, sequence]),
    ),
  };
}

export function checksum(body: string): number {
  return Bun.hash.crc32(body);
}

/** Tables and cursors; the settings that make a commit durable. */
export function prepare(
  database: Database,
  sinks: readonly string[],
  sequence = 0,
): void {
  database.run("pragma journal_mode = wal");
  // A commit returns only after the log is on the disk.
  database.run("pragma synchronous = full");
  database.run("pragma busy_timeout = 5000");
  database.run(`create table if not exists records (
    sequence integer primary key autoincrement, body text not null,
    checksum integer not null, kept_at_ms integer not null)`);
  database.run(
    "create table if not exists cursors (sink text primary key, sequence integer not null)",
  );
  for (const sink of sinks)
    database.run("insert or ignore into cursors values (?, ?)", [
      sink,
      sequence,
    ]);
  if (sequence > 0)
    database.run("insert into sqlite_sequence values ('records', ?)", [
      sequence,
    ]);
}

function limitSize(database: Database, bytesMax: number): void {
  const pages = Math.max(
    1,
    Math.floor(bytesMax / pragma(database, "page_size")),
  );
  database.run(`pragma max_page_count = ${pages}`);
}

export function pragma(
  database: Database,
  name: "page_size" | "page_count" | "freelist_count",
): number {
  const row = database
    .query<Record<string, number>, []>(`pragma ${name}`)
    .get();
  return row?.[name] ?? 0;
}

/** SQLite tells a full disk in two ways: as full, and (for its log) as a failed write. */
function isFull(error: unknown): boolean {
  return (
    error instanceof SQLiteError &&
    /^SQLITE_(FULL|IOERR)/.test(error.code ?? "")
  );
}
