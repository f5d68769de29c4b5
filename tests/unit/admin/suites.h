/* suites.h - the suites of the admin room. */
#ifndef LARDER_TESTS_ADMIN_SUITES_H
#define LARDER_TESTS_ADMIN_SUITES_H

#include <check.h>

Suite *admin_suite(void);        /* check_admin.c */
Suite *cache_tables_suite(void); /* check_cache_tables.c */
Suite *loader_suite(void);       /* check_loader.c */

#endif
