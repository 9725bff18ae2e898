# SPDX-License-Identifier: Apache-2.0
# An adapter is a module, which nothing can link: its tests compile the sources
# they need.
function(postrider_rabbitmq_test module)
  postrider_unit_test(${module} adapter_common PkgConfig::RABBITMQ)
  foreach(source ${module} ${ARGN})
    target_sources(test_${module} PRIVATE ${PROJECT_SOURCE_DIR}/adapters/rabbitmq/${source}.c)
  endforeach()
endfunction()

postrider_rabbitmq_test(rabbitmq_confirm)
postrider_rabbitmq_test(rabbitmq_exchanges)
postrider_rabbitmq_test(rabbitmq_message)
postrider_rabbitmq_test(rabbitmq_brokers)
postrider_rabbitmq_test(rabbitmq_inbox)
postrider_rabbitmq_test(rabbitmq_watchdog rabbitmq_inbox)
