import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import type { ServiceStatus } from "../../schema/service.ts";
import {
  AMISS,
  type Ask,
  asking,
  OPEN_TO_ALL,
  serviceView,
  STATUS,
  TOKEN,
} from "./view.ts";

async function pageOf(path: string, ask: Ask = asking()): Promise<string> {
  const response = await ask(path);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/html; charset=UTF-8");
  return response.text();
}

function found(text: string, pattern: RegExp): string[] {
  return Array.from(text.matchAll(pattern), ([, group]) => group ?? "");
}

/** The cells of each row of the page's tables, without the markup in them. */
function rowsOf(html: string): string[][] {
  return found(html, /<tr>(.*?)<\/tr>/gs)
    .map((row) =>
      found(row, /<td[^>]*>(.*?)<\/td>/gs).map((cell) =>
        cell
          .replace(/<[^>]*>/g, "")
          .replace(/\s+/g, " ")
          .trim(),
      ),
    )
    .filter((cells) => cells.length > 0);
}

describe.each(["/", "/docs"])("the page at %s", (path) => {
  test("needs nothing from elsewhere: no script, no image, no address of another host", async () => {
    const html = await pageOf(path);
    expect(html).toStartWith("<!doctype html>");
    expect(found(html, /<(script|img|link|iframe|object)\b/g)).toEqual([]);
    expect(found(html, /@(import)|\b(url)\(/g)).toEqual([]);
    const links = found(html, /\b(?:href|src|action)="([^"]*)"/g);
    expect(links.length).toBeGreaterThan(0);
    expect(links.filter((link) => !/^(\/(?!\/)|#)/.test(link))).toEqual([]);
  });

  test("has the one style that its policy allows", async () => {
    const response = await asking()(path);
    const [style = "", ...others] = found(
      await response.text(),
      /<style>(.*?)<\/style>/gs,
    );
    expect(others).toEqual([]);
    const digest = createHash("sha256").update(style).digest("base64");
    expect(response.headers.get("content-security-policy")).toContain(
      `style-src 'sha256-${digest}'`,
    );
  });

  test("links to what is there", async () => {
    const ask = asking();
    const html = await pageOf(path, ask);
    for (const link of found(html, /href="(\/[^"]*)"/g))
      expect([link, (await ask(link)).status]).toEqual([link, 200]);
    const anchors = new Set(found(html, /\bid="([^"]*)"/g));
    expect(
      found(html, /href="#([^"]*)"/g).filter((name) => !anchors.has(name)),
    ).toEqual([]);
  });
});

describe("the page at /", () => {
  test("tells at a glance whether all is well, and what each part does", async () => {
    const html = await pageOf("/");
    expect(html).toMatch(/class="good"\s*>ready<\/span/);
    expect(rowsOf(html)).toEqual([
      ["postgres", "ok", "2026-09-16T14:00:00.000Z", ""],
      [
        "live",
        "streaming",
        "2026-09-16T14:00:00.000Z",
        "quiet: silent for 90 s",
        "done",
        "resting",
        "3",
        "5",
        "2",
      ],
      [
        "cold_harbour",
        "connecting",
        "2026-09-16T14:00:00.000Z",
        "",
        "waiting",
        "waiting",
        "0",
        "0",
        "0",
      ],
      [
        "postgres",
        "spooling (connect ECONNREFUSED)",
        "2026-09-16T14:00:00.000Z",
        "0",
        "3",
        "10",
      ],
    ]);
  });

  test("says what is amiss, and that there is no account when there is none", async () => {
    const view = serviceView({
      health: () => AMISS,
      status: () => ({ ...STATUS, accounts: [] }),
    });
    const html = await pageOf("/", asking(view));
    expect(html).toMatch(/class="bad"\s*>not ready<\/span/);
    expect(html).toContain("No account is configured.");
    expect(rowsOf(html)[0]).toEqual([
      "postgres",
      "down",
      "2026-09-16T14:00:00.000Z",
      "db.internal:5432 does not answer; 3 records wait on the disk",
    ]);
  });

  test("shows text of venues and stores as text, whatever is in it", async () => {
    const evil = `<script>alert("1")</script>&'`;
    const [account] = STATUS.accounts;
    const [sink] = STATUS.sinks;
    if (account === undefined || sink === undefined) throw new Error("no rows");
    const status: ServiceStatus = {
      ...STATUS,
      version: evil,
      accounts: [{ ...account, verdict: { verdict: "dead", reason: evil } }],
      sinks: [{ ...sink, lastError: evil }],
    };
    const html = await pageOf(
      "/",
      asking(serviceView({ status: () => status })),
    );
    expect(html).not.toContain("<script");
    expect(
      html.match(
        /&lt;script&gt;alert\(&quot;1&quot;\)&lt;\/script&gt;&amp;&#39;/g,
      ),
    ).toHaveLength(3);
    // The version is in the reference as well.
    expect(
      await pageOf("/docs", asking(serviceView({ status: () => status }))),
    ).not.toContain("<script");
  });
});

test("the reference shows every route, every answer and every schema of the document", async () => {
  const ask: Ask = (path) =>
    asking(serviceView(), OPEN_TO_ALL)(path, {
      headers: { authorization: `Bearer ${TOKEN}` },
    });
  const html = await pageOf("/docs", ask);
  const document: {
    paths: Record<string, Record<string, { responses: object }>>;
    components: { schemas: object };
  } = JSON.parse(await (await ask("/openapi.json")).text());
  const operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, { responses }]) => ({
      title: `${method.toUpperCase()} ${path}`,
      statuses: Object.keys(responses),
    })),
  );
  const sections = html.split("<h3>").slice(1);
  expect(
    sections.map((section) => ({
      title: found(section, /^<code>(.*?)<\/code>/g)[0],
      statuses: rowsOf(section)
        .map(([first = ""]) => first)
        .filter((cell) => /^\d{3}$/.test(cell)),
    })),
  ).toEqual(operations);
  expect(found(html, /<details id="schema-([^"]*)"/g)).toEqual(
    Object.keys(document.components.schemas),
  );
});
