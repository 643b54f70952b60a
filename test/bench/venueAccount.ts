/** Accounts of the benchmarks' venue, numbered from 1: what both of its sides know. */
import { type Account, accountSlug } from "../../schema/account.ts";

export function venueAccount(number: number) {
  return {
    name: `bench-${number}`,
    keyId: `PKBENCH${number}`,
    secretKey: `secret-${number}`,
    ordersPerMinute: 0,
  };
}

/** As a configuration would name it. */
export function accountAt(url: string, number: number): Account {
  const { name, keyId, secretKey } = venueAccount(number);
  return {
    name,
    slug: accountSlug(name),
    restUrl: url,
    streamUrl: `${url.replace(/^http/, "ws")}/stream`,
    keyId,
    secretKey,
    allowTrading: false,
  };
}
