# SPDX-License-Identifier: Apache-2.0
# adapters/kafka. The client is tested against librdkafka's in-process mock cluster.
if(NOT TARGET test_support)
  add_subdirectory(${PROJECT_SOURCE_DIR}/tests/support ${PROJECT_BINARY_DIR}/tests/support)
endif()
file(GLOB kafka_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/adapters/kafka/*.c)
add_library(kafka_parts STATIC ${kafka_sources})
target_include_directories(kafka_parts PUBLIC ${PROJECT_SOURCE_DIR}/adapters
  ${PROJECT_SOURCE_DIR}/include ${PROJECT_BINARY_DIR}/include)
target_link_libraries(kafka_parts PRIVATE postrider_build_flags
                      PUBLIC adapter_common PkgConfig::RDKAFKA Threads::Threads)

postrider_unit_test(kafka_report kafka_parts)
postrider_unit_test(kafka_message kafka_parts)
postrider_unit_test(kafka_options kafka_parts)
postrider_unit_test(kafka_status kafka_parts)
postrider_unit_test(kafka_client kafka_parts test_support)
if(POSTRIDER_SANITIZE MATCHES thread)
  # See tests/brokers/c11_threads.c.
  add_dependencies(test_kafka_client c11_threads)
  add_dependencies(test_kafka_options c11_threads)
  set_tests_properties(unit.kafka_client unit.kafka_options PROPERTIES ENVIRONMENT
    "LD_PRELOAD=$<TARGET_FILE:c11_threads>;TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/brokers/tsan.supp")
endif()
