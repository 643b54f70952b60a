/** Sessions of the US exchanges: the published closed and short days, and the edges of a day. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DAY, HOUR, MINUTE } from "../../src/clock.ts";
import {
  isOpen,
  nextOpen,
  type Session,
  sessionOn,
  sessionsBetween,
} from "../../src/venues/calendar.ts";

function weekdays(year: number): string[] {
  const days: string[] = [];
  for (let ms = Date.UTC(year, 0, 1); ms < Date.UTC(year + 1, 0, 1); ms += DAY)
    if (![0, 6].includes(new Date(ms).getUTCDay()))
      days.push(new Date(ms).toISOString().slice(0, 10));
  return days;
}

function year(number: number): Session[] {
  return sessionsBetween(`${number}-01-01`, `${number}-12-31`);
}

function iso(ms: number): string {
  return new Date(ms).toISOString().replace(":00.000Z", "Z");
}

/** The instants of a session, as `2026-07-02 08:00Z 13:30Z 20:00Z 00:00Z`. */
function inShort(session: Session | undefined): string {
  if (session === undefined) return "closed";
  const { day, preOpenMs, openMs, closeMs, postCloseMs } = session;
  const times = [preOpenMs, openMs, closeMs, postCloseMs].map((ms) =>
    iso(ms).slice(11),
  );
  return [day, ...times].join(" ");
}

describe("the published years", () => {
  test.each([
    [
      2024,
      "01-01 01-15 02-19 03-29 05-27 06-19 07-04 09-02 11-28 12-25",
      "07-03 11-29 12-24",
      252,
    ],
    [
      2025,
      "01-01 01-09 01-20 02-17 04-18 05-26 06-19 07-04 09-01 11-27 12-25",
      "07-03 11-28 12-24",
      250,
    ],
    [
      2026,
      "01-01 01-19 02-16 04-03 05-25 06-19 07-03 09-07 11-26 12-25",
      "11-27 12-24",
      251,
    ],
    [
      2027,
      "01-01 01-18 02-15 03-26 05-31 06-18 07-05 09-06 11-25 12-24",
      "11-26",
      251,
    ],
    [
      2028,
      "01-17 02-21 04-14 05-29 06-19 07-04 09-04 11-23 12-25",
      "07-03 11-24",
      251,
    ],
  ])("%d is closed on %s, short on %s", (number, closed, short, count) => {
    const sessions = year(number);
    const days = new Set(sessions.map(({ day }) => day));
    const monthDays = (list: string[]) =>
      list.map((day) => day.slice(5)).join(" ");
    expect(monthDays(weekdays(number).filter((day) => !days.has(day)))).toBe(
      closed,
    );
    expect(
      monthDays(
        sessions.filter(({ isHalfDay }) => isHalfDay).map(({ day }) => day),
      ),
    ).toBe(short);
    expect(sessions.length).toBe(count);
  });

  test("every year since 2003 has as many sessions as the exchange counted", () => {
    const counts = Array.from({ length: 21 }, (_, back) =>
      String(year(2003 + back).length),
    );
    expect(counts.join(" ")).toBe(
      "252 252 252 251 251 253 252 252 252 250 252 252 252 252 251 251 252 253 252 251 250",
    );
  });

  test.each([
    ["2004-06-11", "closed"],
    ["2007-01-02", "closed"],
    ["2012-10-29", "closed"],
    ["2012-10-30", "closed"],
    ["2012-10-31", "2012-10-31 08:00Z 13:30Z 20:00Z 00:00Z"],
    ["2018-12-05", "closed"],
    ["2025-01-09", "closed"],
    ["2003-12-26", "2003-12-26 09:00Z 14:30Z 18:00Z 22:00Z"],
    // A Friday between Christmas and the new year is a day like any other.
    ["2014-12-26", "2014-12-26 09:00Z 14:30Z 21:00Z 01:00Z"],
    // New Year on a Saturday is not kept: neither the Friday before nor the Monday after.
    ["2021-12-31", "2021-12-31 09:00Z 14:30Z 21:00Z 01:00Z"],
    ["2022-01-03", "2022-01-03 09:00Z 14:30Z 21:00Z 01:00Z"],
    ["2027-12-31", "2027-12-31 09:00Z 14:30Z 21:00Z 01:00Z"],
    // On a Sunday it is, on Monday.
    ["2023-01-02", "closed"],
    // Juneteenth is kept since 2022; 19 June 2021 was a Saturday, 2020 a Friday.
    ["2020-06-19", "2020-06-19 08:00Z 13:30Z 20:00Z 00:00Z"],
    ["2021-06-18", "2021-06-18 08:00Z 13:30Z 20:00Z 00:00Z"],
    ["2022-06-20", "closed"],
    // Christmas on a Saturday is kept on Friday, and the Thursday is not short for it.
    ["2021-12-24", "closed"],
    ["2021-12-23", "2021-12-23 09:00Z 14:30Z 21:00Z 01:00Z"],
    ["2020-07-02", "2020-07-02 08:00Z 13:30Z 20:00Z 00:00Z"],
    ["2020-07-03", "closed"],
    // Columbus and Veterans Day: banks are closed, the exchange is not.
    ["2026-10-12", "2026-10-12 08:00Z 13:30Z 20:00Z 00:00Z"],
    ["2026-11-11", "2026-11-11 09:00Z 14:30Z 21:00Z 01:00Z"],
    ["2026-09-19", "closed"],
    ["2026-09-20", "closed"],
  ])("%s: %s", (day, expected) => {
    expect(inShort(sessionOn(day))).toBe(expected);
  });
});

describe("a session", () => {
  test("has its instants by New York's clock, and UTC's moves with the season", () => {
    // Friday and Monday around both changes of 2025.
    expect(
      ["2025-03-07", "2025-03-10", "2025-10-31", "2025-11-03"].map((day) =>
        inShort(sessionOn(day)),
      ),
    ).toEqual([
      "2025-03-07 09:00Z 14:30Z 21:00Z 01:00Z",
      "2025-03-10 08:00Z 13:30Z 20:00Z 00:00Z",
      "2025-10-31 08:00Z 13:30Z 20:00Z 00:00Z",
      "2025-11-03 09:00Z 14:30Z 21:00Z 01:00Z",
    ]);
  });

  test("of a half day ends at 13:00, its late session at 17:00", () => {
    expect(sessionOn("2024-07-03")).toEqual({
      day: "2024-07-03",
      preOpenMs: Date.parse("2024-07-03T04:00:00-04:00"),
      openMs: Date.parse("2024-07-03T09:30:00-04:00"),
      closeMs: Date.parse("2024-07-03T13:00:00-04:00"),
      postCloseMs: Date.parse("2024-07-03T17:00:00-04:00"),
      isHalfDay: true,
    });
    expect(sessionOn("2024-12-24")).toEqual({
      day: "2024-12-24",
      preOpenMs: Date.parse("2024-12-24T04:00:00-05:00"),
      openMs: Date.parse("2024-12-24T09:30:00-05:00"),
      closeMs: Date.parse("2024-12-24T13:00:00-05:00"),
      postCloseMs: Date.parse("2024-12-24T17:00:00-05:00"),
      isHalfDay: true,
    });
  });

  test("is always 16 hours with its early and late part, a half day 13", () => {
    for (const session of sessionsBetween("2003-01-01", "2030-12-31")) {
      const { preOpenMs, openMs, closeMs, postCloseMs, isHalfDay } = session;
      expect([
        session.day,
        openMs - preOpenMs,
        closeMs - openMs,
        postCloseMs - closeMs,
      ]).toEqual([
        session.day,
        5.5 * HOUR,
        (isHalfDay ? 3.5 : 6.5) * HOUR,
        4 * HOUR,
      ]);
    }
  });
});

const malformed = [
  "",
  "today",
  "2024",
  "2024-01",
  "2024-1-2",
  "20240102",
  "2024-01-02T00:00",
  " 2024-01-02",
  "+002024-01-02",
  "2024-13-01",
  "2024-00-10",
  "2024-01-00",
  "2024-02-30",
  "2023-02-29",
];

test.each(malformed)("%p is no day, so it has no session", (day) => {
  expect(sessionOn(day)).toBeUndefined();
  expect(sessionsBetween(day, "2024-12-31")).toEqual([]);
  expect(sessionsBetween("2020-01-01", day)).toEqual([]);
});

test("both ends of a range belong to it, and a range that runs backwards is empty", () => {
  const days = (from: string, to: string) =>
    sessionsBetween(from, to).map(({ day }) => day);
  expect(days("2025-07-02", "2025-07-07")).toEqual([
    "2025-07-02",
    "2025-07-03",
    "2025-07-07",
  ]);
  expect(days("2025-07-03", "2025-07-03")).toEqual(["2025-07-03"]);
  expect(days("2025-07-04", "2025-07-06")).toEqual([]);
  expect(days("2025-07-07", "2025-07-02")).toEqual([]);
  expect(days("2024-02-28", "2024-03-01")).toEqual([
    "2024-02-28",
    "2024-02-29",
    "2024-03-01",
  ]);
});

describe("open", () => {
  test.each([
    // An ordinary day: [open, close), and with the early and late sessions [04:00, 20:00).
    ["2026-09-16T03:59:59.999-04:00", "closed"],
    ["2026-09-16T04:00:00-04:00", "extended"],
    ["2026-09-16T09:29:59.999-04:00", "extended"],
    ["2026-09-16T09:30:00-04:00", "regular"],
    ["2026-09-16T15:59:59.999-04:00", "regular"],
    ["2026-09-16T16:00:00-04:00", "extended"],
    ["2026-09-16T19:59:59.999-04:00", "extended"],
    ["2026-09-16T20:00:00-04:00", "closed"],
    ["2026-09-17T00:00:00-04:00", "closed"],
    // A half day.
    ["2026-11-27T12:59:59.999-05:00", "regular"],
    ["2026-11-27T13:00:00-05:00", "extended"],
    ["2026-11-27T16:59:59.999-05:00", "extended"],
    ["2026-11-27T17:00:00-05:00", "closed"],
    // Winter and summer differ by an hour.
    ["2025-03-07T14:30:00Z", "regular"],
    ["2025-03-10T13:29:59.999Z", "extended"],
    ["2025-03-10T13:30:00Z", "regular"],
    // The late session of a Friday in winter ends on UTC's Saturday.
    ["2026-01-17T00:59:59.999Z", "extended"],
    ["2026-01-17T01:00:00Z", "closed"],
    ["2026-09-19T10:00:00-04:00", "closed"],
    ["2026-12-25T10:00:00-05:00", "closed"],
  ])("at %s: %s", (text, expected) => {
    const ms = Date.parse(text);
    expect([isOpen(ms), isOpen(ms, { extended: true })]).toEqual(
      {
        closed: [false, false],
        extended: [false, true],
        regular: [true, true],
      }[expected] ?? [],
    );
  });

  test("is what the sessions say, at any instant", () => {
    const sessions = sessionsBetween("2023-12-01", "2029-01-31");
    fc.assert(
      fc.property(
        fc.integer({
          min: Date.UTC(2024, 0) / MINUTE,
          max: Date.UTC(2029, 0) / MINUTE,
        }),
        (minute) => {
          const ms = minute * MINUTE;
          expect([isOpen(ms), isOpen(ms, { extended: true })]).toEqual([
            sessions.some((each) => each.openMs <= ms && ms < each.closeMs),
            sessions.some(
              (each) => each.preOpenMs <= ms && ms < each.postCloseMs,
            ),
          ]);
          expect(nextOpen(ms)).toBe(
            sessions.find(({ openMs }) => openMs > ms)?.openMs ?? Number.NaN,
          );
        },
      ),
    );
  });
});

describe("the next opening", () => {
  test.each([
    ["the same morning", "2026-09-16T00:00:00-04:00", "2026-09-16T13:30Z"],
    ["a moment later", "2026-09-16T13:29:59.999Z", "2026-09-16T13:30Z"],
    ["not this one", "2026-09-16T13:30:00Z", "2026-09-17T13:30Z"],
    ["after the close", "2026-09-16T20:00:00Z", "2026-09-17T13:30Z"],
    ["late on UTC's next day", "2026-09-17T03:59:00Z", "2026-09-17T13:30Z"],
    ["over a weekend", "2026-09-18T20:00:00Z", "2026-09-21T13:30Z"],
    ["over Labor Day", "2026-09-04T20:00:00Z", "2026-09-08T13:30Z"],
    ["over Good Friday", "2026-04-02T20:00:00Z", "2026-04-06T13:30Z"],
    ["over Christmas", "2026-12-24T18:00:00Z", "2026-12-28T14:30Z"],
    ["over a storm", "2012-10-26T20:00:00Z", "2012-10-31T13:30Z"],
    // Sunday's new year kept on Monday, then a day of mourning.
    ["over four days", "2006-12-29T21:00:00Z", "2007-01-03T14:30Z"],
    ["over the change to summer", "2025-03-07T21:00:00Z", "2025-03-10T13:30Z"],
    ["over the change to winter", "2025-10-31T20:00:00Z", "2025-11-03T14:30Z"],
  ])("%s", (_, text, expected) => {
    expect(iso(nextOpen(Date.parse(text)))).toBe(expected);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])(
    "of %p there is none",
    (ms) => {
      expect(() => nextOpen(ms)).toThrow(RangeError);
      expect(() => isOpen(ms)).toThrow(RangeError);
    },
  );
});
