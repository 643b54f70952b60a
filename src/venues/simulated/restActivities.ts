/** `/v2/account/activities[/{type}]`: by id, a page at a time; the token is the id of the last row. */
import { DAY } from "../../clock.ts";
import { countOf, directionOf, jsonText, unprocessable } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import { sortable } from "./stamps.ts";

const PAGE_MAX = 100;

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
  },
): Response {
  const conditions = ["visible_ms <= $nowMs"];
  const values: Record<string, string | number> = { nowMs: exchange.now() };

  const types = details.type ?? query.get("activity_types") ?? undefined;
  const category = query.get("category");
  if (types !== undefined) {
    if (category !== null)
      throw unprocessable("activity_types excludes category");
    for (const type of types.split(","))
      if (!TYPES.has(type))
        throw unprocessable(`invalid activity type: ${type}`);
    conditions.push("instr($types, ',' || type || ',') > 0");
    values["types"] = `,${types},`;
  }
  if (category === "trade_activity") conditions.push("type = 'FILL'");
  else if (category === "non_trade_activity") conditions.push("type <> 'FILL'");
  else if (category !== null)
    throw unprocessable(`invalid category: ${category}`);

  for (const [name, comparison] of [
    ["after", ">"],
    ["until", "<"],
  ] as const) {
    const text = query.get(name);
    if (text === null) continue;
    conditions.push(`created_at ${comparison} $${name}`);
    values[name] = stampOf(name, text);
  }
  // Ids begin with a day, New York's or UTC's, so a bound of time bounds them as well.
  const after = values["after"];
  if (typeof after === "string") {
    conditions.push("id >= $firstId");
    values["firstId"] = new Date(Date.parse(after) - DAY)
      .toISOString()
      .slice(0, 10)
      .replaceAll("-", "");
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
  if (token !== null) {
    const comparison = direction === "asc" ? ">" : "<";
    conditions.push(`id ${comparison} $token`);
    values["token"] = token;
    if (details.losesSeams && date === null) {
      conditions.push("substr(id, 1, instr(id, '::')) <> $stamp");
      values["stamp"] = token.slice(0, token.indexOf("::") + 1);
    }
  }
  const limit = countOf(query, "page_size", {
    fallback: PAGE_MAX,
    max: PAGE_MAX,
  });
  const rows = exchange.books.activities(
    account,
    conditions.join(" and "),
    values,
    direction,
    limit,
  );
  return jsonText(`[${rows.join(",")}]`);
}

function stampOf(name: string, text: string): string {
  const stamp = sortable(text);
  if (stamp === undefined) throw unprocessable(`invalid ${name}: ${text}`);
  return stamp;
}
