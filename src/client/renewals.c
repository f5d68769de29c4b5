/* renewals.c - see renewals.h.
 *
 *     tell    PEXPIRE key left GT + PTTL key      (or the script of shape.c)
 *     look    PTTL key
 *
 * Both go on any shared link of the login and database in which the key was found, and end with
 * what PTTL says. What finds no link, or is lost with one, is told again: GT lets a renewal come
 * late, or twice, without harm, for it never shortens what a write has given meanwhile. */
#include "client/renewals.h"

#include <stdlib.h>

#include "net/loop.h"
#include "policy/touches.h"
#include "resp/reply.h"
#include "resp/write.h"

#define SLIDING_KEYS 1000000u /* remembered at most: some 100 bytes each */
#define RETRY_MS     50u

struct slide_scope {
    struct lane *lane; /* kept, but not held: a login that is gone needs no connection */
    int32_t db;
};

struct renewals {
    struct rules *rules;
    struct touches *touches;
    struct timer *due;   /* something is to be told */
    struct timer *retry; /* .. or has found no link, see `again` */
    struct slide_scope *scopes;
    uint32_t scope_count;
    uint32_t unanswered;
    bool finishing;    /* larder is about to end */
    bool closed;       /* .. it ends: the pool goes next */
    struct list again; /* looks for which there was no link */
    struct buffer words;
};

/* A question upstream: when will the key expire; or the telling, which ends with the same. */
struct inquiry {
    struct asker asker;
    const void *reader; /* who reads the key, of a question only; not looked into */
    struct list node;
    struct renewals *renewals;
    uint64_t asked_ms;
    uint64_t promised_ms; /* what is told; 0: a question only */
    uint32_t scope, due;
    uint32_t key_n;
    char key[];
};

static const struct asker_ops look_ops;

static uint64_t now_of(const struct renewals *s)
{
    return loop_now_ms(s->rules->all->loop);
}

/* ---- scopes ---- */

static uint32_t scope_of(struct renewals *s, const struct client *c)
{
    uint32_t login = lane_login(c->lane);

    for (uint32_t i = 0; i < s->scope_count; i++) {
        if (s->scopes[i].db == c->db && lane_login(s->scopes[i].lane) == login)
            return i;
    }
    s->scopes = must_realloc(s->scopes, (s->scope_count + 1) * sizeof *s->scopes);
    lane_keep(c->lane);
    s->scopes[s->scope_count] = (struct slide_scope){c->lane, c->db};
    return s->scope_count++;
}

static void let_scopes_go(struct renewals *s)
{
    for (uint32_t i = 0; i < s->scope_count; i++)
        lane_let_go(s->scopes[i].lane);
    s->scope_count = 0;
}

/* Of none of them anything is remembered: their numbers can be given anew. */
static void forget_scopes(struct renewals *s)
{
    if (touches_next_ms(s->touches) == UINT64_MAX && s->unanswered == 0 && list_empty(&s->again))
        let_scopes_go(s);
}

static struct touch_key touch_key(struct slice key, uint32_t scope)
{
    return (struct touch_key){key, scope};
}

static struct touch_key key_of(const struct inquiry *k)
{
    return touch_key(slice_of(k->key, k->key_n), k->scope);
}

static const struct policy *policy_of(const struct renewals *s, struct slice key)
{
    const struct policy *p = policies_match(s->rules->policies, key);

    return p != NULL && (p->rules & RULE_SLIDING) != 0 ? p : NULL;
}

/* ---- the timer ---- */

static void arm(struct renewals *s)
{
    uint64_t now_ms = now_of(s), next_ms = touches_next_ms(s->touches);

    /* Each hit comes here: what waits must not begin to wait anew. */
    if (!list_empty(&s->again) && !timer_running(s->retry))
        timer_start(s->retry, RETRY_MS);
    if (next_ms != UINT64_MAX)
        timer_start(s->due, next_ms > now_ms ? next_ms - now_ms : 0);
}

/* ---- looks ---- */

static struct inquiry *look_new(struct renewals *s, struct touch_key k, uint64_t promised_ms)
{
    struct inquiry *look = must_alloc(sizeof *look + k.key.n);

    *look = (struct inquiry){.asker = {&look_ops},
                             .renewals = s,
                             .promised_ms = promised_ms,
                             .scope = k.scope,
                             .key_n = (uint32_t)k.key.n};
    memcpy(look->key, k.key.p, k.key.n);
    list_init(&look->node);
    return look;
}

static void look_free(struct inquiry *look)
{
    list_leave(&look->node);
    free(look);
}

static void ask_on(struct inquiry *look, struct link *l)
{
    struct renewals *s = look->renewals;
    struct slice key = slice_of(look->key, look->key_n), pttl[2] = {SLICE("PTTL"), key};
    const struct policy *p = policy_of(s, key);

    look->asked_ms = now_of(s);
    buffer_take_keep(&s->words, buffer_len(&s->words), SHAPE_KEEP_BYTES);
    look->due = 1;
    if (look->promised_ms == 0) {
        write_request(&s->words, pttl, 2);
    } else {
        look->due =
            shape_renewal(s->rules->all, p, key, look->promised_ms - look->asked_ms, &s->words);
        s->rules->count.renewals++;
    }
    s->unanswered++;
    link_ask(l, &look->asker, buffer_slice(&s->words), look->due, true);
}

/* No policy has a say in it any more, it comes too late, or larder ends and would wait for a login
 * that the upstream refuses. */
static bool is_over(const struct inquiry *look)
{
    const struct renewals *s = look->renewals;
    const struct slide_scope *scope = &s->scopes[look->scope];

    return policy_of(s, key_of(look).key) == NULL ||
           (look->promised_ms > 0 && look->promised_ms <= now_of(s)) ||
           (s->finishing && lane_refusal(scope->lane, scope->db).n > 0);
}

/* Redis holds it up during CLIENT PAUSE, and with it whatever came behind it on the link. */
static bool is_held_up(const struct inquiry *look)
{
    return look->promised_ms > 0 && look->renewals->rules->all->pause.on;
}

static void ask(struct inquiry *look)
{
    const struct slide_scope *scope = &look->renewals->scopes[look->scope];
    struct link *l;

    if (is_over(look)) {
        touches_forget(look->renewals->touches, key_of(look));
        look_free(look);
        return;
    }
    l = is_held_up(look) ? NULL : lane_link(scope->lane, scope->db);
    list_leave(&look->node);
    if (l != NULL && !link_full(l))
        ask_on(look, l);
    else
        list_push_back(&look->renewals->again, &look->node);
}

static void tell(struct renewals *s, struct touch_key k, uint64_t left_ms)
{
    ask(look_new(s, k, now_of(s) + left_ms));
}

static void hit(struct renewals *s, struct touch_key k, const struct policy *p,
                uint64_t deadline_ms, uint64_t asked_ms)
{
    switch (touches_hit(s->touches, k, p->set->sliding, deadline_ms, asked_ms, now_of(s))) {
    case TOUCH_TELL:
        tell(s, k, p->set->sliding);
        break;
    case TOUCH_REMEMBERED:
    case TOUCH_CAPPED:
        s->rules->count.renewals_swallowed++;
        break;
    }
    arm(s);
}

static void learn(struct inquiry *look, int64_t ttl)
{
    struct renewals *s = look->renewals;
    struct touch_key k = key_of(look);
    const struct policy *p = policy_of(s, k.key);
    uint64_t deadline_ms = ttl < 0 ? UINT64_MAX : look->asked_ms + (uint64_t)ttl;

    if (p == NULL)
        return;
    if (look->promised_ms > 0)
        touches_told(s->touches, k, p->set->sliding, ttl == -2 ? 0 : deadline_ms, now_of(s));
    else if (ttl != -2)
        hit(s, k, p, deadline_ms, look->asked_ms);
}

static void on_replies(struct asker *a, struct slice bytes, uint32_t n)
{
    struct inquiry *look = CONTAINER_OF(a, struct inquiry, asker);
    struct reply r;

    CHECK(n <= look->due);
    look->due -= n;
    if (look->due > 0)
        return;
    look->renewals->unanswered--;
    for (uint32_t i = 1; i < n; i++)
        CHECK(reply_skip(&bytes));
    if (reply_read(&bytes, &r) && r.type == ':')
        learn(look, r.number);
    look_free(look);
}

/* A renewal that may not have arrived is told again; it does no harm twice. */
static void on_failed(struct asker *a, uint32_t n, enum link_failure why, bool begun)
{
    struct inquiry *look = CONTAINER_OF(a, struct inquiry, asker);
    struct renewals *s = look->renewals;

    (void)n;
    (void)why;
    (void)begun;
    s->unanswered--;
    if (look->promised_ms == 0 || s->closed) {
        look_free(look);
        return;
    }
    list_push_back(&s->again, &look->node);
    arm(s);
}

/* A question behind a large reply to its reader is not kept waiting by it: the link may rest. */
static const void *whose(struct asker *a)
{
    const struct inquiry *look = CONTAINER_OF(a, struct inquiry, asker);

    return look->reader != NULL ? look->reader : a;
}

static const struct asker_ops look_ops = {on_replies, NULL, on_failed, whose};

static void tell_due(struct renewals *s, bool all)
{
    struct touch_key k;
    uint64_t left_ms;

    while (touches_due(s->touches, now_of(s), all, &k, &left_ms))
        tell(s, k, left_ms);
}

static void on_due(void *context)
{
    struct renewals *s = context;

    tell_due(s, false);
    forget_scopes(s);
    arm(s);
}

static void on_retry(void *context)
{
    struct renewals *s = context;
    struct list again;

    list_init(&again);
    list_move_all(&s->again, &again);
    while (!list_empty(&again))
        ask(CONTAINER_OF(again.next, struct inquiry, node));
    forget_scopes(s);
    arm(s);
}

/* ---- what slide.c asks for ---- */

enum touch_verdict renewals_weigh(struct renewals *s, const struct client *c, struct slice key,
                                  uint64_t window_ms, struct known_deadline known)
{
    struct touch_key k = touch_key(key, scope_of(s, c));
    enum touch_verdict verdict =
        touches_hit(s->touches, k, window_ms, known.deadline_ms, known.asked_ms, now_of(s));

    arm(s);
    return verdict;
}

void renewals_hit(struct renewals *s, const struct client *c, const struct policy *p,
                  struct slice key, struct known_deadline known)
{
    hit(s, touch_key(key, scope_of(s, c)), p, known.deadline_ms, known.asked_ms);
}

void renewals_look(struct renewals *s, const struct client *c, struct slice key)
{
    struct inquiry *look = look_new(s, touch_key(key, scope_of(s, c)), 0);

    look->reader = c;
    ask(look);
    arm(s);
}

uint64_t renewals_promised(struct renewals *s, const struct client *c, struct slice key)
{
    return touches_promised(s->touches, touch_key(key, scope_of(s, c)));
}

static void forget_waiting(struct renewals *s, struct touch_key k)
{
    for (list_each_safe (node, next, &s->again)) {
        struct inquiry *look = CONTAINER_OF(node, struct inquiry, node);

        if (look->scope == k.scope && slice_eq(key_of(look).key, k.key))
            look_free(look);
    }
}

void renewals_forget(struct renewals *s, const struct client *c, struct slice key)
{
    struct touch_key k = touch_key(key, scope_of(s, c));

    /* What waits for a link would come behind the write, and give back what that takes. */
    if (!list_empty(&s->again) && touches_promised(s->touches, k) > 0)
        forget_waiting(s, k);
    touches_forget(s->touches, k);
}

size_t renewals_count(const struct renewals *s)
{
    return touches_count(s->touches);
}

bool renewals_finish(struct renewals *s)
{
    s->finishing = true;
    tell_due(s, true);
    return s->unanswered == 0 && list_empty(&s->again);
}

/* ---- life ---- */

struct renewals *renewals_new(struct rules *r)
{
    struct renewals *s = must_calloc(1, sizeof *s);

    s->rules = r;
    s->touches = touches_new(SLIDING_KEYS);
    s->due = timer_new(r->all->loop, on_due, s);
    s->retry = timer_new(r->all->loop, on_retry, s);
    list_init(&s->again);
    return s;
}

void renewals_close(struct renewals *s)
{
    s->closed = true;
    timer_stop(s->due);
    timer_stop(s->retry);
    while (!list_empty(&s->again))
        look_free(CONTAINER_OF(s->again.next, struct inquiry, node));
    let_scopes_go(s);
}

void renewals_free(struct renewals *s)
{
    if (s == NULL)
        return;
    free(s->scopes);
    touches_free(s->touches);
    timer_free(s->due);
    timer_free(s->retry);
    buffer_done(&s->words);
    free(s);
}
