/* suites.h - the suites of the net room. */
#ifndef LARDER_TESTS_NET_SUITES_H
#define LARDER_TESTS_NET_SUITES_H

#include <check.h>

Suite *address_suite(void);  /* check_address.c: addresses; digests */
Suite *service_suite(void);  /* check_service.c */
Suite *loop_suite(void);     /* check_loop.c */
Suite *stream_suite(void);   /* check_stream.c */
Suite *hasty_suite(void);    /* check_hasty.c: streams that are read first */
Suite *worker_suite(void);   /* check_worker.c */
Suite *resolver_suite(void); /* check_resolver.c */
Suite *listener_suite(void); /* check_listener.c */
Suite *tls_suite(void);      /* check_tls.c: TLS on streams; certificates */

#endif
