/* outage_words.c - see outage_words.h. The table below is compared with a real server, in both
 * protocols, by tests/system/test_outage_policies.py. */
#include "client/outage_words.h"

#include "command/expiry.h"
#include "resp/write.h"

enum absent {
    ABSENT_UNKNOWN,
    ABSENT_NIL,
    ABSENT_EMPTY, /* a string without bytes */
    ABSENT_ZERO,
    ABSENT_TTL, /* -2 */
    ABSENT_TYPE,
    ABSENT_MAP,
    ABSENT_SET,
    ABSENT_ARRAY,
    ABSENT_SCAN,       /* the cursor is back at 0, with nothing */
    ABSENT_NILS,       /* for each argument behind the key */
    ABSENT_NIL_ARRAYS, /* the same, of arrays */
    ABSENT_ZEROS,      /* 0 for each */
    ABSENT_TTLS,       /* -2 for each field behind FIELDS n */
    ABSENT_SOME,       /* nil, or an empty array if a count is given */
    ABSENT_LPOS,
    ABSENT_BITPOS,
    ABSENT_BITFIELD,
    ABSENT_LCS,
    ABSENT_MGET,
    ABSENT_STREAMS,
    ABSENT_KEY_ERROR,
    ABSENT_GROUP_ERROR,
};

static const uint8_t absents[] = {
    [CMD_BITCOUNT] = ABSENT_ZERO,
    [CMD_BITFIELD_RO] = ABSENT_BITFIELD,
    [CMD_BITPOS] = ABSENT_BITPOS,
    [CMD_DIGEST] = ABSENT_NIL,
    [CMD_DUMP] = ABSENT_NIL,
    [CMD_EXISTS] = ABSENT_ZERO,
    [CMD_EXPIRETIME] = ABSENT_TTL,
    [CMD_GEODIST] = ABSENT_NIL,
    [CMD_GEOHASH] = ABSENT_NILS,
    [CMD_GEOPOS] = ABSENT_NIL_ARRAYS,
    [CMD_GEORADIUSBYMEMBER_RO] = ABSENT_ARRAY,
    [CMD_GEORADIUS_RO] = ABSENT_ARRAY,
    [CMD_GEOSEARCH] = ABSENT_ARRAY,
    [CMD_GET] = ABSENT_NIL,
    [CMD_GETBIT] = ABSENT_ZERO,
    [CMD_GETRANGE] = ABSENT_EMPTY,
    [CMD_HEXISTS] = ABSENT_ZERO,
    [CMD_HEXPIRETIME] = ABSENT_TTLS,
    [CMD_HGET] = ABSENT_NIL,
    [CMD_HGETALL] = ABSENT_MAP,
    [CMD_HKEYS] = ABSENT_ARRAY,
    [CMD_HLEN] = ABSENT_ZERO,
    [CMD_HMGET] = ABSENT_NILS,
    [CMD_HPEXPIRETIME] = ABSENT_TTLS,
    [CMD_HPTTL] = ABSENT_TTLS,
    [CMD_HRANDFIELD] = ABSENT_SOME,
    [CMD_HSCAN] = ABSENT_SCAN,
    [CMD_HSTRLEN] = ABSENT_ZERO,
    [CMD_HTTL] = ABSENT_TTLS,
    [CMD_HVALS] = ABSENT_ARRAY,
    [CMD_LCS] = ABSENT_LCS,
    [CMD_LINDEX] = ABSENT_NIL,
    [CMD_LLEN] = ABSENT_ZERO,
    [CMD_LPOS] = ABSENT_LPOS,
    [CMD_LRANGE] = ABSENT_ARRAY,
    [CMD_MEMORY_USAGE] = ABSENT_NIL,
    [CMD_MGET] = ABSENT_MGET,
    [CMD_OBJECT_ENCODING] = ABSENT_NIL,
    [CMD_OBJECT_FREQ] = ABSENT_NIL,
    [CMD_OBJECT_IDLETIME] = ABSENT_NIL,
    [CMD_OBJECT_REFCOUNT] = ABSENT_NIL,
    [CMD_PEXPIRETIME] = ABSENT_TTL,
    [CMD_PFCOUNT] = ABSENT_ZERO,
    [CMD_PTTL] = ABSENT_TTL,
    [CMD_SCARD] = ABSENT_ZERO,
    [CMD_SDIFF] = ABSENT_SET,
    [CMD_SINTER] = ABSENT_SET,
    [CMD_SINTERCARD] = ABSENT_ZERO,
    [CMD_SISMEMBER] = ABSENT_ZERO,
    [CMD_SMEMBERS] = ABSENT_SET,
    [CMD_SMISMEMBER] = ABSENT_ZEROS,
    [CMD_SORT_RO] = ABSENT_ARRAY,
    [CMD_SRANDMEMBER] = ABSENT_SOME,
    [CMD_SSCAN] = ABSENT_SCAN,
    [CMD_STRLEN] = ABSENT_ZERO,
    [CMD_SUBSTR] = ABSENT_EMPTY,
    [CMD_SUNION] = ABSENT_SET,
    [CMD_TOUCH] = ABSENT_ZERO,
    [CMD_TTL] = ABSENT_TTL,
    [CMD_TYPE] = ABSENT_TYPE,
    [CMD_XINFO_CONSUMERS] = ABSENT_KEY_ERROR,
    [CMD_XINFO_GROUPS] = ABSENT_KEY_ERROR,
    [CMD_XINFO_STREAM] = ABSENT_KEY_ERROR,
    [CMD_XLEN] = ABSENT_ZERO,
    [CMD_XPENDING] = ABSENT_GROUP_ERROR,
    [CMD_XRANGE] = ABSENT_ARRAY,
    [CMD_XREAD] = ABSENT_STREAMS,
    [CMD_XREVRANGE] = ABSENT_ARRAY,
    [CMD_ZCARD] = ABSENT_ZERO,
    [CMD_ZCOUNT] = ABSENT_ZERO,
    [CMD_ZDIFF] = ABSENT_ARRAY,
    [CMD_ZINTER] = ABSENT_ARRAY,
    [CMD_ZINTERCARD] = ABSENT_ZERO,
    [CMD_ZLEXCOUNT] = ABSENT_ZERO,
    [CMD_ZMSCORE] = ABSENT_NILS,
    [CMD_ZRANDMEMBER] = ABSENT_SOME,
    [CMD_ZRANGE] = ABSENT_ARRAY,
    [CMD_ZRANGEBYLEX] = ABSENT_ARRAY,
    [CMD_ZRANGEBYSCORE] = ABSENT_ARRAY,
    [CMD_ZRANK] = ABSENT_NIL,
    [CMD_ZREVRANGE] = ABSENT_ARRAY,
    [CMD_ZREVRANGEBYLEX] = ABSENT_ARRAY,
    [CMD_ZREVRANGEBYSCORE] = ABSENT_ARRAY,
    [CMD_ZREVRANK] = ABSENT_NIL,
    [CMD_ZSCAN] = ABSENT_SCAN,
    [CMD_ZSCORE] = ABSENT_NIL,
    [CMD_ZUNION] = ABSENT_ARRAY,
};

/* ---- absent keys ---- */

static void null_array(struct buffer *out, uint8_t proto)
{
    if (proto == 3)
        write_null(out, 3);
    else
        buffer_add(out, "*-1\r\n", 5);
}

static void numbers(struct buffer *out, uint32_t n, int64_t each)
{
    write_array(out, n);
    for (uint32_t i = 0; i < n; i++)
        write_int(out, each);
}

static void nulls(struct buffer *out, uint32_t n, uint8_t proto, bool arrays)
{
    write_array(out, n);
    for (uint32_t i = 0; i < n; i++) {
        if (arrays)
            null_array(out, proto);
        else
            write_null(out, proto);
    }
}

static bool has_word(const struct request *q, uint32_t from, const char *word)
{
    for (uint32_t i = from; i < q->argc; i++) {
        if (option_is(q->argv[i], word))
            return true;
    }
    return false;
}

static void lcs(const struct request *q, uint8_t proto, struct buffer *out)
{
    if (has_word(q, 3, "IDX")) {
        write_map(out, proto, 2);
        write_bulk(out, SLICE("matches"));
        write_array(out, 0);
        write_bulk(out, SLICE("len"));
        write_int(out, 0);
    } else if (has_word(q, 3, "LEN")) {
        write_int(out, 0);
    } else {
        write_bulk(out, SLICE(""));
    }
}

static void no_group(const struct request *q, struct buffer *out)
{
    struct slice key = q->argv[1], group = q->argv[2];

    if (key.n + group.n > 256)
        key = group = slice_of("", 0);
    write_error(out, "NOGROUP No such key '%.*s' or consumer group '%.*s'", (int)key.n, key.p,
                (int)group.n, group.p);
}

static void absent_of_several(const struct request *q, enum absent kind, uint8_t proto,
                              struct buffer *out)
{
    uint32_t behind = q->argc - 2;

    if (kind == ABSENT_NILS)
        nulls(out, behind, proto, false);
    else if (kind == ABSENT_NIL_ARRAYS)
        nulls(out, behind, proto, true);
    else if (kind == ABSENT_ZEROS)
        numbers(out, behind, 0);
    else if (kind == ABSENT_TTLS)
        numbers(out, q->argc > 4 ? q->argc - 4 : 0, -2);
    else if (kind == ABSENT_BITFIELD)
        numbers(out, behind / 3, 0);
    else
        nulls(out, q->argc - 1, proto, false);
}

static void absent_of_one(const struct request *q, enum absent kind, uint8_t proto,
                          struct buffer *out)
{
    bool nil = kind == ABSENT_NIL || (kind == ABSENT_SOME && q->argc == 2) ||
               (kind == ABSENT_LPOS && !has_word(q, 3, "COUNT"));

    if (nil)
        write_null(out, proto);
    else if (kind == ABSENT_SET && proto == 3)
        buffer_add(out, "~0\r\n", 4);
    else if (kind == ABSENT_MAP)
        write_map(out, proto, 0);
    else if (kind == ABSENT_EMPTY)
        write_bulk(out, SLICE(""));
    else if (kind == ABSENT_TYPE)
        write_status(out, "none");
    else if (kind == ABSENT_ZERO || kind == ABSENT_TTL)
        write_int(out, kind == ABSENT_TTL ? -2 : 0);
    else
        write_array(out, 0);
}

bool outage_knows(const struct command *cmd)
{
    return cmd->id < ARRAY_LEN(absents) && absents[cmd->id] != ABSENT_UNKNOWN;
}

bool outage_absent(const struct request *q, uint8_t proto, struct buffer *out)
{
    const struct command *cmd = q->command;
    enum absent kind = ABSENT_UNKNOWN;

    if (cmd != NULL && outage_knows(cmd) && command_arity_ok(cmd, q->argc))
        kind = (enum absent)absents[cmd->id];
    switch (kind) {
    case ABSENT_UNKNOWN:
        return false;
    case ABSENT_NIL:
    case ABSENT_EMPTY:
    case ABSENT_ZERO:
    case ABSENT_TTL:
    case ABSENT_TYPE:
    case ABSENT_MAP:
    case ABSENT_SET:
    case ABSENT_ARRAY:
    case ABSENT_SOME:
    case ABSENT_LPOS:
        absent_of_one(q, kind, proto, out);
        return true;
    case ABSENT_SCAN:
        write_array(out, 2);
        write_bulk(out, SLICE("0"));
        write_array(out, 0);
        return true;
    case ABSENT_BITPOS:
        write_int(out, slice_is(q->argv[2], "0") ? 0 : -1);
        return true;
    case ABSENT_LCS:
        lcs(q, proto, out);
        return true;
    case ABSENT_STREAMS:
        if (has_word(q, 1, "BLOCK")) /* answered at once its client would ask again at once */
            return false;
        null_array(out, proto);
        return true;
    case ABSENT_NILS:
    case ABSENT_NIL_ARRAYS:
    case ABSENT_ZEROS:
    case ABSENT_TTLS:
    case ABSENT_BITFIELD:
    case ABSENT_MGET:
        absent_of_several(q, kind, proto, out);
        return true;
    case ABSENT_KEY_ERROR:
        write_error(out, "ERR no such key");
        return true;
    case ABSENT_GROUP_ERROR:
        if (q->argc < 3)
            return false;
        no_group(q, out);
        return true;
    }
    return false;
}

/* ---- dropped writes ---- */

static bool in_pairs(uint32_t n)
{
    return n > 0 && n % 2 == 0;
}

bool outage_can_drop(const struct request *q)
{
    const struct command *cmd = q->command;
    struct expiry x;

    if (cmd == NULL || !command_arity_ok(cmd, q->argc))
        return false;
    switch (cmd->id) {
    case CMD_SET:
    case CMD_SETEX:
    case CMD_PSETEX:
    case CMD_EXPIRE:
    case CMD_PEXPIRE:
    case CMD_EXPIREAT:
    case CMD_PEXPIREAT:
        x = command_expiry(cmd, q->argv, q->argc);
        return x.kind != EXPIRY_UNCLEAR && !x.conditional && !x.nx && !x.get;
    case CMD_MSET:
        return in_pairs(q->argc - 1);
    case CMD_HSET:
    case CMD_HMSET:
        return in_pairs(q->argc - 2);
    case CMD_DEL:
    case CMD_UNLINK:
        return true;
    default:
        return false;
    }
}

void outage_success(const struct request *q, struct buffer *out)
{
    switch (q->command->id) {
    case CMD_DEL:
    case CMD_UNLINK:
        write_int(out, (int64_t)q->argc - 1);
        return;
    case CMD_HSET:
        write_int(out, ((int64_t)q->argc - 2) / 2);
        return;
    case CMD_EXPIRE:
    case CMD_PEXPIRE:
    case CMD_EXPIREAT:
    case CMD_PEXPIREAT:
        write_int(out, 1);
        return;
    default:
        write_status(out, "OK");
        return;
    }
}

/* ---- counters that let through ---- */

bool outage_can_open(const struct request *q)
{
    const struct command *cmd = q->command;
    int64_t n;

    if (cmd == NULL || !command_arity_ok(cmd, q->argc))
        return false;
    switch (cmd->id) {
    case CMD_INCR:
    case CMD_DECR:
    case CMD_INCRBYFLOAT:
    case CMD_HINCRBYFLOAT:
    case CMD_EXPIRE:
    case CMD_PEXPIRE:
    case CMD_EXPIREAT:
    case CMD_PEXPIREAT:
        return true;
    case CMD_INCRBY:
    case CMD_DECRBY:
        return slice_int(q->argv[2], &n);
    case CMD_HINCRBY:
        return slice_int(q->argv[3], &n);
    default:
        return false;
    }
}

/* 1 of those that count down as well: it lets through who asks whether something is left. */
void outage_one(const struct request *q, struct buffer *out)
{
    if (q->command->id == CMD_INCRBYFLOAT || q->command->id == CMD_HINCRBYFLOAT)
        write_bulk(out, SLICE("1"));
    else
        write_int(out, 1);
}
