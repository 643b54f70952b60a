/** Shapes of the symbol registry as OpenAPI shows them: bodies that are taken, and answers. */
import { z } from "@hono/zod-openapi";
import {
  statusSchema,
  STATUSES,
  STRATEGIES,
  strategySchema,
} from "../../schema/registry.ts";
import { symbolOfPolygon } from "../venues/polygon/symbols.ts";

/** In paths and bodies: in any spelling of the venue, and in small letters. */
export const symbolText = z
  .string()
  .transform((text, context) => {
    const spelt = symbolOfPolygon(text);
    if (spelt !== undefined) return spelt;
    context.addIssue({
      code: "custom",
      message: "has to be a symbol (AAPL, BRK.B, BTC/USD)",
    });
    return z.NEVER;
  })
  .openapi({
    type: "string",
    description: "AAPL, BRK.B; BTC/USD, BTC-USD, X:BTCUSD or X:BTC-USD.",
    example: "AAPL",
  });

// A copy: the schema itself was made before zod learnt .openapi().
const strategy = strategySchema.clone().openapi({
  type: "string",
  description: `${Object.keys(STRATEGIES).join(", ")}; with _ or +, in either case.`,
  example: "flatpack_snapshot_stream",
});
const timeframe = z.literal("1m", { error: "has to be 1m" }).openapi({
  description: "Minutes are what is ingested.",
});

export const newSymbolSchema = z
  .object({
    symbol: symbolText,
    strategy,
    timeframe: timeframe.default("1m"),
    enabled: z.boolean().default(true),
    description: z.string().max(1_000).optional(),
    metadata: z.record(z.string(), z.unknown()).optional(),
  })
  .openapi("NewSymbol");

export const symbolChangeSchema = z
  .object({
    strategy: strategy.optional(),
    timeframe: timeframe.optional(),
    enabled: z.boolean().optional(),
    description: z.string().max(1_000).optional(),
  })
  .openapi("SymbolChange");

export const statusChangeSchema = z
  .object({
    status: statusSchema.clone().openapi({
      type: "string",
      description: STATUSES.join(", "),
      example: "disabled",
    }),
    error_message: z.string().max(10_000).optional(),
  })
  .openapi("StatusChange");

const time = z.iso.datetime().nullable();

export const entrySchema = z
  .object({
    symbol: z.string(),
    strategy: z.string(),
    timeframe: z.string(),
    enabled: z.boolean(),
    status: z.string(),
    description: z.string().nullable(),
    last_backfill: time,
    last_snapshot: time,
    last_stream: time,
    error_message: z.string().nullable(),
    failures: z.int(),
    next_retry_at: time,
    metadata: z.unknown(),
    created_at: z.string(),
    updated_at: z.string(),
  })
  .openapi("RegistryEntry");

export const executeSchema = z
  .object({
    symbols: z
      .array(symbolText)
      .max(20_000)
      .nullish()
      .openapi({ description: "All enabled ones when absent or null." }),
  })
  .openapi("Execute");

const resultSchema = z
  .object({
    symbol: z.string(),
    strategy: z.string(),
    status: z.enum(["success", "error", "locked", "cancelled"]),
    phases: z
      .record(
        z.string(),
        z
          .object({ status: z.string(), records: z.int().optional() })
          .readonly(),
      )
      .readonly(),
    elapsed: z.number().openapi({ description: "Seconds." }),
    error: z.string().optional(),
  })
  .readonly()
  .openapi("SymbolResult");

export const jobSchema = z
  .object({
    job_id: z.string(),
    kind: z.string(),
    tickers: z.array(z.string()).readonly(),
    state: z.enum(["pending", "running", "completed", "failed", "cancelled"]),
    submitted_at: z.string(),
    started_at: time,
    completed_at: time,
    message: z.string().nullable(),
    progress: z.object({ done: z.int(), total: z.int() }).readonly(),
    result: z.array(resultSchema).readonly().nullable(),
    error: z.string().nullable(),
  })
  .openapi("Job");

export const scheduleSchema = z
  .object({
    enabled: z.boolean(),
    running: z.boolean(),
    jobs: z
      .array(
        z.object({
          id: z.string(),
          name: z.string(),
          trigger: z.string(),
          next_run: time,
          last_run: time,
          running: z.boolean(),
          last_error: z.string().nullable(),
        }),
      )
      .readonly(),
  })
  .openapi("Schedule");
