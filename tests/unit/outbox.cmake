# SPDX-License-Identifier: Apache-2.0
foreach(module event_decode pg_array target_decode)
  postrider_unit_test(${module} outbox base PkgConfig::LIBPQ)
endforeach()
