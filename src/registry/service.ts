/** What the outside may ask of the registry: symbols, jobs, the scheduler. HTTP and the command line say it in their own words. */
import type { RegistryEntry, RegistryStatus } from "../../schema/registry.ts";
import { DAY } from "../clock.ts";
import type { RegistryTopology } from "../registryTopology.ts";
import { storedSymbols } from "../stores/postgres/gaps.ts";
import {
  addSymbol,
  changeSymbol,
  deleteSymbol,
  type EntryChange,
  findSymbol,
  listSymbols,
  type NewEntry,
  setStatus,
} from "../stores/postgres/registry.ts";
import { type Gap, listGaps } from "./gaps.ts";
import type { Job } from "./jobs.ts";
import type { ScheduledJob } from "./scheduleBoard.ts";

export interface GapQuery {
  readonly symbol?: string;
  readonly from?: Date;
  readonly to?: Date;
}

export interface RegistryService {
  list(options: { enabledOnly: boolean }): Promise<RegistryEntry[]>;
  find(symbol: string): Promise<RegistryEntry | undefined>;
  add(entry: NewEntry): Promise<{ entry: RegistryEntry; isNew: boolean }>;
  change(
    symbol: string,
    change: EntryChange,
  ): Promise<RegistryEntry | undefined>;
  setStatus(
    symbol: string,
    status: RegistryStatus,
    errorMessage?: string,
  ): Promise<RegistryEntry | undefined>;
  /** False when there is no such symbol. */
  remove(symbol: string): Promise<boolean>;
  /** Undefined when too many jobs wait. */
  submit(kind: Job["kind"], symbols: readonly string[]): Job | undefined;
  jobs(): Job[];
  job(id: string): Job | undefined;
  cancelJob(id: string): boolean;
  /** Of one symbol, or of all that have stored minutes. */
  gaps(query: GapQuery): Promise<Gap[]>;
  schedule(): { readonly isOn: boolean; readonly jobs: ScheduledJob[] };
  switchSchedule(isOn: boolean): void;
  /** False when there is no such job. */
  trigger(id: string): boolean;
}

export function registryService(topology: RegistryTopology): RegistryService {
  const { board, database, scheduleBoard, streams } = topology;
  return {
    list: async (options) => listSymbols(database.sql, options),
    find: async (symbol) => findSymbol(database.sql, symbol),
    add: async (entry) => addSymbol(database.sql, entry),
    async change(symbol, change) {
      const entry = await changeSymbol(database.sql, symbol, change);
      if (entry?.enabled === false) streams.remove(symbol);
      return entry;
    },
    async setStatus(symbol, status, errorMessage) {
      const entry = await setStatus(database.sql, symbol, status, errorMessage);
      if (status === "disabled" || status === "paused") streams.remove(symbol);
      return entry;
    },
    async remove(symbol) {
      streams.remove(symbol);
      return deleteSymbol(database.sql, symbol);
    },
    submit: (kind, symbols) => board.submit(kind, symbols),
    jobs: () => board.list(),
    job: (id) => board.find(id),
    cancelJob: (id) => board.cancel(id),
    gaps: async ({ symbol, from, to }) => {
      const nowMs = Date.now();
      const range = {
        from: from ?? new Date(nowMs - topology.backfillDays * DAY),
        to: to ?? new Date(nowMs),
      };
      const symbols =
        symbol === undefined ? await storedSymbols(database.sql) : [symbol];
      return listGaps(database, symbols, range, nowMs);
    },
    schedule: () => ({ isOn: scheduleBoard.isOn, jobs: scheduleBoard.list() }),
    switchSchedule: (isOn) => scheduleBoard.switch(isOn),
    trigger: (id) => scheduleBoard.trigger(id),
  };
}
