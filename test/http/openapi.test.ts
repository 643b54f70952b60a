import { describe, expect, test } from "bun:test";
import { createApp } from "../../src/http/app.ts";
import {
  AMISS,
  type Ask,
  asking,
  LOOPBACK,
  OPEN_TO_ALL,
  serviceView,
  TOKEN,
  TREE,
} from "./view.ts";

type Members = Readonly<Record<string, unknown>>;

const METHODS = ["get", "post", "put", "patch", "delete"];

async function documentOf(ask: Ask = asking()): Promise<Members> {
  const headers = { authorization: `Bearer ${TOKEN}` };
  return membersOf(await (await ask("/openapi.json", { headers })).json());
}

function membersOf(value: unknown): Members {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error(`an object is expected, not ${JSON.stringify(value)}`);
  return Object.fromEntries(Object.entries(value));
}

function at(value: unknown, ...path: string[]): unknown {
  return path.reduce((found, name) => membersOf(found)[name], value);
}

interface Operation {
  readonly name: string;
  readonly path: string;
  readonly members: Members;
}

function operationsOf(document: Members): Operation[] {
  return Object.entries(membersOf(document["paths"])).flatMap(([path, item]) =>
    Object.entries(membersOf(item)).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      path,
      members: membersOf(operation),
    })),
  );
}

describe("the document", () => {
  test("says what it is and where", async () => {
    const response = await asking()("/openapi.json");
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await documentOf()).toMatchObject({
      openapi: "3.1.0",
      info: { title: "feedkeeper", version: "0.1.0" },
      servers: [{ url: "/" }],
    });
  });

  test("has every route that is answered, and no other", async () => {
    const { routes } = createApp(serviceView(), LOOPBACK);
    const answered = routes
      .filter(({ method }) => method !== "ALL")
      .map(
        ({ method, path }) =>
          `${method} ${path.replace(/:(\w+)(\{[^}]*\})?/g, "{$1}")}`,
      );
    const documented = operationsOf(await documentOf());
    expect(documented.map(({ name }) => name).toSorted()).toEqual(
      [...new Set(answered)].toSorted(),
    );
  });

  test("describes every operation, its parameters and its answers", async () => {
    for (const { name, path, members } of operationsOf(await documentOf())) {
      expect(METHODS).toContain(name.split(" ")[0]?.toLowerCase() ?? "");
      expect([name, typeof members["summary"]]).toEqual([name, "string"]);
      const parameters = listOf(members["parameters"]).map(membersOf);
      for (const { description, schema } of parameters)
        expect([typeof description, typeof schema]).toEqual([
          "string",
          "object",
        ]);
      expect(parameters.filter((each) => each["in"] === "path")).toEqual(
        (path.match(/(?<=\{)\w+(?=\})/g) ?? []).map((parameter) =>
          expect.objectContaining({ name: parameter, required: true }),
        ),
      );
      const responses = Object.entries(membersOf(members["responses"]));
      expect(responses.length).toBeGreaterThan(0);
      for (const [status, response] of responses) {
        expect(status).toMatch(/^[2-5]\d\d$/);
        expect(at(response, "description")).toBeTypeOf("string");
      }
    }
  });

  test("refers to nothing that is not there, and keeps nothing nobody refers to", async () => {
    const document = await documentOf();
    const text = JSON.stringify(document);
    const referred = Array.from(
      text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g),
      ([, name]) => name ?? "",
    );
    expect(text.match(/"\$ref"/g)).toHaveLength(referred.length);
    expect([...new Set(referred)].toSorted()).toEqual(
      Object.keys(membersOf(at(document, "components", "schemas"))).toSorted(),
    );
  });

  test("asks for the token where the service does", async () => {
    const needing = (document: Members) =>
      operationsOf(document)
        .filter(
          ({ members }) =>
            listOf(members["security"] ?? document["security"]).length > 0,
        )
        .map(({ name }) => name);
    const writing = operationsOf(await documentOf())
      .map(({ name }) => name)
      .filter((name) => !name.startsWith("GET "));
    expect(writing).toContain("POST /api/v1/actors/{id}/restart");
    expect(needing(await documentOf())).toEqual(writing);

    const document = await documentOf(asking(serviceView(), OPEN_TO_ALL));
    expect(at(document, "components", "securitySchemes", "bearerAuth")).toEqual(
      expect.objectContaining({ type: "http", scheme: "bearer" }),
    );
    expect(needing(document)).toEqual(
      operationsOf(document)
        .map(({ name }) => name)
        .filter((name) => !/ \/health\/(live|ready)$/.test(name)),
    );
  });
});

describe("what is answered is what the document says", () => {
  const amiss = serviceView({
    health: () => AMISS,
    coverage: () => Promise.reject(new Error("away")),
  });
  const minimal = serviceView({ tree: () => TREE.children?.[0] ?? TREE });
  const { path: actor } = TREE.children?.[0] ?? TREE;
  const cases: [
    request: string,
    status: number,
    operation: string,
    ask: Ask,
    headers?: Record<string, string>,
  ][] = [
    ["GET /health", 200, "GET /health", asking()],
    ["GET /health", 200, "GET /health", asking(amiss)],
    ["GET /health/live", 200, "GET /health/live", asking()],
    ["GET /health/ready", 200, "GET /health/ready", asking()],
    ["GET /health/ready", 503, "GET /health/ready", asking(amiss)],
    ["GET /api/v1/status", 200, "GET /api/v1/status", asking()],
    ["GET /api/v1/tree", 200, "GET /api/v1/tree", asking()],
    ["GET /api/v1/tree", 200, "GET /api/v1/tree", asking(minimal)],
    ["GET /api/v1/coverage", 200, "GET /api/v1/coverage", asking()],
    ["GET /api/v1/coverage?from=x", 400, "GET /api/v1/coverage", asking()],
    ["GET /api/v1/coverage?account=x", 404, "GET /api/v1/coverage", asking()],
    ["GET /api/v1/coverage", 503, "GET /api/v1/coverage", asking(amiss)],
    ["GET /openapi.json", 200, "GET /openapi.json", asking()],
    ...(
      [
        [actor, 202, {}],
        ["nobody", 404, {}],
        [actor, 403, { "sec-fetch-site": "cross-site" }],
      ] as const
    ).map(([id, status, headers]): (typeof cases)[number] => [
      `POST /api/v1/actors/${id}/restart`,
      status,
      "POST /api/v1/actors/{id}/restart",
      asking(),
      headers,
    ]),
    [
      `POST /api/v1/actors/${actor}/restart`,
      401,
      "POST /api/v1/actors/{id}/restart",
      asking(serviceView(), { ...LOOPBACK, apiToken: TOKEN }),
    ],
  ];
  test.each(cases)("%s → %i", async (request, status, name, ask, headers) => {
    const [method = "", path = ""] = request.split(" ");
    const response = await ask(path, { method, ...(headers && { headers }) });
    expect(response.status).toBe(status);
    const document = await documentOf();
    const operation = operationsOf(document).find((each) => each.name === name);
    const schema = at(
      operation?.members["responses"],
      String(status),
      "content",
      "application/json",
      "schema",
    );
    expect(mismatches(await response.json(), schema, document, "$")).toEqual(
      [],
    );
  });

  test.each<[value: unknown, schema: Members, expected: string]>([
    [1, { type: "string" }, "$ is no string"],
    [1.5, { type: "integer" }, "$ is no integer"],
    [-1, { type: "number", minimum: 0 }, "$ is below 0"],
    ["no", { type: "string", enum: ["yes"] }, "$ is none of yes"],
    ["now", { type: "string", format: "date-time" }, "$ is no date-time"],
    [{}, { type: "object", required: ["a"] }, "$.a is missing"],
    [{ b: 1 }, { type: "object", properties: {} }, "$.b is not described"],
    [[1], { type: "array", items: { type: "null" } }, "$[0] is no null"],
    [1, { oneOf: [] }, "$ has oneOf, which is not checked here"],
  ])("(a breach is seen: %j against %j)", (value, schema, expected) => {
    expect(mismatches(value, schema, {}, "$")).toEqual([expected]);
  });
});

/** What of `value` its schema does not say; members that are not described count, too. */
function mismatches(
  value: unknown,
  given: unknown,
  document: Members,
  place: string,
): string[] {
  const schema = membersOf(given);
  const reference = schema["$ref"];
  if (typeof reference === "string")
    return mismatches(
      value,
      at(document, ...reference.split("/").slice(1)),
      document,
      place,
    );
  return Object.entries(schema).flatMap(([keyword, argument]): string[] => {
    switch (keyword) {
      case "type":
        return typesOf(value).includes(String(argument))
          ? []
          : [`${place} is no ${argument}`];
      case "enum":
        return listOf(argument).includes(value)
          ? []
          : [`${place} is none of ${listOf(argument).join(", ")}`];
      case "minimum":
        return Number(value) >= Number(argument)
          ? []
          : [`${place} is below ${argument}`];
      case "maximum":
        return Number(value) <= Number(argument)
          ? []
          : [`${place} is above ${argument}`];
      case "format":
        return FORMATS[String(argument)]?.test(String(value)) === true
          ? []
          : [`${place} is no ${argument}`];
      case "required":
        return listOf(argument)
          .filter((name) => !(String(name) in membersOf(value)))
          .map((name) => `${place}.${name} is missing`);
      case "properties":
        return Object.entries(membersOf(value)).flatMap(([name, member]) =>
          name in membersOf(argument)
            ? mismatches(
                member,
                membersOf(argument)[name],
                document,
                `${place}.${name}`,
              )
            : [`${place}.${name} is not described`],
        );
      case "additionalProperties":
        return Object.entries(membersOf(value)).flatMap(([name, member]) =>
          mismatches(member, argument, document, `${place}.${name}`),
        );
      case "items":
        return listOf(value).flatMap((item, index) =>
          mismatches(item, argument, document, `${place}[${index}]`),
        );
      case "description":
      case "example":
        return [];
      default:
        return [`${place} has ${keyword}, which is not checked here`];
    }
  });
}

const FORMATS: Readonly<Record<string, RegExp>> = {
  "date-time": /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/,
  date: /^\d{4}-\d\d-\d\d$/,
};

function typesOf(value: unknown): string[] {
  if (value === null) return ["null"];
  if (Array.isArray(value)) return ["array"];
  return Number.isInteger(value) ? ["integer", "number"] : [typeof value];
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
