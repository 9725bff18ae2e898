// SPDX-License-Identifier: Apache-2.0
// verify_signatures.mjs - judges signatures by the npm packages standardwebhooks and svix.
//
//   node verify_signatures.mjs vectors FILE.jsonl            each vector signs to the expected text
//   node verify_signatures.mjs requests FILE.jsonl KEY...    each request verifies with each key
//
// A key is a whsec_ secret, or a whpk_ public key: its v1a entry is judged by node:crypto, because no
// released library does, and has to be the last one. A request is {"headers": {...}, "body": base64}. Verifying looks at the clock, so requests have to
// be fresh. Exits 1 at the first disagreement and says which line.
import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { Webhook as StandardWebhook } from "standardwebhooks";
import { Webhook as SvixWebhook } from "svix";

const judges = { standardwebhooks: StandardWebhook, svix: SvixWebhook };
const [mode, path, ...keys] = process.argv.slice(2);
const secrets = keys.filter((key) => !key.startsWith("whpk_"));
const publicKeys = keys.filter((key) => key.startsWith("whpk_"));
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

// RFC 8410: the SubjectPublicKeyInfo of an Ed25519 key is this prefix and 32 bytes.
function ed25519(text) {
  const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"),
    Buffer.from(text.slice("whpk_".length), "base64")]);
  return createPublicKey({ key: der, format: "der", type: "spki" });
}

function checkAsymmetric(row, body, line) {
  const entries = row.headers["webhook-signature"].split(" ");
  const last = entries[entries.length - 1];
  const signed = Buffer.concat([
    Buffer.from(`${row.headers["webhook-id"]}.${row.headers["webhook-timestamp"]}.`), body]);
  for (const text of publicKeys) {
    const signature = Buffer.from(last.slice("v1a,".length), "base64");
    if (!last.startsWith("v1a,")) fail(line, "node:crypto", "the last entry is not v1a");
    if (!verify(null, signed, ed25519(text), signature)) fail(line, "node:crypto", "v1a does not verify");
    if (verify(null, Buffer.concat([signed, Buffer.from(" ")]), ed25519(text), signature))
      fail(line, "node:crypto", "accepts another body");
  }
  if (!entries[0].startsWith("v1,")) fail(line, "node:crypto", "the first entry is not v1");
}

function checkRequest(row, line) {
  const body = Buffer.from(row.body, "base64");
  checkAsymmetric(row, body, line);
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

if (!["vectors", "requests"].includes(mode) || (mode === "requests" && keys.length === 0)) {
  console.error("usage: verify_signatures.mjs vectors FILE | requests FILE KEY...");
  process.exit(64);
}
rows.forEach((row, i) => (mode === "vectors" ? checkVector : checkRequest)(row, i + 1));
if (rows.length === 0) fail(1, mode, "the file is empty");
console.log(`${rows.length} ${mode} agree with ${Object.keys(judges).join(" and ")}`);
