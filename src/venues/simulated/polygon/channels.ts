/** The words of the streams: their addresses and channels, and how a parameter is read. */
import type { Kind } from "./due.ts";

export const POLYGON_PATHS = ["/stocks", "/crypto"] as const;
export type PolygonPath = (typeof POLYGON_PATHS)[number];

export function isPolygonPath(pathname: string): pathname is PolygonPath {
  return (POLYGON_PATHS as readonly string[]).includes(pathname);
}

const CHANNELS: Readonly<Record<PolygonPath, Readonly<Record<string, Kind>>>> =
  {
    "/stocks": { AM: "minutes", A: "seconds", T: "trades", Q: "quotes" },
    "/crypto": { XA: "minutes", XAS: "seconds", XT: "trades", XQ: "quotes" },
  };

/** `AM.AAPL`, `XA.BTC-USD`, `T.*`. */
export interface Parameter {
  readonly text: string;
  readonly kind: Kind;
  readonly ticker: string;
}

/** Undefined for a channel that there is not. */
export function readParameter(
  path: PolygonPath,
  text: string,
): Parameter | undefined {
  const [, channel = "", ticker = ""] = /^([^.]+)\.(.+)$/.exec(text) ?? [];
  const kind = CHANNELS[path][channel];
  return kind === undefined ? undefined : { text, kind, ticker };
}
