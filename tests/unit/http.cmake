# SPDX-License-Identifier: Apache-2.0
# core/http, core/api and core/receiver.
postrider_unit_test(request_check http)
postrider_unit_test(listen_address http)
postrider_unit_test(http_server http)
postrider_unit_test(slow_watch http)
postrider_unit_test(api_auth api)
postrider_unit_test(api_request api)
postrider_unit_test(api_route api)
postrider_unit_test(api_body api)
postrider_unit_test(event_filter api)
postrider_unit_test(rfc3339 api)
postrider_unit_test(seen_ids receiver)
postrider_unit_test(receiver receiver)
