/** The command line: words become typed arguments of one command, its result an exit code. */
import { CommanderError } from "commander";
import type { RegistryStatus, Strategy } from "../schema/registry.ts";
import { buildProgram } from "./cli/program.ts";
import { processEnvironment } from "./config.ts";
import { ConfigError, describeError } from "./errors.ts";
import type { LogLevel } from "./log.ts";

export interface CommonFlags {
  /** Nothing is written to any store; what would be is logged. */
  readonly dryRun: boolean;
  /** Wins over `LOG_LEVEL`. */
  readonly logLevel?: LogLevel;
}

/** From `from` on and before `to`; an end that is absent is open. */
export interface Period {
  readonly from?: Date;
  readonly to?: Date;
}

export interface ReadFlags extends CommonFlags {
  /** JSON instead of text for people. */
  readonly json: boolean;
}

export interface BackfillAccountsFlags extends CommonFlags, Period {
  /** Every account when empty. */
  readonly slugs: readonly string[];
}

export interface AuditAccountsFlags extends ReadFlags, Period {
  /** Every account when absent. */
  readonly account?: string;
}

export interface CoverageFlags extends ReadFlags, Period {
  /** An account or a symbol, as it was written; every account when absent. */
  readonly name?: string;
}

export interface RegistryRunFlags extends CommonFlags {
  /** Every enabled one when empty. */
  readonly symbols: readonly string[];
}

export interface SymbolsListFlags extends ReadFlags {
  readonly enabledOnly: boolean;
}

export interface SymbolsAddFlags extends CommonFlags {
  readonly symbol: string;
  readonly strategy: Strategy;
  readonly enabled: boolean;
  readonly description?: string;
}

export interface SymbolsSetFlags extends CommonFlags {
  readonly symbol: string;
  readonly strategy?: Strategy;
  readonly enabled?: boolean;
  readonly status?: RegistryStatus;
  readonly description?: string;
}

export interface SymbolsRemoveFlags extends CommonFlags {
  readonly symbol: string;
}

export interface SnapshotFlags extends ReadFlags {
  readonly symbol: string;
}

export interface BackfillBarsFlags extends CommonFlags, Period {
  readonly symbol: string;
}

export interface AuditBarsFlags extends ReadFlags, Period {}

export interface GapsFlags extends ReadFlags, Period {
  /** Every stored one when empty. */
  readonly symbols: readonly string[];
  /** Ask the venue for what is missing first. */
  readonly fill: boolean;
}

export interface SmokeFlags extends CommonFlags {
  readonly seconds: number;
}

export interface CoverageExportFlags extends ReadFlags {
  /** Standard output when absent. */
  readonly out?: string;
}

export interface CoverageVerifyFlags extends ReadFlags {
  readonly file: string;
}

export interface SpoolFlags extends ReadFlags {
  readonly action: "status" | "verify" | "repair";
}

export interface SimFlags extends CommonFlags {
  /** Any free one when absent. */
  readonly port?: number;
  readonly seed?: number;
  /** Path of the fault script. */
  readonly faults?: string;
  /** Folder of recorded days. */
  readonly replay?: string;
  /** Minutes of the recording in one of the clock. */
  readonly speed?: number;
  readonly hours?: "always" | "exchange";
  readonly plan?: "basic" | "plus";
}

export interface ConfigCheckFlags extends ReadFlags {
  /** Also what a running service would open and close. */
  readonly plan: boolean;
}

/** What each command does. Each gives its exit code: 0 done, 1 failed, 3 stopped with something undelivered. */
export interface Commands {
  serve(flags: CommonFlags): Promise<number>;
  backfillAccounts(flags: BackfillAccountsFlags): Promise<number>;
  backfillBars(flags: BackfillBarsFlags): Promise<number>;
  auditAccounts(flags: AuditAccountsFlags): Promise<number>;
  auditBars(flags: AuditBarsFlags): Promise<number>;
  registryRun(flags: RegistryRunFlags): Promise<number>;
  symbolsList(flags: SymbolsListFlags): Promise<number>;
  symbolsAdd(flags: SymbolsAddFlags): Promise<number>;
  symbolsSet(flags: SymbolsSetFlags): Promise<number>;
  symbolsRemove(flags: SymbolsRemoveFlags): Promise<number>;
  snapshot(flags: SnapshotFlags): Promise<number>;
  gaps(flags: GapsFlags): Promise<number>;
  coverage(flags: CoverageFlags): Promise<number>;
  coverageExport(flags: CoverageExportFlags): Promise<number>;
  coverageVerify(flags: CoverageVerifyFlags): Promise<number>;
  spool(flags: SpoolFlags): Promise<number>;
  sim(flags: SimFlags): Promise<number>;
  smoke(flags: SmokeFlags): Promise<number>;
  status(flags: ReadFlags): Promise<number>;
  tree(flags: ReadFlags): Promise<number>;
  configCheck(flags: ConfigCheckFlags): Promise<number>;
}

export interface Output {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

/** Exit code of wrong usage and wrong configuration. */
const USAGE = 2;

/**
 * Runs the command that `argv` (without the program's own name) asks for and
 * gives its exit code; never throws. Wrong usage and a {@link ConfigError} are
 * 2, anything else that is thrown is 1.
 */
export async function runCli(
  argv: readonly string[],
  commands: Commands,
  io: Output,
): Promise<number> {
  let exitCode = 0;
  const program = buildProgram(commands, io, (code) => (exitCode = code));
  try {
    await program.parseAsync([...argv], { from: "user" });
    return exitCode;
  } catch (error) {
    // The library has printed what is wrong, or the help that was asked for.
    if (error instanceof CommanderError)
      return error.exitCode === 0 ? 0 : USAGE;
    if (error instanceof ConfigError) {
      io.stderr(error.problems.map((problem) => `${problem}\n`).join(""));
      return USAGE;
    }
    io.stderr(`${describeError(error).replace(/\s*\n\s*/g, " ")}\n`);
    if (error instanceof Error && isDebug(argv)) io.stderr(`${error.stack}\n`);
    return 1;
  }
}

/** Before anything is parsed, for an error that may have come from the parsing. */
function isDebug(argv: readonly string[]): boolean {
  const index = argv.findLastIndex((word) => word.startsWith("--log-level"));
  const flag = argv[index]?.split("=")[1] ?? argv[index + 1];
  const level = index < 0 ? processEnvironment()["LOG_LEVEL"] : flag;
  return level?.toUpperCase() === "DEBUG";
}
