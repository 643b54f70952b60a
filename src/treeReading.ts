/** Reading the live tree: nodes by their paths, and what their states come to in a word. */
import type { StreamVerdict, TreeNode } from "../schema/service.ts";

/** The node at a path of the tree; ids may hold slashes. */
export function nodeAt(tree: TreeNode, path: string): TreeNode | undefined {
  if (tree.path === path) return tree;
  return tree.children
    ?.filter(
      (child) => path === child.path || path.startsWith(`${child.path}/`),
    )
    .map((child) => nodeAt(child, path))
    .find((node) => node !== undefined);
}

/** The state of what is not there: another replica holds its lease, or it is about to start. */
export function standbyOf(
  tree: TreeNode,
  lease: string,
): "standby" | "starting" {
  const standby = nodeAt(tree, "pipeline/control/ownership")?.detail?.[
    "standby"
  ];
  return Array.isArray(standby) && standby.includes(lease)
    ? "standby"
    : "starting";
}

export function stateOr(node: TreeNode | undefined): string {
  if (node === undefined) return "starting";
  return node.state === "finished" ? "done" : innermost(node.state);
}

export function innermost(state: string): string {
  return state.slice(state.lastIndexOf(".") + 1);
}

export function outermost(state: string): string {
  return state.split(".", 1)[0] ?? state;
}

/** Of a stream below `<supervisor>/stream`, or of the lease when there is none. */
export function streamStatus(
  tree: TreeNode,
  supervisor: string,
  lease: string,
): { state: string; since: string; verdict?: StreamVerdict } {
  const stream = nodeAt(tree, `${supervisor}/stream`);
  const verdict = stream?.detail?.["verdict"];
  return {
    state:
      stream === undefined ? standbyOf(tree, lease) : innermost(stream.state),
    since: stream?.since ?? tree.since,
    ...(isVerdict(verdict) ? { verdict } : {}),
  };
}

function isVerdict(value: unknown): value is StreamVerdict {
  return (
    typeof value === "object" &&
    value !== null &&
    "verdict" in value &&
    "reason" in value
  );
}
