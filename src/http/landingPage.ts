/** The page at `/`: one look tells whether all is well. Renders on the server; needs no script and no network. */
import { html } from "hono/html";
import type {
  AccountStatus,
  Health,
  HealthCheck,
  ServiceStatus,
  SinkStatus,
} from "../../schema/service.ts";
import { page } from "./page.ts";
import type { Html } from "./page.ts";

export function landingPage(health: Health, status: ServiceStatus): Html {
  return page(
    "feedkeeper",
    html`<h1>feedkeeper</h1>
      <p>
        <span class="${health.ready ? "good" : "bad"}"
          >${health.ready ? "ready" : "not ready"}</span
        >
        (${health.status}), ${status.venue} venue, version ${status.version},
        started ${status.startedAt}
      </p>
      <nav>
        ${LINKS.map(([path, name]) => html`<a href="${path}">${name}</a>`)}
      </nav>
      <h2>Checks</h2>
      <table>
        <tr>
          <th>check</th>
          <th>state</th>
          <th>since</th>
          <th></th>
        </tr>
        ${health.checks.map(checkRow)}
      </table>
      <h2>Accounts</h2>
      ${
        status.accounts.length === 0
          ? html`<p>No account is configured.</p>`
          : html`<table>
              <tr>
                <th>account</th>
                <th>stream</th>
                <th>since</th>
                <th>verdict</th>
                <th>backfill</th>
                <th>healer</th>
                <th>orders</th>
                <th>events</th>
                <th>activities</th>
              </tr>
              ${status.accounts.map(accountRow)}
            </table>`
      }
      <h2>Sinks</h2>
      <table>
        <tr>
          <th>sink</th>
          <th>state</th>
          <th>since</th>
          <th>queued</th>
          <th>spooled</th>
          <th>written</th>
        </tr>
        ${status.sinks.map(sinkRow)}
      </table>`,
    html`<meta http-equiv="refresh" content="5" />`,
  );
}

const LINKS = [
  ["/docs", "API reference"],
  ["/health", "health"],
  ["/metrics", "metrics"],
  ["/api/v1/status", "status"],
  ["/api/v1/tree", "tree"],
  ["/api/v1/coverage", "coverage"],
] as const;

function checkRow({ name, ok, state, since, detail }: HealthCheck): Html {
  return html`<tr>
    <td>${name}</td>
    <td class="${ok ? "good" : "bad"}">${state}</td>
    <td>${since}</td>
    <td>${detail ?? ""}</td>
  </tr>`;
}

function accountRow(account: AccountStatus): Html {
  const { verdict, rows } = account;
  return html`<tr>
    <td>${account.account}</td>
    <td>${account.state}</td>
    <td>${account.since}</td>
    <td>
      ${verdict === undefined ? "" : `${verdict.verdict}: ${verdict.reason}`}
    </td>
    <td>${account.backfill}</td>
    <td>${account.healer}</td>
    <td>${rows.orders}</td>
    <td>${rows.events}</td>
    <td>${rows.activities}</td>
  </tr>`;
}

function sinkRow(sink: SinkStatus): Html {
  return html`<tr>
    <td>${sink.sink}</td>
    <td>
      ${sink.state}${sink.lastError === undefined ? "" : ` (${sink.lastError})`}
    </td>
    <td>${sink.since}</td>
    <td>${sink.queued}</td>
    <td>${sink.spooled}</td>
    <td>${sink.written}</td>
  </tr>`;
}
