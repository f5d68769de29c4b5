/* talk.c - see talk.h.
 *
 *      talk_open() --resolve--> connect --> ready: what was said is sent; replies come
 *           |             |         |         |
 *           +-------------+---------+---------+--> ended(), from the loop
 *
 * What fails within a call of the owner's is told by the timer, so that the owner need not expect
 * an end there. */
#include "upstream/talk.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "net/loop.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "resp/write.h"

#define WORDS_MAX 8u
#define TALK_WHY  256u

static void on_deadline(void *context);
static const struct stream_ops talk_stream_ops;

void talk_init(struct talk *t, struct loop *loop, struct resolver *resolver,
               const struct talk_ops *ops)
{
    *t = (struct talk){.loop = loop, .resolver = resolver, .ops = ops};
    t->deadline = timer_new(loop, on_deadline, t);
}

void talk_secure(struct talk *t, const struct tls *tls, talk_context_fn *context)
{
    t->tls = tls;
    t->context = context;
}

void talk_done(struct talk *t)
{
    talk_close(t);
    timer_free(t->deadline);
}

void talk_close(struct talk *t)
{
    resolver_forget(t->resolver, t->query);
    t->query = NULL;
    timer_stop(t->deadline);
    stream_close(&t->stream);
    buffer_done(&t->in);
    buffer_done(&t->out);
    t->scan = (struct reply_scan){0};
    t->scanned = 0;
    t->why = NULL;
    t->open = t->ready = false;
    t->number++;
}

static void end(struct talk *t, const char *why)
{
    char text[TALK_WHY]; /* what TLS says goes with the stream */

    (void)snprintf(text, sizeof text, "%s", why);
    t->tries += !t->ready;
    talk_close(t);
    t->ops->ended(t, text);
}

/* The timer tells. */
static void fail_soon(struct talk *t, const char *why)
{
    t->why = why;
    timer_start(t->deadline, 0);
}

static void on_deadline(void *context)
{
    struct talk *t = context;

    if (t->why != NULL)
        end(t, t->why);
    else if (t->ready)
        end(t, "no answer in time");
    else if (t->stream.open && stream_shaking(&t->stream))
        end(t, "no end of the TLS handshake in time: does a port for TLS answer there?");
    else
        end(t, "cannot be reached in time");
}

/* ---- connecting ---- */

static void connect_to(struct talk *t, const struct sock_address *a)
{
    struct tls_context *tls = t->context != NULL ? t->context(t->tls) : NULL;

    t->at = *a;
    if (!stream_connect(&t->stream, t->loop, (const struct sockaddr *)&a->storage, a->len,
                        &talk_stream_ops)) {
        fail_soon(t, stream_error_text(&t->stream));
        return;
    }
    stream_no_delay(&t->stream);
    if (tls != NULL)
        stream_secure(&t->stream, t->loop, tls, t->to.host);
}

static void on_resolved(void *context, const struct sock_address *addresses, size_t count,
                        const char *why)
{
    struct talk *t = context;
    size_t i = count > 0 ? t->tries % count : 0;

    t->query = NULL;
    if (count == 0) {
        end(t, why);
        return;
    }
    for (size_t k = 0; k < count; k++) {
        if (t->tries == 0 && address_same(&addresses[k], &t->prefer))
            i = k;
    }
    connect_to(t, &addresses[i]);
}

void talk_open(struct talk *t, const struct address *to, const struct sock_address *prefer,
               uint64_t deadline_ms)
{
    struct sock_address a;

    CHECK(!t->open);
    t->open = true;
    t->to = *to;
    t->prefer = prefer != NULL ? *prefer : (struct sock_address){0};
    talk_allow(t, deadline_ms);
    if (address_numeric(to, &a))
        connect_to(t, &a);
    else
        t->query = resolver_ask(t->resolver, to->host, to->port, on_resolved, t);
}

void talk_allow(struct talk *t, uint64_t ms)
{
    if (t->why != NULL)
        return;
    timer_stop(t->deadline);
    if (ms > 0)
        timer_start(t->deadline, ms);
}

/* ---- words ---- */

static void flush(struct talk *t)
{
    size_t sent = 0;

    if (!t->ready || t->why != NULL)
        return;
    if (buffer_len(&t->out) > 0) {
        switch (stream_write(&t->stream, buffer_head(&t->out), buffer_len(&t->out), &sent)) {
        case IO_OK:
            buffer_take(&t->out, sent);
            break;
        case IO_AGAIN:
            break;
        case IO_EOF:
        case IO_ERROR:
            fail_soon(t, stream_error_text(&t->stream));
            return;
        }
    }
    stream_want(&t->stream, WANT_READ | (buffer_len(&t->out) > 0 ? WANT_WRITE : 0u));
}

void talk_say(struct talk *t, const char *word, ...)
{
    struct slice words[WORDS_MAX];
    size_t n = 0;
    va_list ap;

    CHECK(t->open);
    va_start(ap, word);
    for (const char *w = word; w != NULL; w = va_arg(ap, const char *)) {
        CHECK(n < ARRAY_LEN(words));
        words[n++] = slice_str(w);
    }
    va_end(ap);
    write_request(&t->out, words, n);
    flush(t);
}

bool talk_log_in(struct talk *t, const char *user, const char *password)
{
    if (!*password)
        return false;
    if (*user)
        talk_say(t, "AUTH", user, password, NULL);
    else
        talk_say(t, "AUTH", password, NULL);
    return true;
}

/* ---- replies ---- */

/* Hands on what is whole. False when the talk has ended meanwhile. */
static bool hand_on(struct talk *t)
{
    uint64_t number = t->number;

    while (t->scanned < buffer_len(&t->in)) {
        const char *p = buffer_head(&t->in);
        size_t used = 0;
        enum scan r = reply_scan(&t->scan, p + t->scanned, buffer_len(&t->in) - t->scanned, &used);
        struct buffer whole = {0};

        t->scanned += used;
        if (r == SCAN_BAD) {
            end(t, "it does not speak RESP");
            return false;
        }
        if (r == SCAN_MORE)
            return true;
        buffer_add(&whole, p, t->scanned); /* the callee may close the talk, and so free `in` */
        buffer_take(&t->in, t->scanned);
        t->scanned = 0;
        t->ops->reply(t, buffer_slice(&whole));
        buffer_done(&whole);
        if (t->number != number)
            return false;
    }
    return true;
}

static void on_readable(struct stream *s)
{
    struct talk *t = CONTAINER_OF(s, struct talk, stream);
    size_t n = 0;

    if (t->why != NULL)
        return;
    switch (stream_read(s, buffer_room(&t->in, TALK_READ_BYTES), TALK_READ_BYTES, &n)) {
    case IO_OK:
        buffer_fill(&t->in, n);
        t->tries = 0;
        if (hand_on(t) && buffer_len(&t->in) > TALK_REPLY_BYTES)
            end(t, "its answer is too long");
        return;
    case IO_AGAIN:
        return;
    case IO_EOF:
        end(t, "it has closed the connection");
        return;
    case IO_ERROR:
        end(t, stream_error_text(s));
        return;
    }
}

static void on_writable(struct stream *s)
{
    struct talk *t = CONTAINER_OF(s, struct talk, stream);

    if (t->why != NULL)
        return;
    if (!t->ready && !stream_connected(s)) {
        end(t, stream_error_text(s));
        return;
    }
    t->ready = true;
    flush(t);
}

static void on_hangup(struct stream *s)
{
    end(CONTAINER_OF(s, struct talk, stream), "it has closed the connection");
}

static const struct stream_ops talk_stream_ops = {on_readable, on_writable, on_hangup};
