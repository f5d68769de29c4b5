/* request.h - where a request ends, and what its arguments are.
 *
 * Reads what clients send: RESP multibulk (`*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`) or inline (`GET
 * k\r\n`). Nothing is copied and nothing is trusted: lengths are read strictly, memory is never
 * taken by what a header announces. As strict as Redis 7.0's networking.c (FACTS: hostile input),
 * in one point stricter: the two bytes behind a bulk must be CR LF.
 *
 * Source: https://redis.io/docs/latest/develop/reference/protocol-spec/ */
#ifndef LARDER_RESP_REQUEST_H
#define LARDER_RESP_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"

enum scan {
    SCAN_OK,   /* whole */
    SCAN_MORE, /* not whole: more bytes are needed */
    SCAN_BAD,  /* not RESP, or over a limit: the connection cannot go on */
};

/* What the peer did wrong; request_error_text() has Redis' words for it. */
enum request_error {
    REQUEST_FINE,
    REQUEST_BAD_ARGC,      /* invalid multibulk length */
    REQUEST_BAD_BULK,      /* invalid bulk length */
    REQUEST_NO_DOLLAR,     /* expected '$', got '%c' */
    REQUEST_NO_CRLF,       /* expected CR LF behind a bulk (larder's own) */
    REQUEST_BIG_INLINE,    /* too big inline request */
    REQUEST_BIG_ARGC_LINE, /* too big mbulk count string */
    REQUEST_BIG_BULK_LINE, /* too big bulk count string */
    REQUEST_UNBALANCED,    /* unbalanced quotes in request */
    REQUEST_UNAUTH_ARGC,   /* unauthenticated multibulk length */
    REQUEST_UNAUTH_BULK,   /* unauthenticated bulk length */
    REQUEST_TOO_LARGE,     /* request larger than max_request (larder's own) */
};

struct request_limits {
    uint64_t max_bulk;    /* bytes of one argument */
    uint64_t max_request; /* bytes of one whole request */
    bool unauthenticated; /* Redis' tight caps for those who have not logged in */
};

/* The arguments of one request: a scratch that is used for every request in turn, so that none
 * allocates. `v` grows by use (never by what a header says) and is the owner's: args_done(). */
struct args {
    struct slice *v;
    uint32_t n, cap;
};

void args_add(struct args *a, struct slice arg);
void args_done(struct args *a);

/* How far a request has been looked at; all zero = at its start. Kept between reads. Positions
 * count from the first byte of the request. */
struct request_scan {
    uint64_t pos;       /* everything before is understood */
    uint64_t bulk_left; /* streaming only: bytes (with CR LF) of the present bulk still to come */
    uint32_t args_left; /* bulks still to come */
    uint32_t argc;      /* announced by the header; 0 while it is not read */
    uint32_t line_seen; /* bytes of the present line searched for its end in vain */
    bool begun;         /* the header line is read */
    uint8_t error;      /* enum request_error, after SCAN_BAD */
    char got;           /* the byte found instead of `$` */
};

/* Looks at the n bytes at p, the start of a request (after a SCAN_MORE: the same bytes and more).
 *   SCAN_OK    whole: s->pos bytes long, its arguments in *args (slices of p; for an inline request
 *              slices of *inline_text, which is emptied first and holds the unescaped words).
 *              args->n == 0: an empty line, `*0` or `*-n`, which Redis ignores.
 *   SCAN_MORE  *ret_need >= n + 1: the length the request has at least. Take that only as a hint
 *              for choosing between collecting and streaming. args may hold the arguments that are
 *              whole so far when s was fresh (all zero) on entry.
 *   SCAN_BAD   s->error says why.
 * The caller zeroes *s for the next request. Cost is linear over all calls for one request: what
 * was validated is not validated again (arguments are cut once more when it becomes whole). */
MUST_USE
enum scan request_scan(struct request_scan *s, const char *p, size_t n,
                       const struct request_limits *limits, struct args *args,
                       struct buffer *inline_text, uint64_t *ret_need);

/* Streaming, for a request too large to collect (multibulk only): after a SCAN_MORE, the first
 * s->pos bytes are understood and sent on by the caller; from there on p/n are successive pieces.
 * *ret_used bytes of the piece belong to the request (fewer than n only at its end, or when the
 * rest is a cut header line that must be presented again with more bytes behind it). SCAN_OK: the
 * request ended there. */
MUST_USE
enum scan request_stream(struct request_scan *s, const char *p, size_t n,
                         const struct request_limits *limits, size_t *ret_used);

/* "Protocol error: ..." as Redis puts it, without `-ERR ` and CR LF. Writes into text (>= 96). */
void request_error_text(const struct request_scan *s, char *text, size_t room);

/* Whether a whole `GET key`, worded as every client words it and with a key of up to 999 bytes,
 * stands at p: then its key (a slice of p) and its length. Whatever else it is, request_scan() is
 * to say; where this says yes, that would agree. */
MUST_USE
bool request_is_get(const char *p, size_t n, struct slice *ret_key, size_t *ret_length);

#endif
