/** What topics of ours hold, read back: whoever wrote it, it is checked. */
import { z } from "zod";
import type { RegistryMessage } from "../../../schema/registry.ts";

const number = z.number();
const bar = z.object({
  symbol: z.string().min(1),
  phase: z.enum(["backfill", "snapshot", "stream"]),
  type: z.literal("bar"),
  timeframe: z.literal("1m"),
  timestamp: z.iso.datetime(),
  open: number,
  high: number,
  low: number,
  close: number,
  volume: number,
  vwap: number.optional(),
  trades: number.optional(),
  source: z.string(),
});
const snapshot = z.object({
  symbol: z.string().min(1),
  phase: z.literal("snapshot"),
  type: z.literal("snapshot"),
  timestamp: z.iso.datetime(),
  data: z.record(z.string(), z.unknown()),
});
const phase = z.object({
  symbol: z.string().min(1),
  phase: z.enum(["backfill", "snapshot", "stream"]),
  type: z.literal("phase"),
  status: z.enum(["started", "completed", "failed"]),
  timestamp: z.string(),
  records: z.number().optional(),
  error: z.string().optional(),
});
const message = z.discriminatedUnion("type", [bar, snapshot, phase]);

/** The message, or why it is none. */
export function readMessage(
  raw: string,
): { message: RegistryMessage } | { reason: string } {
  let value: unknown;
  try {
    value = JSON.parse(raw);
  } catch {
    return { reason: "not JSON" };
  }
  const parsed = message.safeParse(value);
  if (parsed.success) return { message: parsed.data as RegistryMessage };
  const [issue] = parsed.error.issues;
  return { reason: `${issue?.path.join(".")}: ${issue?.message}` };
}
