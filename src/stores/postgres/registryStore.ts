/** The registry's tables, as its runs ask them. */
import type { RegistryStore } from "../../registry/run.ts";
import type { Database } from "./database.ts";
import {
  appliedSplits,
  filesRead,
  newestMinute,
  noteFileRead,
  noteSplits,
} from "./historyRead.ts";
import {
  claimSymbol,
  clearStaleLocks,
  failClaim,
  findSymbol,
  interruptClaim,
  listSymbols,
  releaseClaim,
  renewClaim,
  retriesDue,
  stampPhase,
} from "./registry.ts";

export function registryStore(
  database: Database,
  settings: { readonly owner: string; readonly leaseMs: number },
): RegistryStore {
  const { owner, leaseMs } = settings;
  return {
    find: async (symbol) => findSymbol(database.sql, symbol),
    list: async (options) => listSymbols(database.sql, options),
    claim: async (symbol) => claimSymbol(database.sql, symbol, owner, leaseMs),
    renew: async (claim) => renewClaim(database.sql, claim, leaseMs),
    stamp: async (claim, phase) => stampPhase(database.sql, claim, phase),
    release: async (claim) => releaseClaim(database.sql, claim),
    fail: async (claim, failure) => failClaim(database.sql, claim, failure),
    interrupt: async (claim) => interruptClaim(database.sql, claim),
    clearStaleLocks: async () => clearStaleLocks(database.sql),
    retriesDue: async () => retriesDue(database.sql),
    filesRead: async (symbol) => filesRead(database.sql, symbol),
    noteFileRead: async (symbol, file, rows) =>
      noteFileRead(database.sql, symbol, file, rows),
    appliedSplits: async (symbol) => appliedSplits(database.sql, symbol),
    noteSplits: async (_symbol, splits) => noteSplits(database.sql, splits),
    newestMinute: async (symbol) => newestMinute(database.sql, symbol),
  };
}
