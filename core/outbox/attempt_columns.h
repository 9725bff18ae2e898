/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attempt_columns.h - one attempt as the HTTP API shows it: the columns of a query.
 *
 * In its FROM, `a` is the row of outbox.attempt, `s` its subscription and `e` its event,
 * which a test does not have. Why there is another attempt or none is told beside when.
 * What the receiver answered is not among them: not everybody may see it.
 */
#ifndef OUTBOX_ATTEMPT_COLUMNS_H
#define OUTBOX_ATTEMPT_COLUMNS_H

#define ATTEMPT_COLUMNS                                                            \
    "'att_' || a.attempt AS id, s.id AS subscription_id,"                          \
    " CASE WHEN a.seq IS NOT NULL THEN format('dlv_%s_%s_%s', a.lane, a.seq,"      \
    "  a.subscription) END AS delivery_id, e.event_id, e.type AS event_type,"      \
    " a.number, a.trigger, a.outcome AS status, a.started_at,"                     \
    " a.started_at + a.total_us * interval '1 microsecond' AS finished_at,"        \
    " json_build_object('dns_ms', round(a.dns_us / 1000.0, 3),"                    \
    "  'connect_ms', round(a.connect_us / 1000.0, 3),"                             \
    "  'tls_ms', round(a.tls_us / 1000.0, 3),"                                     \
    "  'ttfb_ms', round(a.first_byte_us / 1000.0, 3),"                             \
    "  'total_ms', round(a.total_us / 1000.0, 3)) AS timing,"                      \
    " a.reused AS connection_reused, a.requests, a.remote,"                        \
    " a.http_status, CASE WHEN a.outcome <> 'delivered' THEN"                      \
    "  json_build_object('category', a.category, 'cause', a.cause,"                \
    "  'detail', a.error) END AS error, a.retry_after_ms / 1000 AS retry_after_s," \
    " a.next_attempt_at,"                                                          \
    " CASE WHEN a.seq IS NULL OR a.outcome = 'delivered' THEN NULL"                \
    "  WHEN a.cause = 'gone_410' THEN 'gone'"                                      \
    "  WHEN a.outcome = 'rejected' THEN 'rejected'"                                \
    "  WHEN a.next_attempt_at IS NULL THEN 'exhausted'"                            \
    "  WHEN a.retry_after_ms IS NOT NULL THEN 'retry_after'"                       \
    "  WHEN a.outcome = 'retry' THEN 'schedule'"                                   \
    "  ELSE 'endpoint_unavailable' END AS next_attempt_reason "

#endif
