/**
 * The living tree as data: what runs, in what state, how often it was
 * restarted; and the way from a path to its actor or to the supervisor that
 * answers for it.
 */
import type { AnyActorRef } from "xstate";
import type { TreeNode } from "../../schema/service.ts";
import { find, type Member } from "./members.ts";
import { childrenOf } from "./reaper.ts";
import { reportOf, sinceOf, stateOf } from "./state.ts";
import { type Book, supervisor } from "./supervisor.ts";

/** The tree below and including `root`, whose path is empty. */
export function describeTree(root: AnyActorRef): TreeNode {
  return describeActor(root, "root", "", undefined);
}

/** The running actor at `path`, supervised or invoked; `undefined` while it is down or when there is none. */
export function findActor(
  root: AnyActorRef,
  path: string,
): AnyActorRef | undefined {
  if (path === "") return root;
  for (const child of childrenOf(root)) {
    if (child.id === path) return child;
    const below = pathBelow(child.id, path);
    const found = below === "" ? undefined : findActor(child, below);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Asks the supervisor of the child at `path` to restart it; false when no supervisor has such a child. */
export function requestRestart(root: AnyActorRef, path: string): boolean {
  const members = bookOf(root)?.members ?? [];
  if (find(members, path) !== undefined) {
    root.send({ type: "child.restartRequested", id: path });
    return true;
  }
  return members.some(({ child, actor }) => {
    const below = pathBelow(child.id, path);
    return actor !== undefined && below !== ""
      ? requestRestart(actor, below)
      : false;
  });
}

/** What a supervisor knows of its children; `undefined` for any other actor. */
export function bookOf(actor: AnyActorRef): Book | undefined {
  const snapshot: { machine?: unknown; context: Book } = actor.getSnapshot();
  return snapshot.machine === supervisor ? snapshot.context : undefined;
}

/** Ids from the root down, joined by `/`; empty for the root. */
export function pathOf(actor: AnyActorRef): string {
  const parent = actor._parent;
  if (parent === undefined) return "";
  const above = pathOf(parent);
  return above === "" ? actor.id : `${above}/${actor.id}`;
}

function describeMember(member: Member, parentPath: string): TreeNode {
  const { child, actor, since, lastError } = member;
  const path = parentPath === "" ? child.id : `${parentPath}/${child.id}`;
  if (actor !== undefined) return describeActor(actor, child.id, path, member);
  return {
    id: child.id,
    path,
    type: child.logic === supervisor ? "supervisor" : "worker",
    state: member.phase,
    since,
    restarts: restartsOf(member),
    ...(lastError === undefined ? {} : { lastError }),
  };
}

function describeActor(
  actor: AnyActorRef,
  id: string,
  path: string,
  member: Member | undefined,
): TreeNode {
  const detail = reportOf(actor);
  const node = {
    id,
    path,
    state: stateOf(actor),
    restarts: member === undefined ? 0 : restartsOf(member),
    ...(member?.lastError === undefined ? {} : { lastError: member.lastError }),
    ...(detail === undefined ? {} : { detail }),
  };
  const book = bookOf(actor);
  if (book === undefined) {
    const since = sinceOf(actor) ?? member?.since ?? new Date().toISOString();
    return { ...node, type: "worker", since };
  }
  return {
    ...node,
    type: "supervisor",
    since: book.since,
    strategy: book.plan.strategy,
    children: book.members.map((below) => describeMember(below, path)),
  };
}

function restartsOf(member: Member): number {
  return Math.max(member.starts - 1, 0);
}

/** What is left of `path` below the child `id`, which may itself hold slashes; empty when it does not lead there. */
function pathBelow(id: string, path: string): string {
  return path.startsWith(`${id}/`) ? path.slice(id.length + 1) : "";
}
