/* walls.c - a tenant's requests on their way in, and its replies on their way out.
 *
 *     GET k     -->  tenant_put()    GET acme:k   -->  policies, near cache, links, as ever
 *     [k, v]    <--  tenant_strip()  [acme:k, v]  <--
 *
 * In: every request, straight after its command is known. Out: only where the command's row says
 * that names are in the reply, or where what comes is not a reply (pub/sub). */
#include "client/tenants.h"

#include <stdlib.h>

#include "resp/reply.h"
#include "resp/write.h"

/* Of the scratch, kept. */
#define WORDS_KEEP_BYTES (256u * 1024u)

/* ---- in ---- */

enum namespace_result tenant_put(struct client *c, const struct command *cmd, struct slice *bytes,
                                 bool more)
{
    struct clients *all = c->all;
    struct buffer *words = &all->tenants->words;
    enum namespace_result r;
    size_t before;

    if (!more)
        buffer_take_keep(words, buffer_len(words), WORDS_KEEP_BYTES);
    before = buffer_len(words);
    r = namespace_put(&c->tenant->ns, cmd, *bytes, &all->args, words);
    /* It must stand behind the others of its run. */
    if (r == NAMESPACE_AS_IS && bytes->p[0] == '*' && cmd->route == ROUTE_SHARED)
        buffer_add(words, bytes->p, bytes->n);
    if (buffer_len(words) > before)
        *bytes = slice_of(buffer_head(words) + before, buffer_len(words) - before);
    return r;
}

struct slice tenant_key(struct client *c, struct slice key)
{
    struct tenants *ts = c->all->tenants;
    struct slice prefix = c->tenant->ns.prefix;

    CHECK(prefix.n + key.n <= sizeof ts->key);
    if (UNLIKELY(ts->key_of != c->tenant)) {
        memcpy(ts->key, prefix.p, prefix.n);
        ts->key_of = c->tenant;
    }
    if (key.n > 0)
        memcpy(ts->key + prefix.n, key.p, key.n);
    return slice_of(ts->key, prefix.n + key.n);
}

enum namespace_result tenant_put_head(struct client *c, const struct command *cmd, uint32_t argc,
                                      struct slice *head)
{
    struct buffer *words = &c->all->tenants->words;
    enum namespace_result r;

    if (cmd != NULL && cmd->reply != STRIP_NOTHING)
        return NAMESPACE_AS_IS;
    buffer_take_keep(words, buffer_len(words), WORDS_KEEP_BYTES);
    if (cmd != NULL && cmd->tenant != TENANT_REFUSED && !command_arity_ok(cmd, argc))
        return NAMESPACE_ARITY;
    r = namespace_put_head(&c->tenant->ns, cmd, *head, &c->all->args, words);
    if (r == NAMESPACE_PUT)
        *head = buffer_slice(words);
    return r;
}

/* What larder would decide on is the upstream's to answer within MULTI, on a link that is larder's;
 * and the prefix of a session does not change while something is under way in it. */
bool tenant_forbids(const struct client *c, const struct request *q)
{
    const struct command *cmd = q->command;
    bool login = cmd->id == CMD_AUTH || (cmd->id == CMD_HELLO && q->argc > 2);
    bool in_multi = c->more != NULL && c->more->in_multi;

    if (login)
        return c->mode != MODE_PLAIN;
    return in_multi && (cmd->route == ROUTE_SUBSCRIBE || cmd->id == CMD_CLIENT_TRACKING ||
                        (cmd->route == ROUTE_LOCAL && cmd->tenant == TENANT_OWN));
}

enum next tenant_refuse(struct client *c, const struct request *q)
{
    if (tx_unclear(c) || (c->mode == MODE_LISTEN && !client_quiet(c)))
        return client_wait(c, WAIT_DRAIN);
    if (c->more != NULL && c->more->in_multi)
        c->more->spoilt = true;
    c->all->count.commands_refused++;
    c->tenant->count.refused++;
    if (q->command == NULL)
        unknown_command(client_answer(c), q);
    else if (q->put == NAMESPACE_ARITY)
        wrong_arity(client_answer(c), q->command->name);
    else if (q->put == NAMESPACE_SYNTAX)
        write_error(client_answer(c), "ERR syntax error");
    else
        write_error(client_answer(c), "NOPERM '%s' is refused to tenants", q->command->name);
    return NEXT;
}

/* ---- out ---- */

static struct slice feed(struct client *c, struct slice bytes)
{
    struct buffer *out = &c->all->tenants->reply;

    buffer_take_keep(out, buffer_len(out), WORDS_KEEP_BYTES);
    stripper_feed(&c->more->walls.stripper, bytes, out);
    return buffer_slice(out);
}

static void begin(struct client *c, enum strip_rule rule)
{
    struct stripper *s = &client_session(c)->walls.stripper;

    s->prefix = c->tenant->ns.prefix;
    s->pattern = c->tenant->ns.pattern;
    s->list = c->more->walls.tx_names;
    s->list_n = c->more->walls.tx_names_n;
    stripper_begin(s, rule);
}

struct slice tenant_strip(struct client *c, enum strip_rule rule, struct slice bytes, bool first)
{
    if (rule == STRIP_NOTHING || c->tenant == NULL)
        return bytes;
    if (first)
        begin(c, rule);
    return feed(c, bytes);
}

void tenant_queued(struct client *c, const struct request *q)
{
    struct session *m = c->more;

    if (m->walls.tx_names_n == m->walls.tx_names_cap) {
        m->walls.tx_names_cap = m->walls.tx_names_cap > 0 ? m->walls.tx_names_cap * 2 : 8;
        m->walls.tx_names =
            must_realloc(m->walls.tx_names, m->walls.tx_names_cap * sizeof *m->walls.tx_names);
    }
    m->walls.tx_names[m->walls.tx_names_n++] = (struct strip_at){m->tx_sent, q->strip};
}

struct slice tenant_strip_exec(struct client *c, struct slice bytes, bool first)
{
    if (c->tenant == NULL || c->more == NULL || c->more->walls.tx_names_n == 0)
        return bytes;
    return tenant_strip(c, STRIP_ALL, bytes, first);
}

void tenant_forget(struct session *m)
{
    free(m->walls.tx_names);
    stripper_done(&m->walls.stripper);
}

/* By its first word; what is no frame of pub/sub is a reply to PING, or an error. */
static enum strip_rule frame_rule(struct slice frame)
{
    static const struct {
        const char *word;
        enum strip_rule rule;
    } rules[] = {
        {"message", STRIP_SECOND},       {"smessage", STRIP_SECOND},
        {"subscribe", STRIP_SECOND},     {"unsubscribe", STRIP_SECOND},
        {"ssubscribe", STRIP_SECOND},    {"sunsubscribe", STRIP_SECOND},
        {"pmessage", STRIP_PMESSAGE},    {"psubscribe", STRIP_PATTERN},
        {"punsubscribe", STRIP_PATTERN}, {"invalidate", STRIP_SCAN},
    };
    struct reply head, word;

    if (!reply_read(&frame, &head) || (head.type != '*' && head.type != '>') ||
        !reply_read(&frame, &word))
        return STRIP_ERROR;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        if (slice_eq(word.text, slice_str(rules[i].word)))
            return rules[i].rule;
    }
    return STRIP_ERROR;
}

/* A message, as far as its first piece has it. */
struct message {
    struct reply word, pattern, channel, payload;
    bool whole;
};

static bool read_message(struct slice frame, struct message *m)
{
    struct reply head;
    bool by_pattern;

    *m = (struct message){.whole = false};
    if (!reply_read(&frame, &head) || (head.type != '*' && head.type != '>') ||
        !reply_read(&frame, &m->word))
        return false;
    by_pattern = slice_eq(m->word.text, SLICE("pmessage"));
    if (!by_pattern && !slice_eq(m->word.text, SLICE("message")) &&
        !slice_eq(m->word.text, SLICE("smessage")))
        return false;
    if ((by_pattern && !reply_read(&frame, &m->pattern)) || !reply_read(&frame, &m->channel))
        return false;
    m->whole = reply_read(&frame, &m->payload) && frame.n == 0;
    return true;
}

/* The event of a key: *3 message __keyevent@0__:del acme:k. Its payload is the key. */
static struct slice key_event(struct client *c, struct slice frame, const struct message *m)
{
    struct slice prefix = c->tenant->ns.prefix, key = m->payload.text;
    struct buffer *out = &c->all->tenants->reply;

    buffer_take_keep(out, buffer_len(out), WORDS_KEEP_BYTES);
    if (!m->whole || m->payload.type != '$' || !slice_starts(key, prefix))
        return slice_of("", 0);
    buffer_add(out, frame.p, (size_t)(m->channel.text.p + m->channel.text.n + 2 - frame.p));
    write_bulk(out, slice_of(key.p + prefix.n, key.n - prefix.n));
    return buffer_slice(out);
}

/* A message on a channel that is not the tenant's: a pattern of key events may match such. */
static struct slice not_heard(struct client *c)
{
    client_session(c)->walls.unheard = true;
    return slice_of("", 0);
}

struct slice tenant_strip_frame(struct client *c, struct slice bytes, bool first)
{
    struct message m;
    size_t at;

    if (LIKELY(c->tenant == NULL))
        return bytes;
    if (!first)
        return c->more->walls.unheard ? slice_of("", 0) : feed(c, bytes);
    client_session(c)->walls.unheard = false;
    if (!read_message(bytes, &m))
        return tenant_strip(c, frame_rule(bytes), bytes, true);
    if (slice_starts(m.channel.text, SLICE("__keyevent@"))) {
        c->more->walls.unheard = true; /* what is not whole is not heard at all */
        return key_event(c, bytes, &m);
    }
    if (slice_eq(m.channel.text, SLICE("__redis__:invalidate")))
        return tenant_strip(c, STRIP_THIRD, bytes, true);
    if (!strip_find(c->tenant->ns.prefix, m.channel.text, m.channel.text.n, &at))
        return not_heard(c);
    return tenant_strip(c, frame_rule(bytes), bytes, true);
}

void tenant_info(const struct client *c, struct buffer *out)
{
    unsigned v = pool_server_version(c->all->pool);

    buffer_printf(out, "# Server\r\nredis_version:%u.%u.%u\r\nredis_mode:standalone\r\n", v / 10000,
                  v / 100 % 100, v % 100);
    buffer_printf(out, "\r\n# Clients\r\nconnected_clients:%llu\r\nblocked_clients:%llu\r\n",
                  (unsigned long long)c->tenant->count.clients,
                  (unsigned long long)c->tenant->count.blocked);
    buffer_printf(out,
                  "\r\n# Persistence\r\nloading:0\r\nasync_loading:0\r\n"
                  "\r\n# Replication\r\nrole:master\r\n\r\n# Cluster\r\ncluster_enabled:0\r\n");
}
