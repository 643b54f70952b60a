/** A service reduced to its embedded Postgres: starts it in the directory given, says where it is, and waits to be killed. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "../../../src/stores/postgres/connect.ts";
import { startEmbeddedPostgres } from "../../../src/stores/postgres/embedded.ts";

const [directory = "", what] = process.argv.slice(2);
const server = await startEmbeddedPostgres({ directory });
const sql = connect(server.url, { connectionsMax: 1 });
await sql`create table if not exists kept (number int)`;
await sql`insert into kept values (1)`;
const [row] = await sql`select count(*)::int as rows from kept`;
const [pid] = readFileSync(
  join(directory, "data/postmaster.pid"),
  "utf8",
).split("\n");
console.log(
  JSON.stringify({
    ...row,
    url: server.url,
    pid: Number(pid),
    user: process.getuid?.(),
  }),
);
if (what === "stop") {
  await sql.end();
  await server.stop();
} else setInterval(() => {}, 1000);
