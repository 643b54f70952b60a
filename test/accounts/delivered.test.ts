import { expect, test } from "bun:test";
import { DeliveredMemory } from "../../src/accounts/delivered.ts";
import { uuid } from "../support/accountScript.ts";

function fill(number: number) {
  return {
    event: "fill",
    execution_id: uuid(number),
    order: { id: uuid(number), filled_qty: "5", status: "filled" },
  };
}

test("a new session answers only for itself", () => {
  const memory = new DeliveredMemory();
  memory.note(fill(1));
  expect(memory.hasExecution({ executionId: uuid(1) })).toBe(true);
  memory.clear();
  expect(memory.hasExecution({ executionId: uuid(1) })).toBe(false);
  expect(memory.hasExecution({ orderId: uuid(1), cumQty: "5" })).toBe(false);
  expect(memory.order(uuid(1))).toBeUndefined();
});

test.each([
  {},
  { order: null },
  { order: { id: { odd: 1 } }, execution_id: [1], legs: "none" },
  { order: [], legs: [{ execution_id: {} }] },
  { event: "fill", order: { id: uuid(1), filled_qty: {}, status: {} } },
])("a malformed update is no reason to fall over: %j", (data) => {
  const memory = new DeliveredMemory();
  expect(() => memory.note(data)).not.toThrow();
  expect(memory.hasExecution({ executionId: uuid(1) })).toBe(false);
});

test("an event that is no fill does not stand for one", () => {
  const memory = new DeliveredMemory();
  memory.note({ ...fill(1), event: "canceled", execution_id: undefined });
  expect(memory.hasExecution({ orderId: uuid(1), cumQty: "5" })).toBe(false);
  expect(memory.order(uuid(1))).toEqual({ ended: true });
});

test("the oldest is forgotten at the limit, and what is told again counts as new", () => {
  const memory = new DeliveredMemory();
  const order = (number: number) => ({
    event: "new",
    order: { id: uuid(number), status: "new" },
  });
  for (let number = 0; number < 20_000; number++) memory.note(order(number));
  memory.note(order(0));
  memory.note(order(20_000));
  expect(memory.order(uuid(0))).toEqual({ ended: false });
  expect(memory.order(uuid(1))).toBeUndefined();
  expect(memory.order(uuid(2))).toBeDefined();
});
