/** Bars and markers as messages of the registry, and back. */
import type { Bar, BarSpan } from "../../schema/market.ts";
import type {
  CandleMessage,
  MessagePhase,
  PhaseMarker,
} from "../../schema/registry.ts";

export function candleOf(bar: Bar, phase: MessagePhase): CandleMessage {
  return {
    symbol: bar.symbol,
    phase,
    type: "bar",
    timeframe: "1m",
    timestamp: new Date(bar.timestamp).toISOString(),
    open: bar.open,
    high: bar.high,
    low: bar.low,
    close: bar.close,
    volume: bar.volume,
    ...(bar.vwap === undefined ? {} : { vwap: bar.vwap }),
    ...(bar.trades === undefined ? {} : { trades: bar.trades }),
    source: bar.source,
  };
}

/** What was read back is the venue's last word; of the stream a minute may come again, and then replaces. */
export function barOf(candle: CandleMessage, receivedAtMs: number): Bar {
  const { phase, type: _, timeframe: __, ...values } = candle;
  const span: BarSpan = phase === "stream" ? "updated" : "history";
  return { ...values, kind: "bar", span, receivedAtMs };
}

export function marker(
  symbol: string,
  phase: MessagePhase,
  status: PhaseMarker["status"],
  nowMs: number,
  told: { readonly records?: number; readonly error?: string } = {},
): PhaseMarker {
  return {
    symbol,
    phase,
    type: "phase",
    status,
    timestamp: new Date(nowMs).toISOString(),
    ...told,
  };
}
