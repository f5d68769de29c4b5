/*
 * What hiredis_client.c and hiredis_async.c share: a test returns NULL when it passed, SKIPPED when
 * it cannot run here, else what it expected.
 */
#ifndef LARDER_TESTS_HIREDIS_CLIENT_H
#define LARDER_TESTS_HIREDIS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include <hiredis/hiredis.h>

#define BIG_SIZE ((size_t)8 << 20)
#define SKIPPED  "skipped"
#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
#define EXPECT(x)                                                                                  \
    do {                                                                                           \
        if (!(x))                                                                                  \
            return "line " TEXT(__LINE__) ": " #x;                                                 \
    } while (0)

struct place {
    const char *host;
    int port;
    char prefix[64]; /* of every key: no other run has it */
};

/* The number that the text begins with, -1 without one. */
int number_in(const char *text);

/* BIG_SIZE bytes of all kinds, to be freed; NULL without memory. */
char *big_value(void);

/* Whether the reply is a string with exactly the bytes of big_value(). */
bool is_big(const redisReply *reply, const char *big);

/* Has a server restarted, see servers.py; returns as a test does. The line ends with a newline. */
const char *control(const char *line);

/* The tests in hiredis_async.c. */
const char *check_async(const struct place *at);
const char *check_async_subscribe(const struct place *at);
const char *check_async_restart(const struct place *at);

#endif
