# SPDX-License-Identifier: Apache-2.0
# What operators use: commands, doctor, metrics.
postrider_unit_test(cli_args cli)
postrider_unit_test(cli_change cli)
postrider_unit_test(cli cli)
postrider_unit_test(doctor outbox dispatch base)
postrider_unit_test(event_line cli)
postrider_unit_test(exposition metrics)
postrider_unit_test(histogram metrics)
postrider_unit_test(ops_routes daemon)
postrider_unit_test(saved_request cli)
