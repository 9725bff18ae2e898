# SPDX-License-Identifier: Apache-2.0
foreach(module backoff buf clock json_tree json_writer log parse utf8)
  postrider_unit_test(${module} base)
endforeach()
