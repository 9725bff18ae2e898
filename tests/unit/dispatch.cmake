# SPDX-License-Identifier: Apache-2.0
foreach(part sim order window outcomes lease stop operator standby subs subs_flow
        subs_sim)
  postrider_unit_test(lane_${part} test_sim)
endforeach()
foreach(module key_gate ready_queue held_keys tickets glob bump batch breaker router envelope inbox lane_share
        pace sub_table sub_delivery)
  postrider_unit_test(${module} dispatch base)
endforeach()

# Three hundred histories: seconds by themselves, minutes under ThreadSanitizer on a busy machine.
set_tests_properties(unit.lane_sim unit.lane_subs_sim PROPERTIES TIMEOUT 300)
