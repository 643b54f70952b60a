/** The simulated venue's accounts and keys, as a configuration would name them. */
import { type Account, accountSlug } from "../../schema/account.ts";
import type { FeedAccess } from "../config/market.ts";
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
