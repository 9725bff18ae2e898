// SPDX-License-Identifier: Apache-2.0
// validate_config.mjs - judges configurations by config/postrider.schema.json.
//
//     node validate_config.mjs          one JSON document a line on standard input
//
// Prints a line for each: "valid", or "invalid" and why. Exit status 0 unless a line is no JSON.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import path from "node:path";
import Ajv from "ajv/dist/2020.js";

const SCHEMA = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../config/postrider.schema.json");
// Types stand beside `if`, not inside of it; everything else is judged strictly.
const ajv = new Ajv({ allErrors: true, strict: true, strictTypes: false });
const check = ajv.compile(JSON.parse(readFileSync(SCHEMA, "utf8")));

for (const line of readFileSync(0, "utf8").split("\n").filter((l) => l.trim() !== "")) {
  const faults = check(JSON.parse(line)) ? [] : check.errors.map((e) => `${e.instancePath || "/"} ${e.message}`);
  console.log(faults.length > 0 ? `invalid: ${faults.join("; ")}` : "valid");
}
