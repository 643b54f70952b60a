/** Statements on `feedkeeper.dead_letters`: what could not be read or written, kept whole. */
import type { AccountRecord } from "../../../schema/messages.ts";
import type { Sql, Transaction } from "./connect.ts";

export interface DeadLetter {
  readonly record: AccountRecord;
  readonly reason: string;
}

/** Any text set aside; `account` names the account or feed it came from. */
interface AnyLetter {
  readonly record: Pick<AccountRecord, "account" | "raw" | "receivedAtMs"> & {
    readonly kind: string;
  };
  readonly reason: string;
}

/** One row for each text set aside; the same text of the same account twice is one row, open again if it was written meanwhile. */
export async function insertDeadLetters(
  sql: Sql | Transaction,
  letters: readonly AnyLetter[],
): Promise<void> {
  if (letters.length === 0) return;
  const rows = letters.map(({ record, reason }) => {
    const bytes = Buffer.from(record.raw);
    const isText = !record.raw.includes("\0") && record.raw.isWellFormed();
    return {
      account: record.account,
      kind: record.kind,
      // Readers tell what they stumbled over, and Postgres holds no such character: it would refuse the letter, too.
      reason: reason.replaceAll("\0", "\\0"),
      raw: isText ? record.raw : bytes.toString("base64"),
      encoding: isText ? "utf8" : "base64",
      digest: new Bun.CryptoHasher("sha256").update(bytes).digest("hex"),
      received_at: new Date(record.receivedAtMs).toISOString(),
    };
  });
  const distinct = new Map(
    rows.map((row) => [`${row.account} ${row.kind} ${row.digest}`, row]),
  );
  await sql`
    insert into feedkeeper.dead_letters ${sql([...distinct.values()])}
    on conflict (account, kind, digest) do update
    set redriven_at = null, reason = excluded.reason
    where dead_letters.redriven_at is not null`;
}

export interface OpenLetter {
  readonly id: number;
  readonly record: AccountRecord;
}

/** Letters of an account, behind the letter `after`, that were refused as rows and may be tried again, oldest first. */
export async function openLetters(
  sql: Sql,
  account: string,
  after: number,
  limit: number,
): Promise<OpenLetter[]> {
  const rows = await sql<
    {
      id: string;
      kind: AccountRecord["kind"];
      raw: string;
      encoding: string;
      received_at: Date;
    }[]
  >`
    select id, kind, raw, encoding, received_at from feedkeeper.dead_letters
    where account = ${account} and id > ${after} and redriven_at is null and kind in ('trade_update', 'order', 'activity')
    order by id limit ${limit}`;
  return rows.map((row) => ({
    id: Number(row.id),
    record: {
      account,
      kind: row.kind,
      raw:
        row.encoding === "base64"
          ? Buffer.from(row.raw, "base64").toString()
          : row.raw,
      receivedAtMs: +row.received_at,
    },
  }));
}

export async function markRedriven(
  sql: Sql | Transaction,
  ids: readonly number[],
): Promise<void> {
  await sql`update feedkeeper.dead_letters set redriven_at = now() where id = any(${[...ids]})`;
}
