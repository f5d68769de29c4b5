/* suites.h - the suites of the upstream room. */
#ifndef LARDER_TESTS_UPSTREAM_SUITES_H
#define LARDER_TESTS_UPSTREAM_SUITES_H

#include <check.h>

Suite *slots_suite(void);        /* check_slots.c */
Suite *kept_suite(void);         /* check_kept.c */
Suite *replies_suite(void);      /* check_replies.c: a link hands on what comes */
Suite *ends_suite(void);         /* check_ends.c: how links fail, and what is late */
Suite *loans_suite(void);        /* check_loans.c: lending */
Suite *lanes_suite(void);        /* check_lanes.c: greeting, databases, refusals, lanes */
Suite *prefixes_suite(void);     /* check_prefixes.c */
Suite *notices_suite(void);      /* check_notices.c: what comes on the invalidation link */
Suite *invalidation_suite(void); /* check_invalidation.c: before a scripted server */
Suite *sentinels_suite(void);    /* check_sentinels.c: what they say, whom to believe */
Suite *aim_suite(void);          /* check_aim.c: a pool that is guided */
Suite *prelude_suite(void);      /* check_prelude.c: what comes before the clients; away */
Suite *breaker_suite(void);      /* check_breaker.c: is the upstream away? */
Suite *recall_suite(void);       /* check_recall.c: for sessions that begin while it is away */
Suite *coherence_suite(void);    /* check_coherence.c: before a real one */

#endif
