/* near_look.c - looks for the answer to a question on the shelf: under the question itself, or
 * under another that tells as much (EXISTS by a plain value, HGET by HGETALL). */
#include "client/near.h"
#include "net/loop.h"
#include "resp/reply.h"
#include "resp/write.h"

#define HASH_SCAN_BYTES (32u * 1024u) /* a kept HGETALL longer than this is not searched */

static enum look look_at(const struct near *near, const struct question *q, bool peek,
                         struct entry *ret)
{
    return cache_look(near->cache, q, loop_now_ms(near->all->loop), peek, ret);
}

/* The key's plain value, or that there is none, told by any earlier read. */
static enum look look_plain(const struct near *near, const struct question *q, bool peek,
                            struct entry *ret)
{
    struct question plain = {.key = q->key, .ask = {"", 0}, .scope = q->scope};

    return look_at(near, &plain, peek, ret);
}

/* What a kept HGETALL says of the field; false: it is too long to be searched. */
static bool hash_field(struct slice all, struct slice field, struct slice *ret_value)
{
    struct reply r;
    int64_t n;

    *ret_value = slice_of(NULL, 0);
    if (all.n > HASH_SCAN_BYTES || !reply_read(&all, &r))
        return false;
    for (n = r.number; n >= 2; n -= 2) {
        const char *value;

        if (!reply_read(&all, &r))
            return false;
        value = all.p;
        if (!reply_skip(&all))
            return false;
        if (slice_eq(r.text, field)) {
            *ret_value = slice_of(value, (size_t)(all.p - value));
            return true;
        }
    }
    return true;
}

/* HGET, HMGET out of a kept HGETALL, into near->pieces. */
static bool from_hash(struct near *near, uint8_t proto, const struct request *q,
                      const struct entry *e)
{
    struct buffer *out = &near->pieces;
    uint32_t n = q->argc - 2;
    struct slice value;

    if ((size_t)n * e->bytes.n > HASH_SCAN_BYTES * 2)
        return false;
    buffer_done(out);
    if (q->command->id == CMD_HMGET)
        write_array(out, n);
    for (uint32_t i = 2; i < q->argc; i++) {
        if (!hash_field(e->bytes, q->argv[i], &value))
            return false;
        if (value.p != NULL)
            buffer_add(out, value.p, value.n);
        else
            write_null(out, proto);
    }
    return true;
}

static enum look look_hash(struct client *c, struct near_question *nq, const struct request *q,
                           bool peek, struct entry *ret)
{
    struct near *near = c->all->near;
    struct question whole = nq->q;
    char ask[4];

    whole.ask = slice_of(ask, near_ask_head(ask, CMD_HGETALL, c->proto));
    if (look_at(near, &whole, peek, ret) == LOOK_FRESH && from_hash(near, c->proto, q, ret)) {
        ret->bytes = buffer_slice(&near->pieces);
        ret->block = NULL;
        return LOOK_FRESH;
    }
    return look_at(near, &nq->q, peek, ret);
}

/* Looks for an answer to the question; *ret_entry has it. */
enum look near_look(struct client *c, struct near_question *nq, const struct request *q, bool peek,
                    struct entry *ret_entry)
{
    struct near *near = c->all->near;
    enum look look;

    switch (nq->form) {
    case FORM_GET:
    case FORM_EXACT:
        return look_at(near, &nq->q, peek, ret_entry);
    case FORM_EXISTS:
        look = look_plain(near, &nq->q, peek, ret_entry);
        if (look == LOOK_FRESH) {
            ret_entry->bytes = ret_entry->kind == ENTRY_ABSENT ? SLICE(":0\r\n") : SLICE(":1\r\n");
            ret_entry->block = NULL;
            return LOOK_FRESH;
        }
        return look_at(near, &nq->q, peek, ret_entry);
    case FORM_HASH:
        return look_hash(c, nq, q, peek, ret_entry);
    }
    return LOOK_NOTHING;
}

bool near_look_past(struct near *near, const struct question *question, const struct request *q,
                    struct entry *ret_entry)
{
    uint64_t now_ms = loop_now_ms(near->all->loop);
    uint16_t id = q->command->id;
    struct question whole = *question;
    char ask[4];

    if (id == CMD_HGET || id == CMD_HMGET) {
        uint8_t proto = (uint8_t)question->ask.p[sizeof id]; /* near_ask_head() */

        whole.ask = slice_of(ask, near_ask_head(ask, CMD_HGETALL, proto));
        if (cache_look_past(near->cache, &whole, now_ms, ret_entry) &&
            from_hash(near, proto, q, ret_entry)) {
            ret_entry->bytes = buffer_slice(&near->pieces);
            ret_entry->block = NULL;
            return true;
        }
    }
    return cache_look_past(near->cache, question, now_ms, ret_entry);
}

/* What EXISTS, or TYPE, says of a plain value. */
static void tell_plain(uint16_t id, struct entry *e)
{
    bool absent = e->kind == ENTRY_ABSENT;

    if (id == CMD_TYPE)
        e->bytes = absent ? SLICE("+none\r\n") : SLICE("+string\r\n");
    else
        e->bytes = absent ? SLICE(":0\r\n") : SLICE(":1\r\n");
    e->block = NULL;
}

bool near_look_old(struct client *c, struct near_question *nq, const struct request *q,
                   uint64_t old_ms, struct entry *ret_entry)
{
    struct near *near = c->all->near;
    uint64_t now_ms = loop_now_ms(near->all->loop);
    uint16_t id = q->command->id;
    struct question other = nq->q;
    char ask[4];

    if (id == CMD_EXISTS || id == CMD_TYPE) {
        other.ask = slice_of("", 0);
        if (cache_look_old(near->cache, &other, now_ms, old_ms, ret_entry)) {
            tell_plain(id, ret_entry);
            return true;
        }
    } else if (id == CMD_HGET || id == CMD_HMGET) {
        other.ask = slice_of(ask, near_ask_head(ask, CMD_HGETALL, c->proto));
        if (cache_look_old(near->cache, &other, now_ms, old_ms, ret_entry) &&
            from_hash(near, c->proto, q, ret_entry)) {
            ret_entry->bytes = buffer_slice(&near->pieces);
            ret_entry->block = NULL;
            return true;
        }
    }
    return cache_look_old(near->cache, &nq->q, now_ms, old_ms, ret_entry);
}
