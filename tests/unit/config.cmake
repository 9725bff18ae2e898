# SPDX-License-Identifier: Apache-2.0
foreach(module yaml_reader env_expand option_table settings reference)
  postrider_unit_test(${module} config base)
endforeach()
postrider_unit_test(webhook_settings daemon)
