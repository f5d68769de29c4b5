/* suites.h - the suites of the base room. */
#ifndef LARDER_TESTS_BASE_SUITES_H
#define LARDER_TESTS_BASE_SUITES_H

#include <check.h>

Suite *slice_suite(void);     /* check_slice.c */
Suite *buffer_suite(void);    /* check_buffer.c */
Suite *list_suite(void);      /* check_list.c: lists and counters */
Suite *log_suite(void);       /* check_log.c */
Suite *histogram_suite(void); /* check_histogram.c */
Suite *hash_suite(void);      /* check_hash.c */
Suite *rate_suite(void);      /* check_rate.c */

#endif
