# SPDX-License-Identifier: Apache-2.0
# cmake -DOUT=<file.c> -DSCHEMA=<folder> -P embed.cmake
# Writes the migrations (NNN_name.sql, in order) and roles.sql as C arrays.
# Arrays of bytes, because a C11 compiler need not take a string over 4095 characters.
file(GLOB files ${SCHEMA}/[0-9][0-9][0-9]_*.sql)
list(SORT files)

function(embed path symbol ret)
  file(READ ${path} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n    " bytes "${bytes}")
  set(${ret} "static const char ${symbol}[] = {\n    ${bytes}0x00};\n\n" PARENT_SCOPE)
endfunction()

set(arrays "")
set(rows "")
set(n 0)
foreach(path ${files})
  get_filename_component(name ${path} NAME_WE)
  math(EXPR n "${n} + 1")
  string(SUBSTRING ${name} 0 3 number)
  string(REGEX REPLACE "^0+" "" number ${number})
  if(NOT number EQUAL n)
    message(FATAL_ERROR "migration ${name}.sql: expected number ${n}")
  endif()
  embed(${path} sql_${n} text)
  string(APPEND arrays "${text}")
  string(APPEND rows "    {${n}, \"${name}\", sql_${n}},\n")
endforeach()
embed(${SCHEMA}/roles.sql sql_roles text)
string(APPEND arrays "${text}")

file(WRITE ${OUT} "/* Made from core/outbox/schema by embed.cmake. */
#include \"outbox/schema_sql.h\"

${arrays}const struct schema_migration schema_migrations[] = {
${rows}};
const size_t schema_n_migrations = ${n};
const char *const schema_roles_sql = sql_roles;
")
