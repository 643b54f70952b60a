/**
 * `spool status|verify|repair`: the disk spool, looked at and mended from
 * outside. Status and verify only read, so a running service is not disturbed.
 */
import { Database } from "bun:sqlite";
import { existsSync, renameSync } from "node:fs";
import type { Output, SpoolFlags } from "../cli.ts";
import { checksum, openSpool, prepare, statusOf } from "../flow/spool.ts";

/** Exit code 1 when `verify` finds something wrong or `repair` had to set something aside. */
export function spool(path: string, flags: SpoolFlags, io: Output): number {
  const print = (value: unknown, text: string) =>
    io.stdout(flags.json ? `${JSON.stringify(value)}\n` : `${text}\n`);
  switch (flags.action) {
    case "status": {
      const status = spoolStatus(path);
      if (status === undefined)
        print({ path, records: 0 }, `${path}: no spool yet`);
      else
        print(
          status,
          `${path}: ${status.records} records, ${status.bytes} bytes, oldest ${Math.round(status.oldestSeconds ?? 0)} s; ` +
            `cursors ${JSON.stringify(status.cursors)}`,
        );
      return 0;
    }
    case "verify": {
      const verdict = verifySpool(path);
      print(
        verdict,
        [`${verdict.records} records read`, ...verdict.problems].join("\n"),
      );
      return verdict.problems.length === 0 ? 0 : 1;
    }
    case "repair": {
      const result = repairSpool(path);
      print(
        result,
        result.asideAt === undefined
          ? `nothing to repair, ${result.kept} records`
          : `${result.kept} records kept, ${result.damaged} damaged; the old file is ${result.asideAt}`,
      );
      return result.damaged === 0 ? 0 : 1;
    }
    default:
      return flags.action satisfies never;
  }
}

export interface SpoolVerdict {
  readonly records: number;
  /** Sentences, one for each thing that is wrong; empty when all is well. */
  readonly problems: readonly string[];
}

/** Status as data; undefined when there is no spool yet. */
export function spoolStatus(path: string) {
  if (!existsSync(path)) return undefined;
  using database = new Database(path, { readonly: true });
  return statusOf(database, path);
}

/** Reads everything: SQLite's own check of the file, each record's checksum and text, the cursors. */
export function verifySpool(path: string): SpoolVerdict {
  if (!existsSync(path)) return { records: 0, problems: [] };
  const problems: string[] = [];
  let records = 0;
  try {
    using database = new Database(path, { readonly: true });
    const integrity = database
      .query<{ integrity_check: string }, []>("pragma integrity_check")
      .all()
      .map((row) => row.integrity_check);
    if (integrity[0] !== "ok") problems.push(...integrity);
    let last = 0;
    for (const row of readable(database)) {
      records++;
      last = row.sequence;
      if (!isIntact(row)) problems.push(`record ${row.sequence} is damaged`);
    }
    problems.push(...cursorProblems(database, last));
  } catch (error) {
    problems.push(`the file cannot be read: ${String(error)}`);
  }
  return { records, problems };
}

/**
 * Copies what is intact, in order and with its cursors, into a new file and
 * sets the old one aside as `<path>.damaged-<time>`. Only while no service runs.
 */
export function repairSpool(
  path: string,
  nowMs = Date.now(),
): { kept: number; damaged: number; asideAt?: string } {
  if (!existsSync(path)) return { kept: 0, damaged: 0 };
  if (verifySpool(path).problems.length === 0)
    return { kept: spoolStatus(path)?.records ?? 0, damaged: 0 };

  const asideAt = `${path}.damaged-${nowMs}`;
  for (const ending of ["", "-wal", "-shm"])
    if (existsSync(path + ending)) renameSync(path + ending, asideAt + ending);
  openSpool({ path, sinks: [] }).close();

  using repaired = new Database(path, { strict: true });
  prepare(repaired, []);
  const insert = repaired.prepare<unknown, [number, string, number, number]>(
    "insert into records values (?, ?, ?, ?)",
  );
  let kept = 0;
  let damaged = 0;
  try {
    using old = new Database(asideAt);
    copyCursors(old, repaired);
    for (const row of readable(old)) {
      if (!isIntact(row)) {
        damaged++;
        continue;
      }
      insert.run(row.sequence, row.body, row.checksum, row.kept_at_ms);
      kept++;
    }
  } catch {
    // What lies behind a torn page cannot be read; the file set aside still holds it.
    damaged++;
  }
  return { kept, damaged, asideAt };
}

interface Row {
  readonly sequence: number;
  readonly body: string;
  readonly checksum: number;
  readonly kept_at_ms: number;
}

function readable(database: Database): IterableIterator<Row> {
  return database
    .query<Row, []>("select * from records order by sequence")
    .iterate();
}

function isIntact(row: Row): boolean {
  return checksum(row.body) === row.checksum;
}

function cursorProblems(database: Database, last: number): string[] {
  const highest = Math.max(lastSequence(database), last);
  return cursorsOf(database)
    .filter(({ sequence }) => sequence > highest)
    .map(({ sink }) => `the cursor of ${sink} is past the last record`);
}

/**
 * The new file goes on counting where the old one stopped, or a cursor would
 * skip what comes; for the same reason no cursor stays past the last record.
 */
function copyCursors(old: Database, repaired: Database): void {
  const last = lastSequence(old);
  repaired.run("insert into sqlite_sequence values ('records', ?)", [last]);
  for (const { sink, sequence } of cursorsOf(old))
    repaired.run("insert or replace into cursors values (?, ?)", [
      sink,
      Math.min(sequence, last),
    ]);
}

function cursorsOf(database: Database) {
  return database
    .query<{ sink: string; sequence: number }, []>("select * from cursors")
    .all();
}

/** The highest number a record ever had, delivered ones included. */
function lastSequence(database: Database): number {
  const row = database
    .query<{ last: number | null }, []>(
      "select max(seq) as last from sqlite_sequence where name = 'records'",
    )
    .get();
  return row?.last ?? 0;
}
