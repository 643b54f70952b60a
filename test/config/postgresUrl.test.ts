import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { postgresUrl } from "../../src/config/postgresUrl.ts";

/** The parts of a result, decoded. */
function parts(text: string) {
  const url = new URL(text);
  return {
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    host: url.hostname,
    port: url.port,
    database: decodeURIComponent(url.pathname.slice(1)),
    parameters: Object.fromEntries(url.searchParams),
  };
}

/** Any text a part may hold; libpq reads an empty one as absent, and half a character is none. */
const part = fc
  .oneof(
    fc.string({ unit: "grapheme", minLength: 1 }),
    fc.string({
      unit: fc.constantFrom(..."'\\ \t\n=@:/?#%&+;$\"aé"),
      minLength: 1,
    }),
  )
  .filter((value) => value.isWellFormed());

/** A path step is the one name a URL cannot hold; it is refused below. */
const databaseName = part.filter((value) => value !== "." && value !== "..");

const host = fc.constantFrom("db", "db-1.example.com", "10.0.0.4", "my_db");
const port = fc.integer({ min: 1, max: 65_535 });

test("libpq pairs become a URL with the same parts, however they are quoted and spaced", () => {
  const quoted = (value: string) => `'${value.replace(/[\\']/g, "\\$&")}'`;
  const bare = (value: string) => value.replace(/[\\'\s]/g, "\\$&");
  const pair = (name: string, value: fc.Arbitrary<string>) =>
    fc.record({
      name: fc.constant(name),
      value,
      write: fc.constantFrom(quoted, bare),
      equals: fc.constantFrom("=", " = ", "= ", "\t="),
    });
  const given = fc
    .tuple(
      pair("host", host),
      pair("port", port.map(String)),
      pair("user", part),
      pair("password", part),
      pair("dbname", databaseName),
      pair("application_name", part),
    )
    .chain((pairs) =>
      fc
        .shuffledSubarray(pairs, { minLength: pairs.length })
        .map((shuffled) => ({
          text: shuffled
            .map(
              ({ name, value, write, equals }) =>
                `${name}${equals}${write(value)}`,
            )
            .join(" "),
          values: pairs.map(({ value }) => value),
        })),
    );
  fc.assert(
    fc.property(given, ({ text, values }) => {
      const [host, port, user, password, database, application_name] = values;
      expect(parts(postgresUrl(text))).toEqual({
        host: host ?? "",
        port: port ?? "",
        user: user ?? "",
        password: password ?? "",
        database: database ?? "",
        parameters: { application_name: application_name ?? "" },
      });
    }),
    { numRuns: 500 },
  );
});

test("an encoded URL keeps its parts, and what is converted already stays as it is", () => {
  const given = fc.record({
    scheme: fc.constantFrom(
      "postgres",
      "postgresql",
      "postgresql+psycopg2",
      "POSTGRESQL+asyncpg",
    ),
    user: part,
    password: part,
    host,
    port,
    database: databaseName,
    parameters: fc.dictionary(
      fc.constantFrom("sslmode", "options", "application_name"),
      part,
      { noNullPrototype: true },
    ),
  });
  fc.assert(
    fc.property(given, ({ scheme, host, port, parameters, ...coded }) => {
      const [user, password, database] = [
        coded.user,
        coded.password,
        coded.database,
      ].map(encodeURIComponent);
      const query = new URLSearchParams(parameters).toString();
      const result = postgresUrl(
        `${scheme}://${user}:${password}@${host}:${port}/${database}?${query}`,
      );
      expect(result).toStartWith("postgres://");
      expect(parts(result)).toEqual({
        ...coded,
        host,
        port: String(port),
        parameters,
      });
      expect(postgresUrl(result)).toBe(result);
    }),
    { numRuns: 500 },
  );
});

test("a password that nobody encoded is understood as long as no host could stand in it", () => {
  const unencoded = fc
    .string({ unit: fc.constantFrom(..."abc:@#/ &=+!$"), minLength: 1 })
    .filter((password) => !/@[^@/]*(\/[^@#]*)?$/.test(password));
  fc.assert(
    fc.property(unencoded, (password) => {
      expect(parts(postgresUrl(`postgres://me:${password}@db/keep`))).toEqual({
        user: "me",
        password,
        host: "db",
        port: "",
        database: "keep",
        parameters: {},
      });
    }),
  );
});

describe("forms", () => {
  test.each([
    ["postgres://h/d", "postgres://h/d"],
    ["  postgresql://h/d\n", "postgres://h/d"],
    ["postgres://", "postgres://localhost/"],
    ["postgres:///d", "postgres://localhost/d"],
    ["postgres://u@h", "postgres://u@h/"],
    ["postgres://u:@h/d", "postgres://u@h/d"],
    ["postgres://u:p@ss@h/d", "postgres://u:p%40ss@h/d"],
    ["postgres://u:p#/?x@h/d", "postgres://u:p%23%2F%3Fx@h/d"],
    ["postgres://u:100%@h/d", "postgres://u:100%25@h/d"],
    ["postgres://u@server:p@h/d", "postgres://u%40server:p@h/d"],
    ["postgres://u:p@h/d?user_tag=a@b", "postgres://u:p@h/d?user_tag=a%40b"],
    ["postgres://h1:1,h2:2/d", "postgres://h1:1,h2:2/d"],
    ["postgres://[::1]:5433/d", "postgres://[::1]:5433/d"],
    ["postgres://h/d?port=5433&user=u", "postgres://u@h:5433/d"],
    ["postgres://u@/d?host=/var/run/pg", "postgres://u@%2Fvar%2Frun%2Fpg/d"],
    ["postgres://%2Fvar%2Frun%2Fpg/d", "postgres://%2Fvar%2Frun%2Fpg/d"],
    [
      "postgres://h/d?sslmode=require&options=-c%20search_path%3Dx",
      "postgres://h/d?sslmode=require&options=-c+search_path%3Dx",
    ],
    ["postgres:///d?host=h1:1&host=h2:2", "postgres://h1:1,h2:2/d"],
    ["dbname=d", "postgres://localhost/d"],
    ["password=a:// dbname=d", "postgres://:a%3A%2F%2F@localhost/d"],
    ["host=h dbname=d password=''", "postgres://h/d"],
    ["host=/tmp port=5433 dbname=d", "postgres://%2Ftmp:5433/d"],
    ["host=::1 port=5433", "postgres://[::1]:5433/"],
    ["host=h1,h2 port=1,2", "postgres://h1:1,h2:2/"],
    ["host=h1,h2 port=1", "postgres://h1:1,h2:1/"],
    ["hostaddr=10.0.0.1", "postgres://10.0.0.1/"],
    ["host=h hostaddr=10.0.0.1", "postgres://h/"],
    ["host=a host=b user=x user=y", "postgres://y@b/"],
    ["user='it''s'", undefined],
    ["host=h port=0", undefined],
    ["host=h port=65536", undefined],
    ["host='a b'", undefined],
    ["host=h sslmod=require", undefined],
    ["host=h password='open", undefined],
    ["password", undefined],
    ["", undefined],
    ["postgres://h/..", undefined],
    ["dbname=.", undefined],
    ["sqlite:///d", undefined],
    ["mysql+postgres://h", undefined],
    ["postgres://h/d#fragment", undefined],
  ])("%p becomes %p", (text, url) => {
    if (url === undefined)
      expect(() => postgresUrl(text)).toThrow(/^(is|has) /);
    else expect(postgresUrl(text)).toBe(url);
  });

  test.each([
    "mysql://u:hush@h",
    "host=h password=hush hush",
    "host=h password='hush",
    "postgres://u:hush@h:0/d",
    "postgres://u:hush@h/d#x",
  ])("what is wrong with %p is said without repeating it", (text) => {
    let message = "";
    try {
      postgresUrl(text);
    } catch (error) {
      message = String(error);
    }
    expect(message).toStartWith("Error: ");
    expect(message).not.toContain("hush");
  });
});
