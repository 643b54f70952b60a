/** A line of progress that is drawn over itself; nothing where nobody watches. */
import type { Output } from "../cli.ts";

export interface TerminalOutput extends Output {
  readonly isTerminal: boolean;
}

export function progressLine(
  name: string,
  io: TerminalOutput,
): (records: number, done: number) => void {
  return (records, done) => {
    if (!io.isTerminal) return;
    const share = Math.min(1, Math.max(0, done));
    const bar = "█".repeat(Math.round(share * 30)).padEnd(30, "░");
    io.stderr(
      `\r${bar} ${(share * 100).toFixed(0).padStart(3)} % ${name} ${records} bars${share === 1 ? "\n" : ""}`,
    );
  };
}
