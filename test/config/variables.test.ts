import { expect, test } from "bun:test";
import { settingsSchema, VARIABLES } from "../../src/config/variables.ts";

test("every variable is described, once, in words that fit a table", () => {
  const names = VARIABLES.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toContain("ALPACA_API_KEY_<NAME>");
  for (const { name, meaning } of VARIABLES) {
    expect(name).toMatch(/^[A-Z][A-Z0-9_]*(_<NAME>)?$/);
    expect(meaning).not.toBe("");
    expect(meaning).not.toContain("|");
  }
});

test("what holds a key, a password or a token is a secret", () => {
  const telling = /KEY|SECRET|PASSWORD|TOKEN|CONN_STRING|DATABASE_URL/;
  const open = VARIABLES.filter(
    ({ name, secret }) => telling.test(name) && !secret,
  );
  expect(open).toEqual([]);
});

test("the documented default of a variable is the value it has when absent", () => {
  const absent = settingsSchema.parse({});
  const shown = Object.fromEntries(
    VARIABLES.flatMap(({ name, default: value }) => {
      const isPreset =
        Object.entries(absent).find(([key]) => key === name)?.[1] !== undefined;
      return isPreset && value !== undefined ? [[name, value]] : [];
    }),
  );
  expect(Object.keys(shown).length).toBeGreaterThan(30);
  expect(settingsSchema.parse(shown)).toEqual(absent);
});
