# SPDX-License-Identifier: Apache-2.0
# core/metrics, core/admin and core/cli.
postrider_unit_test(histogram metrics)
postrider_unit_test(exposition metrics)
