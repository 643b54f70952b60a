/** The venue's spellings of what the tape knows: stocks everywhere alike, a crypto pair differently in each product. */
import { isCrypto } from "../order.ts";

export type Product = "rest" | "stream" | "files";

/** `AAPL`; `X:BTCUSD` by REST, `BTC-USD` on the stream, `X:BTC-USD` in files. */
export function tickerOf(symbol: string, product: Product): string {
  if (!isCrypto(symbol)) return symbol;
  const [base = "", quote = ""] = symbol.split("/");
  switch (product) {
    case "rest":
      return `X:${base}${quote}`;
    case "stream":
      return `${base}-${quote}`;
    case "files":
      return `X:${base}-${quote}`;
  }
}
