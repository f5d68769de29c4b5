/* policies.c - see policies.h.
 *
 * Every prefix becomes a `rule`, and the rules are ranked: of those that match, the lowest rank
 * wins. Rules with the same literal head hang on one `head`, best rank first; the heads are sorted
 * bytewise, and each knows its `parent`, the longest other head that it begins with:
 *
 *     index     0         1         2                3          4
 *     head      ""        "a:"      "a:b:"           "a:b:c"    "user:"
 *     parent    -         0         1                2          0
 *     rules     *, *:x    a:        a:b:*:x, a:b:    a:b:c      user:*:cart:
 *
 * All heads that a key begins with come before it in that order and begin each other. So they are
 * the last head that comes before the key, and its parents, but for the first few of these: "a:b:z"
 * lies behind "a:b:c", which it does not begin with, while it does begin with that one's parents.
 * A binary search finds the last one, between bounds that the key's first byte gives. */
#include "policy/policies.h"

#include <stdlib.h>

#include "config/prefix.h"
#include "config/rows.h"
#include "config/value.h"
#include "policy/owners.h"

#define NONE UINT32_MAX

struct rule {
    struct slice pattern; /* a prefix of the settings, without a * at its end */
    size_t head_bytes;    /* of it, before the first star */
    uint32_t literals, stars;
    uint32_t policy; /* index */
    uint32_t order;  /* in which it was read */
    uint32_t rank;
};

struct head {
    struct slice text;
    uint32_t parent;      /* index of a head, or NONE */
    uint32_t first, last; /* its rules: first .. last - 1, by rank */
    uint32_t best;        /* the lowest rank among its rules and those of all its parents */
};

struct head_list {
    struct slice *v;
    size_t n;
    char *text; /* what v points into, where that is not a rule */
};

struct policies {
    struct policy *policies;
    size_t count;
    uint32_t *by_number;  /* indexes of policies */
    uint16_t last_number; /* the newest that was given */
    struct rule *rules;   /* by head, then by rank */
    uint32_t rule_count;
    struct head *heads;
    uint32_t head_count;
    uint32_t bounds[257]; /* heads that begin with byte b: bounds[b] .. bounds[b + 1] - 1 */
    struct head_list all_heads, local_heads;
    uint16_t all_rules;         /* of all policies together */
    struct owners *owners;      /* NULL: there are no tenants */
    const struct policy *every; /* the only rule there is, if it is for every key; else NULL */
};

static struct policy policy_of(const struct policy_settings *set);
static void make_rules(struct policies *p, const struct settings *s);
static void rank_rules(struct policies *p);
static void make_heads(struct policies *p);
static void bound_heads(struct policies *p);
static void list_heads(const struct policies *p, bool local_only, struct head_list *list);
static void give_numbers(struct policies *p, const struct policies *before);
static void sort_by_number(struct policies *p);
static uint32_t last_head(const struct policies *p, struct slice key);
static bool stars_match(struct slice pattern, struct slice key);

struct policies *policies_new(const struct settings *s, const struct policies *before)
{
    struct policies *p = must_calloc(1, sizeof(*p));

    p->count = s->policy_count;
    p->policies = must_calloc(p->count + 1, sizeof(*p->policies));
    for (size_t i = 0; i < p->count; i++) {
        p->policies[i] = policy_of(&s->policies[i]);
        p->all_rules |= p->policies[i].rules;
    }
    make_rules(p, s);
    rank_rules(p);
    if (p->rule_count == 1 && p->rules[0].pattern.n == 0)
        p->every = &p->policies[p->rules[0].policy];
    make_heads(p);
    bound_heads(p);
    p->owners = owners_new(s);
    list_heads(p, false, &p->all_heads);
    list_heads(p, true, &p->local_heads);
    give_numbers(p, before);
    sort_by_number(p);
    return p;
}

void policies_free(struct policies *p)
{
    if (p == NULL)
        return;
    free(p->policies);
    free(p->by_number);
    free(p->rules);
    free(p->heads);
    free(p->all_heads.v);
    free(p->all_heads.text);
    free(p->local_heads.v);
    free(p->local_heads.text);
    owners_free(p->owners);
    free(p);
}

uint16_t policies_rules(const struct policies *p)
{
    return p->all_rules;
}

static uint16_t rules_of(const struct policy_settings *set)
{
    bool expiry = set->ttl > 0 || set->max_ttl > 0 || set->sliding > 0 || set->absolute > 0;

    return (uint16_t)((expiry ? RULE_EXPIRY : 0) | (set->require_ttl ? RULE_REQUIRE : 0) |
                      (set->max_value > 0 ? RULE_SIZE : 0) | (set->sliding > 0 ? RULE_SLIDING : 0) |
                      (set->absolute > 0 ? RULE_ABSOLUTE : 0) |
                      (set->immutable ? RULE_IMMUTABLE : 0) | (set->deny ? RULE_DENY : 0) |
                      (set->fence ? RULE_FENCE : 0) |
                      (set->scope == SET_SCOPE_FLEET ? RULE_LEASE : 0));
}

static uint64_t given_ms(const struct policy_settings *set)
{
    if (set->ttl > 0 || set->require_ttl)
        return set->ttl;
    if (set->sliding > 0)
        return set->sliding;
    return set->absolute > 0 ? set->absolute : set->max_ttl;
}

static struct policy policy_of(const struct policy_settings *set)
{
    return (struct policy){.set = set,
                           .name = set->name,
                           .given_ms = given_ms(set),
                           .rules = rules_of(set),
                           .plain = set->local && set->sliding == 0,
                           .ahead = set->local && set->refresh_ahead};
}

const struct policy *policies_match(const struct policies *p, struct slice key)
{
    if (UNLIKELY(p->owners != NULL) && p->every == NULL) {
        size_t n = owners_prefix(p->owners, key);

        key = slice_of(key.p + n, key.n - n);
    }
    return policies_match_name(p, key);
}

const struct policy *policies_match_name(const struct policies *p, struct slice key)
{
    const struct policy *found = NULL;
    const struct head *head;
    uint32_t best = NONE;

    if (p->every != NULL)
        return p->every;
    for (uint32_t h = last_head(p, key); h != NONE; h = head->parent) {
        head = &p->heads[h];
        if (head->best >= best)
            break;
        if (!slice_starts(key, head->text))
            continue;
        for (uint32_t r = head->first; r < head->last && p->rules[r].rank < best; r++) {
            const struct rule *rule = &p->rules[r];

            if (rule->stars == 0 || stars_match(rule->pattern, key)) {
                best = rule->rank;
                found = &p->policies[rule->policy];
            }
        }
    }
    return found;
}

size_t policies_owner(const struct policies *p, struct slice key)
{
    return p->owners != NULL ? owners_prefix(p->owners, key) : 0;
}

const struct policy *policies_by_number(const struct policies *p, uint16_t number)
{
    size_t low = 0, high = p->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct policy *policy = &p->policies[p->by_number[middle]];

        if (policy->number == number)
            return policy;
        if (policy->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct policy *policies_all(const struct policies *p, size_t *ret_count)
{
    *ret_count = p->count;
    return p->policies;
}

const struct slice *policies_heads(const struct policies *p, bool local_only, size_t *ret_count)
{
    const struct head_list *list = local_only ? &p->local_heads : &p->all_heads;

    *ret_count = list->n;
    return list->v;
}

/* The last head that is the key or comes before it, among those with its first byte; else the
 * empty one, which is the first of all, if there is one. */
static uint32_t last_head(const struct policies *p, struct slice key)
{
    uint32_t low, high, first;

    if (key.n > 0) {
        low = first = p->bounds[(unsigned char)*key.p];
        high = p->bounds[(unsigned char)*key.p + 1];
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;

            if (slice_order(p->heads[middle].text, key) <= 0)
                low = middle + 1;
            else
                high = middle;
        }
        if (low > first)
            return low - 1;
    }
    return p->bounds[0] > 0 ? 0 : NONE;
}

/* The key against the whole of a pattern. Each star is followed by a colon, see config/prefix.h. */
static bool stars_match(struct slice pattern, struct slice key)
{
    while (pattern.n > 0) {
        const char *star = memchr(pattern.p, '*', pattern.n), *colon;
        size_t n = star ? (size_t)(star - pattern.p) : pattern.n;

        if (!slice_starts(key, slice_of(pattern.p, n)))
            return false;
        key = slice_of(key.p + n, key.n - n);
        if (star == NULL)
            return true;
        pattern = slice_of(star + 1, pattern.n - n - 1);
        colon = key.n > 0 ? memchr(key.p, ':', key.n) : NULL;
        if (colon == NULL || colon == key.p)
            return false;
        key = slice_of(colon, key.n - (size_t)(colon - key.p));
    }
    return true;
}

static void make_rules(struct policies *p, const struct settings *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->policy_count; i++)
        n += s->policies[i].prefix.n;
    CHECK(n < NONE);
    p->rules = must_calloc(n + 1, sizeof(*p->rules));
    for (uint32_t i = 0; i < s->policy_count; i++) {
        const struct string_list *prefix = &s->policies[i].prefix;

        for (size_t k = 0; k < prefix->n; k++) {
            struct slice pattern = prefix_pattern(slice_str(prefix->v[k]));
            struct rule *rule = &p->rules[p->rule_count];

            *rule = (struct rule){.pattern = pattern, .head_bytes = pattern.n, .policy = i};
            rule->order = p->rule_count++;
            for (size_t c = pattern.n; c-- > 0;) {
                if (pattern.p[c] == '*') {
                    rule->stars++;
                    rule->head_bytes = c;
                }
            }
            rule->literals = (uint32_t)pattern.n - rule->stars;
        }
    }
}

static int by_rank(const void *a, const void *b)
{
    const struct rule *x = a, *y = b;

    if (x->literals != y->literals)
        return x->literals > y->literals ? -1 : 1;
    if (x->stars != y->stars)
        return x->stars < y->stars ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static struct slice head_of(const struct rule *rule)
{
    return slice_of(rule->pattern.p, rule->head_bytes);
}

static int by_head(const void *a, const void *b)
{
    const struct rule *x = a, *y = b;
    int order = slice_order(head_of(x), head_of(y));

    if (order != 0)
        return order;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static void rank_rules(struct policies *p)
{
    qsort(p->rules, p->rule_count, sizeof(*p->rules), by_rank);
    for (uint32_t r = 0; r < p->rule_count; r++)
        p->rules[r].rank = r;
    qsort(p->rules, p->rule_count, sizeof(*p->rules), by_head);
}

static void make_heads(struct policies *p)
{
    p->heads = must_calloc((size_t)p->rule_count + 1, sizeof(*p->heads));
    for (uint32_t r = 0; r < p->rule_count; r++) {
        struct slice text = head_of(&p->rules[r]);
        struct head *head = &p->heads[p->head_count];
        uint32_t parent = p->head_count - 1; /* NONE for the first */

        if (p->head_count > 0 && slice_eq(head[-1].text, text)) {
            head[-1].last++;
            continue;
        }
        while (parent != NONE && !slice_starts(text, p->heads[parent].text))
            parent = p->heads[parent].parent;
        *head = (struct head){
            .text = text, .parent = parent, .first = r, .last = r + 1, .best = p->rules[r].rank};
        if (parent != NONE && p->heads[parent].best < head->best)
            head->best = p->heads[parent].best;
        p->head_count++;
    }
}

static void bound_heads(struct policies *p)
{
    uint32_t h = 0;

    while (h < p->head_count && p->heads[h].text.n == 0)
        h++;
    for (unsigned byte = 0; byte < 256; byte++) {
        p->bounds[byte] = h;
        while (h < p->head_count && (unsigned char)*p->heads[h].text.p == byte)
            h++;
    }
    p->bounds[256] = h;
}

static bool head_is_local(const struct policies *p, const struct head *head)
{
    for (uint32_t r = head->first; r < head->last; r++) {
        if (p->policies[p->rules[r].policy].set->local)
            return true;
    }
    return false;
}

/* What begins with a head follows it. */
static void list_heads(const struct policies *p, bool local_only, struct head_list *list)
{
    list->v = must_calloc((size_t)p->head_count + 2, sizeof(*list->v)); /* and LEASE_PREFIX */
    for (uint32_t h = 0; h < p->head_count; h++) {
        const struct head *head = &p->heads[h];

        if (local_only && !head_is_local(p, head))
            continue;
        if (list->n == 0 || !slice_starts(head->text, list->v[list->n - 1]))
            list->v[list->n++] = head->text;
    }
    if (p->owners != NULL) {
        struct slice *own = list->v;

        if ((p->all_rules & RULE_LEASE) != 0 && list->n > 0 && own[0].n > 0)
            own[list->n++] = SLICE(LEASE_PREFIX);
        list->v = owners_heads(p->owners, own, list->n, &list->n, &list->text);
        free(own);
    }
}

static bool same_rules(const struct policies *a, const struct policies *b)
{
    if (a->rule_count != b->rule_count)
        return false;
    for (uint32_t r = 0; r < a->rule_count; r++) {
        const struct rule *x = &a->rules[r], *y = &b->rules[r];

        if (x->rank != y->rank || !slice_eq(x->pattern, y->pattern) ||
            strcmp(a->policies[x->policy].name, b->policies[y->policy].name) != 0)
            return false;
    }
    return true;
}

/* The number of the policy with that name, if it has the same settings; else 0. */
static uint16_t number_before(const struct policies *before, const struct policy_settings *set)
{
    for (size_t i = 0; i < before->count; i++) {
        const struct policy *old = &before->policies[i];
        bool same = strcmp(old->name, set->name) == 0;

        for (size_t k = 0; same && k < kind_policy.count; k++)
            same = value_equal(&kind_policy.rows[k], old->set, set);
        if (same)
            return old->number;
    }
    return 0;
}

/* A prefix that comes or goes may give keys of one policy to another, without any setting of either
 * having changed; so all of them get new numbers then. */
static void give_numbers(struct policies *p, const struct policies *before)
{
    bool *used = must_calloc(UINT16_MAX + 1, sizeof(*used));
    bool same = before && same_rules(p, before);
    uint16_t next = before ? before->last_number : 0;

    CHECK(p->count < UINT16_MAX / 2);
    used[0] = true;
    for (size_t i = 0; before && i < before->count; i++)
        used[before->policies[i].number] = true;
    for (size_t i = 0; i < p->count; i++) {
        struct policy *policy = &p->policies[i];

        policy->number = same ? number_before(before, policy->set) : 0;
        if (policy->number != 0)
            continue;
        do {
            next++;
        } while (used[next]);
        used[next] = true;
        policy->number = next;
    }
    p->last_number = next;
    free(used);
}

/* By insertion: they mostly are in order, and few. */
static void sort_by_number(struct policies *p)
{
    p->by_number = must_calloc(p->count + 1, sizeof(*p->by_number));
    for (uint32_t i = 0; i < p->count; i++) {
        uint32_t k = i;

        for (; k > 0 && p->policies[p->by_number[k - 1]].number > p->policies[i].number; k--)
            p->by_number[k] = p->by_number[k - 1];
        p->by_number[k] = i;
    }
}
