/** How an account is spelled in table names, and that Postgres keeps those names whole. */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import {
  accountSlug,
  IDENTIFIER_BYTES_MAX,
  LONGEST_NAME_AROUND_SLUG,
  SLUG_LENGTH_MAX,
} from "../../schema/account.ts";
import { accountTables } from "../../src/stores/postgres/accountTables.ts";

test.each([
  ["live", "live"],
  ["Paper-2", "paper_2"],
  ["  My   Account  ", "my_account"],
  ["__a__b__", "a_b"],
  ["a - b", "a_b"],
  ["ÜBER/konto", "ber_konto"],
  ["İstanbul", "i_stanbul"],
  ["🚀 moon 🚀", "moon"],
  ["7seas", "d_7seas"],
  ["-7", "d_7"],
  ["d_7", "d_7"],
  ["", "dest"],
  ["___", "dest"],
  ["漢字", "dest"],
])("%p is spelled %p", (name, slug) => {
  expect(accountSlug(name)).toBe(slug);
});

test("whatever the name, its slug is a plain identifier, and is its own slug", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (name) => {
      const slug = accountSlug(name);
      expect(slug).toMatch(/^[a-z][a-z0-9]*(_[a-z0-9]+)*$/);
      expect(accountSlug(slug)).toBe(slug);
    }),
  );
});

test("of the longest slug every table and index fits an identifier, the longest exactly", () => {
  const slug = "s".repeat(SLUG_LENGTH_MAX);
  const folder = join(import.meta.dir, "../../schema/sql/account");
  const inStatements = readdirSync(folder)
    .map((file) => readFileSync(join(folder, file), "utf8"))
    .flatMap((sql) => sql.match(/\b\w*\{\{slug\}\}\w*/g) ?? [])
    .map((name) => name.replace("{{slug}}", slug));
  const tables = Object.values(accountTables("schema", slug)).map((name) =>
    name.replace("schema.", ""),
  );
  const lengths = [...inStatements, ...tables].map(({ length }) => length);
  expect(lengths.length).toBeGreaterThan(14);
  expect(Math.max(...lengths)).toBe(IDENTIFIER_BYTES_MAX);
  expect(inStatements).toContain(
    LONGEST_NAME_AROUND_SLUG.replace("__", `_${slug}_`),
  );
});
