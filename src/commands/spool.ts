/**
 * `spool status|verify|repair`: the disk spool, looked at and mended from
 * outside. Status and verify only read, so a running service is not disturbed.
 */
import { Database, SQLiteError } from "bun:sqlite";
import { existsSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import type { Output, SpoolFlags } from "../cli.ts";
import { checksum, prepare, statusOf } from "../flow/spool.ts";
import { lockDirectory } from "./directoryLock.ts";

/**
 * `path` is the accounts' spool; those of other sinks (`others`) are told of where
 * they exist. Exit code 1 when `verify` finds something wrong or `repair` had to
 * leave something out.
 * @throws ConfigError when a spool that is to be repaired belongs to a running service
 */
export function spool(
  path: string,
  flags: SpoolFlags,
  io: Output,
  others: readonly string[] = [],
): number {
  const action =
    flags.action === "repair" && flags.dryRun ? "verify" : flags.action;
  // A service would go on writing into the file that is set aside.
  using _lock =
    action === "repair" && existsSync(path)
      ? lockDirectory(dirname(path))
      : undefined;
  const first = WORK[action](path);
  const rest = others.filter(existsSync).map((other) => ({
    path: other,
    ...WORK[action](other),
  }));
  if (flags.json)
    io.stdout(
      `${JSON.stringify({
        ...first.value,
        ...(rest.length === 0
          ? {}
          : {
              others: rest.map((each) => ({ path: each.path, ...each.value })),
            }),
      })}\n`,
    );
  else
    io.stdout(
      [
        first.text,
        ...rest.map((each) =>
          action === "status" ? each.text : `${each.path}: ${each.text}`,
        ),
        "",
      ].join("\n"),
    );
  return [first, ...rest].every(({ isWell }) => isWell) ? 0 : 1;
}

interface Finding {
  readonly isWell: boolean;
  readonly value: object;
  readonly text: string;
}

const WORK: Readonly<Record<SpoolFlags["action"], (path: string) => Finding>> =
  {
    status(path) {
      const status = spoolStatus(path);
      return status === undefined
        ? {
            isWell: true,
            value: { path, records: 0 },
            text: `${path}: no spool yet`,
          }
        : {
            isWell: true,
            value: status,
            text:
              `${path}: ${status.records} records, ${status.bytes} bytes, oldest ${Math.round(status.oldestSeconds ?? 0)} s; ` +
              `cursors ${JSON.stringify(status.cursors)}`,
          };
    },
    verify(path) {
      const verdict = verifySpool(path);
      return {
        isWell: verdict.problems.length === 0,
        value: verdict,
        text: [`${verdict.records} records read`, ...verdict.problems].join(
          "\n",
        ),
      };
    },
    repair(path) {
      const result = repairSpool(path);
      return {
        isWell: result.damaged === 0,
        value: result,
        text:
          result.asideAt === undefined
            ? `nothing to repair, ${result.kept} records`
            : `${result.kept} records kept, ${result.damaged} damaged; the old file is ${result.asideAt}`,
      };
    },
  };

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

/** Record numbers in a row that may be unreadable before what follows is given up, where it is not known how many there are. */
const SKIPPED_MAX = 100_000;

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

  const mendedAt = `${path}.mended`;
  for (const ending of ENDINGS) rmSync(mendedAt + ending, { force: true });
  const counts = copyIntact(path, mendedAt);
  const asideAt = `${path}.damaged-${nowMs}`;
  moveFile(path, asideAt);
  moveFile(mendedAt, path);
  return { ...counts, asideAt };
}

/** SQLite's own beside the file that it was given. */
const ENDINGS = ["", "-wal", "-shm"];

function moveFile(from: string, to: string): void {
  for (const ending of ENDINGS)
    if (existsSync(from + ending)) renameSync(from + ending, to + ending);
}

function copyIntact(
  from: string,
  to: string,
): { kept: number; damaged: number } {
  using old = new Database(from);
  using mended = new Database(to, { create: true, strict: true });
  prepare(mended, []);
  const insert = mended.prepare<unknown, [number, string, number, number]>(
    "insert into records values (?, ?, ?, ?)",
  );
  let last = orElse(0, () => lastSequence(old));
  let kept = 0;
  let damaged = 0;
  mended.transaction(() => {
    for (const row of salvaged(old, last || Number.POSITIVE_INFINITY)) {
      if (row === undefined || !isIntact(row)) {
        damaged++;
        continue;
      }
      insert.run(row.sequence, row.body, row.checksum, row.kept_at_ms);
      last = Math.max(last, row.sequence);
      kept++;
    }
    writeCursors(
      mended,
      // Without a cursor a sink is given everything again, which changes nothing in its store.
      orElse([], () => cursorsOf(old)),
      last,
    );
  })();
  return { kept, damaged };
}

/** Every record that can be read; undefined for each that cannot, because a page of the file is torn. */
function* salvaged(
  database: Database,
  last: number,
): Generator<Row | undefined> {
  const next = orElse(undefined, () =>
    database.query<Row, [number]>(
      "select * from records where sequence >= ? order by sequence limit 1",
    ),
  );
  if (next === undefined) return yield undefined;
  let skipped = 0;
  for (let from = 1; from <= last && skipped < SKIPPED_MAX;) {
    const row = orElse(undefined, () => next.get(from));
    if (row === null) return;
    yield row;
    skipped = row === undefined ? skipped + 1 : 0;
    from = row === undefined ? from + 1 : row.sequence + 1;
  }
}

/** What `read` gives; `otherwise` where the file does not let itself be read. */
function orElse<Value, Otherwise>(
  otherwise: Otherwise,
  read: () => Value,
): Value | Otherwise {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof SQLiteError)) throw error;
    return otherwise;
  }
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
 * skip what comes. A cursor past the last record says nothing of the records
 * that are there: its sink is given all of them.
 */
function writeCursors(
  mended: Database,
  cursors: ReturnType<typeof cursorsOf>,
  last: number,
): void {
  mended.run("delete from sqlite_sequence where name = 'records'");
  mended.run("insert into sqlite_sequence values ('records', ?)", [last]);
  for (const { sink, sequence } of cursors)
    mended.run("insert or replace into cursors values (?, ?)", [
      sink,
      sequence > last ? 0 : sequence,
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
