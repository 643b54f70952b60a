import { expect, test } from "bun:test";
import { DialSchedule } from "../../src/flow/dials.ts";

const bounds = { baseMs: 1000, maxMs: 60_000 };
const schedule = () => new DialSchedule(bounds, () => 1);

test("the first dial is allowed at once, each further one after a doubled wait", () => {
  const dials = schedule();
  const waits: number[] = [];
  for (let at = 0, dial = 0; dial < 9; dial++) {
    waits.push(dials.waitMs(at));
    at += dials.waitMs(at);
    dials.began(at);
    dials.ended(at);
  }
  expect(waits).toEqual([
    0, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000,
  ]);
});

test("a peer that accepts and hangs up gets no faster dials, one that stayed does", () => {
  const dials = schedule();
  for (let dial = 0; dial < 4; dial++) {
    dials.began(0);
    dials.ended(0);
  }
  expect(dials.waitMs(0)).toBe(8000);
  dials.began(10_000);
  dials.settled();
  dials.ended(500_000);
  expect(dials.waitMs(500_000)).toBe(1000);
});

test("an actor that dies before its link ended has not shortened the wait", () => {
  const dials = schedule();
  dials.began(0);
  dials.began(0);
  expect(dials.waitMs(0)).toBe(2000);
});

test("the venue's own word on when to come back is kept, up to half an hour", () => {
  const dials = schedule();
  dials.began(0);
  dials.ended(0, { retryAfterMs: 90_000 });
  expect(dials.waitMs(0)).toBe(90_000);
  dials.ended(0, { retryAfterMs: 86_400_000 });
  expect(dials.waitMs(0)).toBe(1_800_000);
});

test("a slot that frees itself is asked for often", () => {
  const dials = schedule();
  for (let dial = 0; dial < 9; dial++) dials.began(0);
  dials.ended(0, { waitMsMax: 20_000 });
  expect(dials.waitMs(0)).toBe(20_000);
});

test("a refused key waits minutes, longer each time, whatever ends in between", () => {
  const dials = schedule();
  dials.began(0);
  dials.refused(0);
  dials.ended(0);
  expect(dials.waitMs(0)).toBe(300_000);
  dials.began(300_000);
  dials.refused(300_000);
  dials.ended(300_000);
  expect(dials.waitMs(300_000)).toBe(600_000);
});
