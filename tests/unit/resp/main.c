/* main.c - runs the suites of the room resp. */
#include "suites.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

char *exact_copy(const char *p, size_t n)
{
    char *copy = must_alloc(n);

    if (n > 0)
        memcpy(copy, p, n);
    return copy;
}

uint32_t random_below(uint64_t *state, uint32_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)((*state >> 16) % below);
}

int main(void)
{
    SRunner *runner = srunner_create(request_suite());
    int failed;

    srunner_add_suite(runner, request_get_suite());
    srunner_add_suite(runner, request_oracle_suite());
    srunner_add_suite(runner, inline_suite());
    srunner_add_suite(runner, reply_suite());
    srunner_add_suite(runner, reply_read_suite());
    srunner_add_suite(runner, cutter_suite());
    srunner_add_suite(runner, stripper_suite());
    srunner_add_suite(runner, write_suite());
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
