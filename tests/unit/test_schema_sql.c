/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_schema_sql.c - what the build embedded is what schema/ holds.
 */
#include "outbox/migrate.h"
#include "outbox/schema_sql.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void versions_have_no_gap(void **state)
{
    (void)state;
    assert_true(schema_n_migrations >= 3);
    for (size_t i = 0; i < schema_n_migrations; i++) {
        assert_int_equal(schema_migrations[i].version, (int)i + 1);
    }
    assert_int_equal(outbox_schema_version(), (int)schema_n_migrations);
}

static void names_carry_the_version(void **state)
{
    char prefix[16];
    (void)state;
    for (size_t i = 0; i < schema_n_migrations; i++) {
        (void)snprintf(prefix, sizeof prefix, "%03d_", schema_migrations[i].version);
        assert_memory_equal(schema_migrations[i].name, prefix, strlen(prefix));
    }
}

/* An array that lost its end, or its NUL, would still begin like SQL. */
static void text_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < schema_n_migrations; i++) {
        const char *sql = schema_migrations[i].sql;
        size_t len = strlen(sql);
        assert_ptr_equal(strstr(sql, "-- SPDX-License-Identifier: Apache-2.0"), sql);
        assert_string_equal(&sql[len - 2], ";\n");
    }
    assert_non_null(strstr(schema_roles_sql, "outbox_monitor"));
    assert_string_equal(&schema_roles_sql[strlen(schema_roles_sql) - 8], "END $$;\n");
}

/* The runner opens and ends the transaction. */
static void no_file_ends_its_transaction(void **state)
{
    (void)state;
    for (size_t i = 0; i < schema_n_migrations; i++) {
        assert_null(strstr(schema_migrations[i].sql, "COMMIT;"));
        assert_null(strstr(schema_migrations[i].sql, "CONCURRENTLY"));
    }
    assert_null(strstr(schema_roles_sql, "COMMIT;"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_have_no_gap),
        cmocka_unit_test(names_carry_the_version),
        cmocka_unit_test(text_is_whole),
        cmocka_unit_test(no_file_ends_its_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
