# SPDX-License-Identifier: Apache-2.0
# One interface target carries warnings, hardening and sanitizers for all code.
add_library(postrider_build_flags INTERFACE)
target_compile_definitions(postrider_build_flags INTERFACE _GNU_SOURCE)
target_compile_options(postrider_build_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes
  -Wmissing-prototypes -Wold-style-definition -Wcast-qual -Wcast-align -Wpointer-arith
  -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wimplicit-fallthrough -Wswitch-enum
  -Wnull-dereference -Wdouble-promotion
  -fno-common -fvisibility=hidden -fstack-protector-strong -fno-strict-aliasing
  -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  target_compile_options(postrider_build_flags INTERFACE
    -Wformat-signedness -Wduplicated-cond -Wduplicated-branches -Wlogical-op
    -Wjump-misses-init -Wformat-truncation=2)
else()
  target_compile_options(postrider_build_flags INTERFACE
    -Wcomma -Wextra-semi-stmt -Wunreachable-code -Wthread-safety)
endif()
if(POSTRIDER_WERROR)
  target_compile_options(postrider_build_flags INTERFACE -Werror)
endif()

if(POSTRIDER_SANITIZE)
  target_compile_options(postrider_build_flags INTERFACE
    -fsanitize=${POSTRIDER_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  if(POSTRIDER_SANITIZE MATCHES "address")
    # Half the time to compile, for tests as fast. Under ThreadSanitizer they would take twice as long.
    target_compile_options(postrider_build_flags INTERFACE -O1)
  endif()
  target_link_options(postrider_build_flags INTERFACE -fsanitize=${POSTRIDER_SANITIZE})
else()
  target_compile_options(postrider_build_flags INTERFACE
    -fstack-clash-protection -fcf-protection=full
    $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3>)
  target_link_options(postrider_build_flags INTERFACE
    -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code)
endif()
