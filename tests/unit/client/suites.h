/* suites.h - the suites of the client room. */
#ifndef LARDER_TESTS_CLIENT_SUITES_H
#define LARDER_TESTS_CLIENT_SUITES_H

#include <check.h>

Suite *subscriptions_suite(void); /* check_subscriptions.c */
Suite *output_suite(void);        /* check_output.c */
Suite *answers_suite(void);       /* check_answers.c */
Suite *near_suite(void);          /* check_near.c */
Suite *outage_suite(void);        /* check_outage.c */
Suite *quota_suite(void);         /* check_quota.c */
Suite *heavy_suite(void);         /* check_heavy.c */

#endif
