/** The simulated venue's accounts, as a configuration would name them. */
import { type Account, accountSlug } from "../../schema/account.ts";
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
