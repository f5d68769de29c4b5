/* main.c - the tests of the client room. */
#include <check.h>
#include <stdlib.h>

#include "suites.h"

int main(void)
{
    SRunner *runner = srunner_create(subscriptions_suite());
    int failed;

    srunner_add_suite(runner, output_suite());
    srunner_add_suite(runner, answers_suite());
    srunner_add_suite(runner, near_suite());
    srunner_add_suite(runner, outage_suite());
    srunner_add_suite(runner, quota_suite());
    srunner_add_suite(runner, heavy_suite());
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
