/* main.c - the tests of the base room. */
#include <check.h>
#include <stdlib.h>

#include "suites.h"

int main(void)
{
    SRunner *runner = srunner_create(slice_suite());
    int failed;

    srunner_add_suite(runner, buffer_suite());
    srunner_add_suite(runner, list_suite());
    srunner_add_suite(runner, log_suite());
    srunner_add_suite(runner, histogram_suite());
    srunner_add_suite(runner, hash_suite());
    srunner_add_suite(runner, rate_suite());
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
