// SPDX-License-Identifier: Apache-2.0
// verify_signatures.mjs - judges signatures by the npm packages standardwebhooks and svix.
//
//   node verify_signatures.mjs vectors FILE.jsonl            each vector signs to the expected text
//   node verify_signatures.mjs requests FILE.jsonl SECRET... each request verifies with each secret
//
// A request is {"headers": {...}, "body": base64}. Verifying looks at the clock, so requests have to
// be fresh. Exits 1 at the first disagreement and says which line.
import { readFileSync } from "node:fs";
import { Webhook as StandardWebhook } from "standardwebhooks";
import { Webhook as SvixWebhook } from "svix";

const judges = { standardwebhooks: StandardWebhook, svix: SvixWebhook };
const [mode, path, ...secrets] = process.argv.slice(2);
const rows = readFileSync(path, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));

function fail(line, name, why) {
  console.error(`${path}:${line}: ${name}: ${why}`);
  process.exit(1);
}

function checkVector(row, line) {
  for (const [name, Webhook] of Object.entries(judges)) {
    const got = new Webhook(row.secret).sign(row.id, new Date(row.timestamp * 1000), row.body);
    if (got !== row.signature) fail(line, name, `signs ${got}, expected ${row.signature}`);
  }
}

function mustRefuse(webhook, body, headers, line, name, what) {
  try {
    webhook.verify(body, headers);
  } catch {
    return;
  }
  fail(line, name, `accepts ${what}`);
}

function checkRequest(row, line) {
  const body = Buffer.from(row.body, "base64");
  for (const [name, Webhook] of Object.entries(judges)) {
    for (const secret of secrets) {
      const webhook = new Webhook(secret);
      try {
        webhook.verify(body, row.headers);
      } catch (error) {
        fail(line, name, error.message);
      }
      if (line === 1) {
        const later = { ...row.headers, "webhook-timestamp": String(Number(row.headers["webhook-timestamp"]) + 1) };
        mustRefuse(webhook, Buffer.concat([body, Buffer.from(" ")]), row.headers, line, name, "another body");
        mustRefuse(webhook, body, later, line, name, "another timestamp");
      }
    }
  }
}

if (!["vectors", "requests"].includes(mode) || (mode === "requests" && secrets.length === 0)) {
  console.error("usage: verify_signatures.mjs vectors FILE | requests FILE SECRET...");
  process.exit(64);
}
rows.forEach((row, i) => (mode === "vectors" ? checkVector : checkRequest)(row, i + 1));
if (rows.length === 0) fail(1, mode, "the file is empty");
console.log(`${rows.length} ${mode} agree with ${Object.keys(judges).join(" and ")}`);
