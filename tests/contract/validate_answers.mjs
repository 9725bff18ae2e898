// SPDX-License-Identifier: Apache-2.0
// validate_answers.mjs - checks requests and answers of the HTTP API against docs/openapi.yaml.
//
//     node validate_answers.mjs FILE
//
// One JSON object a line: {"method", "path" (as the document spells it), "status", "body", "request"}. Every
// operation under /v1 must occur with status 200; validate_contract.mjs is for the others. Exit status: 0 all fit, 1 something does not, 2 usage.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import path from "node:path";
import { bundle, createConfig } from "@redocly/openapi-core";
import Ajv from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const [file] = process.argv.slice(2);
if (!file) {
  console.error("usage: validate_answers.mjs FILE");
  process.exit(2);
}
const ref = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../docs/openapi.yaml");
const { bundle: { parsed: document } } = await bundle({ ref, config: await createConfig({}), dereference: true });
const ajv = new Ajv({ allErrors: true, strict: false });
addFormats(ajv);

function faults(schema, value, what) {
  if (schema === undefined) {
    return [`${what}: the document has no schema for this`];
  }
  return ajv.validate(schema, value) ? [] : ajv.errors.map((e) => `${what}${e.instancePath}: ${e.message}`);
}

function faultsOf({ method, path: at, status, body, request }) {
  const operation = document.paths[at]?.[method.toLowerCase()];
  const what = `${method} ${at} ${status}`;
  const media = Object.values(operation?.responses[status]?.content ?? {})[0];
  const found = faults(media?.schema, body, what);
  if (request !== undefined && status === 200) {
    found.push(...faults(operation?.requestBody?.content["application/json"].schema, request, `${what} request`));
  }
  return found;
}

const answers = readFileSync(file, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
const all = answers.flatMap(faultsOf);
for (const [at, item] of Object.entries(document.paths).filter(([p]) => p.startsWith("/v1/"))) {
  for (const method of ["get", "post", "put", "patch", "delete"].filter((m) => m in item)) {
    if (!answers.some((a) => a.path === at && a.method.toLowerCase() === method && a.status === 200)) {
      all.push(`${method} ${at}: never answered with 200`);
    }
  }
}
all.forEach((fault) => console.log(fault));
console.log(`${answers.length} answers, ${all.length} faults`);
process.exit(all.length === 0 ? 0 : 1);
