// SPDX-License-Identifier: Apache-2.0
// lint_openapi.mjs - checks an OpenAPI document with Redocly's rules, all of them at their strictest.
//
//     node lint_openapi.mjs FILE        exit status: 0 clean, 1 not, 2 usage
import { createConfig, formatProblems, lint } from "@redocly/openapi-core";

const [file] = process.argv.slice(2);
if (!file) {
  console.error("usage: lint_openapi.mjs FILE");
  process.exit(2);
}
const config = await createConfig({ extends: ["recommended-strict"] });
const problems = await lint({ ref: file, config });
formatProblems(problems, { format: "stylish", totals: { errors: problems.length, warnings: 0, ignored: 0 } });
process.exit(problems.length === 0 ? 0 : 1);
