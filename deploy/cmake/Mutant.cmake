# SPDX-License-Identifier: Apache-2.0
# Negative controls: a relay that is wrong in one known way, for tests that prove that the checkers of
# tests/fault can fail. Never part of a release: such a build can neither be installed nor be of type Release.
#   cursor_by_seq     reads what has a higher seq than the last seen, and so skips what commits late
#   early_delivered   moves the cursor over what was only read, before anybody confirmed it
set(POSTRIDER_MUTANT "" CACHE STRING "Test only: cursor_by_seq or early_delivered")
set_property(CACHE POSTRIDER_MUTANT PROPERTY STRINGS "" cursor_by_seq early_delivered)

if(POSTRIDER_MUTANT)
  if(NOT POSTRIDER_MUTANT MATCHES "^(cursor_by_seq|early_delivered)$")
    message(FATAL_ERROR "POSTRIDER_MUTANT=${POSTRIDER_MUTANT}: cursor_by_seq or early_delivered")
  endif()
  if(CMAKE_BUILD_TYPE MATCHES "^(Release|MinSizeRel)$")
    message(FATAL_ERROR "POSTRIDER_MUTANT: a relay that loses events is no release")
  endif()
  message(WARNING "POSTRIDER_MUTANT=${POSTRIDER_MUTANT}: this relay loses events on purpose")
  # Only the library that is wrong is compiled anew for another one. It is not there yet.
  if(POSTRIDER_MUTANT STREQUAL "cursor_by_seq")
    cmake_language(DEFER CALL target_compile_definitions outbox PRIVATE POSTRIDER_MUTANT_CURSOR_BY_SEQ)
  else()
    cmake_language(DEFER CALL target_compile_definitions dispatch PRIVATE POSTRIDER_MUTANT_EARLY_DELIVERED)
  endif()
  install(CODE "message(FATAL_ERROR \"POSTRIDER_MUTANT is set: this build loses events, refusing to install it\")")
endif()
