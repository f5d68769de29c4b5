/* truth.c - the versions of a key, and the judge. */
#include "truth.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Redis counts a deadline in its own milliseconds, and looks at its clock at the start of a
 * command. */
enum { EARLY_US = 2000, LATE_US = 5000, VALUE_HEAD = 18 };

void key_init(struct key *k, const char *name, int db, int number, int fields)
{
    *k = (struct key){.db = db, .number = number, .fields = fields};
    snprintf(k->name, sizeof k->name, "%s", name);
    k->version = calloc(VERSIONS, sizeof *k->version);
    if (k->version == NULL)
        abort();
    k->version[0].outcome = DONE; /* the database was empty */
}

void key_done(struct key *k)
{
    free(k->version);
    k->version = NULL;
}

struct version *key_version(const struct key *k, uint64_t i)
{
    return &k->version[i % VERSIONS];
}

struct version *key_write(struct key *k, enum via via, int session, uint64_t now_us)
{
    struct version *v = key_version(k, ++k->newest);

    *v = (struct version){.sent_us = now_us, .via = via, .outcome = PENDING, .session = session};
    k->pending++;
    return v;
}

static bool is_present(const struct key *k, const struct version *v)
{
    for (int f = 0; f < k->fields; f++)
        if (v->value[f] != 0)
            return true;
    return false;
}

void key_acked(struct key *k, uint64_t i, uint64_t now_us)
{
    struct version *v = key_version(k, i);

    v->acked_us = now_us;
    v->outcome = DONE;
    k->pending--;
    /* One sent before it on the same connection has an unknown outcome, and may come yet. */
    if (k->frozen)
        v->wild = true;
    if (i > k->floor[v->via])
        k->floor[v->via] = i;
    if (i == k->newest)
        k->unclear = v->wild || v->ttl_ms > 0;
}

void key_unknown(struct key *k, uint64_t i, uint64_t now_us)
{
    key_version(k, i)->outcome = UNKNOWN;
    k->pending--;
    k->frozen = true;
    k->unclear = true;
    k->unknown_us = now_us;
}

void key_told(struct key *k, uint64_t i)
{
    for (int via = 0; via < VIA_COUNT; via++)
        for (uint64_t n = i; n > k->seen[via] && n + VERSIONS > k->newest; n--) {
            const struct version *v = key_version(k, n);

            /* One that is not acknowledged may never have been, if a later one was told. */
            if ((int)v->via == via && (v->outcome == DONE || (v->outcome == PENDING && n == i))) {
                k->seen[via] = n;
                break;
            }
        }
}

bool key_free(const struct key *k)
{
    return k->pending == 0 && !k->frozen;
}

bool key_is_there(const struct key *k)
{
    return !k->unclear && is_present(k, key_version(k, k->newest));
}

/* ---- the judge ---- */

static uint64_t dead_from(const struct version *v)
{
    return v->sent_us + v->ttl_ms * 1000 - EARLY_US;
}

static uint64_t dead_by(const struct version *v)
{
    return v->ttl_ms == 0 || v->outcome != DONE ? UINT64_MAX
                                                : v->acked_us + v->ttl_ms * 1000 + LATE_US;
}

static bool says_absent(const struct seen *s)
{
    switch (s->sight) {
    case SIGHT_VALUES:
        for (int f = 0; f < FIELDS; f++)
            if (s->value[f] != 0)
                return false;
        return true;
    case SIGHT_PRESENCE:
        return s->n == 0;
    case SIGHT_TTL:
        return s->n == -2;
    }
    return false;
}

/* Without a TTL of its own: it has none, or what larder has given it, not long ago. */
static bool is_lasting(const struct key *k, int64_t ttl)
{
    int64_t given = (int64_t)k->given_ms;

    return ttl == -1 || (given > 0 && ttl > given / 2 && ttl <= given);
}

static bool same(const struct key *k, const struct version *v, const struct seen *s)
{
    bool present = is_present(k, v);

    switch (s->sight) {
    case SIGHT_VALUES:
        for (int f = 0; f < k->fields; f++)
            if ((s->mask >> f & 1u) != 0 && s->value[f] != v->value[f])
                return false;
        return true;
    case SIGHT_PRESENCE:
        return s->n == present;
    case SIGHT_TTL:
        if (!present || s->n == -2)
            return !present && s->n == -2;
        return v->ttl_ms == 0 ? is_lasting(k, s->n) : s->n >= 0 && s->n <= (int64_t)v->ttl_ms;
    }
    return false;
}

enum match { MATCH_NO, MATCH_DEAD, MATCH_YES };

static enum match match(const struct key *k, const struct version *v, const struct seen *s,
                        const struct asked *by)
{
    if (v->wild)
        return MATCH_YES;
    if (v->ttl_ms > 0 && says_absent(s) && by->replied_us >= dead_from(v))
        return MATCH_YES;
    if (!same(k, v, s))
        return MATCH_NO;
    return by->sent_us > dead_by(v) && is_present(k, v) ? MATCH_DEAD : MATCH_YES;
}

/* For how long something newer than version i, which Redis tells of, was acknowledged. */
static uint64_t age_us(const struct key *k, uint64_t i, const struct asked *by)
{
    while (++i <= k->newest) {
        const struct version *v = key_version(k, i);

        if (v->outcome == DONE && !v->unpushed && v->acked_us < by->sent_us)
            return by->sent_us - v->acked_us;
    }
    return 0;
}

static struct judgement found(enum verdict verdict, uint64_t version)
{
    return (struct judgement){.verdict = verdict, .version = version};
}

/* The oldest version that may be told. */
static uint64_t least_of(const struct asked *by)
{
    uint64_t least = by->floor > by->own ? by->floor : by->own;

    return least > by->seen ? least : by->seen;
}

/* What was told is version i, older than it may be. */
static struct judgement too_old(const struct asked *by, uint64_t i)
{
    return found(i < by->floor ? OLD : i < by->own ? OWN_OLD : SEEN_OLD, i);
}

struct judgement judge(const struct key *k, const struct seen *s, const struct asked *by)
{
    uint64_t least = least_of(by);
    uint64_t last = k->newest >= VERSIONS ? k->newest - VERSIONS + 1 : 0;
    uint64_t top = k->newest < by->ceiling ? k->newest : by->ceiling;
    struct judgement fine = found(ALIEN, 0), dead = found(ALIEN, 0);

    for (uint64_t i = top + 1; i-- > least;) {
        enum match m = match(k, key_version(k, i), s, by);

        if (m == MATCH_DEAD && dead.verdict == ALIEN)
            dead = found(DEAD, i);
        if (m == MATCH_YES && fine.verdict == ALIEN) {
            fine = found(FINE, i);
            fine.age_us = age_us(k, i, by);
        }
        if (m == MATCH_YES)
            fine.first = i;
    }
    if (fine.verdict == FINE || dead.verdict == DEAD)
        return fine.verdict == FINE ? fine : dead;
    for (uint64_t i = k->newest; i > top; i--)
        if (match(k, key_version(k, i), s, by) != MATCH_NO)
            return found(TOO_EARLY, i);
    for (uint64_t i = least; i-- > last;)
        if (match(k, key_version(k, i), s, by) != MATCH_NO)
            return too_old(by, i);
    return found(ALIEN, 0);
}

/* ---- values ---- */

/* Mostly small, some larger than what is read at once, few that take many turns. */
static size_t value_length(uint64_t id)
{
    uint64_t dice = id * 0x9e3779b97f4a7c15u >> 40;

    if (dice % 1024 == 0)
        return 40000;
    return dice % 64 == 0 ? 3000 : VALUE_HEAD + dice % 40;
}

const char *value_text(uint64_t id, char text[VALUE_MAX])
{
    size_t n = value_length(id);

    memset(text, 'a' + (int)(id % 26), n);
    snprintf(text, VALUE_HEAD, "v%016" PRIx64, id);
    text[VALUE_HEAD - 1] = ':';
    text[n] = '\0';
    return text;
}

uint64_t value_id(const char *p, int64_t n)
{
    uint64_t id = 0;

    if (n < VALUE_HEAD || p[0] != 'v' || p[VALUE_HEAD - 1] != ':')
        return UINT64_MAX;
    for (int i = 1; i < VALUE_HEAD - 1; i++) {
        const char *digits = "0123456789abcdef", *at = strchr(digits, p[i]);

        if (at == NULL || p[i] == '\0')
            return UINT64_MAX;
        id = id << 4 | (uint64_t)(at - digits);
    }
    if ((size_t)n != value_length(id))
        return UINT64_MAX;
    for (int64_t i = VALUE_HEAD; i < n; i++)
        if (p[i] != 'a' + (char)(id % 26))
            return UINT64_MAX;
    return id;
}

/* ---- telling ---- */

static void print_version(const struct key *k, uint64_t i, uint64_t zero_us)
{
    static const char *const door[] = {"A", "B", "direct"}, *const outcome[] = {"?", "done",
                                                                                "unknown"};
    const struct version *v = key_version(k, i);

    printf("      version %" PRIu64 ": %-10s by %d through %-6s %-7s sent %+" PRId64 " us", i,
           v->op ? v->op : "-", v->session, door[v->via], outcome[v->outcome],
           (int64_t)(v->sent_us - zero_us));
    if (v->outcome == DONE)
        printf(", acknowledged %+" PRId64 " us", (int64_t)(v->acked_us - zero_us));
    if (v->ttl_ms > 0)
        printf(", ttl %" PRIu64 " ms", v->ttl_ms);
    printf(", holds %s", v->wild ? "anything" : "");
    for (int f = 0; f < k->fields; f++)
        printf(" %" PRIx64, v->value[f]);
    putchar('\n');
}

void key_print(const struct key *k, const struct seen *s, const struct asked *by,
               const struct judgement *j)
{
    uint64_t least = least_of(by);
    uint64_t from = j->verdict == ALIEN || j->version + 8 < least ? least : j->version;

    printf("      saw");
    for (int f = 0; f < k->fields && s->sight == SIGHT_VALUES; f++)
        printf(s->mask >> f & 1u ? " %" PRIx64 : " -", s->value[f]);
    if (s->sight != SIGHT_VALUES)
        printf(" %s %" PRId64, s->sight == SIGHT_TTL ? "ttl" : "presence", s->n);
    printf("; at least version %" PRIu64 " was due, own %" PRIu64 ", seen %" PRIu64
           "; answered %+" PRId64 " us\n",
           by->floor, by->own, by->seen, (int64_t)(by->replied_us - by->sent_us));
    if (j->verdict != ALIEN && from != j->version)
        print_version(k, j->version, by->sent_us);
    for (uint64_t i = from; i <= k->newest && i < from + 12; i++)
        print_version(k, i, by->sent_us);
}
