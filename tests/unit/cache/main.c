/* main.c - the tests of the cache room. */
#include <check.h>
#include <stdlib.h>

#include "suites.h"

int main(void)
{
    SRunner *runner = srunner_create(table_suite());
    int failed;

    srunner_add_suite(runner, shelf_suite());
    srunner_add_suite(runner, random_suite());
    srunner_add_suite(runner, past_suite());
    srunner_add_suite(runner, room_suite());
    srunner_add_suite(runner, shares_suite());
    srunner_add_suite(runner, shares_model_suite());
    srunner_add_suite(runner, keyring_suite());
    srunner_add_suite(runner, cache_suite());
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
