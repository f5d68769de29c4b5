/* outage.c - what clients are answered while the upstream is away, by the policies of their keys.
 *
 *      a request --> is the upstream away? (pool_is_away) - no --> asked, as ever (outage_ask.c)
 *                      | yes                                          |
 *                    all its keys in policies that                    link broken, no answer in
 *                    have a say? ---- no --> waits, and is            time, -LOADING: a read is
 *                      | yes                 told an error            answered as here; a write
 *                    on_outage                                        told its error, unless it
 *                      miss   as if the keys were absent              is known not to have been
 *                      stale  what is kept: fresh, suspect, or        executed
 *                             less than stale_ttl past its
 *                             deadline; else as miss
 *                      open   as miss; INCR .. and EXPIRE: 1
 *                    drop_writes
 *                      success; off the shelf, and into the journal (journal.c)
 *
 * It is over when a link has come up and the journal is empty: until then links that come up are
 * nobody's. While its deletions are under way reads are answered as here, writes wait.
 *
 * P1 holds for what is dropped: the value before it is off the shelf at once, with every answer in
 * the air that could bring it back, and upstream it is deleted before anybody can ask there.
 * What on_outage = stale gives may be older than what other clients of the upstream have written,
 * never than what this larder's have. */
#include "client/outage.h"

#include <stdlib.h>

#include "client/journal.h"
#include "client/near.h"
#include "client/near_view.h"
#include "client/outage_inside.h"
#include "client/outage_words.h"
#include "client/rules.h"
#include "client/tenants.h"
#include "config/prefix.h"
#include "net/loop.h"
#include "policy/policies.h"
#include "resp/write.h"

/* ---- is it away? ---- */

bool outage_is_on(const struct clients *all)
{
    const struct outage *o = all->outage;

    return o != NULL && (pool_is_away(all->pool) || journal_count(o->journal) > 0);
}

bool outage_answers(const struct outage *o)
{
    return o->reads || o->opens || o->drops;
}

static void begin(struct outage *o)
{
    const char *why = pool_trouble(o->all->pool);

    if (o->on)
        return;
    o->on = true;
    o->since_ms = loop_now_ms(o->all->loop);
    o->count.begun++;
    log_warning(loop_log(o->all->loop), "outage: upstream %s is away: %s",
                pool_address(o->all->pool), why[0] ? why : "it cannot serve yet");
}

static void end(struct outage *o)
{
    if (!o->on)
        return;
    o->on = false;
    outage_add_up(o);
    log_info(loop_log(o->all->loop),
             "outage: over after %llu ms; so far in all stale=%llu missed=%llu dropped=%llu "
             "replayed=%llu given_up=%llu",
             (unsigned long long)(loop_now_ms(o->all->loop) - o->since_ms),
             (unsigned long long)o->count.stale, (unsigned long long)o->count.missed,
             (unsigned long long)o->count.dropped, (unsigned long long)o->count.replayed,
             (unsigned long long)o->count.given_up);
}

static bool on_ready(void *context, struct link *l)
{
    struct outage *o = context;

    if (journal_ready(o->journal, l))
        return true;
    end(o);
    return false;
}

/* ---- which requests ---- */

static int on_outage(const struct policy *p)
{
    return p != NULL ? p->set->on_outage : SET_OUTAGE_ERROR;
}

static bool says(const struct policy *p, enum outage_act act)
{
    switch (act) {
    case OUTAGE_NOTHING:
        return false;
    case OUTAGE_READ:
        return on_outage(p) != SET_OUTAGE_ERROR;
    case OUTAGE_OPEN:
        return on_outage(p) == SET_OUTAGE_OPEN;
    case OUTAGE_DROP:
        return p != NULL && p->set->drop_writes;
    }
    return false;
}

/* All keys of q are in policies that say so. */
static bool all_say(const struct outage *o, const struct request *q, enum outage_act act)
{
    struct key_list keys;
    bool all;

    keys_named(q, &keys);
    all = !keys.any && keys.n > 0;
    for (uint32_t i = 0; i < keys.n && all; i++)
        all = says(policies_match(o->policies, q->argv[keys.v[i]]), act);
    keys_done(&keys);
    return all;
}

enum outage_act outage_judge(const struct outage *o, const struct request *q)
{
    const struct command *cmd = q->command;

    if (cmd == NULL || !command_arity_ok(cmd, q->argc))
        return OUTAGE_NOTHING;
    if ((cmd->flags & CF_READ) != 0)
        return o->reads && outage_knows(cmd) && all_say(o, q, OUTAGE_READ) ? OUTAGE_READ
                                                                           : OUTAGE_NOTHING;
    if (o->opens && outage_can_open(q) && all_say(o, q, OUTAGE_OPEN))
        return OUTAGE_OPEN;
    if (o->drops && outage_can_drop(q) && all_say(o, q, OUTAGE_DROP))
        return OUTAGE_DROP;
    return OUTAGE_NOTHING;
}

bool outage_concerns(struct outage *o, const struct command *cmd, const struct args *args)
{
    struct request q = {.command = cmd, .argv = args->v, .argc = args->n};

    return outage_judge(o, &q) != OUTAGE_NOTHING;
}

/* ---- writes ---- */

/* All that is kept of the policy; of a tenant's key what is that tenant's. */
static void flush_policy(struct outage *o, const struct policy *p, struct slice key)
{
    struct buffer prefix = {0};
    const struct string_list *prefixes = &p->set->prefix;

    for (size_t i = 0; i < prefixes->n; i++) {
        struct slice pattern = prefix_pattern(slice_str(prefixes->v[i]));
        const char *star = pattern.n > 0 ? memchr(pattern.p, '*', pattern.n) : NULL;

        if (star != NULL)
            pattern.n = (size_t)(star - pattern.p);
        buffer_take(&prefix, buffer_len(&prefix));
        buffer_add(&prefix, key.p, policies_owner(o->policies, key));
        buffer_add(&prefix, pattern.p, pattern.n);
        cache_flush_prefix(o->all->near->cache, buffer_slice(&prefix));
    }
    buffer_done(&prefix);
}

void outage_gave_up(struct outage *o, struct slice key)
{
    const struct policy *p = policies_match(o->policies, key);
    struct outage_stats *s;

    if (p == NULL)
        return;
    s = o->stats[p - o->first];
    s->count.given_up++;
    if (s->flushed == o->count.begun)
        return;
    s->flushed = o->count.begun; /* once in an outage: nothing comes meanwhile */
    log_warning(loop_log(o->all->loop),
                "outage: policy %s: a key whose write was dropped is not deleted upstream, which "
                "may have an old value (see outage-given-up in LARDER POLICIES)",
                p->name);
    if (o->all->near != NULL)
        flush_policy(o, p, key);
}

void outage_replayed(struct outage *o, struct slice key)
{
    const struct policy *p = policies_match(o->policies, key);

    if (p != NULL)
        outage_stats_of(o, p)->replayed++;
}

void outage_drop(struct client *c, const struct request *q, struct buffer *out)
{
    struct outage *o = c->all->outage;
    struct near *near = c->all->near;
    struct key_list keys;

    begin(o);
    keys_touched(q, &keys);
    for (uint32_t i = 0; i < keys.n; i++) {
        struct slice key = q->argv[keys.v[i]];
        struct outage_policy_counters *count = outage_stats_of(o, policies_match(o->policies, key));

        count->dropped++;
        if (near != NULL)
            (void)cache_changed(near->cache, key);
        if (journal_add(o->journal, c, key))
            count->journalled++;
        else
            outage_gave_up(o, key);
    }
    keys_done(&keys);
    outage_success(q, out);
}

/* ---- the way of a request ---- */

bool outage_serve(struct client *c, const struct request *q)
{
    struct outage *o = c->all->outage;
    enum outage_act act;
    struct buffer words = {0};
    struct slice bytes;

    if (!outage_is_on(c->all))
        return false;
    act = outage_judge(o, q);
    if (act == OUTAGE_NOTHING || (act == OUTAGE_DROP && journal_runs(o->journal)))
        return false;
    if (act == OUTAGE_DROP)
        outage_drop(c, q, &words);
    else if (!outage_word(c, q, act, &words))
        return false;
    begin(o);
    bytes = buffer_slice(&words);
    if (UNLIKELY(q->strip != STRIP_NOTHING))
        bytes = tenant_strip(c, (enum strip_rule)q->strip, bytes, true);
    buffer_add(client_answer(c), bytes.p, bytes.n);
    buffer_done(&words);
    return true;
}

/* A write is not dropped for it: the upstream may be there, with no connection to spare. */
bool outage_unreached(struct client *c)
{
    const struct request *q = c->all->present_client == c ? c->all->present : NULL;
    struct buffer words = {0};
    enum outage_act act;

    if (q == NULL || c->mode != MODE_PLAIN)
        return false;
    act = outage_judge(c->all->outage, q);
    if ((act != OUTAGE_READ && act != OUTAGE_OPEN) || !outage_word(c, q, act, &words))
        return false;
    buffer_add(client_answer(c), buffer_head(&words), buffer_len(&words));
    buffer_done(&words);
    return true;
}

/* SET without options, SETEX: the key is the first argument, the value the last. */
bool outage_serve_large(struct client *c, const struct request *q)
{
    struct outage *o = c->all->outage;
    struct slice argv[4] = {{NULL, 0}}, value = SLICE("");
    struct request known = *q;

    if (!outage_is_on(c->all) || c->mode != MODE_PLAIN || q->command == NULL ||
        q->argc > ARRAY_LEN(argv) || c->all->args.n + 1 != q->argc ||
        (q->command->id != CMD_SET && q->command->id != CMD_SETEX && q->command->id != CMD_PSETEX))
        return false;
    for (uint32_t i = 0; i + 1 < q->argc; i++)
        argv[i] = q->argv[i];
    argv[q->argc - 1] = value;
    known.argv = argv;
    return outage_judge(o, &known) == OUTAGE_DROP && outage_serve(c, &known);
}

const char *outage_why(const struct clients *all, const struct request *q)
{
    if (!outage_is_on(all))
        return NULL;
    switch (outage_judge(all->outage, q)) {
    case OUTAGE_NOTHING:
        return NULL;
    case OUTAGE_READ:
        return "the upstream is away: what is kept, or as if the key were absent (on_outage)";
    case OUTAGE_OPEN:
        return "the upstream is away: 1 (on_outage = open)";
    case OUTAGE_DROP:
        return "the upstream is away: success, and the key is deleted when it is back "
               "(drop_writes)";
    }
    return NULL;
}

/* ---- life ---- */

static struct outage_stats *stats_named(struct outage *o, const char *name)
{
    struct outage_stats *s;

    for (size_t i = 0; i < o->named_count; i++) {
        if (strcmp(o->named[i]->name, name) == 0)
            return o->named[i];
    }
    s = must_calloc(1, sizeof *s);
    s->name = must_strdup(name);
    o->named = must_realloc(o->named, (o->named_count + 1) * sizeof(struct outage_stats *));
    o->named[o->named_count++] = s;
    return s;
}

static bool is_wanted(const struct policy *all, size_t n)
{
    bool wanted = false;

    for (size_t i = 0; i < n; i++)
        wanted |= on_outage(&all[i]) != SET_OUTAGE_ERROR || all[i].set->drop_writes;
    return wanted;
}

void clients_use_outage(struct clients *all, const struct policies *policies)
{
    struct outage *o = all->outage;
    size_t n;
    const struct policy *p = policies_all(policies, &n);

    if (o == NULL && !is_wanted(p, n))
        return;
    if (o == NULL) {
        o = all->outage = must_calloc(1, sizeof *o);
        o->all = all;
        o->journal = journal_new(all, o);
        o->prelude = (struct pool_prelude){on_ready, o};
        pool_precede(all->pool, &o->prelude);
    }
    o->policies = policies;
    o->first = p;
    o->stats = must_realloc(o->stats, (n + 1) * sizeof(struct outage_stats *));
    o->reads = o->opens = o->drops = false;
    for (size_t i = 0; i < n; i++) {
        o->stats[i] = stats_named(o, p[i].name);
        o->reads |= says(&p[i], OUTAGE_READ);
        o->opens |= says(&p[i], OUTAGE_OPEN);
        o->drops |= says(&p[i], OUTAGE_DROP);
    }
}

void outage_close(struct outage *o)
{
    if (o != NULL)
        journal_close(o->journal);
}

void outage_free(struct outage *o)
{
    if (o == NULL)
        return;
    for (size_t i = 0; i < o->named_count; i++) {
        free(o->named[i]->name);
        free(o->named[i]);
    }
    free(o->named);
    free(o->stats);
    journal_free(o->journal);
    free(o);
}
