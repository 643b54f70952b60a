/** `/v2/account/activities[/{type}]`: by id, a page at a time; the token is the id of the last row. */
import { DAY } from "../../clock.ts";
import {
  countOf,
  directionOf,
  jsonText,
  unprocessable,
  wordOf,
} from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import { sortable } from "./stamps.ts";

const PAGE_MAX = 100;
const ALL = 1_000_000;
const LAST_DAY_MS = Date.UTC(9999, 11, 31);

const TYPES: ReadonlySet<string> = new Set(
  "FILL TRANS MISC ACATC ACATS CFEE CGD CSD CSW DIV DIVCGL DIVCGS DIVFEE DIVFT DIVNRA DIVROC DIVTW DIVTXEX FEE INT INTNRA INTTW JNL JNLC JNLS MA NC OPASN OPCA OPCSH OPEXC OPEXP OPTRD PTC PTR REORG SPIN SPLIT FOPT".split(
    " ",
  ),
);

export function listActivities(
  exchange: Exchange,
  account: string,
  query: URLSearchParams,
  details: {
    readonly type: string | undefined;
    /** Leave out rows that share the stamp of the token's row. */
    readonly losesSeams: boolean;
    /** Asked for by `date`, everything comes on one page. */
    readonly wholeDays: boolean;
  },
): Response {
  const conditions = ["visible_ms <= $nowMs"];
  const values: Record<string, string | number> = { nowMs: exchange.now() };

  const types = details.type ?? query.get("activity_types") ?? undefined;
  const category = wordOf(query, "category", [
    "trade_activity",
    "non_trade_activity",
  ]);
  if (types !== undefined) {
    if (category !== undefined)
      throw unprocessable("activity_types excludes category");
    for (const type of types.split(","))
      if (!TYPES.has(type))
        throw unprocessable(`invalid activity type: ${type}`);
    conditions.push("instr($types, ',' || type || ',') > 0");
    values["types"] = `,${types},`;
  }
  if (category === "trade_activity") conditions.push("type = 'FILL'");
  if (category === "non_trade_activity") conditions.push("type <> 'FILL'");

  for (const [name, comparison] of [
    ["after", ">"],
    ["until", "<"],
  ] as const) {
    const text = query.get(name);
    if (text === null) continue;
    conditions.push(`created_at ${comparison} $${name}`);
    values[name] = stampOf(name, text);
  }
  const date = query.get("date");
  if (date !== null) {
    conditions.push("substr(created_at, 1, 10) = $date");
    values["date"] = stampOf("date", date).slice(0, 10);
  }
  const orderId = query.get("order_id");
  if (orderId !== null) {
    conditions.push("order_id = $orderId");
    values["orderId"] = orderId;
  }

  const direction = directionOf(query);
  const token = query.get("page_token");
  if (token !== null && details.losesSeams && date === null) {
    conditions.push("substr(id, 1, instr(id, '::')) <> $stamp");
    values["stamp"] = token.slice(0, token.indexOf("::") + 1);
  }
  // One bound on either side: of two on one side SQLite may take the one that is far away, and read all between.
  const isAscending = direction === "asc";
  const first = idDay(values["after"] ?? values["date"], -1) ?? "";
  const last = idDay(values["until"] ?? values["date"], 2) ?? "9";
  const isBehind = token !== null && isAscending && token >= first;
  const isBefore = token !== null && !isAscending && token < last;
  conditions.push(isBehind ? "id > $first" : "id >= $first", "id < $last");
  values["first"] = isBehind ? token : first;
  values["last"] = isBefore ? token : last;
  const max = details.wholeDays && date !== null ? ALL : PAGE_MAX;
  const limit = countOf(query, "page_size", { fallback: max, max });
  const rows = exchange.books.activities(
    account,
    conditions.join(" and "),
    values,
    direction,
    limit,
  );
  return jsonText(`[${rows.join(",")}]`);
}

/** Ids begin with a day, New York's or UTC's: the day some days after an instant, as they write it. */
function idDay(
  stamp: string | number | undefined,
  days: number,
): string | undefined {
  if (typeof stamp !== "string") return undefined;
  const ms = Date.parse(stamp.slice(0, 10)) + days * DAY;
  return new Date(Math.min(ms, LAST_DAY_MS))
    .toISOString()
    .slice(0, 10)
    .replaceAll("-", "");
}

function stampOf(name: string, text: string): string {
  const stamp = sortable(text);
  if (stamp === undefined) throw unprocessable(`invalid ${name}: ${text}`);
  return stamp;
}
