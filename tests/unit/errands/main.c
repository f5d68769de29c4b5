/* main.c - the tests of the errands room. */
#include <check.h>
#include <stdlib.h>

#include "suites.h"

int main(void)
{
    SRunner *runner = srunner_create(agree_suite());
    int failed;

    srunner_add_suite(runner, health_suite());
    srunner_add_suite(runner, self_check_suite());
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
