/** The venue's calendar before ours. */
import { expect, test } from "bun:test";
import { sessionOn } from "../../src/venues/calendar.ts";
import { SessionBook } from "../../src/venues/sessionBook.ts";

const at = (text: string) => Date.parse(text);

test("a day that nobody was asked about is as our table has it", () => {
  const book = new SessionBook();
  expect(book.isOpen(at("2026-11-25T15:00:00Z"))).toBe(true);
  expect(book.isOpen(at("2026-11-26T15:00:00Z"))).toBe(false);
});

test("a day that the venue leaves out has no session, whatever our table says", () => {
  const book = new SessionBook();
  const told = new Map(
    ["2026-11-23", "2026-11-25"].flatMap((day) => {
      const session = sessionOn(day);
      return session === undefined ? [] : [[day, session] as const];
    }),
  );
  expect(book.learn("2026-11-23", "2026-11-25", told)).toEqual(["2026-11-24"]);
  expect(book.isOpen(at("2026-11-24T15:00:00Z"))).toBe(false);
  expect(book.isOpen(at("2026-11-25T15:00:00Z"))).toBe(true);
});

test("a session that the venue cuts short ends when the venue says", () => {
  const book = new SessionBook();
  const session = sessionOn("2026-11-24");
  if (session === undefined) throw new Error("no session");
  const short = {
    ...session,
    closeMs: at("2026-11-24T18:00:00Z"),
    postCloseMs: at("2026-11-24T22:00:00Z"),
  };
  const told = new Map([["2026-11-24", short]]);
  expect(book.learn("2026-11-24", "2026-11-24", told)).toEqual(["2026-11-24"]);
  expect(book.isOpen(at("2026-11-24T21:59:00Z"))).toBe(true);
  expect(book.isOpen(at("2026-11-24T22:00:00Z"))).toBe(false);
});
