# SPDX-License-Identifier: Apache-2.0
# libpostrider, for applications: write events, sign and verify webhooks. It is the
# public headers outbox.h and signature.h and needs nothing of the rest of core/.
include(CMakePackageConfigHelpers)

set(sdk_sources ${CMAKE_CURRENT_SOURCE_DIR}/writer.c)
set(sdk_headers outbox.h)
if(TARGET postrider_signature)
  get_target_property(signature_dir postrider_signature SOURCE_DIR)
  get_target_property(signature_sources postrider_signature SOURCES)
  foreach(source ${signature_sources})
    list(APPEND sdk_sources ${signature_dir}/${source})
  endforeach()
  list(APPEND sdk_headers signature.h)
endif()

add_library(postrider_sdk SHARED ${sdk_sources})
add_library(postrider_sdk_static STATIC ${sdk_sources})
foreach(target postrider_sdk postrider_sdk_static)
  set_target_properties(${target} PROPERTIES OUTPUT_NAME postrider)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:postrider_build_flags>
                        PUBLIC PkgConfig::LIBPQ PRIVATE PkgConfig::CRYPTO)
  target_include_directories(${target}
    PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>
    PRIVATE ${PROJECT_SOURCE_DIR}/core)
endforeach()

# Everything is hidden elsewhere; here the linker script says what is public. A library,
# because its options come after those of postrider_build_flags.
add_library(postrider_sdk_visible INTERFACE)
target_compile_options(postrider_sdk_visible INTERFACE -fvisibility=default)
target_link_libraries(postrider_sdk PRIVATE $<BUILD_INTERFACE:postrider_sdk_visible>)
set_target_properties(postrider_sdk PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0
  EXPORT_NAME postrider LINK_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/sdk/exports.map)
set_target_properties(postrider_sdk_static PROPERTIES EXPORT_NAME postrider_static)
target_link_options(postrider_sdk PRIVATE
  -Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/sdk/exports.map)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Postrider)
configure_package_config_file(sdk/PostriderConfig.cmake.in
  ${CMAKE_CURRENT_BINARY_DIR}/PostriderConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/PostriderConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
# The file finds its prefix by its own place, so that an installed tree can be moved.
file(RELATIVE_PATH sdk_prefix_from_pc /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(sdk/postrider.pc.in ${CMAKE_CURRENT_BINARY_DIR}/postrider.pc @ONLY)

# Component sdk: cmake --install BUILD --component sdk
install(TARGETS postrider_sdk postrider_sdk_static EXPORT PostriderTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT sdk
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT sdk)
install(EXPORT PostriderTargets NAMESPACE Postrider:: DESTINATION ${package_dir} COMPONENT sdk)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/PostriderConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/PostriderConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT sdk)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/postrider.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT sdk)
list(TRANSFORM sdk_headers PREPEND ${PROJECT_SOURCE_DIR}/include/postrider/)
install(FILES ${sdk_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/postrider COMPONENT sdk)
