/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RouterGolden.java - what Debezium's outbox event router makes of outbox rows.
 *
 * usage: java -cp 'LIB/*' RouterGolden.java < golden.jsonl > new.jsonl
 *
 * A line is {"router": {options}, "row": {columns}, "record": {made anew}}. Each row
 * becomes an insert as the PostgreSQL connector reports it, goes through the router with
 * those options, and is written as Kafka Connect would send it with StringConverter for
 * key and value and its default header converter. "partition" is the one of seven that
 * the Java producer chooses.
 */
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.debezium.data.Envelope;
import io.debezium.data.Json;
import io.debezium.data.Uuid;
import io.debezium.transforms.outbox.EventRouter;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.storage.SimpleHeaderConverter;
import org.apache.kafka.connect.storage.StringConverter;

public class RouterGolden {
    private static final Schema ROW = SchemaBuilder.struct().name("outbox.Value")
        .field("id", Uuid.schema())
        .field("aggregatetype", Schema.STRING_SCHEMA)
        .field("aggregateid", Schema.STRING_SCHEMA)
        .field("type", Schema.STRING_SCHEMA)
        .field("payload", Json.builder().optional().build())
        .build();
    private static final Envelope CHANGE = Envelope.defineSchema().withName("outbox.Envelope")
        .withRecord(ROW).withSource(SchemaBuilder.struct().build()).build();

    private static SourceRecord insert(JsonNode columns) {
        Struct row = new Struct(ROW);
        columns.fields().forEachRemaining(
            c -> row.put(c.getKey(), c.getValue().isNull() ? null : c.getValue().textValue()));
        Struct change = CHANGE.create(row, new Struct(SchemaBuilder.struct().build()), Instant.now());
        return new SourceRecord(Map.of(), Map.of(), "db.public.outbox", CHANGE.schema(), change);
    }

    private static String text(byte[] bytes) {
        return bytes == null ? null : new String(bytes, StandardCharsets.UTF_8);
    }

    public static void main(String[] args) throws Exception {
        ObjectMapper mapper = new ObjectMapper();
        StringConverter strings = new StringConverter();
        SimpleHeaderConverter headerText = new SimpleHeaderConverter();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);

        strings.configure(Map.of(), false);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            ObjectNode given = (ObjectNode) mapper.readTree(line);
            Map<String, Object> options = new HashMap<>();
            given.get("router").fields().forEachRemaining(o -> options.put(o.getKey(), o.getValue().asText()));
            try (EventRouter<SourceRecord> router = new EventRouter<>()) {
                router.configure(options);
                SourceRecord sent = router.apply(insert(given.get("row")));
                ObjectNode made = given.putObject("record");
                made.put("topic", sent.topic());
                byte[] key = strings.fromConnectData(sent.topic(), sent.keySchema(), sent.key());
                made.put("key", text(key));
                made.put("partition", BuiltInPartitioner.partitionForKey(key, 7));
                ArrayNode headers = made.putArray("headers");
                for (Header h : sent.headers()) {
                    headers.addArray().add(h.key()).add(
                        text(headerText.fromConnectHeader(sent.topic(), h.key(), h.schema(), h.value())));
                }
                made.put("value", text(strings.fromConnectData(sent.topic(), sent.valueSchema(), sent.value())));
            }
            out.println(mapper.writeValueAsString(given));
        }
    }
}
