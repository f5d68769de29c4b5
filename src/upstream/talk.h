/* talk.h - a few words with a server, apart from the pool: connect, ask, hear the replies.
 *
 * For Sentinels, and for a look at who a server says it is. RESP2, one connection, its questions in
 * the order in which they are asked; whoever embeds a struct talk counts the replies. */
#ifndef LARDER_UPSTREAM_TALK_H
#define LARDER_UPSTREAM_TALK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "net/address.h"
#include "net/stream.h"
#include "resp/reply.h"

struct loop;
struct resolver;
struct resolver_query;
struct talk;
struct timer;
struct tls;
struct tls_context;

/* Which of the certificates in force; NULL: plain. */
typedef struct tls_context *talk_context_fn(const struct tls *tls);

/* Never called from within a call of the owner's. Both may close the talk, and open it again. */
struct talk_ops {
    /* One whole reply, or message; the bytes live during the call. */
    void (*reply)(struct talk *t, struct slice bytes);
    /* It is over, and not by talk_close(). `why` lives during the call. */
    void (*ended)(struct talk *t, const char *why);
};

struct talk {
    struct stream stream;
    const struct talk_ops *ops;
    struct loop *loop;
    struct resolver *resolver;
    struct resolver_query *query;
    const struct tls *tls;
    talk_context_fn *context; /* NULL: plain */
    struct timer *deadline;
    struct address to;      /* as it is called; strings are the owner's */
    struct sock_address at; /* where it is connected to, or tries to */
    struct sock_address prefer;
    struct buffer in, out;
    struct reply_scan scan;
    size_t scanned;   /* bytes of `in` that the scan has seen */
    uint64_t number;  /* of the opening: tells a talk that was opened anew apart */
    const char *why;  /* it has failed; told soon */
    uint32_t tries;   /* openings that failed, in a row: another address of a name each time */
    bool open, ready; /* ready: connected */
};

void talk_init(struct talk *t, struct loop *loop, struct resolver *resolver,
               const struct talk_ops *ops);
void talk_done(struct talk *t);
/* What is opened from now on speaks TLS, if context(tls) says so; the certificate must be for `to`,
 * unless the settings name somebody. tls is borrowed. */
void talk_secure(struct talk *t, const struct tls *tls, talk_context_fn *context);

/* Begins to connect; must not be open. The strings of `to` must live until it is closed. It ends by
 * itself after deadline_ms, see talk_allow(). Of a name with several addresses `prefer` is taken if
 * it is among them (NULL: none is preferred). */
void talk_open(struct talk *t, const struct address *to, const struct sock_address *prefer,
               uint64_t deadline_ms);
/* Tells nothing; fine when it is not open. */
void talk_close(struct talk *t);

/* Words, NUL-terminated, the last NULL; sent as soon as it is connected. */
void talk_say(struct talk *t, const char *word, ...) __attribute__((sentinel));
/* AUTH as that user; nothing without a password. True: a reply to it will come. */
MUST_USE
bool talk_log_in(struct talk *t, const char *user, const char *password);

/* So much time from now on until it ends; 0: no end. */
void talk_allow(struct talk *t, uint64_t ms);

#endif
