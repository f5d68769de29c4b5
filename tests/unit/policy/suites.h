/* suites.h - the suites of this room. */
#ifndef LARDER_TESTS_UNIT_POLICY_SUITES_H
#define LARDER_TESTS_UNIT_POLICY_SUITES_H

#include <check.h>

Suite *policies_suite(void);

#endif
