/* main.c - the tests of the net room. */
#include <check.h>
#include <stdlib.h>

#include "suites.h"

int main(void)
{
    SRunner *runner = srunner_create(address_suite());
    int failed;

    srunner_add_suite(runner, service_suite());
    srunner_add_suite(runner, loop_suite());
    srunner_add_suite(runner, stream_suite());
    srunner_add_suite(runner, hasty_suite());
    srunner_add_suite(runner, worker_suite());
    srunner_add_suite(runner, resolver_suite());
    srunner_add_suite(runner, listener_suite());
    srunner_add_suite(runner, tls_suite());
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
