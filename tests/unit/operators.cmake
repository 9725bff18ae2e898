# SPDX-License-Identifier: Apache-2.0
# What operators use: doctor, dead letters, the API.
postrider_unit_test(doctor outbox dispatch base)
postrider_unit_test(cli_change cli)
postrider_unit_test(api_auth admin)
postrider_unit_test(api_request admin)
postrider_unit_test(api_route admin)
postrider_unit_test(api_body admin)
postrider_unit_test(event_filter admin)
postrider_unit_test(rfc3339 admin)
postrider_unit_test(slow_watch admin)
