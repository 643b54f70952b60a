/**
 * `fromResource`: anything that stays open (a socket, a server, a timer, a
 * subscription) as an actor. What it opened is closed in reverse order however
 * it ends: stopped, finished, failed by `fail`, by a throw in `open`, in a
 * listener, or by a rejected promise.
 */
import type { ActorLogic, ActorRef, EventObject, Snapshot } from "xstate";

/** What the tree shows of a resource; `state` is the word for what it is doing. */
export type Report = Readonly<Record<string, unknown>>;

export interface ResourceScope<Input, Message extends EventObject> {
  readonly input: Input;
  /** Aborted when the resource ends, however it ends, before anything is closed. */
  readonly signal: AbortSignal;
  /** Closed, last opened first, when the resource ends. What is handed over later than that is closed on the spot. */
  readonly stack: DisposableStack;
  /** Hears the messages sent to the actor; call it before the first `await`, earlier messages are not kept. */
  receive(listener: (message: Message) => void): void;
  /** On `shutdown`, drain and then call `finish`. Without a handler, `shutdown` finishes at once. */
  onShutdown(handler: () => void | Promise<void>): void;
  /** What the tree shows as detail, replacing the last report; `state` is shown as the state. */
  report(detail: Report): void;
  /** Sends to the parent. */
  tell(event: EventObject): void;
  finish(output?: unknown): void;
  fail(error: unknown): void;
  /** For foreign listeners and promises: what `listener` throws or rejects with fails the actor instead of the process. */
  guard<Arguments extends unknown[]>(
    listener: (...given: Arguments) => unknown,
  ): (...given: Arguments) => void;
}

export type ResourceSnapshot<Input> = Snapshot<unknown> & {
  readonly input: Input;
  readonly report?: Report;
};

/** How a scope ends its own actor. */
type Ending =
  | { type: "resource.finished"; output: unknown }
  | { type: "resource.failed"; error: unknown };

/** What the actor understands itself; everything else is a message for the listeners. */
type Word =
  | Ending
  | { type: "resource.reported"; detail: Report }
  | { type: "shutdown" }
  | { type: "xstate.stop" };

export type ResourceLogic<Input, Message extends EventObject> = ActorLogic<
  ResourceSnapshot<Input>,
  Message | Word,
  Input
>;

export function fromResource<Input, Message extends EventObject = EventObject>(
  open: (scope: ResourceScope<Input, Message>) => void | Promise<void>,
): ResourceLogic<Input, Message> {
  const resources = new WeakMap<object, Resource<Input, Message>>();
  return {
    getInitialSnapshot: (_actorScope, input) => ({
      status: "active",
      output: undefined,
      error: undefined,
      input,
    }),
    getPersistedSnapshot: (snapshot) => snapshot,
    start: (snapshot, { self }) => {
      const resource = createResource<Input, Message>(self, snapshot.input);
      resources.set(self, resource);
      resource.scope.guard(open)(resource.scope);
    },
    transition: (snapshot, event, { self }) => {
      const resource = resources.get(self);
      if (!isWord(event)) {
        resource?.hear(event);
        return snapshot;
      }
      const ended = { ...snapshot, output: undefined, error: undefined };
      switch (event.type) {
        case "shutdown":
          resource?.shutDown();
          return snapshot;
        case "xstate.stop":
          resource?.close();
          return { ...ended, status: "stopped" };
        case "resource.reported":
          return { ...snapshot, report: event.detail };
        case "resource.finished":
          return { ...ended, status: "done", output: event.output };
        case "resource.failed":
          return { ...ended, status: "error", error: event.error };
        default:
          return event satisfies never;
      }
    },
  };
}

interface Resource<Input, Message extends EventObject> {
  readonly scope: ResourceScope<Input, Message>;
  hear(message: Message): void;
  shutDown(): void;
  /** Closes everything; twice is once. Throws what a closing function threw. */
  close(): void;
}

function createResource<Input, Message extends EventObject>(
  self: ActorRef<ResourceSnapshot<Input>, Message | Word>,
  input: Input,
): Resource<Input, Message> {
  const controller = new AbortController();
  const { signal } = controller;
  const stack = new ClosingStack();
  const listeners: ((message: Message) => void)[] = [];
  let drain = (): void => finish(undefined);

  function close(): void {
    controller.abort();
    stack.dispose();
  }

  /** Closes first and says so afterwards, so that nothing is open when the parent learns of it. */
  function end(word: Ending): void {
    if (signal.aborted) return;
    try {
      close();
    } catch (error) {
      const failed = word.type === "resource.failed";
      return self.send({
        type: "resource.failed",
        error: failed ? new SuppressedError(error, word.error) : error,
      });
    }
    self.send(word);
  }

  function finish(output?: unknown): void {
    end({ type: "resource.finished", output });
  }

  function fail(error: unknown): void {
    end({ type: "resource.failed", error });
  }

  function guard<Arguments extends unknown[]>(
    listener: (...given: Arguments) => unknown,
  ) {
    return (...given: Arguments): void => {
      try {
        const result = listener(...given);
        if (result instanceof Promise) result.catch(fail);
      } catch (error) {
        fail(error);
      }
    };
  }

  return {
    scope: {
      input,
      signal,
      stack,
      receive: (listener) => void listeners.push(guard(listener)),
      onShutdown: (handler) => {
        const drainOnce = guard(handler);
        drain = () => {
          drain = () => {};
          drainOnce();
        };
      },
      report: (detail) => {
        if (!signal.aborted) self.send({ type: "resource.reported", detail });
      },
      tell: (event) => {
        if (!signal.aborted) self._parent?.send(event);
      },
      finish,
      fail,
      guard,
    },
    hear: (message) => {
      for (const listener of listeners) if (!signal.aborted) listener(message);
    },
    shutDown: () => {
      if (!signal.aborted) drain();
    },
    close,
  };
}

/**
 * A stack that closes at once what arrives after it was disposed, and then
 * throws as any stack does: an `open` that was stopped while it waited for a
 * connection must not leave that connection behind.
 */
class ClosingStack extends DisposableStack {
  override use<Value extends Disposable | null | undefined>(
    value: Value,
  ): Value {
    this.defer(() => value?.[Symbol.dispose]());
    return value;
  }

  override adopt<Value>(value: Value, close: (value: Value) => void): Value {
    this.defer(() => close(value));
    return value;
  }

  override defer(close: () => void): void {
    if (this.disposed) close();
    super.defer(close);
  }
}

const WORDS: ReadonlySet<string> = new Set<Word["type"]>([
  "shutdown",
  "xstate.stop",
  "resource.reported",
  "resource.finished",
  "resource.failed",
]);

function isWord(event: EventObject): event is Word {
  return WORDS.has(event.type);
}
