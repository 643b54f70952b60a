import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import { EventEmitter } from "node:events";
import { createActor, sendTo, setup } from "xstate";
import {
  fromResource,
  type ResourceScope,
} from "../../../actors/supervision/resource.ts";

type Message = { type: "frame"; text: string };
type Scope = ResourceScope<string, Message>;

/** Starts a resource whose `open` runs after two things were opened. */
function start(open: (scope: Scope) => void | Promise<void> = () => {}) {
  const log: string[] = [];
  const errors: unknown[] = [];
  let scope: Scope | undefined;
  const logic = fromResource<string, Message>((opened) => {
    scope = opened;
    opened.signal.addEventListener("abort", () => log.push("abort"));
    opened.stack.defer(() => log.push("close first"));
    opened.stack.defer(() => log.push("close second"));
    return open(opened);
  });
  const actor = createActor(logic, { input: "wss://venue" });
  actor.subscribe({
    complete: () => log.push("complete"),
    error: (error) => errors.push(error),
  });
  actor.start();
  if (scope === undefined) throw new Error("was not opened");
  return { actor, scope, log, errors };
}

const closed = ["abort", "close second", "close first"];

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

describe("a resource is closed, last opened first, when it", () => {
  test("is stopped", () => {
    const { actor, log } = start();
    expect(log).toEqual([]);
    actor.stop();
    expect(log).toEqual([...closed, "complete"]);
    expect(actor.getSnapshot().status).toBe("stopped");
  });

  test("finishes", () => {
    const { actor, scope, log } = start();
    scope.finish(42);
    expect(log).toEqual([...closed, "complete"]);
    expect(actor.getSnapshot()).toMatchObject({ status: "done", output: 42 });
  });

  test("fails", () => {
    const { actor, scope, log, errors } = start();
    scope.fail(new Error("gone"));
    expect(log).toEqual(closed);
    expect(errors).toEqual([new Error("gone")]);
    expect(actor.getSnapshot().status).toBe("error");
  });

  test("throws while it opens", () => {
    const { log, errors } = start(() => {
      throw new Error("no route");
    });
    expect(log).toEqual(closed);
    expect(errors).toEqual([new Error("no route")]);
  });

  test("rejects while it opens", async () => {
    const { log, errors } = start(async () => {
      await Promise.resolve();
      throw new Error("no route");
    });
    expect(log).toEqual([]);
    await flush();
    expect(log).toEqual(closed);
    expect(errors).toEqual([new Error("no route")]);
  });

  test("throws in receive, and hears no message after that", () => {
    const heard: string[] = [];
    const { actor, log, errors } = start(({ receive }) => {
      receive(({ text }) => {
        heard.push(text);
        throw new Error(`cannot read ${text}`);
      });
      receive(({ text }) => heard.push(`second ${text}`));
    });
    actor.send({ type: "frame", text: "a" });
    expect(heard).toEqual(["a"]);
    expect(log).toEqual(closed);
    expect(errors).toEqual([new Error("cannot read a")]);
  });

  test("throws in a foreign listener, which the emitter never notices", () => {
    const emitter = new EventEmitter();
    const { log, errors } = start(({ guard }) => {
      emitter.on(
        "message",
        guard((text: string) => {
          throw new Error(`cannot read ${text}`);
        }),
      );
    });
    expect(emitter.emit("message", "{")).toBe(true);
    expect(log).toEqual(closed);
    expect(errors).toEqual([new Error("cannot read {")]);
  });

  test("rejects in an async foreign listener", async () => {
    const emitter = new EventEmitter();
    const { log, errors } = start(({ guard }) => {
      emitter.on(
        "message",
        guard(async () => {
          await Promise.resolve();
          throw new Error("late");
        }),
      );
    });
    emitter.emit("message");
    await flush();
    expect(log).toEqual(closed);
    expect(errors).toEqual([new Error("late")]);
  });
});

describe("shutdown", () => {
  test("finishes a resource that registered nothing", () => {
    const { actor, log } = start();
    actor.send({ type: "shutdown" });
    expect(log).toEqual([...closed, "complete"]);
    expect(actor.getSnapshot().status).toBe("done");
  });

  test("lets it drain first, asked twice it drains once", () => {
    let drains = 0;
    const { actor, scope, log } = start(({ onShutdown, finish }) => {
      onShutdown(() => {
        drains += 1;
        setTimeout(finish, 100);
      });
    });
    actor.send({ type: "shutdown" });
    actor.send({ type: "shutdown" });
    jest.advanceTimersByTime(99);
    expect(log).toEqual([]);
    expect(scope.signal.aborted).toBe(false);
    jest.advanceTimersByTime(1);
    expect(log).toEqual([...closed, "complete"]);
    expect(drains).toBe(1);
  });

  test("that cannot drain fails", async () => {
    const { actor, errors, log } = start(({ onShutdown }) => {
      onShutdown(async () => {
        throw new Error("disk full");
      });
    });
    actor.send({ type: "shutdown" });
    await flush();
    expect(errors).toEqual([new Error("disk full")]);
    expect(log).toEqual(closed);
  });

  test("before an async open is through closes what it opens later", async () => {
    const dialled = Promise.withResolvers<string>();
    const log: string[] = [];
    const { actor, errors } = start(async ({ stack }) => {
      const connection = await dialled.promise;
      stack.adopt(connection, (name) => log.push(`hang up ${name}`));
      log.push("never reached");
    });
    actor.send({ type: "shutdown" });
    expect(actor.getSnapshot().status).toBe("done");
    dialled.resolve("late");
    await flush();
    expect(log).toEqual(["hang up late"]);
    expect(errors).toEqual([]);
  });
});

describe("after the end", () => {
  test("nothing is reported, told, finished or failed any more", () => {
    const { actor, scope, log, errors } = start();
    scope.finish();
    scope.report({ state: "live" });
    scope.tell({ type: "frame" });
    scope.finish("again");
    scope.fail(new Error("again"));
    expect(log).toEqual([...closed, "complete"]);
    expect(errors).toEqual([]);
    expect(actor.getSnapshot().output).toBeUndefined();
  });

  test("a listener that throws is of no consequence", () => {
    const { actor, scope, errors } = start();
    actor.stop();
    scope.guard(() => {
      throw new Error("too late");
    })();
    expect(errors).toEqual([]);
  });

  test.each(["use", "adopt", "defer"] as const)(
    "what is handed to the stack by %s is closed on the spot",
    (way) => {
      const { actor, scope } = start();
      actor.stop();
      let closes = 0;
      const close = () => {
        closes += 1;
      };
      const ways = {
        use: () => scope.stack.use({ [Symbol.dispose]: close }),
        adopt: () => scope.stack.adopt("connection", close),
        defer: () => scope.stack.defer(close),
      };
      expect(ways[way]).toThrow(ReferenceError);
      expect(closes).toBe(1);
    },
  );
});

describe("a closing function that throws", () => {
  test("turns a finish into a failure, and the others are closed all the same", () => {
    const { scope, log, errors } = start(({ stack }) => {
      stack.defer(() => {
        throw new Error("stuck");
      });
    });
    scope.finish();
    expect(log).toEqual(closed);
    expect(errors).toEqual([new Error("stuck")]);
  });

  test("does not hide the failure that came first", () => {
    const { scope, errors } = start(({ stack }) => {
      stack.defer(() => {
        throw new Error("stuck");
      });
    });
    scope.fail(new Error("broke"));
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatchObject({
      error: new Error("stuck"),
      suppressed: new Error("broke"),
    });
  });
});

describe("a resource in a machine", () => {
  /** A machine that dials while it is `online`, and what happens to it. */
  function startMachine() {
    const log: string[] = [];
    let scope: Scope | undefined;
    const logic = fromResource<string, Message>((opened) => {
      scope = opened;
      log.push(`dial ${opened.input}`);
      opened.stack.defer(() => log.push("hang up"));
      opened.receive(({ text }) => log.push(`heard ${text}`));
    });
    const machine = setup({
      types: {} as {
        context: { url: string };
        events: { type: "left" } | { type: "authenticated" };
      },
      actors: { socket: logic },
    }).createMachine({
      context: { url: "wss://venue" },
      initial: "online",
      states: {
        online: {
          invoke: {
            src: "socket",
            id: "socket",
            input: ({ context }) => context.url,
            onDone: "closed",
            onError: "broken",
          },
          on: {
            left: "offline",
            authenticated: {
              actions: sendTo("socket", { type: "frame", text: "subscribe" }),
            },
          },
        },
        offline: {},
        closed: {},
        broken: {},
      },
    });
    const actor = createActor(machine).start();
    if (scope === undefined) throw new Error("was not opened");
    return { actor, scope, log };
  }

  test("tells its parent and hears from it", () => {
    const { scope, log } = startMachine();
    scope.tell({ type: "authenticated" });
    expect(log).toEqual(["dial wss://venue", "heard subscribe"]);
  });

  test("is closed when the state is left", () => {
    const { actor, log } = startMachine();
    actor.send({ type: "left" });
    expect(log).toEqual(["dial wss://venue", "hang up"]);
  });

  test("that tells something which makes its parent leave is closed in the middle of it", () => {
    const { actor, scope, log } = startMachine();
    scope.tell({ type: "left" });
    expect(log).toEqual(["dial wss://venue", "hang up"]);
    expect(actor.getSnapshot().value).toBe("offline");
    expect(scope.signal.aborted).toBe(true);
  });

  test.each([
    ["finish", "closed"],
    ["fail", "broken"],
  ] as const)(
    "tells by %s how it ended, and nothing after that",
    (end, value) => {
      const { actor, scope, log } = startMachine();
      scope[end](undefined);
      expect(actor.getSnapshot().value).toBe(value);
      expect(log).toEqual(["dial wss://venue", "hang up"]);
    },
  );

  test("cannot tell anything once it has ended", () => {
    const { actor, scope } = startMachine();
    const seen: string[] = [];
    actor.system.inspect((inspected) => {
      if (inspected.type === "@xstate.event") seen.push(inspected.event.type);
    });
    scope.finish();
    scope.tell({ type: "authenticated" });
    expect(seen).toEqual(["resource.finished", "xstate.done.actor.socket"]);
  });
});

test("the scope carries the input and the report becomes the snapshot's", () => {
  const { actor, scope } = start(({ report }) => report({ state: "dialling" }));
  expect(scope.input).toBe("wss://venue");
  expect(actor.getSnapshot().report).toEqual({ state: "dialling" });
  scope.report({ state: "live", frames: 3 });
  expect(actor.getSnapshot().report).toEqual({ state: "live", frames: 3 });
});

/** Lets every promise that is ready run. */
async function flush(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}
