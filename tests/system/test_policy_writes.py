"""Policies of expiry, beside the table of test_policy_table.py: values too large to be looked at
whole, long conversations, commands between policies, LARDER MSETEX, and that no writer may leave a
key behind that lives forever, whenever it ends."""
import random
import re

from policy_table import (ABSENT, ABSOLUTE, ALONE, BRIEF, FAR, FOREVER, HUGE, MAX, MULTI, SIZE,
                          SLIDING, SOON, STATES, TTL, UNDER, WATCH, Policy, Table, near)
from resp import Error, encode_all, eventually
from servers import make_ini, scaled

STREAMED = r"""
none    string  SET @a @huge
none    string  SET @a @huge NX
none    string  SET @a @huge XX GET
none    list    SET @a @huge GET
keep    string  SET @a @huge KEEPTTL
own     string  SET @a @huge EX @soon
own     string  SET @a @huge EX @far
own     string  SET @a @huge NX px @farms
at      string  SET @a @huge EXAT @atsoon
at      string  SET @a @huge PXAT @atfarms
own     string  SETEX @a @soon @huge
own     string  SETEX @a @far @huge
wrong   string  SET @a @huge EX 0
wrong   string  SET @a @huge NOSUCH
wrong   string  SETEX @a 0 @huge
keep    string  SETNX @a @huge
keep    string  GETSET @a @huge
keep    string  APPEND @a @huge
keep    string  MSET @b new @a @huge
keep    string  MSET @a @huge @n @huge
keep    hash    HSET @a f v g @huge
keep    list    RPUSH @a x @huge
keep    string  EVALSHA @sha 1 @a @huge
free    list    LSET @a 0 @huge
"""
# No option could be behind the value, and one that gives an expiry.
STREAMED_REQUIRED = r"""
none    string  SET @a @huge
own     string  SET @a @huge EX @soon
own     string  PSETEX @a @soonms @huge
keep    hash    HSET @a f @huge
"""
# Under max_value; nobody else's replies are harmed by what is thrown away.
STREAMED_REFUSED = r"""
none    string  SET @a @huge
own     string  SET @a @huge EX @soon
own     string  SETEX @a @soon @huge
keep    hash    HSET @a f v g @huge
keep    string  MSET @b new @a @huge
none    string  SET @a new
"""


def larder_for(w, redis, *policies, more=""):
    ini = make_ini(("127.0.0.1", 0), redis, None, {"address": "127.0.0.1:@PORT@"})
    return w.larder(redis, ini=ini + "\n".join(p.section() for p in policies) + more)


def check_streamed(w, policy, rows, modes):
    redis = w.redis()
    table = Table(redis, larder_for(w, redis, policy), rows=rows, piece=4,
                  states=[STATES[0], STATES[2]])
    for mode in modes:
        table.check(policy, 2, (mode,))
        redis.cmd("FLUSHALL")
        table.values = table.make_values()


def test_streamed_ttl(w):
    check_streamed(w, Policy("ttl-max", ttl=TTL, max_ttl=MAX), STREAMED, (ALONE, MULTI))


def test_streamed_max(w):
    check_streamed(w, Policy("max", max_ttl=MAX), STREAMED, (WATCH,))


def test_streamed_sliding_absolute(w):
    """What is said behind the value is not known when it is decided what follows; so it may be
    taken for a write that says nothing, which renews its key as a read does."""
    rows = re.sub(r"(?m)^(none|own|at)(?= )", r"\1|keep", STREAMED)
    check_streamed(w, Policy("sliding-absolute", sliding=SLIDING, absolute=ABSOLUTE), rows,
                   (ALONE,))


def test_streamed_require(w):
    check_streamed(w, Policy("require", require=True), STREAMED_REQUIRED, (ALONE, MULTI))


def test_streamed_size(w):
    check_streamed(w, Policy("size", max_value=SIZE), STREAMED_REFUSED, (ALONE, MULTI, WATCH))


def test_streamed_deny(w):
    check_streamed(w, Policy("deny", deny=True), STREAMED_REFUSED, (ALONE, MULTI))


def test_streamed_size_is_of_arguments(w):
    """As large as is allowed, and many that are larger together."""
    redis = w.redis()
    larder = larder_for(w, redis, Policy("size", max_value=HUGE))
    conn = w.conn(larder)
    assert conn.ok("SET", "size:a", b"x" * HUGE) == b"OK"
    assert conn.cmd("SET", "size:a", b"x" * (HUGE + 1)).startswith(b"ERR policy 'size' of larder")
    half = b"y" * (HUGE // 2 + 1)
    assert conn.ok("RPUSH", "size:l", half, half, half) == 3
    assert conn.ok("STRLEN", "size:a") == HUGE
    assert conn.cmd("GETRANGE", "size:a", 0, 1) == b"xx"


# conversations

def conversation(seed, count):
    """Writes and reads whose replies do not tell of expiry, some of them in transactions; pairs of
    a key and its type are few, so that what one leaves the next one finds."""
    rng, open_multi, made = random.Random(seed), False, []
    keys = [b"talk:%d" % i for i in range(60)]

    def pick():
        return rng.choice(keys)
    kinds = [
        lambda: ("SET", pick(), rng.randrange(100)),
        lambda: ("SET", pick(), "v", rng.choice(("NX", "XX", "GET", "KEEPTTL"))),
        lambda: ("SET", pick(), "v", "EX", rng.choice((SOON, FAR))),
        lambda: ("SETEX", pick(), FAR, "v"),
        lambda: ("INCR", pick()),
        lambda: ("APPEND", pick(), "x"),
        lambda: ("HSET", pick(), rng.randrange(5), "v"),
        lambda: ("RPUSH", pick(), "x", "y"),
        lambda: ("LMOVE", pick(), pick(), "LEFT", "RIGHT"),
        lambda: ("SADD", pick(), rng.randrange(9)),
        lambda: ("ZINCRBY", pick(), 1, "m"),
        lambda: ("MSET", pick(), "1", pick(), "2"),
        lambda: ("MSETNX", pick(), "1", pick(), "2"),
        lambda: ("RENAME", pick(), pick()),
        lambda: ("COPY", pick(), pick(), "REPLACE"),
        lambda: ("EVAL", "return redis.call('INCR', KEYS[1])", 1, pick()),
        lambda: ("GETSET", pick(), "v"),
        lambda: ("DEL", pick()),
        lambda: ("LPOP", pick()),
        lambda: ("GET", pick()),
        lambda: ("GET", pick()),
        lambda: ("HGETALL", pick()),
        lambda: ("LRANGE", pick(), 0, -1),
        lambda: ("EXISTS", pick()),
        lambda: ("EXPIRE", pick(), FAR),
        lambda: ("SET", pick()),
        lambda: ("WATCH", "other") if not open_multi else ("TYPE", pick()),
    ]
    for _ in range(count):
        if rng.random() < 0.08:
            made.append(("EXEC",) if open_multi else ("MULTI",))
            open_multi = not open_multi
        else:
            made.append(rng.choice(kinds)())
    return made + [("EXEC",)] * open_multi


def talk(conn, commands, piece=500):
    frames = []
    for at in range(0, len(commands), piece):
        part = commands[at:at + piece]
        conn.send(encode_all(part))
        frames += [conn.raw_reply() for _ in part]
    return frames


def check_conversations(w, policy, most):
    redis = w.redis()
    larder = larder_for(w, redis, policy)
    look = w.conn(redis)
    for proto in (2, 3):
        seed = random.SystemRandom().randrange(1 << 30)
        commands = conversation(seed, scaled(6000))
        redis.cmd("FLUSHALL")
        through = w.conn(larder, proto)
        through.ok("SELECT", UNDER)
        expected, got = talk(w.conn(redis, proto), commands), talk(through, commands)
        for i, (a, b) in enumerate(zip(expected, got)):
            assert a == b, (f"seed {seed}, RESP{proto}, command {i}: {commands[i]!r} is answered "
                            f"{b[:200]!r}, by Redis {a[:200]!r}")
        look.ok("SELECT", UNDER)
        ttls = {k: look.ok("PTTL", k) for k in look.ok("KEYS", "talk:*")}
        assert len(ttls) > 20, ttls
        forever = [k for k, ttl in ttls.items() if ttl == FOREVER or ttl > most * 1000]
        assert not forever, f"seed {seed}: without expiry or for too long: {forever}"


def test_conversations(w):
    check_conversations(w, Policy("talk", ttl=TTL, max_ttl=MAX), MAX)


def test_conversations_near(w):
    check_conversations(w, Policy("talk", ttl=TTL, max_ttl=MAX, local=True), MAX)


def test_conversations_sliding(w):
    check_conversations(w, Policy("talk", sliding=SLIDING, absolute=ABSOLUTE, local=True),
                        ABSOLUTE)


def test_a_pipeline_of_writes(w):
    """Long, of one kind each: every key has its TTL, every reply its place."""
    redis = w.redis()
    larder = larder_for(w, redis, Policy("ttl", ttl=TTL))
    count = scaled(5000)
    for proto in (2, 3):
        conn, direct = w.conn(larder, proto), w.conn(redis)
        direct.ok("FLUSHALL")
        commands = []
        for i in range(count):
            commands += [("SET", f"ttl:s{i}", i), ("HSET", f"ttl:h{i}", "f", i, "g", i),
                         ("GET", f"ttl:s{i}"), ("INCRBY", "ttl:n", 1), ("SET", f"free:{i}", i)]
        wanted = [x for i in range(count)
                  for x in (b"+OK\r\n", b":2\r\n", b"$%d\r\n%d\r\n" % (len(str(i)), i),
                            b":%d\r\n" % (i + 1), b"+OK\r\n")]
        assert talk(conn, commands, 1000) == wanted
        names = [f"ttl:{kind}{i}" for i in range(count) for kind in "sh"] + ["ttl:n"]
        for ttl in direct.pipeline([("PTTL", name) for name in names]):
            assert near(ttl / 1000, TTL, TTL), ttl
        assert set(direct.pipeline([("PTTL", f"free:{i}") for i in range(count)])) == {-1}


# between policies

def test_each_key_is_under_its_own_policy(w):
    redis = w.redis()
    policies = [Policy("ttl", ttl=TTL), Policy("max", max_ttl=MAX), Policy("deny", deny=True),
                Policy("size", max_value=SIZE)]
    deep = f"[policy deep]\nprefix = ttl:deep:\nttl = {SOON}s\n"
    conn, direct = w.conn(larder_for(w, redis, *policies, more=deep)), w.conn(redis)

    def ttls(**wanted):
        for key, ttl in wanted.items():
            found = direct.ok("TTL", key.replace("_", ":"))
            assert near(found, ttl, ttl), (key, found, ttl)
    conn.ok("MSET", "ttl:a", 1, "max:a", 1, "free:a", 1, "ttl:deep:a", 1)
    ttls(ttl_a=TTL, max_a=MAX, free_a=FOREVER, ttl_deep_a=SOON)
    conn.ok("RENAME", "free:a", "ttl:b")
    conn.ok("COPY", "ttl:deep:a", "free:b")
    conn.ok("COPY", "ttl:deep:a", "ttl:c")  # with the expiry that it has
    conn.ok("SET", "free:c", 1)
    conn.ok("COPY", "free:c", "max:b")
    ttls(ttl_b=TTL, free_b=SOON, ttl_c=SOON, max_b=MAX, free_c=FOREVER)
    conn.ok("EVAL", "redis.call('MSET', KEYS[1], 1, KEYS[2], 2)", 2, "ttl:d", "max:d")
    ttls(ttl_d=TTL, max_d=MAX)
    conn.ok("SET", "free:d", 1, "EX", FAR)
    conn.ok("COPY", "free:d", "max:d", "REPLACE")
    conn.ok("RENAME", "free:d", "max:e")
    ttls(max_d=MAX, max_e=MAX)
    for command in (("MSET", "ttl:e", 1, "deny:e", 1), ("MGET", "ttl:a", "deny:e"),
                    ("DEL", "ttl:a", "deny:e"), ("RENAME", "ttl:a", "deny:e"),
                    ("COPY", "deny:e", "ttl:a"), ("EXISTS", "deny:e"), ("TTL", "deny:e"),
                    ("EVAL", "return 1", 2, "ttl:a", "deny:e"), ("BLPOP", "ttl:l", "deny:e", 1),
                    ("ZUNIONSTORE", "ttl:z", 2, "ttl:y", "deny:e"), ("WATCH", "deny:e"),
                    ("XREAD", "STREAMS", "ttl:x", "deny:e", 0, 0), ("OBJECT", "ENCODING", "deny:e"),
                    ("SORT", "ttl:l", "STORE", "deny:e"),
                    ("MSET", "ttl:e", 1, "size:e", "x" * 999)):
        said = conn.cmd(*command)
        assert isinstance(said, Error) and (said.startswith(b"NOPERM policy 'deny' of larder")
                                            or b"policy 'size'" in said), (command, said)
    ttls(ttl_e=ABSENT, ttl_a=TTL, size_e=ABSENT)
    assert conn.cmd("SET", "denied:no", 1) == b"OK", "deny: is not denied:"


def test_required_of_where_it_comes_from(w):
    """A key that is moved or copied has the expiry that its source has; so where that one needs
    none it is refused. Scripts are not looked into."""
    redis = w.redis()
    conn = w.conn(larder_for(w, redis, Policy("require", require=True)))
    conn.ok("SET", "free:a", 1)
    conn.ok("SET", "require:a", 1, "EX", SOON)
    for command in (("COPY", "free:a", "require:b"), ("RENAME", "free:a", "require:b"),
                    ("RENAMENX", "free:a", "require:b"), ("BITOP", "NOT", "require:b", "require:a"),
                    ("MSET", "free:b", 1, "require:b", 1),
                    ("SORT", "free:l", "STORE", "require:b")):
        said = conn.cmd(*command)
        assert isinstance(said, Error) and b"larder requires an expiry" in said, (command, said)
    assert redis.cmd("EXISTS", "require:b", "free:b") == 0
    conn.ok("COPY", "require:a", "require:b")
    conn.ok("RENAME", "require:b", "require:c")
    conn.ok("RENAME", "require:c", "free:c")
    conn.ok("EVAL", "redis.call('SET', KEYS[1], 1, 'EX', ARGV[1])", 1, "require:d", SOON)
    for key in ("require:a", "free:c", "require:d"):
        assert near(redis.cmd("TTL", key), SOON, SOON), key


def test_copied_to_another_database(w):
    """COPY .. DB: the key that is made there is under the policy, the one of its name here is not
    the one that was written."""
    redis = w.redis()
    conn, direct = w.conn(larder_for(w, redis, Policy("ttl", ttl=TTL))), w.conn(redis)
    redis.cmd("MSET", "free:a", 1, "ttl:a", "of this database")
    assert conn.ok("COPY", "free:a", "ttl:a", "DB", 3) == 1
    assert direct.ok("TTL", "ttl:a") == FOREVER, "another key has got the expiry"
    direct.ok("SELECT", 3)
    assert near(direct.ok("TTL", "ttl:a"), TTL, TTL), "the copy lives forever"


def test_refused_in_a_transaction(w):
    """As what Redis refuses to queue: it spoils the whole, and nothing of it is done."""
    redis = w.redis()
    conn = w.conn(larder_for(w, redis, Policy("ttl", ttl=TTL), Policy("deny", deny=True)))
    for _ in range(2):
        conn.ok("MULTI")
        assert conn.ok("SET", "ttl:a", 1) == b"QUEUED"
        assert conn.cmd("GET", "deny:a").startswith(b"NOPERM policy 'deny'")
        assert conn.ok("HSET", "ttl:h", "f", 1) == b"QUEUED"
        assert conn.cmd("EXEC") == b"EXECABORT Transaction discarded because of previous errors."
    assert redis.cmd("DBSIZE") == 0
    conn.ok("MULTI")
    conn.cmd("GET", "deny:a")
    conn.ok("HSET", "ttl:h", "f", 1)
    assert conn.ok("DISCARD") == b"OK"
    assert redis.cmd("DBSIZE") == 0
    conn.ok("MULTI")
    conn.ok("HSET", "ttl:h", "f", 1)
    assert conn.ok("EXEC") == [1]
    assert near(redis.cmd("TTL", "ttl:h"), TTL, TTL)


def test_a_watch_that_is_broken(w):
    """EXEC's nil stays one, with what was put among the commands; one's own write breaks it."""
    redis = w.redis()
    conn = w.conn(larder_for(w, redis, Policy("ttl", ttl=TTL)))
    for proto in (2, 3):
        conn = w.conn(conn.sock.getpeername(), proto)
        conn.ok("SET", "ttl:w", 1)
        conn.ok("WATCH", "ttl:w")
        redis.cmd("SET", "ttl:w", 2)
        conn.ok("MULTI")
        conn.ok("HSET", "ttl:h", "f", 1)
        conn.ok("INCR", "ttl:n")
        assert conn.raw("EXEC") == (b"*-1\r\n" if proto == 2 else b"_\r\n")
        conn.ok("WATCH", "ttl:v")
        conn.ok("HSET", "ttl:v", "f", 1)
        conn.ok("MULTI")
        assert conn.ok("INCR", "ttl:n") == b"QUEUED"
        assert conn.cmd("EXEC") is None
        assert redis.cmd("EXISTS", "ttl:h", "ttl:n") == 0
        redis.cmd("DEL", "ttl:v")


def test_reading_what_is_watched(w):
    """A hit renews what slides: that is no change that would break the reader's own WATCH, which is
    how every optimistic update goes."""
    redis = w.redis()
    for local in (True, False):
        larder = larder_for(w, redis, Policy("sliding", sliding=SLIDING, local=local))
        for proto in (2, 3):
            conn = w.conn(larder, proto)
            redis.cmd("SET", "sliding:n", 5, "EX", BRIEF)
            for i in range(20):
                redis.cmd("EXPIRE", "sliding:n", BRIEF)  # so that a renewal is due
                conn.ok("WATCH", "sliding:n")
                assert conn.ok("GET", "sliding:n") == b"%d" % (5 + i)
                conn.ok("MULTI")
                conn.ok("SET", "sliding:n", 6 + i)
                assert conn.cmd("EXEC") == [b"OK"], "the reader's own GET has broken its WATCH"
            assert near(redis.cmd("TTL", "sliding:n"), SLIDING, SLIDING)


# no moment at which a key that was made has no expiry

MONITORED = re.compile(rb'\d+\.\d+ \[(\d+) ([^\]]+)\] (.*)\Z', re.S)
MAKERS = [("SET", "ttl:1", "v"), ("HSET", "ttl:2", "f", "v"), ("INCR", "ttl:3"),
          ("LPUSH", "ttl:4", 1),
          ("MSET", "ttl:5", 1, "ttl:6", 2), ("SETNX", "ttl:7", 1), ("ZADD", "ttl:8", 1, "m"),
          ("SADD", "ttl:9", 1), ("APPEND", "ttl:10", "x"), ("XADD", "ttl:11", "1-1", "f", "v"),
          ("GEOADD", "ttl:12", 1, 1, "m"), ("PFADD", "ttl:13", "x"), ("SETBIT", "ttl:14", 1, 1),
          ("SET", "ttl:16", "v", "KEEPTTL"),
          ("COPY", "free", "ttl:17"), ("SUNIONSTORE", "ttl:18", "set"),
          ("SETRANGE", "ttl:19", 1, "x"), ("GETSET", "ttl:20", "x")]


def test_no_moment_without_expiry(w):
    """Redis executes the write and what gives the expiry as one: alone, in one MULTI of one
    connection. So whoever ends in between, and when, no key is left that lives forever. (What a
    script has written is given its expiry right behind it: see shape.c.)"""
    redis = w.redis()
    conn = w.conn(larder_for(w, redis, Policy("ttl", ttl=TTL)))
    redis.cmd("MSET", "free", 1)
    redis.cmd("SADD", "set", 1)
    monitor = w.conn(redis)
    monitor.ok("MONITOR")
    conn.pipeline(MAKERS)
    redis.cmd("ECHO", "the end")
    found = {}  # connection -> [(words, number of its transaction or None)]
    multi, number = {}, 0
    while True:
        who, line = MONITORED.match(monitor.reply()).groups()[1:]
        said = re.findall(rb'"((?:[^"\\]|\\.)*)"', line)
        if said[-1] == b"the end":
            break
        number += said[0].upper() == b"MULTI"
        multi[who] = {b"MULTI": number, b"EXEC": None}.get(said[0].upper(), multi.get(who))
        found.setdefault(who, []).append((said, multi[who]))
    heard = [entry for entries in found.values() for entry in entries]
    for command in MAKERS:
        keys = [a for a in command if str(a).startswith("ttl:")]
        for key in keys:
            first = next(t for said, t in heard if key.encode() in said
                         and said[0].upper() == command[0].encode())
            own = any(key.encode() in said and b"PX" in [x.upper() for x in said]
                      for said, _ in heard)
            given = [t for said, t in heard if said[:2] == [b"PEXPIRE", key.encode()]]
            assert own or (first is not None and first in given), (command, heard)
        assert all(near(redis.cmd("TTL", key), TTL, TTL) for key in keys), command


# LARDER MSETEX

def test_msetex(w):
    """Every key under its own policy, in one trip; each has its own answer."""
    redis = w.redis()
    policies = [Policy("ttl", ttl=TTL), Policy("max", max_ttl=MAX), Policy("deny", deny=True),
                Policy("size", max_value=SIZE), Policy("require", require=True)]
    larder = larder_for(w, redis, *policies)
    for proto in (2, 3):
        conn = w.conn(larder, proto)
        said = conn.ok("LARDER", "MSETEX", SOON * 1000, "ttl:a", 1, "deny:a", 2, "max:a", 3,
                       "free:a", 4, "size:a", "x" * (SIZE + 1), "require:a", 6, "size:b", 7)
        ok = [i for i, answer in enumerate(said) if answer == b"OK"]
        assert ok == [0, 2, 3, 5, 6] and len(said) == 7, said
        assert said[1] == b"NOPERM policy 'deny' of larder denies access to this key"
        assert said[4] == b"ERR policy 'size' of larder allows values up to %d bytes" % SIZE
        assert isinstance(said[1], Error) and isinstance(said[4], Error)
        for key, value in (("ttl:a", b"1"), ("max:a", b"3"), ("free:a", b"4"), ("require:a", b"6"),
                           ("size:b", b"7")):
            assert redis.cmd("GET", key) == value
            assert near(redis.cmd("TTL", key), SOON, SOON), key
        assert redis.cmd("EXISTS", "deny:a", "size:a") == 0
        assert conn.ok("LARDER", "MSETEX", FAR * 1000, "max:b", 1, "ttl:b", 1) == [b"OK", b"OK"]
        assert near(redis.cmd("TTL", "max:b"), MAX, MAX)
        assert near(redis.cmd("TTL", "ttl:b"), FAR, FAR)
        said = conn.ok("larder", "msetex", 0, "ttl:c", 1, "max:c", 1, "free:c", 1, "require:c", 1)
        assert said[:3] == [b"OK"] * 3
        assert said[3].startswith(b"ERR policy 'require' of larder requires an expiry"), said
        for key, ttl in (("ttl:c", TTL), ("max:c", MAX), ("free:c", FOREVER),
                         ("require:c", ABSENT)):
            assert near(redis.cmd("TTL", key), ttl, ttl), key
        redis.cmd("FLUSHALL")


def test_msetex_of_many(w):
    redis = w.redis()
    conn, direct = w.conn(larder_for(w, redis, Policy("ttl", ttl=TTL, local=True))), w.conn(redis)
    for count, value in ((1, b"v"), (50, b"v" * 100), (5000, b"v"), (20, b"v" * 300000)):
        flat = [x for i in range(count) for x in (f"ttl:{i}", value)]
        assert conn.ok("LARDER", "MSETEX", SOON * 1000, *flat) == [b"OK"] * count
        for i in range(count):
            assert direct.ok("STRLEN", f"ttl:{i}") == len(value)
        ttls = direct.pipeline([("TTL", f"ttl:{i}") for i in range(count)])
        assert all(near(ttl, SOON, SOON) for ttl in ttls), set(ttls)
        assert conn.ok("GET", "ttl:0") == value
        direct.ok("FLUSHALL")
        eventually(lambda: conn.ok("GET", "ttl:0") is None)


def test_msetex_that_is_wrong(w):
    redis = w.redis()
    conn = w.conn(larder_for(w, redis, Policy("ttl", ttl=TTL)))
    for command in ((), (1000,), (1000, "ttl:a"), (1000, "ttl:a", 1, "ttl:b"), ("x", "ttl:a", 1),
                    (-1, "ttl:a", 1), ("99999999999999999999", "ttl:a", 1), ("", "ttl:a", 1),
                    ("1.5", "ttl:a", 1)):
        said = conn.cmd("LARDER", "MSETEX", *command)
        assert isinstance(said, Error) and said.startswith(b"ERR "), (command, said)
    assert redis.cmd("DBSIZE") == 0
    redis.cmd("CONFIG", "SET", "maxmemory", 1)
    said = conn.ok("LARDER", "MSETEX", 1000, "ttl:a", 1, "ttl:b", 2)
    redis.cmd("CONFIG", "SET", "maxmemory", 0)
    assert [s[:3] for s in said] == [b"OOM", b"OOM"], said


def test_msetex_same_key_twice(w):
    """The last one stays, as of MSET."""
    redis = w.redis()
    conn = w.conn(larder_for(w, redis, Policy("ttl", ttl=TTL)))
    assert conn.ok("LARDER", "MSETEX", 0, "ttl:a", 1, "ttl:a", 2) == [b"OK", b"OK"]
    assert redis.cmd("GET", "ttl:a") == b"2" and near(redis.cmd("TTL", "ttl:a"), TTL, TTL)


for _test in (test_streamed_ttl, test_streamed_max, test_streamed_sliding_absolute,
              test_streamed_size, test_a_pipeline_of_writes):
    _test.timeout = 60
