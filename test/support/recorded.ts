/** What venues really sent, where a folder of recordings lies beside the project: they are not ours to copy. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const FOLDER = join(import.meta.dir, "../../../shared/data");

/** The text of a recording; undefined where there is none. */
export function recorded(path: string): string | undefined {
  const file = join(FOLDER, path);
  return existsSync(file) ? readFileSync(file, "utf8").trim() : undefined;
}
