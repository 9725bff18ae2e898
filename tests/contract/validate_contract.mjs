// SPDX-License-Identifier: Apache-2.0
// validate_contract.mjs - holds exchanges with a running relay against docs/openapi.yaml.
//
//     node validate_contract.mjs FILE PREFIX...
//
// One JSON object a line: {"method", "path" (as sent), "requestHeaders", "request", "status", "headers", "body"}. Of
// paths that begin with one of the prefixes, every answer must be documented: its status, its headers, its media type
// and its body; and the body of a request that succeeded. Every operation must have been answered with every status
// that the document has for it. Exit status: 0 all fit and all was seen, 1 not, 2 usage.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import path from "node:path";
import { bundle, createConfig } from "@redocly/openapi-core";
import Ajv from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const [file, ...prefixes] = process.argv.slice(2);
if (!file || prefixes.length === 0) {
  console.error("usage: validate_contract.mjs FILE PREFIX...");
  process.exit(2);
}
const ref = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../docs/openapi.yaml");
const { bundle: { parsed: document } } = await bundle({ ref, config: await createConfig({}), dereference: true });
const ajv = new Ajv({ allErrors: true, strict: false });
addFormats(ajv);
const METHODS = ["get", "post", "put", "patch", "delete"];

const operations = Object.entries(document.paths).flatMap(([template, item]) =>
  METHODS.filter((m) => m in item && prefixes.some((p) => template.startsWith(p))).map((method) => ({
    method, template, operation: item[method],
    pattern: new RegExp(`^${template.replace(/[.]/g, "\\.").replace(/\{[^}]+\}/g, "[^/]+")}$`),
    literal: template.replace(/\{[^}]+\}/g, "").length, seen: new Set(),
  })));

// A path without parameters wins over one with.
function find(method, at) {
  return operations.filter((o) => o.method === method && o.pattern.test(at))
    .sort((a, b) => b.literal - a.literal)[0];
}

const compiled = new Map();
function faults(schema, value, what) {
  if (!compiled.has(schema)) {
    compiled.set(schema, ajv.compile(schema));
  }
  const validate = compiled.get(schema);
  return validate(value) ? [] : validate.errors.map((e) => `${what}${e.instancePath}: ${e.message}`);
}

const media = (headers) => (headers["content-type"] ?? "").split(";")[0].trim();

function headerFaults(declared, headers, what) {
  return Object.entries(declared ?? {}).flatMap(([name, header]) => {
    const value = headers[name.toLowerCase()];
    if (value === undefined) {
      return header.required ? [`${what}: header ${name} is missing`] : [];
    }
    const typed = header.schema.type === "integer" ? Number(value) : value;
    return faults(header.schema, typed, `${what} header ${name}`);
  });
}

function bodyFaults(response, exchange, what) {
  if (response.content === undefined) {
    return exchange.body === null ? [] : [`${what}: a body that is not documented`];
  }
  const content = response.content[media(exchange.headers)];
  if (content === undefined) {
    return [`${what}: media type "${media(exchange.headers)}" is not documented`];
  }
  return faults(content.schema, exchange.body, what);
}

function requestFaults(operation, exchange, what) {
  if (exchange.request === null || exchange.status >= 300) {
    return [];
  }
  const content = operation.requestBody?.content[media(exchange.requestHeaders)];
  return content === undefined ? [`${what}: a request that is not documented`]
    : faults(content.schema, exchange.request, `${what} request`);
}

function faultsOf(exchange) {
  const at = exchange.path.split("?")[0];
  const found = find(exchange.method.toLowerCase(), at);
  if (found === undefined) {
    return [];
  }
  const what = `${exchange.method} ${found.template} ${exchange.status}`;
  const response = found.operation.responses[exchange.status];
  if (response === undefined) {
    return [`${what}: the status is not documented`];
  }
  found.seen.add(String(exchange.status));
  return [...headerFaults(response.headers, exchange.headers, what), ...bodyFaults(response, exchange, what),
    ...requestFaults(found.operation, exchange, what)];
}

const exchanges = readFileSync(file, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
const all = exchanges.flatMap(faultsOf);
for (const { method, template, operation, seen } of operations) {
  for (const status of Object.keys(operation.responses).filter((s) => !seen.has(s))) {
    all.push(`${method.toUpperCase()} ${template}: never answered with ${status}`);
  }
}
[...new Set(all)].forEach((fault) => console.log(fault));
const pairs = operations.reduce((n, o) => n + o.seen.size, 0);
console.log(`${exchanges.length} exchanges, ${operations.length} operations, ${pairs} statuses seen, ${all.length} faults`);
process.exit(all.length === 0 ? 0 : 1);
