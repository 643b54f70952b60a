/** Flags that commands share, and how the text after a flag becomes a value. */
import { InvalidArgumentError, Option, type Command } from "commander";
import { accountSlug } from "../../schema/account.ts";
import type { CommonFlags, Period, ReadFlags } from "../cli.ts";
import { DAY } from "../clock.ts";
import type { LogLevel } from "../log.ts";

export interface CommonOptions {
  readonly dryRun?: true;
  readonly logLevel?: LogLevel;
}

export interface JsonOptions extends CommonOptions {
  readonly json?: true;
}

export interface PeriodOptions {
  readonly from?: Moment;
  readonly to?: Moment;
}

export function withCommonFlags(command: Command): Command {
  return command
    .option("--dry-run", "write nothing to any store; log what would be")
    .addOption(
      new Option("--log-level <level>", "wins over LOG_LEVEL").argParser(
        logLevel,
      ),
    );
}

export function withJson(command: Command): Command {
  return command.option("--json", "JSON instead of text");
}

export function withPeriod(command: Command): Command {
  return command
    .option("--from <time>", "start: a day or an ISO time, UTC", moment)
    .option(
      "--to <time>",
      "end: an ISO time, or a day, which is counted in; UTC",
      moment,
    );
}

/** The old services were started with it; the new one runs until it is told to stop anyway. */
export function daemonOption(): Option {
  return new Option("--daemon", "the same as serve");
}

export function common(flags: CommonOptions): CommonFlags {
  return {
    dryRun: flags.dryRun === true,
    ...(flags.logLevel === undefined ? {} : { logLevel: flags.logLevel }),
  };
}

export function readable(flags: JsonOptions): ReadFlags {
  return { ...common(flags), json: flags.json === true };
}

/** The day after a `--to` that is a day: who says "to Friday" means Friday too. */
export function period(command: Command, { from, to }: PeriodOptions): Period {
  const start = from?.startMs;
  const end = to === undefined ? undefined : to.startMs + (to.isDay ? DAY : 0);
  if (start !== undefined && end !== undefined && start >= end)
    command.error("error: --from must be before --to");
  return {
    ...(start === undefined ? {} : { from: new Date(start) }),
    ...(end === undefined ? {} : { to: new Date(end) }),
  };
}

interface Moment {
  readonly startMs: number;
  readonly isDay: boolean;
}

const MOMENT =
  /^(?<day>\d{4}-\d{2}-\d{2})(?:[T ](?<time>\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)(?<zone>Z|[+-]\d{2}:\d{2})?)?$/i;

function moment(text: string): Moment {
  const { day, time, zone } = MOMENT.exec(text)?.groups ?? {};
  const midnightMs = Date.parse(`${day}T00:00:00Z`);
  const startMs =
    time === undefined
      ? midnightMs
      : Date.parse(`${day}T${time}${zone?.toUpperCase() ?? "Z"}`);
  // A day such as February 30 would be read as one in March.
  const exists =
    !Number.isNaN(startMs) &&
    !Number.isNaN(midnightMs) &&
    new Date(midnightMs).toISOString().startsWith(`${day}T`);
  if (!exists)
    throw new InvalidArgumentError(
      "It must be a day (2026-01-31) or an ISO time (2026-01-31T09:30:00Z).",
    );
  return { startMs, isDay: time === undefined };
}

function logLevel(text: string): LogLevel {
  const levels: readonly LogLevel[] = ["DEBUG", "INFO", "WARN", "ERROR"];
  const level = levels.find((name) => name === text.toUpperCase());
  if (level === undefined)
    throw new InvalidArgumentError(`It must be one of ${levels.join(", ")}.`);
  return level;
}

export function wholeUpTo(max: number): (text: string) => number {
  return (text) => {
    const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(number <= max))
      throw new InvalidArgumentError(
        `It must be a whole number from 0 to ${max}.`,
      );
    return number;
  };
}

/** Accounts may be named as the user wrote them; tables and routes know the slug. */
export function collectSlugs(
  name: string,
  slugs: string[] | undefined,
): string[] {
  const slug = accountSlug(name);
  return slugs?.includes(slug) ? slugs : [...(slugs ?? []), slug];
}
