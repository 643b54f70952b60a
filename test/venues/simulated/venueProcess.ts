/** A venue in a process of its own, so that a test can kill it: `bun venueProcess.ts <file of the books> <account>`. */
import { startSimulatedVenue } from "../../../src/venues/simulated/venue.ts";

const [file = "", name = ""] = process.argv.slice(2);
const venue = await startSimulatedVenue({
  file,
  accounts: [
    { name, keyId: "key", secretKey: "secret", ordersPerMinute: 6000 },
  ],
  historyDays: 1,
  historyOrdersPerDay: 20,
  trading: true,
});
console.log(venue.streamUrl);
