"""The stale-set fence: LARDER GETLEASE gives who finds a key absent a token, LARDER SETLEASE stores
with it only if nobody has written the key in between, through whichever of two larders. Every way to
write is tried: each that is forgotten leaves a token good that should be void."""
import threading

from resp import Error, Status, eventually
from servers import make_ini

LONG = "x" * (2 << 20)  # too long to be collected

# What voids the token of f:a, from the state behind the colon: what the key is before that.
WRITES = """
SET f:a 1
SET f:a 1 PX 100000
SET f:a 1 NX
SETEX f:a 100 1
SETNX f:a 1
GETSET f:a 1
APPEND f:a 1
SETRANGE f:a 0 x
INCR f:a
DECRBY f:a 2
SETBIT f:a 1 1
BITFIELD f:a SET u8 0 1
BITOP NOT f:a f:b
MSET f:b 1 f:a 2
MSETNX f:a 2 g:c 1
HSET f:a f v
LPUSH f:a v
SADD f:a v
ZADD f:a 1 v
XADD f:a * f v
GEOADD f:a 1 1 v
PFADD f:a v
RENAME f:b f:a
RENAMENX f:b f:a
COPY f:b f:a
SORT g:l STORE f:a
SUNIONSTORE f:a g:s
SMOVE g:s f:a v
LMOVE g:l f:a LEFT LEFT
BLMOVE g:l f:a LEFT LEFT 0
RPOPLPUSH g:l f:a
EVAL return(redis.call('SET',KEYS[1],1)) 1 f:a
EVAL return(1) 2 f:b f:a
DEL f:a
DEL g:x f:b f:a
UNLINK f:a
GETDEL f:a
EXPIRE f:a -1
PEXPIREAT f:a 1
PERSIST f:a
LPOP f:a
SREM f:a v
FLUSHDB
FLUSHALL
""".strip().splitlines()

# .. and what does not.
READS = """
GET f:a
EXISTS f:a
TTL f:a
STRLEN f:a
MGET f:a f:b
SET f:ab 1
DEL f:b
DEL fence:f:a
SET g:a 1
HGETALL f:a
""".strip().splitlines()


def larder_for(w, redis, more=""):
    ini = make_ini(("127.0.0.1", 0), redis, None, {"address": "127.0.0.1:@PORT@"})
    ini += "[policy fenced]\nprefix = f:\nfence = yes\nlease_ttl = 20s\n" + more
    return w.larder(redis, ini=ini)


def two(w, more=""):
    redis = w.redis()
    return redis, w.conn(larder_for(w, redis, more)), w.conn(larder_for(w, redis, more))


def token_of(conn, key="f:a"):
    value, token = conn.ok("LARDER", "GETLEASE", key)
    assert value is None and len(token) == 16, (value, token)
    return token


def stores(conn, token, value="loaded", *options):
    answer = conn.ok("LARDER", "SETLEASE", "f:a", token, value, *options)
    assert answer is None or (answer == b"OK" and isinstance(answer, Status)), answer
    return answer is not None


def ready(redis):
    for command in (("FLUSHALL",), ("SET", "f:b", 1), ("SADD", "g:s", "v"), ("RPUSH", "g:l", "v")):
        redis.ok(*command)


def test_a_load_with_nothing_in_between(w):
    redis, one, other = two(w)
    three = w.conn(("127.0.0.1", one.sock.getpeername()[1]), 3)
    for conn in (one, other, three):
        token = token_of(conn)
        assert token_of(other) == token_of(three) == token  # all who ask
        assert stores(one, token) and one.ok("LARDER", "GETLEASE", "f:a") == [b"loaded", None]
        assert not stores(other, token, "again") and other.ok("GET", "f:a") == b"loaded"
        assert redis.cmd("EXISTS", "larder:fence:f:a") == 0
        one.ok("DEL", "f:a")
        assert token_of(one) != token
        one.ok("DEL", "f:a")
    assert three.ok("LARDER", "GETLEASE", "f:a")[0] is None
    for options, ttl in (((), -1), (("EX", 100), 100), (("PX", "100000"), 100), (("NX",), -1)):
        assert stores(one, token_of(other), "v", *options)
        assert redis.cmd("TTL", "f:a") == ttl
        one.ok("DEL", "f:a")
    token = token_of(one)
    redis.cmd("SET", "f:a", "direct")  # a direct writer is not fenced ..
    assert not stores(one, token, "v", "NX")
    assert stores(one, token, "v", "XX")  # .. and SETLEASE does not see it
    assert not stores(one, "0" * 16) and not stores(one, "")


def write_in_between(redis, asks, writes, words, modes=("plain",)):
    for mode in modes:
        ready(redis)
        token = token_of(asks)
        command = words.split()
        if mode == "multi":
            writes.ok("MULTI")
            writes.ok(*command)
            assert len(writes.ok("EXEC")) == 1, words
        elif mode == "watch":
            writes.ok("WATCH", "g:other")
            writes.cmd(*command)
            writes.ok("UNWATCH")
        else:
            writes.cmd(*command)
        stored = stores(asks, token)
        assert not stored, (mode, words)
        assert redis.ok("GET", "larder:fence:f:a") is None, (mode, words)


def test_writes_in_between(w):
    redis, one, other = two(w)
    direct = w.conn(redis)
    for words in WRITES:
        write_in_between(direct, one, one, words, ("plain", "multi", "watch"))
        write_in_between(direct, one, other, words)
    for words in READS:
        ready(direct)
        token = token_of(one)
        other.cmd(*words.split())
        assert stores(one, token), words


def test_replies_are_those_of_redis(w):
    """What is said about a write is not seen in what is answered."""
    redis, one, _other = two(w)
    direct = w.conn(redis)
    for words in WRITES:
        if words.startswith(("XADD", "FLUSH")):
            continue
        answers = []
        for conn in (direct, one):
            ready(direct)
            said = [conn.cmd(*words.split()), conn.cmd("MULTI"), conn.cmd(*words.split()),
                    conn.cmd("EXEC") if not words.startswith("BLMOVE") else conn.cmd("DISCARD")]
            answers.append(said)
        assert answers[0] == answers[1], words


def test_what_redis_is_told(w):
    """What is not in a MULTI is between two DELs of the token."""
    redis, one, _other = two(w)
    monitor = w.conn(redis)
    monitor.ok("MONITOR")
    fence = "DEL larder:fence:f:a"

    def told(*command):
        one.cmd(*command)
        one.ok("SET", "end", 1)
        seen = []
        while not seen or seen[-1] != "SET end 1":
            words = monitor.reply().decode().split('"')[1::2]
            seen.append(" ".join(words))
        return [w for w in seen[:-1] if "f:a" in w or w in ("MULTI", "EXEC")]

    assert told("SET", "f:a", 1) == ["MULTI", "SET f:a 1", fence, "EXEC"]
    for words in ("DEL f:a", "EXPIRE f:a -1", "BLPOP f:a 0.01", "LPOP f:a"):
        assert told(*words.split()) == [fence, words, fence], words
    one.ok("WATCH", "x")
    assert told("SET", "f:a", 1) == [fence, "SET f:a 1", fence]


def test_other_ways_to_write(w):
    redis, one, other = two(w, "[policy more]\nprefix = x:\nfence = yes\nttl = 60s\n")
    for write in (lambda: other.ok("SET", "f:a", LONG), lambda: other.ok("HSET", "f:a", "f", LONG),
                  lambda: other.ok("LARDER", "MSETEX", 0, "f:a", 1),
                  lambda: other.ok("LARDER", "FRESH", "SET", "f:a", 1),
                  lambda: other.ok("LARDER", "FRESH", "DEL", "f:a")):
        token = token_of(one)
        write()
        assert not stores(one, token)
        redis.cmd("DEL", "f:a")
    for mode in ("WATCH", "MULTI"):
        token = token_of(one)
        other.ok(*({"WATCH": ("WATCH", "a"), "MULTI": ("MULTI",)}[mode]))
        other.ok("SET", "f:a", LONG)
        other.ok("UNWATCH" if mode == "WATCH" else "EXEC")
        assert not stores(one, token)
        redis.cmd("DEL", "f:a")
    token = token_of(one)
    assert stores(one, token, LONG) and redis.cmd("STRLEN", "f:a") == len(LONG)
    other.ok("DEL", "f:a")
    token = token_of(one)
    other.send(b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n"
               b"*3\r\n$3\r\nSET\r\n$3\r\nf:a\r\n$1\r\n1\r\n"
               b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$2\r\nON\r\n")
    assert other.reply() == b"OK"
    eventually(lambda: redis.cmd("EXISTS", "f:a") == 1)
    assert not stores(one, token)


def test_copy_to_another_database(w):
    """The token is in the database of the key."""
    redis, one, other = two(w)
    redis.cmd("SET", "g:from", "x")
    one.ok("SELECT", 3)
    for multi in (False, True):
        token, here = token_of(one), token_of(other)
        copy = ("COPY", "g:from", "f:a", "DB", 3)
        assert other.pipeline([("MULTI",), copy, ("EXEC",)])[2] == [1] if multi else other.ok(*copy)
        assert not stores(one, token)
        one.ok("DEL", "f:a")
        assert stores(other, here)
        other.ok("DEL", "f:a")


def test_a_delete_while_redis_is_out_of_memory(w):
    """Redis takes nothing into a MULTI then; DEL must work all the same."""
    redis, one, other = two(w)
    token = token_of(one)
    redis.cmd("SET", "filler", LONG)
    redis.cmd("SET", "f:a", "old")
    redis.cmd("CONFIG", "SET", "maxmemory", "1mb")
    try:
        assert other.cmd("SET", "f:a", "new").startswith(b"OOM ")
        assert other.ok("DEL", "f:a") == 1
        assert one.cmd("LARDER", "SETLEASE", "f:a", token, "v") is None
    finally:
        redis.cmd("CONFIG", "SET", "maxmemory", "0")


def test_tokens_end(w):
    clock = w.clock()
    redis = clock.redis()
    more = "[policy brief]\nprefix = f:brief:\nfence = yes\nlease_ttl = 5s\n"
    ini = make_ini(("127.0.0.1", 0), redis, None, {"address": "127.0.0.1:@PORT@"})
    one = w.conn(clock.larder(redis, ini=ini + more))
    token = token_of(one, "f:brief:a")
    clock.move(4)
    assert token_of(one, "f:brief:a") == token  # who is given it has lease_ttl to load
    clock.move(4)
    assert one.ok("LARDER", "SETLEASE", "f:brief:a", token, "v") == b"OK"
    one.ok("DEL", "f:brief:a")
    token = token_of(one, "f:brief:a")
    clock.move(6)
    assert one.ok("LARDER", "SETLEASE", "f:brief:a", token, "v") is None
    assert token_of(one, "f:brief:a") != token


def test_policies_of_expiry_hold(w):
    redis, one, _other = two(w, """
[policy given]
prefix = f:given:
fence = yes
ttl = 60s
[policy cut]
prefix = f:cut:
fence = yes
max_ttl = 60s
[policy capped]
prefix = f:capped:
fence = yes
absolute = 60s
[policy strict]
prefix = f:strict:
fence = yes
require_ttl = yes
max_value = 10
[policy closed]
prefix = f:closed:
fence = yes
deny = yes
""")

    def stored(key, *options):
        token = token_of(one, key)
        answer = one.cmd("LARDER", "SETLEASE", key, token, "v", *options)
        assert redis.cmd("EXISTS", key) == (answer == b"OK"), (key, options, answer)
        ttl = redis.cmd("TTL", key)
        redis.cmd("DEL", key)
        return ttl if answer == b"OK" else answer

    assert 59 <= stored("f:given:a") <= 60 and stored("f:given:a", "EX", 100) == 100
    assert 59 <= stored("f:given:a", "KEEPTTL") <= 60
    assert 59 <= stored("f:cut:a", "EX", 1000) <= 60 and stored("f:cut:a", "EX", 10) == 10
    assert 59 <= stored("f:cut:a", "EXAT", 4102444800) <= 60
    assert 59 <= stored("f:capped:a") <= 60
    assert stored("f:strict:a").startswith(b"ERR policy 'strict' of larder requires")
    assert stored("f:strict:a", "EX", 10) == 10
    token = token_of(one, "f:strict:b")
    answer = one.cmd("LARDER", "SETLEASE", "f:strict:b", token, "v" * 11, "EX", 10)
    assert answer.startswith(b"ERR policy 'strict' of larder allows")
    for command in (("GETLEASE", "f:closed:a"), ("SETLEASE", "f:closed:a", "0", "v")):
        assert one.cmd("LARDER", *command).startswith(b"NOPERM policy 'closed'")
    # A refused SETLEASE leaves another's token alone, whatever else is said about it.
    token = token_of(one, "f:given:b")
    assert one.ok("LARDER", "SETLEASE", "f:given:b", "0", "v", "KEEPTTL") is None
    assert one.ok("LARDER", "SETLEASE", "f:given:b", token, "v") == b"OK"


def test_what_is_refused(w):
    redis, one, _other = two(w)

    def refused(words, *args):
        answer = one.cmd("LARDER", *args)
        assert isinstance(answer, Error) and words in answer, answer

    refused(b"fence = yes", "GETLEASE", "g:a")
    refused(b"fence = yes", "SETLEASE", "g:a", "0", "v")
    refused(b"wrong number of arguments", "GETLEASE")
    refused(b"wrong number of arguments", "SETLEASE", "f:a", "0")
    refused(b"not GET", "SETLEASE", "f:a", token_of(one), "v", "GET")
    refused(b"syntax error", "SETLEASE", "f:a", token_of(one), "v", "NOSUCH")
    refused(b"invalid expire", "SETLEASE", "f:a", token_of(one), "v", "EX", "0")
    assert stores(one, token_of(one))  # what has failed has not used it up
    redis.cmd("DEL", "f:a")
    redis.cmd("LPUSH", "f:a", 1)
    refused(b"WRONGTYPE", "GETLEASE", "f:a")
    one.ok("DEL", "f:a")
    token_of(one)
    one.ok("SET", "seen", 1)
    assert one.ok("KEYS", "*") == [b"seen"] and one.ok("DBSIZE") == 1
    for command in (("GET", "larder:fence:f:a"), ("DEL", "larder:fence:f:a")):
        assert one.cmd(*command).startswith(b"NOPERM keys that begin with larder:")
    one.ok("MULTI")
    assert isinstance(one.cmd("LARDER", "GETLEASE", "f:a"), Error)
    assert one.cmd("EXEC").startswith(b"EXECABORT")
    for way in (("WATCH", "x"), ("CLIENT", "NO-TOUCH", "ON")):
        one.cmd(*way)
        assert stores(one, token_of(one))
        assert one.ok("LARDER", "GETLEASE", "f:a") == [b"loaded", None]
        one.ok("DEL", "f:a")


def test_the_near_cache_sees_what_is_stored(w):
    redis = w.redis()
    # Nothing but its own writes tells this larder what changes.
    one = w.conn(larder_for(w, redis, "local = yes\n[cache]\ncoherence = ttl\n"))
    for n in range(50):
        assert one.ok("GET", "f:a") is None
        assert stores(one, token_of(one), n)
        assert one.ok("GET", "f:a") == b"%d" % n
        one.ok("DEL", "f:a")


def test_loaders_and_writers(w):
    """Loaders through two larders read a database, writers change it and DEL the key behind that. At
    the end the key must be absent, or what the database says."""
    redis, *_ = two(w)
    larders = [larder_for(w, redis), larder_for(w, redis)]
    database, wrong = {"value": 0}, []
    stop = threading.Event()

    def load(conn):
        while not stop.is_set():
            value, token = conn.ok("LARDER", "GETLEASE", "f:a")
            if value is None:
                conn.cmd("LARDER", "SETLEASE", "f:a", token, database["value"])

    def change(conn):
        for _ in range(400):
            database["value"] += 1
            now = database["value"]
            conn.ok("DEL", "f:a")
            value = conn.ok("GET", "f:a")  # nothing older than what the DEL was about
            if value is not None and int(value) < now:
                wrong.append((now, value))

    threads = [threading.Thread(target=load, args=(w.conn(larders[i % 2]),)) for i in range(4)]
    for t in threads:
        t.start()
    try:
        change(w.conn(larders[1]))
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert not wrong, wrong[:5]
