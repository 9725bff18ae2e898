// SPDX-License-Identifier: Apache-2.0
// validate.mjs - checks envelopes, one JSON object a line, against config/events.
//
//     node validate.mjs [--allow-unknown-types] [FILE]        standard input without FILE
//
// Stricter than a reader should be: members that no schema names are errors, and so is a type
// without a schema. Exit status: 0 all valid, 1 something is not (or there was no line), 2 usage.
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import path from "node:path";
import Ajv from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const SCHEMAS = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../config/events");

const ajv = new Ajv({ allErrors: true, strict: true });
addFormats(ajv);

function compile(file) {
  const schema = JSON.parse(readFileSync(path.join(SCHEMAS, file), "utf8"));
  const check = ajv.compile(schema);
  const known = new Set(Object.keys(schema.properties));
  return (value) => {
    const faults = check(value) ? [] : check.errors.map((e) => `${e.instancePath || "/"} ${e.message}`);
    const isObject = value !== null && typeof value === "object" && !Array.isArray(value);
    const extra = isObject ? Object.keys(value).filter((k) => !known.has(k)) : [];
    return faults.concat(extra.map((k) => `/${k} is in no schema`));
  };
}

const envelope = compile("envelope.schema.json");
const payloads = new Map();
for (const file of readdirSync(SCHEMAS)) {
  const m = /^(.+)\.v(\d+)\.schema\.json$/.exec(file);
  if (m) {
    payloads.set(`${m[1]} ${m[2]}`, compile(file));
  }
}

function faultsOf(line, allowUnknown) {
  let event;
  try {
    event = JSON.parse(line);
  } catch {
    return ["not JSON"];
  }
  const faults = envelope(event);
  const check = payloads.get(`${event?.type} ${event?.version}`);
  if (check) {
    return faults.concat(check(event.payload).map((f) => `payload: ${f}`));
  }
  return allowUnknown ? faults : faults.concat(`no schema for type ${event?.type} version ${event?.version}`);
}

const args = process.argv.slice(2);
const allowUnknown = args[0] === "--allow-unknown-types";
const files = allowUnknown ? args.slice(1) : args;
if (files.length > 1 || files[0]?.startsWith("-")) {
  console.error("usage: validate.mjs [--allow-unknown-types] [FILE]");
  process.exit(2);
}
const lines = readFileSync(files[0] ?? 0, "utf8").split("\n").filter((l) => l.trim() !== "");
let invalid = 0;
lines.forEach((line, i) => {
  const faults = faultsOf(line, allowUnknown);
  faults.forEach((f) => console.error(`line ${i + 1}: ${f}`));
  invalid += faults.length > 0 ? 1 : 0;
});
console.log(`${lines.length - invalid} valid, ${invalid} invalid`);
process.exit(lines.length > 0 && invalid === 0 ? 0 : 1);
