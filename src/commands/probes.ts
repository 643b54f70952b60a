/** What `config check` asks stores and venues, each as the service itself would. */
import { SECOND } from "../clock.ts";
import { RateBudget } from "../flow/rate.ts";
import { connectKafka } from "../stores/kafka/connect.ts";
import { openPublisher } from "../stores/kafka/produce.ts";
import { connect, ping } from "../stores/postgres/connect.ts";
import { dialControl } from "../stores/redis/connect.ts";
import { alpacaHistory } from "../venues/alpaca/marketRest.ts";
import { listingOf } from "../venues/polygon/listing.ts";
import { createPolygonRest, polygonBudget } from "../venues/polygon/rest.ts";
import { createAlpacaRest } from "../venues/alpaca/rest.ts";
import { fetchRunning } from "./views.ts";
import type { Probes } from "./config.ts";

export const probes: Probes = {
  async postgres(url) {
    const sql = connect(url, { connectionsMax: 1 });
    try {
      await ping(sql);
    } finally {
      await sql.end({ timeout: 1 });
    }
  },
  async account(account) {
    const rest = createAlpacaRest({
      account,
      budget: new RateBudget({ perMinute: 60 }),
    });
    const { value } = await rest.object(
      "/v2/account",
      {},
      { priority: "live" },
    );
    return `account ${String(value["account_number"] ?? "")}, ${String(value["status"] ?? "")}`;
  },
  async marketData({ access, feed }) {
    if (access === undefined) return;
    const rest = createAlpacaRest({
      account: access,
      budget: new RateBudget({ perMinute: 60 }),
    });
    const history = alpacaHistory({
      rest,
      assetClass: "stock",
      feed,
      onMalformed: () => {},
    });
    await history.latestTrades(["SPY"], AbortSignal.timeout(10 * SECOND));
  },
  async redis(url) {
    using link = await dialControl(url, AbortSignal.timeout(10 * SECOND));
    await link.client.ping();
  },
  async firestore({ firestore, tenant }) {
    if (firestore === undefined) return;
    const { connectFirestore } = await import("../stores/firestore.ts");
    const connection = connectFirestore(firestore);
    try {
      const { database } = connection;
      await database.doc(`tenants/${tenant}/ops/market_ingest`).get();
    } finally {
      await connection.terminate();
    }
  },
  async polygon(access) {
    const rest = createPolygonRest({
      key: access,
      budget: polygonBudget(access),
    });
    await listingOf(rest, "AAPL", {
      priority: "live",
      signal: AbortSignal.timeout(10 * SECOND),
    });
  },
  async kafka(address) {
    const publisher = await openPublisher(
      connectKafka(address, "feedkeeper-check"),
      address.layout,
    );
    await publisher.close();
  },
  running: fetchRunning,
};
