// SPDX-License-Identifier: Apache-2.0
// A webhook receiver: node receive.mjs PORT [MAX_IDS], with the secret in WEBHOOK_SECRET.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const TOLERANCE_S = 300;
const MAX_BODY = 1 << 20;
const MAX_IDS = Number(process.argv[3] ?? 100_000);
const key = Buffer.from(process.env.WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");

// True if one v1 entry was made with this secret over exactly these bytes, and just now.
function verify(headers, body) {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (id === "" || !/^[0-9]{1,12}$/.test(timestamp)) return false;
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE_S) return false;
  const mac = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64");
  const expected = Buffer.from(`v1,${mac}`);
  return (headers["webhook-signature"] ?? "").split(" ").map((text) => Buffer.from(text))
    .filter((entry) => entry.length === expected.length && timingSafeEqual(entry, expected)).length > 0;
}

// The answer that agrees to a subscription, if that is what the request asks for.
function handshake(body) {
  try {
    const { type, challenge } = JSON.parse(body);
    return type === "verification" && typeof challenge === "string" ? JSON.stringify({ challenge }) : "";
  } catch {
    return "";
  }
}

// The ids of the last 10 minutes: so long can a recorded request pass verify(), if its timestamp was 300 s
// ahead. It forgets at a restart: a receiver whose effects must not happen twice keeps the ids in its
// database, in the same transaction as the effect.
const seen = new Map(); // in order of arrival

// Remembers id. When the store is full of ids that are too young to forget, the sender has to wait.
function take(id) {
  const now = performance.now();
  for (const [old, at] of seen) {
    if (now - at <= 2 * TOLERANCE_S * 1000) break;
    seen.delete(old);
  }
  if (seen.has(id)) return "repeat";
  if (seen.size >= MAX_IDS) return "full";
  seen.set(id, now);
  return "new";
}

async function handle(request, response) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > MAX_BODY) return response.writeHead(413, { connection: "close" }).end();
    parts.push(part);
  }
  const body = Buffer.concat(parts); // the raw bytes: nothing is parsed before they are verified
  if (!verify(request.headers, body)) return response.writeHead(401).end();
  const agreed = handshake(body);
  if (agreed || request.headers["webhook-test"] === "true") { // a trial: like a handshake it has no effect
    return response.writeHead(200).end(agreed);
  }
  const verdict = take(request.headers["webhook-id"]);
  if (verdict === "full") return response.writeHead(503, { "retry-after": "60" }).end();
  // The effect of a new one comes here; if it can fail, forget the id again and answer 500.
  console.log(verdict, request.headers["webhook-id"]);
  return response.writeHead(204).end(); // a repeat is a success, too: otherwise the sender would go on trying
}

const server = createServer((request, response) => handle(request, response).catch(() => response.destroy()));
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("listening on", server.address().port));
