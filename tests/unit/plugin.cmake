# SPDX-License-Identifier: Apache-2.0
postrider_unit_test(plugin_file plugin base)
postrider_unit_test(plugin_abi plugin base)
postrider_unit_test(template adapter_common)
postrider_unit_test(headers adapter_common)
# The core has its own two: adapters link to nothing of it, so tests hold them together.
postrider_unit_test(patterns adapter_common dispatch)
postrider_unit_test(utf8_check adapter_common base)
postrider_unit_test(stdout_output)
target_sources(test_stdout_output PRIVATE ${PROJECT_SOURCE_DIR}/adapters/stdout/output.c
               ${PROJECT_SOURCE_DIR}/adapters/stdout/batch.c)
