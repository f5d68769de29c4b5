/* main.c - the tests of the upstream room. */
#include <check.h>
#include <stdlib.h>

#include "suites.h"

int main(void)
{
    SRunner *runner = srunner_create(slots_suite());
    int failed;

    srunner_add_suite(runner, kept_suite());
    srunner_add_suite(runner, replies_suite());
    srunner_add_suite(runner, ends_suite());
    srunner_add_suite(runner, loans_suite());
    srunner_add_suite(runner, lanes_suite());
    srunner_add_suite(runner, prefixes_suite());
    srunner_add_suite(runner, notices_suite());
    srunner_add_suite(runner, invalidation_suite());
    srunner_add_suite(runner, sentinels_suite());
    srunner_add_suite(runner, aim_suite());
    srunner_add_suite(runner, prelude_suite());
    srunner_add_suite(runner, breaker_suite());
    srunner_add_suite(runner, recall_suite());
    srunner_add_suite(runner, coherence_suite());
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
