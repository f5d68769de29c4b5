/* outcome.h - running request_scan() and request_stream() over bytes that come in pieces, and what
 * came of it in a form that can be compared. */
#ifndef LARDER_TESTS_UNIT_RESP_OUTCOME_H
#define LARDER_TESTS_UNIT_RESP_OUTCOME_H

#include "resp/request.h"

struct outcome {
    enum scan scan;
    enum request_error error;
    char got;
    uint64_t used;       /* bytes of the request, when whole */
    uint64_t need;       /* when not */
    struct buffer words; /* every argument as "<length>:<bytes>," */
};

void outcome_done(struct outcome *o);

/* Appends an argument as it stands in `words`. */
void outcome_word(struct outcome *o, struct slice word);

/* The request at p, which comes in pieces: `first` bytes (0 = none), and the rest in steps of
 * `step` bytes (0 = at once). Each call sees an exactly sized copy. */
struct outcome outcome_scan(const char *p, size_t n, size_t first, size_t step,
                            const struct request_limits *limits);

/* The same in pieces of `step` bytes through request_stream(), after request_scan() has seen the
 * first `scanned` of them (0 = not at all). No words. */
struct outcome outcome_stream(const char *p, size_t n, size_t scanned, size_t step,
                              const struct request_limits *limits);

/* Aborts the test unless both are the same. `how` says what made them. */
void outcome_same(const struct outcome *a, const struct outcome *b, const char *how);

#endif
