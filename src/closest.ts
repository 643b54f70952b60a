/** "Did you mean": the known name that a misspelt one is nearest to. */

/** Changes of a letter that still count as a slip of the pen, as a share of the name. */
const SHARE_MAX = 0.34;

/** The candidate with the fewest letters to change; undefined when all are too far. */
export function closest(
  name: string,
  candidates: Iterable<string>,
): string | undefined {
  let best: string | undefined;
  let fewest = Math.max(1, Math.floor(name.length * SHARE_MAX)) + 1;
  for (const candidate of candidates) {
    const changes = distance(name, candidate);
    if (changes >= fewest) continue;
    fewest = changes;
    best = candidate;
  }
  return best;
}

/** Letters to insert, delete or replace (Levenshtein), one row of the table at a time. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
