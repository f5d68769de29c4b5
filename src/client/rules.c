/* rules.c - the way of a request past the policies.
 *
 *     names a key that is denied, or larder's own          refused
 *     writes without expiry, or too much, where that is    refused
 *     asked not to be
 *     EXPIRE of a sliding key, SET NX of an immutable one  perhaps answered here
 *     creates keys, or sets their expiry                   put as shape.c words it
 *     anything else                                        goes on as it is
 *
 * refuse.c has the refusals, shape.c the words. */
#include "client/rules.h"

#include <stdlib.h>

#include "client/near.h"
#include "client/renewals.h"

/* ---- keys ---- */

typedef int find_keys(const struct command *c, const struct slice *argv, uint32_t argc,
                      uint32_t *ret_index, uint32_t room);

static void list_keys(find_keys *find, const struct request *q, struct key_list *k)
{
    int n = find(q->command, q->argv, q->argc, k->few, ARRAY_LEN(k->few));

    k->v = k->few;
    k->any = n < 0;
    k->n = n < 0 ? 0 : (uint32_t)n;
    if (k->n <= ARRAY_LEN(k->few))
        return;
    k->v = must_alloc(k->n * sizeof *k->v);
    (void)find(q->command, q->argv, q->argc, k->v, k->n);
}

void keys_touched(const struct request *q, struct key_list *ret)
{
    list_keys(command_touched, q, ret);
}

/* Any argument may be a key: of a command, or a subcommand, that is not in the table; DEBUG's have
 * no rows. */
static bool is_unknown(const struct command *cmd)
{
    return cmd == NULL || (cmd->flags & CF_CONTAINER) != 0 || cmd->id == CMD_DEBUG;
}

/* .. and of what is not understood: the upstream may. */
void keys_named(const struct request *q, struct key_list *ret)
{
    struct request any = *q;

    if (is_unknown(q->command) && q->argc > 1)
        any.command = NULL;
    list_keys(command_keys, &any, ret);
    if (!ret->any)
        return;
    any.command = NULL;
    list_keys(command_keys, &any, ret);
}

void keys_done(struct key_list *k)
{
    if (k->v != k->few)
        free(k->v);
}

/* ---- which requests ---- */

static bool ends_key(const struct command *cmd)
{
    return cmd->id == CMD_DEL || cmd->id == CMD_UNLINK || cmd->id == CMD_GETDEL;
}

static bool asks_ttl(const struct command *cmd)
{
    return cmd->id == CMD_TTL || cmd->id == CMD_PTTL || cmd->id == CMD_EXPIRETIME ||
           cmd->id == CMD_PEXPIRETIME;
}

/* As with Redis' own idle time, a look at whether it is there is no use of a key. */
static bool renews(const struct command *cmd)
{
    return (cmd->flags & CF_CACHEABLE) != 0 && cmd->id != CMD_EXISTS && cmd->id != CMD_TYPE;
}

uint16_t rules_of(const struct rules *r, struct slice key)
{
    const struct policy *p = policies_match(r->policies, key);

    return p != NULL ? p->rules : 0;
}

/* The rules that command could fall under. */
static uint16_t may_matter(const struct command *cmd)
{
    uint16_t m = RULE_DENY;

    if (rules_shaped(cmd))
        m |= RULE_EXPIRY | RULE_REQUIRE | RULE_SIZE | RULE_SLIDING | RULE_IMMUTABLE | RULE_FENCE;
    else if ((cmd->flags & CF_WRITE) != 0)
        m |= RULE_SIZE | RULE_FENCE | (ends_key(cmd) ? RULE_SLIDING : 0);
    else if (renews(cmd) || asks_ttl(cmd))
        m |= RULE_SLIDING;
    return m;
}

bool rules_concern(const struct rules *r, const struct command *cmd, const struct args *args)
{
    uint16_t matter = may_matter(cmd) & r->in_force;

    if (hide_concerns(r, cmd))
        return true;
    if (matter == 0 && (!hide_on(r) || (cmd->keys == KEYS_FIXED && cmd->first == 0)))
        return false;
    /* Most requests name one key, at the front. */
    if (cmd->keys == KEYS_FIXED && cmd->first == 1 && cmd->last == 1 && args->n > 1)
        return (rules_of(r, args->v[1]) & matter) != 0 || hide_is_internal(r, args->v[1]);
    return true;
}

/* ---- writes ---- */

/* r->shape says how it is put. */
static void shape_write(struct client *c, const struct request *q, const struct key_list *touched,
                        const struct expiry *x)
{
    struct rules *r = c->all->rules;

    if (!command_arity_ok(q->command, q->argc))
        return; /* Redis refuses it */
    for (uint32_t i = 0; i < touched->n && rules_shaped(q->command); i++) {
        struct slice key = q->argv[touched->v[i]];
        const struct policy *p = policies_match(r->policies, key);

        if (p != NULL && (p->rules & RULE_EXPIRY) != 0)
            shape_key(r, q, key, p, x);
    }
    if ((r->in_force & RULE_FENCE) != 0)
        fence_void(c, q, touched, x);
}

void rules_asked(struct client *c, const struct request *q)
{
    struct key_list touched;

    if (c->all->rules == NULL || c->all->rules->renewals == NULL || !c->open ||
        (!rules_shaped(q->command) && !ends_key(q->command)) || shape_other_db(q).n > 0)
        return;
    keys_touched(q, &touched);
    for (uint32_t i = 0; i < touched.n; i++)
        slide_forget(c, q->argv[touched.v[i]]);
    keys_done(&touched);
}

/* EXPIRE of a sliding key that moves its deadline on by little. */
static enum put put_expire(struct client *c, const struct request *q, const struct expiry *x)
{
    uint16_t id = q->command->id;
    uint64_t ttl_ms;
    const struct policy *p;

    if (q->argc != 3 || (id != CMD_EXPIRE && id != CMD_PEXPIRE) || x->kind != EXPIRY_RELATIVE ||
        x->value <= 0 || x->value > INT32_MAX || !near_allowed(c, 0))
        return PUT_ASK;
    ttl_ms = (uint64_t)x->value * (x->seconds ? 1000 : 1);
    p = policies_match(c->all->rules->policies, q->argv[1]);
    if (p == NULL || (p->rules & RULE_SLIDING) == 0 ||
        (p->set->max_ttl > 0 && ttl_ms > p->set->max_ttl))
        return PUT_ASK;
    if (slide_will_know(c, q->argv[1]))
        return PUT_LATER;
    return slide_expire(c, q->argv[1], ttl_ms) ? PUT_ANSWERED : PUT_ASK;
}

/* Others may wait for what it is answered: it leaves the key there, or finds it. But not with a
 * time that may be past. */
static bool may_lead(const struct shape *s, const struct expiry *x)
{
    return x->kind != EXPIRY_AT && s->before_n + s->behind_n == 0;
}

static bool is_immutable(struct client *c, const struct request *q, const struct expiry *x)
{
    return x->nx && !x->get && !q->minds_fence && q->argc > 2 && near_allowed(c, 0) &&
           (rules_of(c->all->rules, q->argv[1]) & RULE_IMMUTABLE) != 0;
}

/* EXPIRE .. NX, GT .. judges by the deadline that the upstream knows: it is told first of what
 * reads have been promised. */
static void tell_promise(struct client *c, const struct request *q, const struct expiry *x)
{
    struct rules *r = c->all->rules;
    struct slice key = q->argc > 1 ? q->argv[1] : slice_of("", 0);
    uint64_t promised_ms, now_ms = client_now(c);

    if (!x->conditional || !rules_set_expiry(q->command))
        return;
    promised_ms = slide_promised(c, key);
    if (promised_ms > now_ms)
        r->shape.before_n += shape_renewal(r->all, policies_match(r->policies, key), key,
                                           promised_ms - now_ms, &r->shape.before);
}

/* How it is worded, and what is said about it. */
static void word_write(struct client *c, const struct request *q, const struct expiry *x,
                       struct request *ret_put)
{
    struct rules *r = c->all->rules;
    struct key_list touched;

    keys_touched(q, &touched);
    shape_begin(&r->shape);
    tell_promise(c, q, x);
    shape_write(c, q, &touched, x);
    keys_done(&touched);
    if (buffer_len(&r->shape.words) > 0)
        ret_put->bytes = buffer_slice(&r->shape.words);
    if (r->shape.before_n + r->shape.behind_n > 0)
        ret_put->shape = &r->shape;
}

enum put rules_put(struct client *c, const struct request *q, struct request *ret_put)
{
    struct expiry x = command_expiry(q->command, q->argv, q->argc);
    bool immutable;
    enum put put;

    *ret_put = *q;
    if (rules_refuse(c, q))
        return PUT_ANSWERED;
    put = put_expire(c, q, &x);
    if (put != PUT_ASK)
        return put;
    immutable = is_immutable(c, q, &x);
    word_write(c, q, &x, ret_put);
    if (immutable && immutable_serve(c, q))
        return PUT_ANSWERED;
    return immutable && may_lead(&c->all->rules->shape, &x) ? PUT_LEAD : PUT_ASK;
}

static bool is_empty(const struct shape *s)
{
    return buffer_len(&s->words) == 0 && s->before_n == 0 && s->behind_n == 0;
}

/* ---- the way ---- */

/* Reads on a lent link renew their keys as well; in a transaction when it is over, for to renew a
 * key that is watched would make EXEC fail. */
static void renew_lent(struct client *c, const struct request *q, enum mode mode)
{
    if (mode == MODE_TX || c->more->in_multi)
        slide_later(c, q);
    else
        slide_look(c, q);
}

static enum next go_on(struct client *c, const struct request *q)
{
    enum mode mode = (enum mode)c->mode;
    enum next next = client_route_on(c, q);

    if (mode != MODE_PLAIN && next == NEXT && c->open && renews(q->command))
        renew_lent(c, q, mode);
    return next;
}

static enum next put_write(struct client *c, const struct request *q)
{
    uint32_t asked = client_asked(c);
    enum next next = NEXT;
    struct request put;

    switch (rules_put(c, q, &put)) {
    case PUT_ANSWERED:
        return NEXT;
    case PUT_LATER:
        return client_wait(c, WAIT_DRAIN);
    case PUT_ASK:
        next = client_route_on(c, &put);
        break;
    case PUT_LEAD:
        next = immutable_ask(c, &put);
        break;
    }
    if (client_asked(c) != asked)
        rules_asked(c, q);
    return next;
}

enum next rules_serve(struct client *c, const struct request *q)
{
    struct rules *r = c->all->rules;

    if (r->in_force == 0 || c->mode == MODE_LISTEN)
        return client_route_on(c, q);
    if (tx_unclear(c))
        return client_wait(c, WAIT_DRAIN);
    if (q->command != NULL && rules_puts(q->command))
        return put_write(c, q);
    if (rules_refuse(c, q))
        return NEXT;
    if (q->command == NULL)
        return client_route_on(c, q);
    if (hide_concerns(r, q->command))
        return hide_serve(c, q);
    return asks_ttl(q->command) ? slide_ttl(c, q) : go_on(c, q);
}

static enum next ask_fresh(struct client *c, const struct request *q)
{
    return c->mode == MODE_PLAIN ? client_ask(c, q) : client_ask_lent(c, q);
}

enum next rules_fresh(struct client *c, const struct request *q)
{
    struct rules *r = c->all->rules;
    struct request put = *q;
    enum mode mode = (enum mode)c->mode;
    uint32_t asked = client_asked(c);
    enum next next;

    if (r == NULL || r->in_force == 0)
        return ask_fresh(c, q);
    if (rules_refuse(c, q))
        return NEXT;
    if (hide_concerns(r, q->command))
        return hide_serve(c, q);
    if (rules_puts(q->command)) {
        struct expiry x = command_expiry(q->command, q->argv, q->argc);

        word_write(c, q, &x, &put);
    }
    next = ask_fresh(c, &put);
    if (client_asked(c) != asked)
        rules_asked(c, q);
    if (client_asked(c) == asked || !renews(q->command))
        return next;
    if (mode == MODE_PLAIN)
        slide_look(c, q);
    else
        renew_lent(c, q, mode);
    return NEXT;
}

/* ---- requests too large to collect ---- */

enum large_rules rules_large(struct client *c, const struct request *q)
{
    struct rules *r = c->all->rules;
    const struct command *cmd = q->command;
    struct expiry unclear = {.kind = EXPIRY_UNCLEAR};
    struct key_list key = {.few = {1}, .v = key.few, .n = 1};
    const struct policy *p;

    shape_begin(&r->shape);
    if (r->in_force == 0)
        return LARGE_PASSES;
    if (is_unknown(cmd))
        return (r->in_force & RULE_DENY) != 0 || hide_on(r) ? LARGE_COLLECT : LARGE_PASSES;
    if (!(cmd->keys == KEYS_FIXED && cmd->first == 1 && cmd->last == 1))
        return cmd->keys == KEYS_FIXED && cmd->first == 0 ? LARGE_PASSES : LARGE_COLLECT;
    if (q->argc < 2) /* its key is what is large */
        return LARGE_COLLECT;
    p = policies_match(r->policies, q->argv[1]);
    if (hide_is_internal(r, q->argv[1]) ||
        (p != NULL && (p->rules & (RULE_DENY | RULE_REQUIRE | RULE_SIZE)) != 0))
        return LARGE_COLLECT;
    if (p == NULL || (may_matter(cmd) & p->rules & (RULE_EXPIRY | RULE_FENCE)) == 0)
        return LARGE_PASSES;
    if ((p->rules & RULE_EXPIRY) != 0 && rules_shaped(cmd))
        shape_key(r, q, q->argv[1], p, &unclear);
    fence_void(c, q, &key, &unclear);
    return is_empty(&r->shape) ? LARGE_PASSES : LARGE_SHAPED;
}

/* ---- life ---- */

void clients_use_policies(struct clients *all, const struct policies *policies)
{
    uint16_t in_force = policies_rules(policies);

    if (all->rules == NULL && in_force == 0)
        return;
    if (all->rules == NULL) {
        all->rules = must_calloc(1, sizeof *all->rules);
        all->rules->all = all;
        hash_seed_init(&all->rules->seed);
    }
    all->rules->policies = policies;
    all->rules->in_force = in_force;
    sliding_use(all->rules);
    if (all->rules->attempts == NULL && (in_force & RULE_IMMUTABLE) != 0) {
        all->rules->attempts = must_alloc(ATTEMPT_BUCKETS * sizeof *all->rules->attempts);
        for (uint32_t i = 0; i < ATTEMPT_BUCKETS; i++)
            list_init(&all->rules->attempts[i]);
    }
}

void rules_free(struct rules *r)
{
    if (r == NULL)
        return;
    renewals_free(r->renewals);
    free(r->seen);
    free(r->attempts);
    buffer_done(&r->shape.words);
    buffer_done(&r->shape.before);
    buffer_done(&r->shape.behind);
    free(r);
}
