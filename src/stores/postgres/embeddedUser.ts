/**
 * Postgres refuses to run as root. When the service is root, its Postgres runs as
 * somebody else who can still enter the service's directories: in a user
 * namespace, or as another user who keeps root's right to pass file permissions
 * (containers often forbid namespaces and allow this).
 */
import {
  existsSync,
  lchownSync,
  lstatSync,
  readdirSync,
  readFileSync,
} from "node:fs";
import { join } from "node:path";

/** How to run a program as somebody other than root. */
export interface Disguise {
  /** Goes in front of the command; each replaces itself, so the process id stays. */
  readonly prefix: readonly string[];
  /** Who has to own the data directory. */
  readonly owner: Identity;
}

interface Identity {
  readonly uid: number;
  readonly gid: number;
}

const NOBODY: Identity = { uid: 65534, gid: 65534 };
const ROOT: Identity = { uid: 0, gid: 0 };

/** Tried in this order. */
const TOOLS = ["unshare", "setpriv"] as const;
export type Tool = (typeof TOOLS)[number];

/**
 * What this process has to do to run Postgres on `dataDirectory`; undefined when
 * it is not root. Files of an earlier run under another user are handed over.
 * @throws when it is root and this machine offers no way to be somebody else.
 */
export function disguiseFor(
  dataDirectory: string,
  tools: readonly Tool[] = TOOLS,
): Disguise | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const owner = existsSync(dataDirectory) ? lstatSync(dataDirectory) : ROOT;
  // A directory of another user stays his, which only setpriv can do.
  const order = owner.uid === 0 ? tools : tools.toReversed();
  const disguise = order
    .map((tool) => disguiseWith(tool, owner))
    .find((found) => found !== undefined);
  if (disguise === undefined) {
    throw new Error(
      "Postgres does not run as root, and neither unshare nor setpriv works here: run the service as another user, or name a Postgres server of your own",
    );
  }
  if (owner.uid !== disguise.owner.uid && existsSync(dataDirectory)) {
    handOver(dataDirectory, disguise.owner);
  }
  return disguise;
}

function disguiseWith(tool: Tool, owner: Identity): Disguise | undefined {
  const program = Bun.which(tool);
  if (program === null) return undefined;
  // initdb looks its user up in /etc/passwd.
  const other = owner.uid === 0 ? nobody() : { uid: owner.uid, gid: owner.gid };
  const prefix =
    tool === "unshare"
      ? [
          program,
          "--user",
          `--map-user=${nobody().uid}`,
          `--map-group=${nobody().gid}`,
        ]
      : [
          program,
          `--reuid=${other.uid}`,
          `--regid=${other.gid}`,
          "--clear-groups",
          "--inh-caps=+dac_override",
          "--ambient-caps=+dac_override",
        ];
  const isWorking =
    Bun.spawnSync([...prefix, "true"], { stdout: "ignore", stderr: "ignore" })
      .exitCode === 0;
  if (!isWorking) return undefined;
  // Inside the namespace whoever was root outside bears the other name.
  return { prefix, owner: tool === "unshare" ? ROOT : other };
}

function nobody(): Identity {
  const users = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"))
    .map(([name, , uid, gid]) => ({
      name,
      uid: Number(uid),
      gid: Number(gid),
    }));
  return (
    users.find(({ name }) => name === "nobody") ??
    users.find(({ uid }) => uid > 0) ??
    NOBODY
  );
}

function handOver(path: string, { uid, gid }: Identity): void {
  lchownSync(path, uid, gid);
  for (const entry of readdirSync(path, {
    recursive: true,
    encoding: "utf8",
  })) {
    lchownSync(join(path, entry), uid, gid);
  }
}
