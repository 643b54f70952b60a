/** What `config check` asks stores and venues, each as the service itself would. */
import { RateBudget } from "../flow/rate.ts";
import { connect, ping } from "../stores/postgres/connect.ts";
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
  running: fetchRunning,
};
