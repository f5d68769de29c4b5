/* suites.h - the suites of the cache room. */
#ifndef LARDER_TESTS_CACHE_SUITES_H
#define LARDER_TESTS_CACHE_SUITES_H

#include <check.h>

Suite *shelf_suite(void);        /* check_shelf.c: what is found, put and removed */
Suite *random_suite(void);       /* check_random.c: against a map, with random operations */
Suite *past_suite(void);         /* check_past.c: what outlives its deadline */
Suite *room_suite(void);         /* check_room.c: eviction, expiry, accounts, slices */
Suite *shares_suite(void);       /* check_shares.c: owners, their shares, what is dropped of them */
Suite *shares_model_suite(void); /* check_shares_model.c: .. against a map */
Suite *table_suite(void);        /* check_table.c: table and ghosts */

Suite *keyring_suite(void); /* check_keyring.c: holds, flights */
Suite *cache_suite(void);   /* check_cache.c: trust, tokens, what is fresh */

#endif
