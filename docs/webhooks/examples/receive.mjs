// SPDX-License-Identifier: Apache-2.0
// A webhook receiver: node receive.mjs PORT, with the secret in WEBHOOK_SECRET.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const TOLERANCE_S = 300;
const key = Buffer.from(process.env.WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");

// True if one v1 entry was made with this secret over exactly these bytes, and just now.
function verify(headers, body) {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  const age = Math.abs(Date.now() / 1000 - Number(timestamp));
  if (id === "" || !/^[0-9]+$/.test(timestamp) || age > TOLERANCE_S) return false;
  const mac = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64");
  const expected = Buffer.from(`v1,${mac}`);
  return (headers["webhook-signature"] ?? "").split(" ").map(Buffer.from)
    .filter((entry) => entry.length === expected.length && timingSafeEqual(entry, expected)).length > 0;
}

// Ids seen in the last 10 minutes. It forgets at a restart: a receiver whose effects must not happen
// twice keeps the ids in its database, in the same transaction as the effect.
const seen = new Map();
function isNew(id) {
  const now = Date.now();
  for (const [old, at] of seen) {
    if (now - at < 2 * TOLERANCE_S * 1000) break; // in order of arrival
    seen.delete(old);
  }
  return seen.has(id) ? false : Boolean(seen.set(id, now));
}

const server = createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const body = Buffer.concat(parts); // the raw bytes: do not parse before verifying
  if (!verify(request.headers, body)) return response.writeHead(401).end();
  console.log(isNew(request.headers["webhook-id"]) ? "new" : "repeat", request.headers["webhook-id"]);
  return response.writeHead(204).end(); // a repeat is a success, too
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("listening on", server.address().port));
