/* main.c - the tests of the command room. */
#include <check.h>
#include <stdlib.h>

#include "suites.h"

int main(void)
{
    SRunner *runner = srunner_create(table_suite());
    int failed;

    srunner_add_suite(runner, judgement_suite());
    srunner_add_suite(runner, expiry_suite());
    srunner_add_suite(runner, keys_suite());
    srunner_add_suite(runner, namespace_suite());
    srunner_add_suite(runner, touched_suite());
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
