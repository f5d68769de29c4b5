/* rules.c - the way of a request past the policies.
 *
 *     names a key that is denied, or larder's own          refused
 *     writes without expiry, or too much, where that is    refused
 *     asked not to be
 *     EXPIRE of a sliding key, SET NX of an immutable one  perhaps answered here
 *     creates keys, or sets their expiry                   put as shape.c words it
 *     anything else                                        goes on as it is
 *
 * Refusals within MULTI spoil the transaction, as Redis' own would. */
#include "client/rules.h"

#include <stdlib.h>

#include "client/near.h"
#include "client/renewals.h"
#include "resp/write.h"

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

/* Of a subcommand that is not in the table, any argument. */
void keys_named(const struct request *q, struct key_list *ret)
{
    struct request any = *q;

    if (q->command != NULL && (q->command->flags & CF_CONTAINER) != 0 && q->argc > 1)
        any.command = NULL;
    list_keys(command_keys, &any, ret);
}

void keys_done(struct key_list *k)
{
    if (k->v != k->few)
        free(k->v);
}

/* ---- which requests ---- */

/* Sets a TTL, or ends one, without creating the key. */
static bool sets_expiry(const struct command *cmd)
{
    return cmd->id == CMD_EXPIRE || cmd->id == CMD_PEXPIRE || cmd->id == CMD_EXPIREAT ||
           cmd->id == CMD_PEXPIREAT || cmd->id == CMD_PERSIST || cmd->id == CMD_GETEX;
}

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

static bool is_shaped(const struct command *cmd)
{
    return (cmd->flags & CF_CREATES) != 0 || sets_expiry(cmd);
}

static uint16_t rules_of(const struct rules *r, struct slice key)
{
    const struct policy *p = policies_match(r->policies, key);

    return p != NULL ? p->rules : 0;
}

/* The rules that command could fall under. */
static uint16_t may_matter(const struct command *cmd)
{
    uint16_t m = RULE_DENY;

    if (is_shaped(cmd))
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

/* ---- refusals ---- */

static void spoil(struct client *c)
{
    if (c->more != NULL && c->more->in_multi)
        c->more->spoilt = true;
    c->all->count.commands_refused++;
}

/* SORT's BY and GET lead to keys that no policy sees: one that might be denied. */
static const struct policy *denied_pattern(const struct rules *r, const struct request *q)
{
    uint16_t id = q->command != NULL ? q->command->id : CMD_UNKNOWN;
    size_t n;
    const struct policy *all = policies_all(r->policies, &n);

    if (id != CMD_SORT && id != CMD_SORT_RO)
        return NULL;
    for (uint32_t i = 2; i + 1 < q->argc; i++) {
        if (!option_is(q->argv[i], "BY") && !option_is(q->argv[i], "GET"))
            continue;
        if (memchr(q->argv[i + 1].p, '*', q->argv[i + 1].n) == NULL)
            continue;
        for (size_t k = 0; k < n; k++) {
            if ((all[k].rules & RULE_DENY) != 0)
                return &all[k];
        }
    }
    return NULL;
}

/* What forbids the command; NULL: nothing. */
static const struct policy *denied(const struct rules *r, const struct request *q,
                                   const struct key_list *named)
{
    if ((r->in_force & RULE_DENY) == 0)
        return NULL;
    for (uint32_t i = 0; i < named->n; i++) {
        const struct policy *p = policies_match(r->policies, q->argv[named->v[i]]);

        if (p != NULL && (p->rules & RULE_DENY) != 0)
            return p;
    }
    return denied_pattern(r, q);
}

static bool refuse_named(struct client *c, const struct request *q)
{
    struct rules *r = c->all->rules;
    const struct policy *p;
    struct key_list named;
    bool internal = false;

    keys_named(q, &named);
    p = denied(r, q, &named);
    for (uint32_t i = 0; i < named.n && !internal; i++)
        internal = hide_is_internal(r, q->argv[named.v[i]]);
    keys_done(&named);
    if (p == NULL && !internal)
        return false;
    spoil(c);
    r->count.refused_deny += p != NULL;
    r->count.refused_reserved += p == NULL;
    if (p != NULL)
        write_error(client_answer(c), "NOPERM policy '%s' of larder denies access to this key",
                    p->name);
    else
        write_error(client_answer(c),
                    "NOPERM keys that begin with larder:deadline:, larder:lease: or larder:fence: "
                    "are larder's own");
    return true;
}

/* Does the request leave the key without an expiry of its own giving? Scripts are not looked into,
 * and where a key comes from another, that one's policy answers for it. */
static bool lacks_expiry(const struct rules *r, const struct request *q, const struct expiry *x)
{
    switch (q->command->id) {
    case CMD_EVAL:
    case CMD_EVALSHA:
    case CMD_FCALL:
        return false;
    case CMD_COPY:
    case CMD_RENAME:
    case CMD_RENAMENX:
        return q->argc > 1 && (rules_of(r, q->argv[1]) & RULE_REQUIRE) == 0;
    default:
        break;
    }
    switch ((enum expiry_kind)x->kind) {
    case EXPIRY_UNSAID:
        return (q->command->flags & CF_CREATES) != 0;
    case EXPIRY_NONE:
    case EXPIRY_KEEP:
    case EXPIRY_PERSIST:
        return true;
    case EXPIRY_RELATIVE:
    case EXPIRY_AT:
    case EXPIRY_UNCLEAR:
        break;
    }
    return false;
}

/* The largest argument that may be a value of the key at argv[at]. */
static size_t value_of(const struct request *q, uint32_t at)
{
    uint16_t id = q->command->id;
    size_t most = 0;

    if (id == CMD_MSET || id == CMD_MSETNX || id == CMD_MSETEX)
        return at + 1 < q->argc ? q->argv[at + 1].n : 0;
    for (uint32_t i = 2; i < q->argc; i++) {
        if (q->argv[i].n > most)
            most = q->argv[i].n;
    }
    return most;
}

static bool refuse_write(struct client *c, const struct request *q, const struct expiry *x,
                         uint32_t at)
{
    struct rules *r = c->all->rules;
    const struct policy *p = policies_match(r->policies, q->argv[at]);

    if (p == NULL)
        return false;
    if ((p->rules & RULE_REQUIRE) != 0 && lacks_expiry(r, q, x)) {
        r->count.refused_require_ttl++;
        spoil(c);
        write_error(client_answer(c),
                    "ERR policy '%s' of larder requires an expiry: give SET EX or PX, or use SETEX",
                    p->name);
        return true;
    }
    if ((p->rules & RULE_SIZE) != 0 && value_of(q, at) > p->set->max_value) {
        r->count.refused_max_value++;
        spoil(c);
        write_error(client_answer(c), "ERR policy '%s' of larder allows values up to %llu bytes",
                    p->name, (unsigned long long)p->set->max_value);
        return true;
    }
    return false;
}

/* ---- writes ---- */

/* Whether it is answered here; else r->shape says how it is put. */
static bool shape_write(struct client *c, const struct request *q, const struct key_list *touched,
                        const struct expiry *x)
{
    struct rules *r = c->all->rules;

    for (uint32_t i = 0; i < touched->n; i++) {
        if (refuse_write(c, q, x, touched->v[i]))
            return true;
    }
    if (!command_arity_ok(q->command, q->argc))
        return false; /* Redis refuses it */
    for (uint32_t i = 0; i < touched->n && is_shaped(q->command); i++) {
        struct slice key = q->argv[touched->v[i]];
        const struct policy *p = policies_match(r->policies, key);

        if (p != NULL && (p->rules & RULE_EXPIRY) != 0)
            shape_key(r, q, key, p, x);
    }
    if ((r->in_force & RULE_FENCE) != 0)
        fence_void(c, q, touched, x);
    return false;
}

/* What reads have promised is over: the write says what holds from now on. */
static void forget_renewals(struct client *c, const struct request *q,
                            const struct key_list *touched)
{
    if (!is_shaped(q->command) && !ends_key(q->command))
        return;
    for (uint32_t i = 0; i < touched->n; i++)
        slide_forget(c, q->argv[touched->v[i]]);
}

/* EXPIRE of a sliding key that moves its deadline on by little. */
static enum put put_expire(struct client *c, const struct request *q, const struct expiry *x)
{
    uint16_t id = q->command->id;

    if (q->argc != 3 || (id != CMD_EXPIRE && id != CMD_PEXPIRE) || x->kind != EXPIRY_RELATIVE ||
        x->value <= 0 || x->value > INT32_MAX || !near_allowed(c, 0) ||
        (rules_of(c->all->rules, q->argv[1]) & RULE_SLIDING) == 0)
        return PUT_ASK;
    if (slide_will_know(c, q->argv[1]))
        return PUT_LATER;
    return slide_expire(c, q->argv[1], (uint64_t)x->value * (x->seconds ? 1000 : 1)) ? PUT_ANSWERED
                                                                                     : PUT_ASK;
}

/* Others may wait for what it is answered: it leaves the key there, or finds it. But not with a
 * time that may be past. */
static bool may_lead(const struct shape *s, const struct expiry *x)
{
    return x->kind != EXPIRY_AT && s->before_n + s->behind_n == 0;
}

static bool is_immutable(struct client *c, const struct request *q, const struct expiry *x)
{
    return x->nx && !x->get && q->argc > 2 && near_allowed(c, 0) &&
           (rules_of(c->all->rules, q->argv[1]) & RULE_IMMUTABLE) != 0;
}

static enum put serve_write(struct client *c, const struct request *q)
{
    struct expiry x = command_expiry(q->command, q->argv, q->argc);
    bool immutable = is_immutable(c, q, &x), answered;
    enum put put = put_expire(c, q, &x);
    struct key_list touched;

    if (put != PUT_ASK)
        return put;
    keys_touched(q, &touched);
    answered = shape_write(c, q, &touched, &x);
    if (!answered && c->all->rules->renewals != NULL)
        forget_renewals(c, q, &touched);
    keys_done(&touched);
    if (answered || (immutable && immutable_serve(c, q)))
        return PUT_ANSWERED;
    return immutable && may_lead(&c->all->rules->shape, &x) ? PUT_LEAD : PUT_ASK;
}

static bool is_empty(const struct shape *s)
{
    return buffer_len(&s->words) == 0 && s->before_n == 0 && s->behind_n == 0;
}

/* Reads on a lent link renew their keys as well; in a transaction when it is over, for to renew a
 * key that is watched would make EXEC fail. */
static enum next go_on(struct client *c, const struct request *q)
{
    enum mode mode = (enum mode)c->mode;
    enum next next = client_route_on(c, q);

    if (mode == MODE_PLAIN || next != NEXT || !c->open || !renews(q->command))
        return next;
    if (mode == MODE_TX || c->more->in_multi)
        slide_later(c, q);
    else
        slide_look(c, q);
    return next;
}

enum put rules_put(struct client *c, const struct request *q, struct request *ret_put)
{
    struct rules *r = c->all->rules;
    enum put how;

    *ret_put = *q;
    if (((r->in_force & RULE_DENY) != 0 || hide_on(r)) && refuse_named(c, q))
        return PUT_ANSWERED;
    shape_begin(&r->shape);
    how = serve_write(c, q);
    if (buffer_len(&r->shape.words) > 0)
        ret_put->bytes = buffer_slice(&r->shape.words);
    if (r->shape.before_n + r->shape.behind_n > 0)
        ret_put->shape = &r->shape;
    return how;
}

enum next rules_serve(struct client *c, const struct request *q)
{
    struct rules *r = c->all->rules;
    struct request put;

    if (r->in_force == 0 || c->mode == MODE_LISTEN)
        return client_route_on(c, q);
    if (tx_unclear(c))
        return client_wait(c, WAIT_DRAIN);
    if (q->command != NULL && ((q->command->flags & CF_WRITE) != 0 || is_shaped(q->command))) {
        switch (rules_put(c, q, &put)) {
        case PUT_ANSWERED:
            return NEXT;
        case PUT_ASK:
            return client_route_on(c, &put);
        case PUT_LEAD:
            return immutable_ask(c, &put);
        case PUT_LATER:
            return client_wait(c, WAIT_DRAIN);
        }
    }
    if (((r->in_force & RULE_DENY) != 0 || hide_on(r)) && refuse_named(c, q))
        return NEXT;
    if (q->command == NULL)
        return client_route_on(c, q);
    if (hide_concerns(r, q->command))
        return hide_serve(c, q);
    return asks_ttl(q->command) ? slide_ttl(c, q) : go_on(c, q);
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
    if (r->in_force == 0 || cmd == NULL)
        return LARGE_PASSES;
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
    if ((p->rules & RULE_EXPIRY) != 0 && is_shaped(cmd))
        shape_key(r, q, q->argv[1], p, &unclear);
    fence_void(c, q, &key, &unclear);
    if (r->renewals != NULL)
        slide_forget(c, q->argv[1]);
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
