/* suites.h - the suites of the errands room. */
#ifndef LARDER_TESTS_ERRANDS_SUITES_H
#define LARDER_TESTS_ERRANDS_SUITES_H

#include <check.h>

Suite *agree_suite(void);      /* check_agree.c */
Suite *health_suite(void);     /* check_health.c */
Suite *self_check_suite(void); /* check_self_check.c: before a scripted server */

#endif
