/**
 * A supervisor's book: one entry per child with the phase it is in. Values in,
 * values out; what is done about them is in supervisor.ts.
 */
import type { AnyActorRef } from "xstate";
import { type Child, fallout, type Strategy } from "./plan.ts";

export type Phase =
  /** Runs. */
  | "living"
  /** Runs, and will be asked to shut down when its turn comes. */
  | "leaving"
  /** Runs, was asked to shut down, and has until its grace period ends. */
  | "asked"
  /** Dead; its backoff is on. */
  | "waiting"
  /** Dead; started as soon as nothing before it is missing. */
  | "due"
  /** Dead, and rightly so. */
  | "finished";

export interface Member {
  readonly child: Child;
  readonly phase: Phase;
  /** ISO UTC: when it entered that phase. */
  readonly since: string;
  /** Present while it runs. */
  readonly actor: AnyActorRef | undefined;
  /** What becomes of one that leaves: started again, or struck off the book. */
  readonly afterwards: "due" | "gone";
  /** How often it was started. */
  readonly starts: number;
  readonly lastError: string | undefined;
}

export type Members = readonly Member[];

/** The book a supervisor begins with; throws when two children share an id. */
export function openBook(children: readonly Child[]): Members {
  return children.reduce<Members>((members, child) => {
    const book = admit(members, child);
    if (book === members)
      throw new Error(`two children are called ${child.id}`);
    return book;
  }, []);
}

/** The book with `child` at its end, due to be started; the same book when the id is taken. */
export function admit(members: Members, child: Child): Members {
  if (find(members, child.id) !== undefined) return members;
  return [...members, newcomer(child)];
}

function newcomer(child: Child): Member {
  return {
    child,
    phase: "due",
    since: new Date().toISOString(),
    actor: undefined,
    afterwards: "due",
    starts: 0,
    lastError: undefined,
  };
}

export function find(members: Members, id: string): Member | undefined {
  return members.find((member) => member.child.id === id);
}

/** The book with the entry of `id` changed. */
export function change(
  members: Members,
  id: string,
  entry: Partial<Member>,
): Members {
  return members.map((member) =>
    member.child.id === id ? enter(member, entry) : member,
  );
}

/** The book after `id` died: it and those that share its fate are on their way to be started again. */
export function fall(
  members: Members,
  strategy: Strategy,
  id: string,
  entry: Partial<Member>,
): Members {
  const position = members.findIndex((member) => member.child.id === id);
  const fallen = fallout(strategy, position, members.length);
  return members.map((member, index) => {
    if (index === position) return enter(member, entry);
    return fallen.includes(index) ? dragDown(member) : member;
  });
}

/** The book after the death of one that was to leave, or that is not started again. */
export function bury(
  members: Members,
  id: string,
  lastError: string | undefined,
): Members {
  const member = find(members, id);
  if (member === undefined) return members;
  const leaving = isLeaving(member);
  const isGone = leaving
    ? member.afterwards === "gone"
    : member.child.restart === "temporary";
  if (isGone) return members.filter((other) => other !== member);
  const phase = leaving ? "due" : "finished";
  return change(members, id, { phase, actor: undefined, lastError });
}

/** The book once `id` is to be forgotten: at once when it is dead, else after it has left. */
export function remove(members: Members, id: string): Members {
  const member = find(members, id);
  if (member?.actor === undefined)
    return members.filter((other) => other !== member);
  const phase = member.phase === "asked" ? "asked" : "leaving";
  return change(members, id, { phase, afterwards: "gone" });
}

/** The book once the backoff of `id` is over; it may have been started or forgotten meanwhile. */
export function retry(members: Members, id: string): Members {
  const isWaiting = find(members, id)?.phase === "waiting";
  return isWaiting ? change(members, id, { phase: "due" }) : members;
}

/** The book once `id` is to be started afresh, whether it runs, waits or has finished. */
export function restart(
  members: Members,
  strategy: Strategy,
  id: string,
): Members {
  const member = find(members, id);
  if (member === undefined || isLeaving(member)) return members;
  return member.phase === "living"
    ? fall(members, strategy, id, { phase: "leaving", afterwards: "due" })
    : change(members, id, { phase: "due" });
}

/** The book once everything ends: the dead are struck off, the living will not be started again. */
export function dismiss(members: Members): Members {
  return members
    .filter((member) => member.actor !== undefined)
    .map((member) =>
      enter(member, {
        phase: member.phase === "asked" ? "asked" : "leaving",
        afterwards: "gone",
      }),
    );
}

/** Whose turn it is to be asked: the last that is leaving, one at a time. */
export function nextToAsk(members: Members): Member | undefined {
  if (members.some((member) => member.phase === "asked")) return undefined;
  return members.findLast((member) => member.phase === "leaving");
}

/** Those that may be started now. Where siblings depend on each other, none starts before what it needs is up. */
export function startable(members: Members, strategy: Strategy): Members {
  const due = members.filter((member) => member.phase === "due");
  if (strategy === "one_for_one") return due;
  if (members.some(isLeaving)) return [];
  const waiting = members.findIndex((member) => member.phase === "waiting");
  if (waiting === -1) return due;
  return strategy === "one_for_all"
    ? []
    : due.filter((member) => members.indexOf(member) < waiting);
}

export function isLeaving(member: Member): boolean {
  return member.phase === "leaving" || member.phase === "asked";
}

function dragDown(member: Member): Member {
  switch (member.phase) {
    case "living":
      return enter(member, {
        phase: "leaving",
        afterwards: member.child.restart === "temporary" ? "gone" : "due",
      });
    case "finished":
      return enter(member, { phase: "due" });
    case "leaving":
    case "asked":
    case "waiting":
    case "due":
      return member;
    default:
      return member.phase satisfies never;
  }
}

function enter(member: Member, entry: Partial<Member>): Member {
  const isSamePhase = (entry.phase ?? member.phase) === member.phase;
  const since = isSamePhase ? member.since : new Date().toISOString();
  return { ...member, since, ...entry };
}
