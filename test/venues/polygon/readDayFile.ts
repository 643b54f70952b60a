/**
 * Reads a day file in a process of its own and prints how many bars there were
 * and how much memory it took: `bun readDayFile.ts '<access as JSON>' <day>`.
 */
import { polygonFiles } from "../../../src/venues/polygon/flatFiles.ts";
import { BACKFILL } from "./options.ts";

const [access = "{}", day = ""] = process.argv.slice(2);
const files = polygonFiles(JSON.parse(access));
const file = await files.find("stock", day, BACKFILL);
if (file === undefined) throw new Error(`no file of ${day}`);

let rows = 0;
let bytesMax = 0;
let batchLengthMax = 0;
const onMalformed = ({ raw }: { raw: string }) => {
  throw new Error(raw);
};
for await (const bars of files.bars(
  file,
  { assetClass: "stock", day },
  { ...BACKFILL, onMalformed },
)) {
  rows += bars.length;
  batchLengthMax = Math.max(batchLengthMax, bars.length);
  bytesMax = Math.max(bytesMax, process.memoryUsage().rss);
}
console.log(JSON.stringify({ rows, bytesMax, batchLengthMax }));
