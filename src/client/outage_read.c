/* outage_read.c - what a read is answered in an outage: from memory if that can be, else as if the
 * key were absent. */
#include "client/near.h"
#include "client/outage_inside.h"
#include "client/outage_words.h"
#include "client/rules.h"
#include "resp/write.h"

/* The value that is kept of one key, however old it may be; counts. */
static bool find_old(struct client *c, const struct request *q, const struct policy *p,
                     struct entry *ret)
{
    struct near_question nq;
    bool found;

    found = c->all->near != NULL && p->set->on_outage == SET_OUTAGE_STALE &&
            near_judge(c, q, &nq) && near_look_old(c, &nq, q, p->set->stale_ttl, ret);
    outage_stats_of(c->all->outage, p)->stale += found;
    outage_stats_of(c->all->outage, p)->missed += !found;
    return found;
}

static void put_old(const struct request *q, uint8_t proto, const struct entry *e,
                    struct buffer *out)
{
    if (q->command->id == CMD_GET && e->kind == ENTRY_ABSENT)
        write_null(out, proto);
    else
        buffer_add(out, e->bytes.p, e->bytes.n);
}

/* MGET, EXISTS of several: each key by its own policy. */
static void read_several(struct client *c, const struct request *q, struct buffer *out)
{
    const struct outage *o = c->all->outage;
    bool mget = q->command->id == CMD_MGET;
    struct slice one[2] = {SLICE("GET"), {NULL, 0}};
    struct request get = {.command = command_find(one[0]), .argv = one, .argc = 2};
    int64_t sum = 0;

    if (mget)
        write_array(out, q->argc - 1);
    for (uint32_t i = 1; i < q->argc; i++) {
        struct entry e;
        bool found;

        one[1] = q->argv[i];
        found = find_old(c, &get, policies_match(o->policies, one[1]), &e);
        sum += found && e.kind != ENTRY_ABSENT;
        if (mget && found)
            put_old(&get, c->proto, &e, out);
        else if (mget)
            write_null(out, c->proto);
    }
    if (!mget)
        write_int(out, sum);
}

/* TTL and PTTL, of a value that is given. */
static bool read_ttl(struct client *c, const struct request *q, const struct policy *p,
                     struct buffer *out)
{
    struct slice one[2] = {SLICE("GET"), q->argv[1]};
    struct request get = {.command = command_find(one[0]), .argv = one, .argc = 2};
    uint64_t now_ms = client_now(c);
    int64_t left = 0;
    struct entry e;

    if (!find_old(c, &get, p, &e) || e.kind == ENTRY_ABSENT)
        return false;
    if (e.expiry_ms == EXPIRY_NEVER)
        left = -1;
    else if (e.expiry_ms > now_ms)
        left = (int64_t)(e.expiry_ms - now_ms);
    write_int(out, q->command->id == CMD_TTL && left > 0 ? (left + 500) / 1000 : left);
    return true;
}

static bool is_ttl(const struct command *cmd)
{
    return cmd->id == CMD_TTL || cmd->id == CMD_PTTL;
}

/* The others of several keys: all are absent. */
static void count_missed(const struct outage *o, const struct request *q)
{
    struct key_list keys;

    keys_named(q, &keys);
    for (uint32_t i = 0; i < keys.n; i++)
        outage_stats_of(o, policies_match(o->policies, q->argv[keys.v[i]]))->missed++;
    keys_done(&keys);
}

static bool read_word(struct client *c, const struct request *q, struct buffer *out)
{
    const struct outage *o = c->all->outage;
    const struct policy *p;
    struct entry e;

    if (several_asked(q->command, q->argc)) {
        read_several(c, q, out);
        return true;
    }
    if (!near_one_key(q->command, q->argc)) {
        if (!outage_absent(q, c->proto, out))
            return false;
        count_missed(o, q);
        return true;
    }
    p = policies_match(o->policies, q->argv[1]);
    if (is_ttl(q->command) && p->set->on_outage == SET_OUTAGE_OPEN) {
        outage_stats_of(o, p)->missed++;
        write_int(out, -1); /* the counter that was just counted to 1, and has no expiry */
        return true;
    }
    if (is_ttl(q->command) && read_ttl(c, q, p, out))
        return true;
    if (!is_ttl(q->command) && find_old(c, q, p, &e)) {
        put_old(q, c->proto, &e, out);
        return true;
    }
    return outage_absent(q, c->proto, out);
}

bool outage_word(struct client *c, const struct request *q, enum outage_act act, struct buffer *out)
{
    const struct outage *o = c->all->outage;

    if (act == OUTAGE_READ)
        return read_word(c, q, out);
    if (act != OUTAGE_OPEN)
        return false;
    outage_stats_of(o, policies_match(o->policies, q->argv[1]))->opened++;
    outage_one(q, out);
    return true;
}
