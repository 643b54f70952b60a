/** The simulated venue's accounts and keys, as a configuration would name them. */
import { type Account, accountSlug } from "../../schema/account.ts";
import type { FeedAccess, PolygonAccess } from "../config/market.ts";
import {
  DEMO_POLYGON_FILES,
  DEMO_POLYGON_KEY,
} from "../venues/simulated/polygon/polygon.ts";
import { BUCKET } from "../venues/simulated/polygon/store.ts";
import { DEMO_ACCOUNTS } from "../venues/simulated/venue.ts";

/** `url`: REST address of the simulated venue. */
export function demoAccounts(url: string): Account[] {
  return DEMO_ACCOUNTS.map(({ name, keyId, secretKey }) => ({
    name,
    slug: accountSlug(name),
    restUrl: url,
    streamUrl: `${url.replace(/^http/, "ws")}/stream`,
    keyId,
    secretKey,
    allowTrading: false,
  }));
}

/** Its market data is asked for with the keys of its first account. */
export function demoFeedAccess(url: string): FeedAccess | undefined {
  const [first] = DEMO_ACCOUNTS;
  return (
    first && {
      keyId: first.keyId,
      secretKey: first.secretKey,
      restUrl: url,
      streamUrl: url.replace(/^http/, "ws"),
    }
  );
}

/** Its Polygon face: REST, streams and day files at one address. */
export function demoPolygonAccess(url: string): PolygonAccess {
  return {
    apiKey: DEMO_POLYGON_KEY,
    restUrl: url,
    streamUrl: url.replace(/^http/, "ws"),
    files: { endpoint: url, bucket: BUCKET, ...DEMO_POLYGON_FILES },
  };
}
