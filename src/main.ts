/** The composition root: the only file of `src` that knows the actors. */
import { startTree } from "../actors/root.ts";
import { runCli, type CommonFlags } from "./cli.ts";
import { auditAccounts } from "./commands/audit.ts";
import { backfillAccounts } from "./commands/backfill.ts";
import { auditBars, backfillBars } from "./commands/barCommands.ts";
import { gaps } from "./commands/gaps.ts";
import { registryRun } from "./commands/registry.ts";
import { snapshot } from "./commands/snapshot.ts";
import {
  symbolsAdd,
  symbolsList,
  symbolsRemove,
  symbolsSet,
} from "./commands/symbols.ts";
import { configCheck } from "./commands/config.ts";
import {
  coverage,
  coverageExport,
  coverageVerify,
} from "./commands/coverage.ts";
import { probes } from "./commands/probes.ts";
import { serve } from "./commands/serve.ts";
import { sim } from "./commands/sim.ts";
import { smoke } from "./commands/smoke.ts";
import { spool } from "./commands/spool.ts";
import { status, tree } from "./commands/views.ts";
import { type Config, processEnvironment, readConfig } from "./config.ts";
import { marketSpools } from "./marketTopology.ts";
import { spoolPath } from "./topology.ts";

const environment = processEnvironment();
const io = {
  stdout: (text: string) => void process.stdout.write(text),
  stderr: (text: string) => void process.stderr.write(text),
  isTerminal: process.stderr.isTTY,
};
const configOf = (flags: CommonFlags): Config =>
  readConfig(environment, { flags });

process.exitCode = await runCli(
  process.argv.slice(2),
  {
    serve: (flags) =>
      serve(startTree, environment, {
        flags,
        isTerminal: process.stdout.isTTY,
      }),
    backfillAccounts: (flags) => backfillAccounts(configOf(flags), flags, io),
    backfillBars: (flags) => backfillBars(configOf(flags), flags, io),
    auditAccounts: (flags) => auditAccounts(configOf(flags), flags, io),
    auditBars: (flags) => auditBars(configOf(flags), flags, io),
    registryRun: (flags) => registryRun(configOf(flags), flags, io),
    symbolsList: (flags) => symbolsList(configOf(flags), flags, io),
    symbolsAdd: (flags) => symbolsAdd(configOf(flags), flags, io),
    symbolsSet: (flags) => symbolsSet(configOf(flags), flags, io),
    symbolsRemove: (flags) => symbolsRemove(configOf(flags), flags, io),
    snapshot: async (flags) => snapshot(configOf(flags), flags, io),
    gaps: (flags) => gaps(configOf(flags), flags, io),
    coverage: (flags) => coverage(configOf(flags), flags, io),
    coverageExport: (flags) => coverageExport(configOf(flags), flags, io),
    coverageVerify: (flags) => coverageVerify(configOf(flags), flags, io),
    spool: async (flags) => {
      const { directory } = configOf(flags);
      const { bars, redis, kafka } = marketSpools(directory);
      return spool(spoolPath(directory), flags, io, [bars, redis, kafka]);
    },
    sim: (flags) => sim(flags, io),
    smoke: (flags) => smoke(startTree, environment, flags, io),
    status: (flags) => status(configOf(flags), flags, io),
    tree: (flags) => tree(configOf(flags), flags, io),
    configCheck: (flags) => configCheck({ environment, flags, io, probes }),
  },
  io,
);
process.exit();
