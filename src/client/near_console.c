/* near_console.c - LARDER KEY and WHY: what the near cache keeps, would do, and why. LARDER FRESH.
 *
 *     LARDER WHY GET user:1      decision=miss key=user:1 policy=users reason=nothing kept
 *     LARDER WHY MSET a 1 b 2    decision=hold key=a policy=.. reason=until its reply
 *                                decision=hold key=b ..
 *
 * WHY asks what near_ask(), several_ask() and writes_note() ask, in their order and with their
 * functions, but acts on none of it: the shelf is peeked at, nothing is counted, asked or held. */
#include "client/leases.h"
#include "client/loads.h"
#include "client/near.h"
#include "client/outage.h"
#include "client/rules.h"
#include "net/loop.h"
#include "resp/write.h"

static const char no_policy[] = "no policy is for the key";
static const char not_local[] = "its policy keeps nothing: local = no";
static const char no_cache[] = "no policy keeps anything";

static void say(struct buffer *out, const char *decision, const char *reason)
{
    buffer_printf(out, "decision=%s reason=%s\n", decision, reason);
}

static void say_key(struct buffer *out, const char *decision, struct slice key,
                    const struct policy *policy, const char *reason)
{
    buffer_printf(out, "decision=%s key=", decision);
    buffer_add_visible(out, key);
    buffer_printf(out, " policy=%s reason=%s\n", policy != NULL ? policy->name : "", reason);
}

/* ---- KEY ---- */

static void put_left(struct buffer *out, const char *name, uint64_t at_ms, uint64_t now_ms)
{
    if (at_ms == EXPIRY_NEVER)
        buffer_printf(out, "%s=never\n", name);
    else
        buffer_printf(out, "%s=%lld\n", name, (long long)at_ms - (long long)now_ms);
}

static void put_entry(struct buffer *out, const struct entry *e, uint64_t now_ms)
{
    bool value = e->kind != ENTRY_ABSENT;

    buffer_printf(out, "kind=%s\nbytes=%zu\nstamp=%llu\n", value ? "value" : "absent", e->bytes.n,
                  (unsigned long long)e->stamp);
    put_left(out, "deadline-ms", e->deadline_ms, now_ms);
    if (value)
        put_left(out, "expiry-ms", e->expiry_ms, now_ms);
}

static void put_key(struct client *c, struct slice key, struct buffer *out)
{
    struct near *near = c->all->near;
    uint64_t now_ms = loop_now_ms(c->all->loop);
    const struct policy *p = near != NULL ? policies_match(near->policies, key) : NULL;
    struct near_question nq;
    struct entry e;
    enum look look;

    buffer_printf(out, "key=");
    buffer_add_visible(out, key);
    buffer_printf(out, "\ndb=%d\nuser=%s\npolicy=%s\nlocal=%s\n", c->db, lane_user(c->lane),
                  p != NULL ? p->name : "", p != NULL && p->set->local ? "yes" : "no");
    if (near == NULL || !near_plain(near, c, key, &nq)) {
        buffer_printf(out, "kept=no\nserved=no\nwhy=%s\n",
                      near == NULL ? no_cache
                      : p == NULL  ? no_policy
                                   : not_local);
        return;
    }
    look = cache_look(near->cache, &nq.q, now_ms, true, &e);
    buffer_printf(out, "held=%s\ntrust=%s\n",
                  keyring_held(cache_keyring(near->cache), key) ? "yes" : "no",
                  trust_word(cache_trust(near->cache, now_ms)));
    if (look == LOOK_NOTHING || look == LOOK_HELD) {
        buffer_printf(out, "kept=no\n");
    } else {
        buffer_printf(out, "kept=yes\n");
        put_entry(out, &e, now_ms);
    }
    buffer_printf(out, "served=%s\nwhy=%s\n", look == LOOK_FRESH ? "yes" : "no", look_word(look));
}

/* ---- WHY: reads ---- */

/* Why the cache would not be looked at for this session, whatever it reads; NULL: it would. */
static const char *session_reason(const struct client *c)
{
    if (near_allowed(c, 0))
        return NULL;
    if (c->mode == MODE_TX)
        return "the session has WATCH in force";
    if (c->mode == MODE_OWN)
        return "the session has a connection of its own";
    return "a command of the session that may write is unanswered";
}

static const char *way_reason(enum way way)
{
    switch (way) {
    case WAY_ASK:
        return "";
    case WAY_UNTRUSTED:
        return "the invalidation link is not trusted";
    case WAY_UNCOVERED:
        return "pushes about the key do not come yet";
    case WAY_HELD:
        return look_word(LOOK_HELD);
    }
    return "";
}

/* Will the answer be one that is not kept, so that every read of this kind misses? */
static bool has_mortal_fields(const struct near *near, const struct near_question *nq,
                              const struct request *q)
{
    return near_is_whole_hash(q->command->id) && nq->policy->set->field_ttl &&
           near->field_ttl == FIELD_TTL_YES;
}

static void why_missing(struct client *c, const struct near_question *nq, const struct request *q,
                        enum look look, struct buffer *out)
{
    struct near *near = c->all->near;
    struct slice key = nq->q.key;
    enum way way = near_way(near, key);

    struct entry e;

    if (loads_stale(near, nq, q, &e))
        say_key(out, "stale", key, nq->policy, "expired; a client has been told to load it");
    else if (way != WAY_ASK)
        say_key(out, "bypass", key, nq->policy, way_reason(way));
    else if (keyring_flight(cache_keyring(near->cache), &nq->q) != NULL)
        say_key(out, "join", key, nq->policy, "the same question is in the air");
    else if (has_mortal_fields(near, nq, q))
        say_key(out, "miss", key, nq->policy,
                "never kept: fields of the hash may expire one by one (field_ttl)");
    else
        say_key(out, "miss", key, nq->policy, look_word(look));
}

static void why_one(struct client *c, const struct request *q, struct buffer *out)
{
    struct near *near = c->all->near;
    const struct policy *p;
    struct near_question nq;
    struct entry e;
    enum look look;

    if (!near_one_key(q->command, q->argc)) {
        say(out, "bypass", "it is about several keys");
        return;
    }
    p = policies_match(near->policies, q->argv[1]);
    if (p == NULL || !p->set->local) {
        say_key(out, "bypass", q->argv[1], p, p == NULL ? no_policy : not_local);
        return;
    }
    if (!near_judge(c, q, &nq)) {
        say_key(out, "bypass", q->argv[1], p, "its arguments are longer than any that are kept");
        return;
    }
    look = near_look(c, &nq, q, true, &e);
    if (look == LOOK_FRESH)
        say_key(out, "hit", q->argv[1], p,
                e.kind == ENTRY_ABSENT ? "fresh: the key does not exist" : look_word(look));
    else
        why_missing(c, &nq, q, look, out);
}

static bool all_known(struct client *c, const struct request *q)
{
    struct near_question nq;
    struct entry e;

    for (uint32_t i = 1; i < q->argc; i++) {
        if (!several_known(c, q->argv[i], true, &nq, &e))
            return false;
    }
    return true;
}

/* What becomes of one key of an MGET or EXISTS; *ret_reason says why. */
static const char *decide_one_of(struct client *c, struct near_question *nq, struct slice key,
                                 bool mget, const char **ret_reason)
{
    struct entry e;
    bool known = several_known(c, key, true, nq, &e);
    enum way way = near_way(c->all->near, key);

    if (nq->policy == NULL || !nq->policy->set->local) {
        *ret_reason = nq->policy == NULL ? no_policy : not_local;
        return "bypass";
    }
    if (known) {
        *ret_reason = look_word(LOOK_FRESH);
        return "hit";
    }
    if (way == WAY_UNTRUSTED || (mget && way != WAY_ASK)) {
        *ret_reason = way_reason(way);
        return "bypass";
    }
    *ret_reason = mget ? "nothing fresh is kept"
                       : "nothing fresh is kept, nor will be by EXISTS of several keys";
    return "miss";
}

static void why_several(struct client *c, const struct request *q, struct buffer *out)
{
    bool mget = q->command->id == CMD_MGET;
    bool joins = mget && !all_known(c, q) && mget_joins(c, q);

    for (uint32_t i = 1; i < q->argc; i++) {
        struct near_question nq;
        const char *reason, *decision = decide_one_of(c, &nq, q->argv[i], mget, &reason);

        if (joins)
            say_key(out, "join", q->argv[i], nq.policy, "the same MGET is in the air");
        else
            say_key(out, decision, q->argv[i], nq.policy, reason);
    }
}

/* TTL and PTTL are told from a kept value, and never asked for to be kept. */
static void why_ttl(struct client *c, const struct request *q, struct buffer *out)
{
    struct near_question nq;
    struct entry e;

    if (several_known(c, q->argv[1], true, &nq, &e))
        say_key(out, "hit", q->argv[1], nq.policy, "the value is kept, and with it its expiry");
    else
        say_key(out, "bypass", q->argv[1], nq.policy, "no fresh value of the key is kept");
}

static void why_read(struct client *c, const struct request *q, struct buffer *out)
{
    const struct command *cmd = q->command;
    bool ttl = cmd->id == CMD_TTL || cmd->id == CMD_PTTL;
    const char *reason = session_reason(c);

    if ((cmd->flags & CF_CACHEABLE) == 0 && !ttl)
        say(out, "bypass", "it is not a read that is kept");
    else if (!command_arity_ok(cmd, q->argc))
        say(out, "bypass", "wrong number of arguments");
    else if (reason != NULL)
        say(out, "bypass", reason);
    else if (ttl)
        why_ttl(c, q, out);
    else if (several_asked(cmd, q->argc))
        why_several(c, q, out);
    else
        why_one(c, q, out);
}

/* ---- WHY: what may write ---- */

static void why_write(struct client *c, const struct request *q, struct buffer *out)
{
    struct near *near = c->all->near;
    bool blocks = q->command != NULL && q->command->route == ROUTE_BLOCK;
    const char *what = blocks ? "clear" : "hold";
    const char *until = blocks ? "at its reply, for it may block" : "until its reply";

    if (writes_touch(near, q)) {
        say(out, what, "it may change any key");
        return;
    }
    if (near->keys.n == 0)
        say(out, "pass", "it changes no key that is kept");
    for (uint32_t i = 0; i < near->keys.n; i++)
        say_key(out, what, near->keys.v[i], policies_match(near->policies, near->keys.v[i]),
                q->command != NULL ? until : "unknown command: any argument may be a key");
}

/* In the words of the error. */
static bool why_refused(const struct client *c, const struct request *q, struct buffer *out)
{
    struct buffer error = {0};
    bool refused = c->all->rules != NULL && rules_would_refuse(c->all->rules, q, &error);

    if (refused)
        buffer_printf(out, "decision=refused reason=%.*s\n", (int)buffer_len(&error) - 3,
                      buffer_head(&error) + 1);
    buffer_done(&error);
    return refused;
}

/* Fresh all the same: an outage changes nothing for as long as that lasts. */
static bool is_hit(struct client *c, const struct request *q)
{
    struct near_question nq;
    struct entry e;

    return c->all->near != NULL && near_allowed(c, 0) && near_judge(c, q, &nq) &&
           near_look(c, &nq, q, true, &e) == LOOK_FRESH;
}

static void put_why(struct client *c, const struct request *q, struct buffer *out)
{
    const struct command *cmd = q->command;

    if (request_has_nul(q))
        say(out, "refused", "its name holds a NUL byte");
    else if (cmd != NULL && (cmd->flags & c->all->refused_flags) != 0)
        say(out, "refused", "it administers the server, and admin_commands is deny");
    else if (why_refused(c, q, out))
        ; /* said */
    else if (cmd != NULL && cmd->route == ROUTE_LOCAL)
        say(out, "local", "larder answers it, or decides on it");
    else if (outage_why(c->all, q) != NULL && cmd->route == ROUTE_SHARED && c->mode == MODE_PLAIN &&
             !is_hit(c, q))
        say(out, "outage", outage_why(c->all, q));
    else if (c->all->near == NULL)
        say(out, "pass", no_cache);
    else if (may_write(cmd))
        why_write(c, q, out);
    else
        why_read(c, q, out);
}

/* ---- FRESH ---- */

/* The command goes where the session's commands go, and is noted if it writes; its reply passes as
 * any reply. */
static enum next fresh(struct client *c, struct request *q)
{
    const struct command *cmd = q->command;
    uint32_t asked = c->asked, muted = c->more != NULL ? c->more->muted_asked : 0;
    enum next next;

    if (cmd == NULL || cmd->route != ROUTE_SHARED || request_has_nul(q)) {
        write_error(client_answer(c), "ERR LARDER FRESH is for ordinary commands, not '%.*s'",
                    (int)(q->argv[0].n < 128 ? q->argv[0].n : 128), q->argv[0].p);
        return NEXT;
    }
    if ((cmd->flags & c->all->refused_flags) != 0)
        return client_refuse(c, q);
    if (c->all->pause.on && pause_effect(c, q) != PAUSE_NOTHING)
        return client_wait(c, WAIT_PAUSE);
    buffer_done(&c->all->scratch);
    write_request(&c->all->scratch, q->argv, q->argc);
    q->bytes = buffer_slice(&c->all->scratch);
    q->fresh = true;
    q->strip = c->tenant != NULL ? cmd->reply : STRIP_NOTHING;
    next = rules_fresh(c, q);
    if (next != NEXT || c->all->near == NULL)
        return next;
    if (c->asked != asked)
        writes_note(c, q, c->asked, false);
    else if (c->more != NULL && c->more->muted_asked != muted)
        writes_note(c, q, c->more->muted_asked, true);
    return next;
}

/* ---- the door ---- */

enum next near_console(struct client *c, const struct request *q, enum console_word word)
{
    struct request inner = {.command = q->argc > 2 ? command_of(q->argv + 2, q->argc - 2) : NULL,
                            .argv = q->argv + 2,
                            .argc = q->argc - 2,
                            .more = q->more};
    struct buffer text = {0};

    switch (word) {
    case CONSOLE_FRESH:
        return fresh(c, &inner);
    case CONSOLE_HEALTH:
        return health_serve(c);
    case CONSOLE_MISS:
        if (c->all->near != NULL && c->all->near->leases != NULL)
            leases_miss(c, q->argv[2]);
        if (c->all->near != NULL && c->all->near->loads != NULL)
            loads_miss(c, q->argv[2]);
        write_status(client_answer(c), "OK");
        return NEXT;
    case CONSOLE_MSETEX:
        return msetex_serve(c, q);
    case CONSOLE_GETLEASE:
        return fence_get(c, q);
    case CONSOLE_SETLEASE:
        return fence_set(c, q);
    case CONSOLE_KEY:
        put_key(c, q->argv[2], &text);
        break;
    case CONSOLE_WHY:
        put_why(c, &inner, &text);
        break;
    case CONSOLE_OTHER:
        break;
    }
    write_text(client_answer(c), c->proto, buffer_slice(&text));
    buffer_done(&text);
    return NEXT;
}
