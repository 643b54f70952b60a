/**
 * The API reference as a page, rendered from the OpenAPI document itself. The
 * usual reference viewers load their script from a CDN; this one has to work on
 * a machine without a way out.
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import { html } from "hono/html";
import { page } from "./page.ts";
import type { Html } from "./page.ts";

type OpenApi = ReturnType<OpenAPIHono["getOpenAPI31Document"]>;
type Operation = NonNullable<NonNullable<OpenApi["paths"]>[string]["get"]>;

export function docsPage(document: OpenApi): Html {
  const operations = Object.entries(document.paths ?? {}).flatMap(
    ([path, item]) =>
      METHODS.flatMap((method) => {
        const operation = item[method];
        return operation === undefined
          ? []
          : [operationSection(method, path, operation)];
      }),
  );
  const schemas = Object.entries(document.components?.schemas ?? {});
  return page(
    `${document.info.title} API`,
    html`<h1>${document.info.title} API ${document.info.version}</h1>
      <p>${document.info.description ?? ""}</p>
      <nav>
        <a href="/openapi.json">openapi.json</a> <a href="/">service</a>
      </nav>
      <h2>Routes</h2>
      ${operations}
      <h2>Schemas</h2>
      ${schemas.map(
        ([name, schema]) =>
          html`<details id="schema-${name}">
            <summary><code>${name}</code></summary>
            ${json(schema)}
          </details>`,
      )}`,
  );
}

const METHODS = ["get", "post", "put", "patch", "delete"] as const;

function operationSection(
  method: string,
  path: string,
  operation: Operation,
): Html {
  const parameters = operation.parameters ?? [];
  return html`<h3><code>${method.toUpperCase()} ${path}</code></h3>
    <p>${operation.summary ?? ""}</p>
    ${
      parameters.length === 0
        ? ""
        : html`<table>
            <tr>
              <th>parameter</th>
              <th>in</th>
              <th>meaning</th>
            </tr>
            ${parameters.map(parameterRow)}
          </table>`
    }
    <table>
      <tr>
        <th>status</th>
        <th>meaning</th>
        <th>body</th>
      </tr>
      ${Object.entries(operation.responses ?? {}).map(([status, response]) =>
        responseRow(status, response),
      )}
    </table>`;
}

function parameterRow(
  parameter: NonNullable<Operation["parameters"]>[number],
): Html {
  if ("$ref" in parameter)
    return html`<tr>
      <td>${parameter.$ref}</td>
    </tr>`;
  const { name, in: place, required, description, example } = parameter;
  return html`<tr>
    <td><code>${name}</code>${required === true ? " (required)" : ""}</td>
    <td>${place}</td>
    <td>
      ${description ?? ""}
      ${example === undefined ? "" : html`e.g. <code>${example}</code>`}
    </td>
  </tr>`;
}

function responseRow(
  status: string,
  response: NonNullable<NonNullable<Operation["responses"]>["default"]>,
): Html {
  const media = Object.entries(
    ("content" in response ? response.content : undefined) ?? {},
  );
  return html`<tr>
    <td>${status}</td>
    <td>${response.description}</td>
    <td>
      ${media.map(
        ([type, { schema }]) =>
          html`<code>${type}</code> ${schemaLink(schema)}`,
      )}
    </td>
  </tr>`;
}

const SCHEMA_PREFIX = "#/components/schemas/";

/** A link to a named schema; nothing for the unnamed ones, which are plain text. */
function schemaLink(schema: unknown): Html | "" {
  if (typeof schema !== "object" || schema === null || !("$ref" in schema))
    return "";
  const name = String(schema.$ref).replace(SCHEMA_PREFIX, "");
  return html`<a href="#schema-${name}">${name}</a>`;
}

function json(value: unknown): Html {
  return html`<pre>${JSON.stringify(value, undefined, 2)}</pre>`;
}
