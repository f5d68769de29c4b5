/* suites.h - the suites of this room, and what they share: bytes in exactly sized memory, so that
 * AddressSanitizer sees a read past them, and numbers that are random but the same in each run. */
#ifndef LARDER_TESTS_UNIT_RESP_SUITES_H
#define LARDER_TESTS_UNIT_RESP_SUITES_H

#include <check.h>
#include <stddef.h>
#include <stdint.h>

Suite *cutter_suite(void);
Suite *inline_suite(void);
Suite *reply_suite(void);
Suite *reply_read_suite(void);
Suite *request_suite(void);
Suite *request_get_suite(void);
Suite *request_oracle_suite(void);
Suite *stripper_suite(void);
Suite *write_suite(void);

/* ck_assert_msg() for what is asked a million times: it reports each time that all is well, which
 * takes longer than what is tested. */
#define EXPECT(x, ...)                                                                             \
    do {                                                                                           \
        if (!(x))                                                                                  \
            ck_abort_msg(__VA_ARGS__);                                                             \
    } while (0)

/* A copy of n bytes in memory of just that size. The caller frees it. */
char *exact_copy(const char *p, size_t n);

/* A number below `below`, from a state that must not be 0. */
uint32_t random_below(uint64_t *state, uint32_t below);

#endif
