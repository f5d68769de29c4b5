/* suites.h - the suites of the command room. */
#ifndef LARDER_TESTS_COMMAND_SUITES_H
#define LARDER_TESTS_COMMAND_SUITES_H

#include <check.h>

Suite *table_suite(void);     /* check_table.c: words and rows */
Suite *judgement_suite(void); /* check_judgement.c: routes, flags, arity */
Suite *expiry_suite(void);    /* check_expiry.c */
Suite *keys_suite(void);      /* check_keys.c */
Suite *namespace_suite(void); /* check_namespace.c */
Suite *touched_suite(void);   /* check_touched.c */

#endif
