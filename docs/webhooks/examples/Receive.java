// SPDX-License-Identifier: Apache-2.0
// A webhook receiver: java Receive.java PORT [MAX_IDS], with the secret in WEBHOOK_SECRET. Needs a JDK from 11 on.

import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Executors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public final class Receive {
    private static final long TOLERANCE_S = 300;
    private static final int MAX_BODY = 1 << 20;
    private static final String HANDSHAKE = "{\"type\":\"verification\",";

    private final byte[] key;
    private final SeenIds seen;

    private Receive(byte[] key, int maxIds) {
        this.key = key;
        this.seen = new SeenIds(maxIds);
    }

    private static String header(Headers headers, String name) {
        String value = headers.getFirst(name);
        return value == null ? "" : value;
    }

    /** True if one v1 entry was made with this key over exactly these bytes, and just now. */
    private boolean verify(Headers headers, byte[] body) throws GeneralSecurityException {
        String id = header(headers, "webhook-id");
        String timestamp = header(headers, "webhook-timestamp");
        if (id.isEmpty() || !timestamp.matches("[0-9]{1,12}")
                || Math.abs(System.currentTimeMillis() / 1000 - Long.parseLong(timestamp)) > TOLERANCE_S) {
            return false;
        }
        Mac mac = Mac.getInstance("HmacSHA256"); // one each time: a Mac is not for several threads
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        mac.update((id + "." + timestamp + ".").getBytes(StandardCharsets.UTF_8));
        byte[] expected = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body)))
                .getBytes(StandardCharsets.US_ASCII);
        boolean found = false;
        for (String entry : header(headers, "webhook-signature").split(" ")) {
            // Takes the same time whatever the bytes are; equals() does not.
            found |= MessageDigest.isEqual(expected, entry.getBytes(StandardCharsets.UTF_8));
        }
        return found;
    }

    enum Verdict { NEW, REPEAT, FULL }

    /**
     * The ids of the last 10 minutes: so long can a recorded request pass verify(), if its timestamp was 300 s ahead.
     * It forgets at a restart: a receiver whose effects must not happen twice keeps the ids in its database, in the
     * same transaction as the effect.
     */
    private static final class SeenIds {
        private final Map<String, Long> ids = new LinkedHashMap<>(); // the oldest first
        private final int max;

        SeenIds(int max) {
            this.max = max;
        }

        /** Remembers id. When the store is full of ids that are too young to forget, the sender has to wait. */
        synchronized Verdict take(String id) {
            long now = System.nanoTime();
            Iterator<Long> oldest = ids.values().iterator();
            while (oldest.hasNext() && now - oldest.next() > 2 * TOLERANCE_S * 1_000_000_000L) {
                oldest.remove();
            }
            if (ids.containsKey(id)) {
                return Verdict.REPEAT;
            }
            if (ids.size() >= max) {
                return Verdict.FULL;
            }
            ids.put(id, now);
            return Verdict.NEW;
        }
    }

    /** The answer that agrees to a subscription, if that is what the request asks for; otherwise empty. */
    private static byte[] handshake(byte[] body) {
        String text = new String(body, StandardCharsets.UTF_8);
        return text.startsWith(HANDSHAKE + "\"challenge\":")
                ? ("{" + text.substring(HANDSHAKE.length())).getBytes(StandardCharsets.UTF_8) : new byte[0];
    }

    private int take(Headers headers, byte[] body) throws GeneralSecurityException {
        if (body.length > MAX_BODY) {
            return 413;
        }
        if (!verify(headers, body)) {
            return 401;
        }
        if (handshake(body).length > 0 || header(headers, "webhook-test").equals("true")) {
            return 200; // a trial: like a handshake it has no effect
        }
        String id = header(headers, "webhook-id");
        switch (seen.take(id)) {
            case NEW:
                System.out.println("new " + id); // the effect; if it can fail, forget the id again and answer 500
                return 204;
            case REPEAT:
                System.out.println("repeat " + id); // a success, too: otherwise the sender would go on trying
                return 204;
            default:
                return 503;
        }
    }

    private void handle(HttpExchange exchange) throws IOException {
        int status = 500;
        try (exchange) {
            // The raw bytes: nothing is parsed before they are verified.
            byte[] body = exchange.getRequestBody().readNBytes(MAX_BODY + 1);
            status = take(exchange.getRequestHeaders(), body);
            if (status == 503) {
                exchange.getResponseHeaders().set("Retry-After", "60");
            }
            byte[] answer = status == 200 ? handshake(body) : new byte[0];
            exchange.sendResponseHeaders(status, answer.length > 0 ? answer.length : -1);
            exchange.getResponseBody().write(answer);
        } catch (GeneralSecurityException e) {
            throw new IOException(e);
        }
    }

    public static void main(String[] args) throws IOException {
        byte[] key = Base64.getDecoder().decode(System.getenv("WEBHOOK_SECRET").replaceFirst("^whsec_", ""));
        Receive receiver = new Receive(key, args.length > 1 ? Integer.parseInt(args[1]) : 100_000);
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 64);
        server.createContext("/", receiver::handle);
        server.setExecutor(Executors.newFixedThreadPool(16));
        server.start();
        System.out.println("listening on " + server.getAddress().getPort());
    }
}
