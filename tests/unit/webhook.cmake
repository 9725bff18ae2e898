# SPDX-License-Identifier: Apache-2.0
# core/webhooks and the pure parts of adapters/webhook, whose sources are built in.
set(webhook ${PROJECT_SOURCE_DIR}/adapters/webhook)
postrider_unit_test(signature postrider_signature PkgConfig::JANSSON)
postrider_unit_test(key_ring webhooks)
postrider_unit_test(jwks webhooks)
postrider_unit_test(webhook_verdict PkgConfig::CURL)
target_sources(test_webhook_verdict PRIVATE ${webhook}/webhook_verdict.c)
postrider_unit_test(webhook_target PkgConfig::CURL)
target_sources(test_webhook_target PRIVATE ${webhook}/webhook_target.c ${webhook}/webhook_url.c)
postrider_unit_test(webhook_request postrider_signature PkgConfig::CURL)
target_sources(test_webhook_request PRIVATE ${webhook}/webhook_request.c)
postrider_unit_test(webhook_attempt PkgConfig::CURL)
target_sources(test_webhook_attempt PRIVATE ${webhook}/webhook_attempt.c)
postrider_unit_test(webhook_kept)
target_sources(test_webhook_kept PRIVATE ${webhook}/webhook_kept.c)
postrider_unit_test(webhook_tls)
target_sources(test_webhook_tls PRIVATE ${webhook}/webhook_tls.c)
postrider_unit_test(webhook_endpoint postrider_signature PkgConfig::CURL)
target_sources(test_webhook_endpoint PRIVATE ${webhook}/webhook_endpoint.c)
postrider_unit_test(webhook_check postrider_signature PkgConfig::CURL)
target_sources(test_webhook_check PRIVATE ${webhook}/webhook_check.c ${webhook}/webhook_endpoint.c
  ${webhook}/webhook_guard.c ${webhook}/webhook_request.c ${webhook}/webhook_target.c ${webhook}/webhook_tls.c
  ${webhook}/webhook_url.c)
