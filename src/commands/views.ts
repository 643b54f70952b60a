/** `status` and `tree`: what a running service says of itself, in the terminal. */
import type { ServiceStatus, TreeNode } from "../../schema/service.ts";
import type { Output, ReadFlags } from "../cli.ts";
import { SECOND } from "../clock.ts";
import type { Config } from "../config.ts";
import { describeError } from "../errors.ts";
import { readRunFile } from "./runFile.ts";

export async function status(
  config: Config,
  flags: ReadFlags,
  io: Output,
): Promise<number> {
  return show<ServiceStatus>(config, "/api/v1/status", flags, io, statusText);
}

export async function tree(
  config: Config,
  flags: ReadFlags,
  io: Output,
): Promise<number> {
  return show<TreeNode>(config, "/api/v1/tree", flags, io, (root) =>
    treeText(root, ""),
  );
}

/** The service that runs with this configuration's directory or address; undefined when none answers. */
export async function fetchRunning(
  config: Config,
): Promise<ServiceStatus | undefined> {
  return ask<ServiceStatus>(config, "/api/v1/status").catch(() => undefined);
}

async function show<Answer>(
  config: Config,
  path: string,
  flags: ReadFlags,
  io: Output,
  textOf: (answer: Answer) => string,
): Promise<number> {
  try {
    const answer = await ask<Answer>(config, path);
    io.stdout(
      flags.json ? `${JSON.stringify(answer, undefined, 2)}\n` : textOf(answer),
    );
    return 0;
  } catch (error) {
    io.stderr(
      `no feedkeeper answers at ${addressOf(config)}: ${describeError(error)}\n`,
    );
    return 1;
  }
}

async function ask<Answer>(config: Config, path: string): Promise<Answer> {
  const { apiToken } = config.http;
  const response = await fetch(`${addressOf(config)}${path}`, {
    signal: AbortSignal.timeout(5 * SECOND),
    headers:
      apiToken === undefined ? {} : { authorization: `Bearer ${apiToken}` },
  });
  const body = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${body}`);
  // Our own service, of this version or a near one.
  return JSON.parse(body) as Answer;
}

function addressOf({ directory, http: { host, port } }: Config): string {
  return (
    readRunFile(directory)?.httpUrl ??
    `http://${host.includes(":") ? `[${host}]` : host}:${port}`
  );
}

function statusText({
  version,
  venue,
  uptimeSeconds,
  accounts,
  feeds,
  sinks,
  spool,
}: ServiceStatus): string {
  return [
    `feedkeeper ${version}, venue ${venue}, up ${uptimeSeconds} s`,
    ...accounts.map(
      ({ account, state, verdict, backfill, healer, rows, undeliveredToday }) =>
        `account ${account}: ${state}${verdict === undefined ? "" : ` (${verdict.verdict}: ${verdict.reason})`}; backfill ${backfill}, healer ${healer}; ` +
        `${rows.orders} orders, ${rows.events} events, ${rows.activities} activities written; ${undeliveredToday} fills undelivered today`,
    ),
    ...feeds.map(
      ({ feed, state, verdict, messages, subscribed, notGranted }) =>
        `feed ${feed}: ${state}${verdict === undefined ? "" : ` (${verdict.verdict}: ${verdict.reason})`}; ` +
        `${messages} messages, ${subscribed} subscriptions${notGranted.length === 0 ? "" : `, ${notGranted.length} not granted (${notGranted.slice(0, 3).join("; ")})`}`,
    ),
    ...sinks.map(
      ({ sink, state, queued, spooled, written, dropped = 0, lastError }) =>
        `sink ${sink}: ${state}; ${written} rows written, ${queued} queued, ${spooled} on disk${dropped === 0 ? "" : `, ${dropped} dropped`}${lastError === undefined ? "" : `; ${lastError}`}`,
    ),
    `spool ${spool.path}: ${spool.records} records, ${spool.bytes} bytes${spool.full ? ", FULL" : ""}`,
    "",
  ].join("\n");
}

function treeText(
  { id, state, restarts, lastError, children = [] }: TreeNode,
  indent: string,
): string {
  const told = [
    state,
    ...(restarts > 0 ? [`${restarts} restarts`] : []),
    ...(lastError === undefined ? [] : [lastError]),
  ];
  const line = `${indent}${id}: ${told.join(", ")}\n`;
  return (
    line + children.map((child) => treeText(child, `${indent}  `)).join("")
  );
}
