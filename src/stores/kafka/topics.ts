/** Names of topics, as consumers of the older service read them. */
import type { MessagePhase } from "../../../schema/registry.ts";

export type TopicLayout = "per-symbol" | "per-phase";

export const PHASES: readonly MessagePhase[] = [
  "backfill",
  "snapshot",
  "stream",
];

/** `chronox.backfill.aapl`; characters that Kafka forbids (the slash of a pair) become `-`. */
export function topicOf(
  { phase, symbol }: { readonly phase: MessagePhase; readonly symbol: string },
  layout: TopicLayout,
): string {
  return layout === "per-phase"
    ? `chronox.${phase}`
    : `chronox.${phase}.${symbol.toLowerCase().replace(/[^a-z0-9._-]/g, "-")}`;
}

/** Every topic of ours, of either layout, and no other's. */
export const OUR_TOPICS = /^chronox\.(backfill|snapshot|stream)(\..+)?$/;
