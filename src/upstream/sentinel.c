/* sentinel.c - see sentinel.h. Two connections: a short one for each question, so that nothing of
 * the last answer can be taken for the next, and a lasting one that is subscribed to +switch-master
 * (in RESP2 nothing can be asked there).
 *
 *      ask:    AUTH -- get-master-addr-by-name -- MASTER          sent at once, closed at the end
 *      watch:  AUTH -- SUBSCRIBE +switch-master -- messages; a PING now and then
 *
 * get-master-addr-by-name says where; MASTER says of which configuration that is: the epoch, by
 * which an answer of yesterday is told from one of today. Who may not say MASTER has epoch 0. */
#include "upstream/sentinel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/loop.h"
#include "net/tls.h"

enum question { QUESTION_AUTH, QUESTION_PLACE, QUESTION_EPOCH };

#define STATE_WORD(name, word) word,

static const struct talk_ops ask_ops, watch_ops;

const char *sentinel_state_word(enum sentinel_state state)
{
    static const char *const words[] = {SENTINEL_STATES(STATE_WORD)};

    return words[state];
}

void sentinel_init(struct sentinel *s, struct loop *loop, struct resolver *resolver,
                   const struct address *address)
{
    *s = (struct sentinel){.log = loop_log(loop)};
    talk_init(&s->ask, loop, resolver, &ask_ops);
    talk_init(&s->watch, loop, resolver, &watch_ops);
    s->address.port = address->port;
    s->address.host = address->host != NULL ? must_strdup(address->host) : NULL;
    s->address.path = address->path != NULL ? must_strdup(address->path) : NULL;
    address_setting_text(&s->address, s->name, sizeof s->name);
}

void sentinel_secure(struct sentinel *s, const struct tls *tls)
{
    talk_secure(&s->ask, tls, tls_for_sentinels);
    talk_secure(&s->watch, tls, tls_for_sentinels);
}

static void free_string(const char *text)
{
    free((void *)(uintptr_t)text);
}

void sentinel_done(struct sentinel *s)
{
    talk_done(&s->ask);
    talk_done(&s->watch);
    free_string(s->address.host);
    free_string(s->address.path);
}

/* ---- what becomes of it ---- */

/* What ails TLS does not pass by itself, as the many words of a network do: another sentence is
 * another line. */
static bool is_news(const struct sentinel *s)
{
    return s->state != s->logged_state ||
           (s->state == SENTINEL_AWAY && slice_starts(slice_str(s->trouble), SLICE("TLS: ")) &&
            strcmp(s->trouble, s->logged) != 0);
}

/* Once for each change, not for each question. */
static void log_change(struct sentinel *s)
{
    if (!is_news(s))
        return;
    if (s->state != SENTINEL_GOOD)
        log_warning(s->log, "sentinel: %s %s, master=%s%s%s", s->name,
                    sentinel_state_word(s->state), s->master, s->trouble[0] ? ": " : "",
                    s->trouble);
    else if (s->logged_state != SENTINEL_NEW)
        log_info(s->log, "sentinel: %s answers again, master=%s", s->name, s->master);
    s->logged_state = s->state;
    (void)snprintf(s->logged, sizeof s->logged, "%s", s->trouble);
}

static void note_trouble(struct sentinel *s, const char *what, struct slice why)
{
    int n = (int)(why.n < sizeof s->trouble ? why.n : sizeof s->trouble);

    (void)snprintf(s->trouble, sizeof s->trouble, "%s%.*s", what, n, why.p);
}

static void tell(struct sentinel *s, enum sentinel_state state)
{
    s->state = state;
    s->asked = false;
    talk_close(&s->ask);
    log_change(s);
    s->ops->told(s);
}

/* ---- the question ---- */

void sentinel_ask(struct sentinel *s, uint64_t patience_ms)
{
    struct talk *t = &s->ask;

    talk_close(t);
    s->asked = true;
    talk_open(t, &s->address, NULL, patience_ms);
    s->due = talk_log_in(t, s->user, s->password) ? QUESTION_AUTH : QUESTION_PLACE;
    talk_say(t, "SENTINEL", "get-master-addr-by-name", s->master, NULL);
    talk_say(t, "SENTINEL", "MASTER", s->master, NULL);
}

void sentinel_leave(struct sentinel *s)
{
    s->asked = false;
    talk_close(&s->ask);
}

static void on_place(struct sentinel *s, struct slice reply)
{
    s->trouble[0] = 0;
    switch (says_place(reply, &s->place)) {
    case SAYS_PLACE:
        s->due = QUESTION_EPOCH;
        break;
    case SAYS_UNKNOWN:
        tell(s, SENTINEL_UNKNOWN);
        break;
    case SAYS_ERROR:
        note_trouble(s, "", says_error(reply));
        tell(s, SENTINEL_REFUSES);
        break;
    case SAYS_GARBAGE:
        note_trouble(s, "", SLICE("what it answers is no address"));
        tell(s, SENTINEL_REFUSES);
        break;
    }
}

static void on_answer(struct talk *t, struct slice reply)
{
    struct sentinel *s = CONTAINER_OF(t, struct sentinel, ask);

    switch ((enum question)s->due) {
    case QUESTION_AUTH:
        s->due = QUESTION_PLACE;
        if (says_error(reply).n > 0) {
            note_trouble(s, "AUTH: ", says_error(reply));
            tell(s, SENTINEL_REFUSES);
        }
        break;
    case QUESTION_PLACE:
        on_place(s, reply);
        break;
    case QUESTION_EPOCH:
        s->epoch = says_epoch(reply);
        tell(s, SENTINEL_GOOD);
        break;
    }
}

static void on_no_answer(struct talk *t, const char *why)
{
    struct sentinel *s = CONTAINER_OF(t, struct sentinel, ask);

    note_trouble(s, "", slice_str(why));
    tell(s, SENTINEL_AWAY);
}

static const struct talk_ops ask_ops = {on_answer, on_no_answer};

/* ---- the watch ---- */

void sentinel_watch(struct sentinel *s, uint64_t patience_ms)
{
    struct talk *t = &s->watch;

    if (t->open) {
        if (s->watching && !s->pinged) {
            s->pinged = true;
            talk_say(t, "PING", NULL);
            talk_allow(t, patience_ms);
        }
        return;
    }
    s->watching = s->pinged = false;
    talk_open(t, &s->address, NULL, patience_ms);
    s->auth_due = talk_log_in(t, s->user, s->password);
    talk_say(t, "SUBSCRIBE", "+switch-master", NULL);
}

/* Its answers count all the same; it is tried again with the next of them. */
static void give_up_watch(struct sentinel *s, struct slice why)
{
    note_trouble(s, "SUBSCRIBE: ", why);
    s->watching = false;
    talk_close(&s->watch);
}

static void on_message(struct talk *t, struct slice message)
{
    struct sentinel *s = CONTAINER_OF(t, struct sentinel, watch);
    bool auth = s->auth_due;

    s->auth_due = false;
    if (auth && says_error(message).n == 0)
        return;
    switch (says_heard(message, slice_str(s->master))) {
    case HEARD_SUBSCRIBED:
        s->watching = true;
        talk_allow(t, 0);
        s->ops->watched(s);
        break;
    case HEARD_SWITCH:
        s->ops->announced(s);
        break;
    case HEARD_OTHER:
        s->pinged = false;
        talk_allow(t, 0);
        break;
    case HEARD_ERROR:
        give_up_watch(s, says_error(message));
        break;
    }
}

static void on_watch_ended(struct talk *t, const char *why)
{
    struct sentinel *s = CONTAINER_OF(t, struct sentinel, watch);

    (void)why; /* it is asked soon, and what ails it is told then */
    s->watching = false;
}

static const struct talk_ops watch_ops = {on_message, on_watch_ended};
