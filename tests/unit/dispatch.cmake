# SPDX-License-Identifier: Apache-2.0
postrider_unit_test(lane_sim test_sim)
