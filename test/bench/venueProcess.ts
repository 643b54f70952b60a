/**
 * The simulated venue in a process of its own, without a limit of requests.
 * Arguments: how many accounts it has (`bench-1`, `bench-2`, …), and how many
 * activities the first of them did.
 */
import { startSimulatedVenue } from "../../src/venues/simulated/venue.ts";
import { venueAccount } from "./venueAccount.ts";

const [accounts = "1", activities = "0"] = process.argv.slice(2);
const venue = await startSimulatedVenue({
  accounts: Array.from({ length: Number(accounts) }, (_, index) =>
    venueAccount(index + 1),
  ),
  historyDays: 0,
  requestsPerMinute: 1_000_000_000,
});
if (Number(activities) > 0)
  venue.exchange.seedActivities(venueAccount(1).name, Number(activities));
process.send?.(venue.url);
