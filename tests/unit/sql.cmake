# SPDX-License-Identifier: Apache-2.0
postrider_unit_test(schema_sql outbox base)
postrider_unit_test(writer postrider_sdk_static)

# A driver of core/outbox for tests/integration.
add_executable(outbox_tool ${PROJECT_SOURCE_DIR}/tests/integration/tools/outbox_tool.c)
target_link_libraries(outbox_tool PRIVATE postrider_build_flags outbox base)
set_target_properties(outbox_tool PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/tools)

add_executable(seal_tool ${PROJECT_SOURCE_DIR}/tests/integration/tools/seal_tool.c)
target_link_libraries(seal_tool PRIVATE postrider_build_flags outbox webhooks base)
set_target_properties(seal_tool PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/tools)
