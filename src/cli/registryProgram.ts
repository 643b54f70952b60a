/** The commands of the symbol registry and of its minutes. */
import type { Command } from "commander";
import { InvalidArgumentError, Option } from "commander";
import { z } from "zod";
import {
  type RegistryStatus,
  STATUSES,
  statusSchema,
  STRATEGIES,
  type Strategy,
  strategySchema,
} from "../../schema/registry.ts";
import type { Commands } from "../cli.ts";
import { symbolOfPolygon } from "../venues/polygon/symbols.ts";
import {
  common,
  period,
  readable,
  withCommonFlags,
  withJson,
  withPeriod,
  type CommonOptions,
  type JsonOptions,
  type PeriodOptions,
} from "./options.ts";

type SetExitCode = (code: number) => void;

export function addRegistry(
  program: Command,
  commands: Commands,
  exit: SetExitCode,
): void {
  const registry = program
    .command("registry")
    .description("the symbol registry");
  withCommonFlags(registry.command("run"))
    .description("run symbols once by their strategies; 1 if one failed")
    .argument("[symbol...]", "symbols; all enabled ones when absent", collect)
    .action(async (symbols: string[] | undefined, _flags, command: Command) => {
      const flags = command.optsWithGlobals<CommonOptions>();
      exit(
        await commands.registryRun({
          ...common(flags),
          symbols: symbols ?? [],
        }),
      );
    });
  addSymbols(program, commands, exit);
  withJson(withCommonFlags(program.command("snapshot")))
    .description("fetch and validate one snapshot, and print it")
    .argument("<symbol>", "AAPL, BTC/USD", symbol)
    .action(async (name: string, _flags, command: Command) => {
      const flags = command.optsWithGlobals<JsonOptions>();
      exit(await commands.snapshot({ ...readable(flags), symbol: name }));
    });
  withPeriod(withJson(withCommonFlags(program.command("gaps"))))
    .description("missing minutes by the calendar of the exchange")
    .argument(
      "[symbol...]",
      "symbols; all that are stored when absent",
      collect,
    )
    .option("--fill", "ask the venue for them first")
    .action(async (symbols: string[] | undefined, _flags, command: Command) => {
      const flags = command.optsWithGlobals<
        JsonOptions & PeriodOptions & { fill?: true }
      >();
      exit(
        await commands.gaps({
          ...readable(flags),
          ...period(command, flags),
          fill: flags.fill === true,
          symbols: symbols ?? [],
        }),
      );
    });
}

/** Below `backfill`. */
export function addBackfillBars(
  backfill: Command,
  commands: Commands,
  exit: SetExitCode,
): void {
  withPeriod(withCommonFlags(backfill.command("bars")))
    .description("minute bars of a symbol")
    .argument("<symbol>", "AAPL, BTC/USD", symbol)
    .action(async (name: string, _flags, command: Command) => {
      const flags = command.optsWithGlobals<CommonOptions & PeriodOptions>();
      exit(
        await commands.backfillBars({
          ...common(flags),
          ...period(command, flags),
          symbol: name,
        }),
      );
    });
}

/** The older service was asked so. */
export function testSnapshotOption(): Option {
  return new Option(
    "--test-snapshot <symbol>",
    "the same as snapshot",
  ).argParser(symbol);
}

interface EntryOptions extends CommonOptions {
  readonly strategy?: Strategy;
  readonly description?: string;
  readonly enable?: true;
  readonly disable?: true;
  readonly status?: RegistryStatus;
}

function addSymbols(
  program: Command,
  commands: Commands,
  exit: SetExitCode,
): void {
  const symbols = program
    .command("symbols")
    .description("manage the symbol registry");
  withJson(withCommonFlags(symbols.command("list")))
    .description("all symbols with their states")
    .option("--enabled-only", "leave out what is disabled")
    .action(async (_flags, command: Command) => {
      const flags = command.optsWithGlobals<
        JsonOptions & { enabledOnly?: true }
      >();
      exit(
        await commands.symbolsList({
          ...readable(flags),
          enabledOnly: flags.enabledOnly === true,
        }),
      );
    });
  withCommonFlags(symbols.command("add"))
    .description("add a symbol, or change what is known of it")
    .argument("<symbol>", "AAPL, BTC/USD", symbol)
    .addOption(strategyOption().makeOptionMandatory())
    .option("--description <text>", "for people")
    .option("--disable", "not run until it is enabled")
    .action(async (name: string, _flags, command: Command) => {
      const flags = command.optsWithGlobals<
        EntryOptions & { strategy: Strategy }
      >();
      exit(
        await commands.symbolsAdd({
          ...common(flags),
          symbol: name,
          strategy: flags.strategy,
          enabled: flags.disable !== true,
          ...described(flags),
        }),
      );
    });
  withCommonFlags(symbols.command("set"))
    .description("change a symbol; 1 when it is not in the registry")
    .argument("<symbol>", "AAPL, BTC/USD", symbol)
    .addOption(strategyOption())
    .addOption(
      new Option("--status <status>", STATUSES.join(", ")).argParser(
        read(statusSchema),
      ),
    )
    .option("--description <text>", "for people")
    .addOption(new Option("--enable").conflicts("disable"))
    .option("--disable")
    .action(async (name: string, _flags, command: Command) => {
      const flags = command.optsWithGlobals<EntryOptions>();
      const { strategy, status, enable, disable } = flags;
      exit(
        await commands.symbolsSet({
          ...common(flags),
          symbol: name,
          ...(strategy === undefined ? {} : { strategy }),
          ...(status === undefined ? {} : { status }),
          ...((enable ?? disable) ? { enabled: enable === true } : {}),
          ...described(flags),
        }),
      );
    });
  withCommonFlags(symbols.command("remove"))
    .description("forget a symbol; its bars stay; 1 when it is not there")
    .argument("<symbol>", "AAPL, BTC/USD", symbol)
    .action(async (name: string, _flags, command: Command) => {
      const flags = command.optsWithGlobals<CommonOptions>();
      exit(await commands.symbolsRemove({ ...common(flags), symbol: name }));
    });
}

function strategyOption(): Option {
  return new Option(
    "--strategy <strategy>",
    Object.keys(STRATEGIES).join(", "),
  ).argParser(read(strategySchema));
}

function described({ description }: EntryOptions): { description?: string } {
  return description === undefined ? {} : { description };
}

/** The text after a flag by the schema that HTTP uses as well. */
function read<Value>(schema: z.ZodType<Value>): (text: string) => Value {
  return (text) => {
    const { data, error } = schema.safeParse(text);
    if (data === undefined)
      throw new InvalidArgumentError(
        `It ${error?.issues[0]?.message ?? "is wrong"}.`,
      );
    return data;
  };
}

function symbol(text: string): string {
  const spelt = symbolOfPolygon(text);
  if (spelt === undefined)
    throw new InvalidArgumentError("It must be a symbol (AAPL, BTC/USD).");
  return spelt;
}

function collect(text: string, symbols: string[] | undefined): string[] {
  return [...new Set([...(symbols ?? []), symbol(text)])];
}
