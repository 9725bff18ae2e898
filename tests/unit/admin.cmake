# SPDX-License-Identifier: Apache-2.0
# core/metrics, core/admin and core/cli.
postrider_unit_test(histogram metrics)
postrider_unit_test(exposition metrics)
postrider_unit_test(request_check admin)
postrider_unit_test(listen_address admin)
postrider_unit_test(ops_routes admin)
postrider_unit_test(http_server admin)
postrider_unit_test(seen_ids admin)
postrider_unit_test(receiver admin)
postrider_unit_test(cli_args cli)
postrider_unit_test(saved_request cli)
postrider_unit_test(event_line cli)
postrider_unit_test(cli cli)
