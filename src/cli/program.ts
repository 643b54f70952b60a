/** Every command, its arguments and its flags, as the library wants to know them. */
import { Argument, Command, Option } from "commander";
import packageJson from "../../package.json" with { type: "json" };
import { accountSlug } from "../../schema/account.ts";
import type {
  CommonFlags,
  Commands,
  Output,
  SimFlags,
  SpoolFlags,
} from "../cli.ts";
import { closest } from "../closest.ts";
import {
  addBackfillBars,
  addRegistry,
  testSnapshotOption,
} from "./registryProgram.ts";
import {
  collectSlugs,
  common,
  daemonOption,
  period,
  readable,
  wholeUpTo,
  withCommonFlags,
  withJson,
  withPeriod,
  type CommonOptions,
  type JsonOptions,
  type PeriodOptions,
} from "./options.ts";

/** The commands, with what `--help` says of them; `exit` is told each one's exit code. */
export function buildProgram(
  commands: Commands,
  io: Output,
  exit: SetExitCode,
): Command {
  const program = new Command("feedkeeper")
    .description(packageJson.description)
    .version(packageJson.version)
    .exitOverride()
    .configureOutput({ writeOut: io.stdout, writeErr: io.stderr })
    .showHelpAfterError("(--help tells more)")
    .enablePositionalOptions();
  withCommonFlags(program.command("serve"))
    .description("run everything that is configured (default)")
    .addOption(daemonOption())
    .action(async (_flags, command: Command) => {
      exit(await commands.serve(common(command.optsWithGlobals())));
    });
  addBackfill(program, commands, exit);
  addAudit(program, commands, exit);
  addRegistry(program, commands, exit);
  addCoverage(program, commands, exit);
  addSpool(program, commands, exit);
  addSim(program, commands, exit);
  addSmoke(program, commands, exit);
  addViews(program, commands, exit);
  addConfig(program, commands, exit);

  // Last, because commands inherit these: only the program itself takes a word it does not know, to say so.
  return withCommonFlags(program)
    .addOption(daemonOption())
    .addOption(testSnapshotOption())
    .helpCommand(true)
    .allowExcessArguments()
    .action(async (flags: CommonOptions & { testSnapshot?: string }) => {
      const [word] = program.args;
      if (word !== undefined) return rejectUnknown(program, word);
      const { testSnapshot: symbol } = flags;
      if (symbol !== undefined)
        return exit(await commands.snapshot({ ...readable(flags), symbol }));
      exit(await commands.serve(common(flags)));
    });
}

type SetExitCode = (code: number) => void;

function addBackfill(
  program: Command,
  commands: Commands,
  exit: SetExitCode,
): void {
  const backfill = program
    .command("backfill")
    .description("read the past again by hand");
  withPeriod(withCommonFlags(backfill.command("accounts")))
    .description("orders and activities of accounts")
    .argument("[slug...]", "accounts; all when absent", collectSlugs)
    .action(async (slugs: string[] | undefined, _flags, command: Command) => {
      const flags = command.optsWithGlobals<CommonOptions & PeriodOptions>();
      exit(
        await commands.backfillAccounts({
          ...common(flags),
          ...period(command, flags),
          slugs: slugs ?? [],
        }),
      );
    });
  addBackfillBars(backfill, commands, exit);
}

function addAudit(
  program: Command,
  commands: Commands,
  exit: SetExitCode,
): void {
  withPeriod(withJson(withCommonFlags(program.command("audit"))))
    .description("read the venue again and compare it with the store")
    .addArgument(
      new Argument("[what]", "what to compare")
        .choices(["accounts", "bars"])
        .default("accounts"),
    )
    .option("--account <slug>", "this account only", accountSlug)
    .action(async (what: "accounts" | "bars", _flags, command: Command) => {
      const flags = command.optsWithGlobals<
        JsonOptions & PeriodOptions & { account?: string }
      >();
      if (what === "bars") {
        if (flags.account !== undefined)
          command.error("error: --account is for audit accounts");
        return exit(
          await commands.auditBars({
            ...readable(flags),
            ...period(command, flags),
          }),
        );
      }
      exit(
        await commands.auditAccounts({
          ...readable(flags),
          ...period(command, flags),
          ...(flags.account === undefined ? {} : { account: flags.account }),
        }),
      );
    });
}

function addCoverage(
  program: Command,
  commands: Commands,
  exit: SetExitCode,
): void {
  const coverage = withPeriod(
    withJson(withCommonFlags(program.command("coverage"))),
  )
    .description(
      "what was received live, healed, confirmed empty, or is unknown",
    )
    .enablePositionalOptions()
    .argument("[name]", "this account or symbol only")
    .action(async (name: string | undefined, _flags, command: Command) => {
      const flags = command.optsWithGlobals<JsonOptions & PeriodOptions>();
      exit(
        await commands.coverage({
          ...readable(flags),
          ...period(command, flags),
          ...(name === undefined ? {} : { name }),
        }),
      );
    });
  withJson(withCommonFlags(coverage.command("export")))
    .description("write the certificate with its chained digests")
    .option("--out <file>", "into this file instead of standard output")
    .action(async (_flags, command: Command) => {
      const flags = command.optsWithGlobals<JsonOptions & { out?: string }>();
      exit(
        await commands.coverageExport({
          ...readable(flags),
          ...(flags.out === undefined ? {} : { out: flags.out }),
        }),
      );
    });
  withJson(withCommonFlags(coverage.command("verify")))
    .description("compute the digests of a certificate again from the rows")
    .argument("<file>", "the certificate")
    .action(async (file: string, _flags, command: Command) => {
      const flags = command.optsWithGlobals<JsonOptions>();
      exit(await commands.coverageVerify({ ...readable(flags), file }));
    });
}

const SPOOL_ACTIONS = {
  status: "records, bytes, age and the cursor of each sink",
  verify: "check every record",
  repair: "keep what is intact and set the rest aside",
} as const satisfies Record<SpoolFlags["action"], string>;

function addSpool(
  program: Command,
  commands: Commands,
  exit: SetExitCode,
): void {
  const spool = program.command("spool").description("the spool on disk");
  const add = (action: SpoolFlags["action"]) =>
    withJson(withCommonFlags(spool.command(action)))
      .description(SPOOL_ACTIONS[action])
      .action(async (_flags, command: Command) => {
        const flags = command.optsWithGlobals<JsonOptions>();
        exit(await commands.spool({ ...readable(flags), action }));
      });
  add("status");
  add("verify");
  add("repair");
}

function addSim(program: Command, commands: Commands, exit: SetExitCode): void {
  withCommonFlags(program.command("sim"))
    .description("the simulated venue on its own")
    .option(
      "--port <number>",
      "port to listen on; 0 takes any",
      wholeUpTo(65_535),
    )
    .option(
      "--seed <number>",
      "seed of everything random",
      wholeUpTo(2 ** 32 - 1),
    )
    .option("--faults <file>", "script of what goes wrong and when")
    .option(
      "--replay <folder>",
      "play recorded days (flat files of minute bars)",
    )
    .option(
      "--speed <number>",
      "minutes of the recording in one of the clock (60)",
      wholeUpTo(3_600),
    )
    .addOption(
      new Option("--hours <hours>", "when stocks trade").choices([
        "always",
        "exchange",
      ]),
    )
    .addOption(
      new Option(
        "--plan <plan>",
        "what the plan of market data allows",
      ).choices(["basic", "plus"]),
    )
    .action(async (_flags, command: Command) => {
      // The flags are those of the command, by the same names.
      const options = command.optsWithGlobals<
        CommonOptions & Omit<SimFlags, keyof CommonFlags>
      >();
      const { port, seed, faults, replay, speed, hours, plan } = options;
      exit(
        await commands.sim({
          ...common(options),
          ...(port === undefined ? {} : { port }),
          ...(seed === undefined ? {} : { seed }),
          ...(faults === undefined ? {} : { faults }),
          ...(replay === undefined ? {} : { replay }),
          ...(speed === undefined ? {} : { speed }),
          ...(hours === undefined ? {} : { hours }),
          ...(plan === undefined ? {} : { plan }),
        }),
      );
    });
}

function addSmoke(
  program: Command,
  commands: Commands,
  exit: SetExitCode,
): void {
  withCommonFlags(program.command("smoke"))
    .description("run the feeds for a while: PASS when quotes arrive")
    .option("--seconds <number>", "how long", wholeUpTo(86_400), 60)
    .action(async (_flags, command: Command) => {
      const { seconds, ...flags } = command.optsWithGlobals<
        CommonOptions & { seconds: number }
      >();
      exit(await commands.smoke({ ...common(flags), seconds }));
    });
}

function addViews(
  program: Command,
  commands: Commands,
  exit: SetExitCode,
): void {
  withJson(withCommonFlags(program.command("status")))
    .description("the state of a running service")
    .action(async (_flags, command: Command) => {
      exit(await commands.status(readable(command.optsWithGlobals())));
    });
  withJson(withCommonFlags(program.command("tree")))
    .description("the supervision tree of a running service")
    .action(async (_flags, command: Command) => {
      exit(await commands.tree(readable(command.optsWithGlobals())));
    });
}

function addConfig(
  program: Command,
  commands: Commands,
  exit: SetExitCode,
): void {
  const config = program
    .command("config")
    .description("the configuration in effect");
  withJson(withCommonFlags(config.command("check")))
    .description(
      "validate it, print it without secrets, ask each store and venue",
    )
    .option("--plan", "also what a running service would open and close")
    .action(async (_flags, command: Command) => {
      const flags = command.optsWithGlobals<JsonOptions & { plan?: true }>();
      exit(
        await commands.configCheck({
          ...readable(flags),
          plan: flags.plan === true,
        }),
      );
    });
}

/** The library only knows a word as unknown when nothing runs without a word. */
function rejectUnknown(program: Command, word: string): never {
  const meant = closest(
    word,
    program.commands.map((command) => command.name()),
  );
  return program.error(
    `error: unknown command '${word}'${meant === undefined ? "" : `\n(Did you mean ${meant}?)`}`,
    { code: "commander.unknownCommand" },
  );
}
