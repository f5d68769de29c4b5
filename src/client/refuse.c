/* refuse.c - what policies forbid: keys that are denied, or larder's own; writes without the expiry
 * that they must have, or larger than they may be.
 *
 * Within MULTI a refusal spoils the transaction, as Redis' own would. */
#include "client/rules.h"
#include "resp/write.h"

enum refusal_kind { REFUSED_NOT, REFUSED_DENY, REFUSED_RESERVED, REFUSED_EXPIRY, REFUSED_SIZE };

struct refusal {
    enum refusal_kind kind;
    const struct policy *policy; /* NULL: REFUSED_RESERVED */
};

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

/* By the keys that it names. */
static struct refusal judge_named(const struct rules *r, const struct request *q)
{
    struct refusal no = {REFUSED_NOT, NULL};
    struct key_list named;

    if ((r->in_force & RULE_DENY) == 0 && !hide_on(r))
        return no;
    keys_named(q, &named);
    no.policy = denied(r, q, &named);
    if (no.policy != NULL)
        no.kind = REFUSED_DENY;
    for (uint32_t i = 0; i < named.n && no.kind == REFUSED_NOT; i++) {
        if (hide_is_internal(r, q->argv[named.v[i]]))
            no.kind = REFUSED_RESERVED;
    }
    keys_done(&named);
    return no;
}

/* By what it would write to the key at argv[at]. */
static struct refusal judge_key(const struct rules *r, const struct request *q,
                                const struct expiry *x, uint32_t at)
{
    const struct policy *p = policies_match(r->policies, q->argv[at]);

    if (p != NULL && (p->rules & RULE_REQUIRE) != 0 && lacks_expiry(r, q, x))
        return (struct refusal){REFUSED_EXPIRY, p};
    if (p != NULL && (p->rules & RULE_SIZE) != 0 && value_of(q, at) > p->set->max_value)
        return (struct refusal){REFUSED_SIZE, p};
    return (struct refusal){REFUSED_NOT, NULL};
}

static struct refusal judge_write(const struct rules *r, const struct request *q)
{
    struct refusal no = {REFUSED_NOT, NULL};
    struct expiry x = command_expiry(q->command, q->argv, q->argc);
    struct key_list touched;

    keys_touched(q, &touched);
    for (uint32_t i = 0; i < touched.n && no.kind == REFUSED_NOT; i++)
        no = judge_key(r, q, &x, touched.v[i]);
    keys_done(&touched);
    return no;
}

static struct refusal judge(const struct rules *r, const struct request *q)
{
    struct refusal no = judge_named(r, q);

    if (no.kind != REFUSED_NOT || q->command == NULL || !rules_puts(q->command) ||
        (r->in_force & (RULE_REQUIRE | RULE_SIZE)) == 0)
        return no;
    return judge_write(r, q);
}

static void say(const struct refusal *no, struct buffer *out)
{
    switch (no->kind) {
    case REFUSED_NOT:
        return;
    case REFUSED_DENY:
        write_error(out, "NOPERM policy '%s' of larder denies access to this key",
                    no->policy->name);
        return;
    case REFUSED_RESERVED:
        write_error(out,
                    "NOPERM keys that begin with larder:deadline:, larder:lease: or "
                    "larder:fence: are larder's own");
        return;
    case REFUSED_EXPIRY:
        write_error(out,
                    "ERR policy '%s' of larder requires an expiry: give SET EX or PX, or use SETEX",
                    no->policy->name);
        return;
    case REFUSED_SIZE:
        write_error(out, "ERR policy '%s' of larder allows values up to %llu bytes",
                    no->policy->name, (unsigned long long)no->policy->set->max_value);
        return;
    }
}

/* A command that is looked at again may have waited for a connection, when the policy was none yet.
 */
static void drop_loan(struct client *c)
{
    struct session *m = c->more;

    if (m == NULL || c->mode != MODE_PLAIN)
        return;
    m->loan_refused = false;
    if (m->loan.link == NULL && !m->loan.waiting)
        return;
    borrow_judged(c);
    loan_end(&m->loan, LOAN_CLEAN);
}

bool rules_refuse(struct client *c, const struct request *q)
{
    struct rules *r = c->all->rules;
    struct refusal no = judge(r, q);

    if (no.kind == REFUSED_NOT)
        return false;
    drop_loan(c);
    r->count.refused_deny += no.kind == REFUSED_DENY;
    r->count.refused_reserved += no.kind == REFUSED_RESERVED;
    r->count.refused_require_ttl += no.kind == REFUSED_EXPIRY;
    r->count.refused_max_value += no.kind == REFUSED_SIZE;
    c->all->count.commands_refused++;
    if (c->more != NULL && c->more->in_multi)
        c->more->spoilt = true;
    say(&no, client_answer(c));
    return true;
}

bool rules_would_refuse(const struct rules *r, const struct request *q, struct buffer *out)
{
    struct refusal no = judge(r, q);

    say(&no, out);
    return no.kind != REFUSED_NOT;
}
