"""Tenants: logins, and walls that hold for every kind of command."""
import hashlib
import time

from near import rows

from resp import Error, eventually
from tenants import PREFIXES, operator, password, refused, session, tenants_ini, tenants_larder

A = PREFIXES["a"].encode()


def both(w, **more):
    redis = w.redis()
    larder = tenants_larder(w, redis, **more)
    return redis, larder


def test_login(w):
    _, larder = both(w)
    c = w.conn(larder)
    for command in (("GET", "k"), ("PING",), ("LARDER", "STATS"), ("KEYS", "*")):
        refused(c.cmd(*command), "NOAUTH")
    for wrong in (("AUTH", "a", "b-pw"), ("AUTH", "nobody", "x"), ("AUTH", "a-pw"),
                  ("AUTH", "default", ""), ("AUTH", "a", ""), ("HELLO", "3", "AUTH", "a", "b-pw")):
        refused(c.cmd(*wrong), "WRONGPASS")
    refused(c.cmd("HELLO", "3"), "NOAUTH")
    assert c.ok("AUTH", "a", password("a")) == b"OK"
    assert c.ok("SET", "k", "v") == b"OK"
    assert c.ok("HELLO", "3", "AUTH", "a", password("a"))
    assert c.ok("GET", "k") == b"v"
    assert c.ok("AUTH", "b", password("b")) == b"OK"
    assert c.ok("GET", "k") is None
    assert c.ok("RESET") == b"RESET"
    refused(c.cmd("GET", "k"), "NOAUTH")


def test_failed_logins_are_answered_late(w):
    """And what stands behind them waits; others are served meanwhile."""
    _, larder = both(w)
    c, other = w.conn(larder), session(w, larder, "b")
    began = time.monotonic()
    c.send(b"AUTH a wrong\r\nAUTH a wrong\r\nAUTH a a-pw\r\nECHO x\r\n")
    assert other.ok("PING") == b"PONG"
    refused(c.reply(), "WRONGPASS")
    refused(c.reply(), "WRONGPASS")
    assert time.monotonic() - began >= 0.55
    assert c.reply() == b"OK" and c.reply() == b"x"
    # One that leaves before its answer.
    d = w.conn(larder)
    d.send(b"AUTH a wrong\r\n")
    d.close()
    eventually(lambda: b"a-pw" not in larder.log().encode() and other.ok("PING"))


def test_sha256_and_listener(w):
    redis = w.redis()
    digest = hashlib.sha256(b"geheim").hexdigest()
    larder = tenants_larder(
        w, redis, {"a": {}, "s": {"password": "", "password_sha256": digest}, "n": {"password": ""}})
    c = w.conn(larder)
    refused(c.cmd("AUTH", "s", "other"), "WRONGPASS")
    refused(c.cmd("AUTH", "n", ""), "WRONGPASS")
    assert c.ok("AUTH", "s", "geheim") == b"OK"
    c.ok("SET", "k", "v")
    assert redis.cmd("GET", "s:k") == b"v"
    fixed = tenants_larder(w, redis, {"a": {}, "b": {}},
                           listener={"tenant": "a", "password": ""})
    c = w.conn(fixed)
    c.ok("SET", "k", "of a")
    assert redis.cmd("GET", "acme:k") == b"of a"
    refused(c.cmd("AUTH", "b", password("b")), "WRONGPASS")
    assert c.ok("AUTH", "a", password("a")) == b"OK"
    assert c.ok("GET", "k") == b"of a"


def test_namespace(w):
    """One prefix for all, without a login; scripts may run."""
    redis = w.redis()
    larder = w.larder(redis, larder={"namespace": "north:"})
    c = w.conn(larder)
    c.ok("SET", "k", "v")
    assert redis.cmd("KEYS", "*") == [b"north:k"]
    assert c.ok("KEYS", "*") == [b"k"]
    assert c.ok("EVAL", "return redis.call('GET', KEYS[1])", 1, "k") == b"v"
    refused(c.cmd("CONFIG", "GET", "*"))


def test_names_in_and_out(w):
    redis, larder = both(w)
    for proto in (2, 3):
        redis.wipe()
        a, b = session(w, larder, "a", proto), session(w, larder, "b", proto)
        b.ok("SET", "secret", "of b")
        b.ok("RPUSH", "list", "x")
        assert a.ok("MSET", "x", "1", "y", "2") == b"OK"
        assert a.ok("MGET", "x", "y", "secret") == [b"1", b"2", None]
        a.ok("RPUSH", "l", "1", "2", "3")
        assert a.ok("BLPOP", "none", "l", 1) == [b"l", b"1"]
        assert a.ok("LMPOP", 2, "none", "l", "LEFT") == [b"l", [b"2"]]
        a.ok("ZADD", "z", 1, "m")
        assert a.ok("BZPOPMIN", "z", 1)[0] == b"z"
        a.ok("XADD", "s", "1-1", "f", "v")
        got = a.ok("XREAD", "COUNT", 1, "STREAMS", "s", "0")
        assert (got[0][0]) == b"s", got
        error = a.cmd("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
        assert b"'s'" in error and b"acme" not in error, error
        assert sorted(a.ok("KEYS", "*")) == [b"l", b"s", b"x", b"y"]
        assert a.ok("KEYS", "?") and a.ok("KEYS", "[xy]") and not a.ok("KEYS", "acme*")
        assert a.ok("DBSIZE") == 4 and b.ok("DBSIZE") == 2
        keys, cursor = set(), b"0"
        while True:
            cursor, some = a.ok("SCAN", cursor, "COUNT", 3)
            keys |= set(some)
            if cursor == b"0":
                break
        assert keys == {b"l", b"s", b"x", b"y"}, keys
        assert {a.ok("RANDOMKEY") for _ in range(40)} <= keys
        a.ok("SET", "w_1", "5")
        a.ok("RPUSH", "n", "1")
        assert a.ok("SORT", "n", "BY", "w_*", "GET", "w_*", "GET", "#") == [b"5", b"1"]
        assert a.ok("OBJECT", "ENCODING", "x") == b"int"
        assert a.ok("COPY", "x", "copied") == 1 and redis.cmd("GET", "acme:copied") == b"1"
        assert a.ok("COMMAND", "GETKEYS", "GET", "k") == [b"k"]


def test_flush_is_of_the_tenant(w):
    redis, larder = both(w)
    redis.cmd("SET", "outside", "1")
    a, b = session(w, larder, "a"), session(w, larder, "b", 3)
    for c in (a, b):
        for start in range(0, 3000, 500):
            c.ok("MSET", *[x for i in range(start, start + 500) for x in (f"k{i}", "v")])
        c.ok("SELECT", 3)
        c.ok("SET", "third", "1")
        c.ok("SELECT", 0)
    assert a.ok("DBSIZE") == 3000 and len(a.ok("KEYS", "*")) == 3000
    # What comes behind it is not swept away.
    a.send(b"FLUSHDB\r\nSET after 1\r\nDBSIZE\r\n")
    assert a.replies(3) == [b"OK", b"OK", 1]
    assert b.ok("DBSIZE") == 3000
    assert redis.cmd("GET", "outside") == b"1"
    assert a.ok("FLUSHALL", "ASYNC") == b"OK" and a.ok("DBSIZE") == 0
    a.ok("SELECT", 3)
    assert a.ok("DBSIZE") == 0 and a.ok("RANDOMKEY") is None
    b.ok("SELECT", 3)
    assert b.ok("KEYS", "*") == [b"third"]
    refused(a.cmd("FLUSHALL", "NOW"), "ERR syntax")
    refused(a.cmd("FLUSHDB", "SYNC", "x"), "ERR syntax")


def test_transactions(w):
    redis, larder = both(w)
    for proto in (2, 3):
        redis.wipe()
        a, b = session(w, larder, "a", proto), session(w, larder, "b", proto)
        b.ok("SET", "k", "of b")
        a.ok("RPUSH", "l", "1", "2")
        a.ok("WATCH", "k")
        a.ok("MULTI")
        for command in (("SET", "k", "of a"), ("LMPOP", 1, "l", "LEFT"), ("GET", "k"), ("KEYS", "*"),
                        ("SCAN", 0), ("DBSIZE",), ("RANDOMKEY",), ("LPOP", "l"), ("FLUSHDB",),
                        ("DBSIZE",)):
            assert a.ok(*command) == b"QUEUED", command
        got = a.ok("EXEC")
        assert got[0] == b"OK" and got[1] == [b"l", [b"1"]] and got[2] == b"of a", got
        assert sorted(got[3]) == [b"k", b"l"] and sorted(got[4][1]) == [b"k", b"l"], got
        assert got[5] == 2 and got[6] in (b"k", b"l") and got[7] == b"2", got
        assert got[8:] == [b"OK", 0], got
        assert b.ok("GET", "k") == b"of b"
        for command in (("INFO",), ("CLIENT", "LIST"), ("CLIENT", "KILL", "ID", 1), ("CONFIG", "GET", "*"),
                        ("CLIENT", "TRACKING", "ON", "BCAST"), ("AUTH", "b", password("b")),
                        ("NOSUCH", "k"), ("SUBSCRIBE", "c"), ("HELLO", 3, "AUTH", "b", password("b"))):
            a.ok("MULTI")
            assert isinstance(a.cmd(*command), Error), command
            refused(a.cmd("EXEC"), "EXECABORT")
        assert a.ok("SET", "k", "v") == b"OK"


def test_pubsub(w):
    redis, larder = both(w)
    redis.cmd("CONFIG", "SET", "notify-keyspace-events", "KEA")
    for proto in (2, 3):
        a, b, publisher = (session(w, larder, n, proto) for n in ("a", "b", "a"))
        read = (lambda c: c.push()) if proto == 3 else (lambda c: c.reply())
        for c in (a, b):
            c.send_cmd("SUBSCRIBE", "news", "__keyspace@0__:k")
            assert [read(c)[1] for _ in range(2)] == [b"news", b"__keyspace@0__:k"]
            c.send_cmd("PSUBSCRIBE", "n*", "__keyevent@*")
            assert [read(c)[1] for _ in range(2)] == [b"n*", b"__keyevent@*"]
            c.send_cmd("SSUBSCRIBE", "shard")
            assert read(c)[1] == b"shard"
        assert publisher.ok("PUBLISH", "news", "hello") == 2
        assert read(a)[1:] == [b"news", b"hello"]
        assert read(a)[1:] == [b"n*", b"news", b"hello"]
        publisher.ok("SPUBLISH", "shard", "s")
        assert read(a)[1:] == [b"shard", b"s"]
        redis.cmd("SET", "foreign", "v")
        publisher.ok("SET", "k", "v")
        assert read(a)[1:] == [b"__keyspace@0__:k", b"set"]
        assert read(a)[1:] == [b"__keyevent@*", b"__keyevent@0__:set", b"k"]
        assert publisher.ok("PUBSUB", "CHANNELS") == [b"news"]
        assert publisher.ok("PUBSUB", "CHANNELS", "n*") == [b"news"]
        assert publisher.ok("PUBSUB", "NUMSUB", "news", "acme:news") == [b"news", 1, b"acme:news", 0]
        refused(publisher.cmd("PUBSUB", "NUMPAT"))
        publisher.ok("PUBLISH", "__redis__:invalidate", "x")
        b.send_cmd("UNSUBSCRIBE")  # nothing of the other's came before that
        assert sorted(read(b)[1] for _ in range(2)) == [b"__keyspace@0__:k", b"news"]
        a.close()
        b.close()


def test_tracking(w):
    redis, larder = both(w)
    a, other, b = session(w, larder, "a", 3), session(w, larder, "a"), session(w, larder, "b", 3)
    a.ok("CLIENT", "TRACKING", "ON", "BCAST")
    other.ok("SET", "k", "v")
    assert a.push() == [b"invalidate", [b"k"]]
    info = a.ok("CLIENT", "TRACKINGINFO")
    assert "acme" not in repr(info), info
    b.ok("SET", "k", "v")
    redis.cmd("SET", "k", "v")
    other.ok("SET", "k2", "v")
    push = a.push()
    assert list(push)[1] == [b"k2"], push
    # Nobody else's connection can be made to hear.
    ids = b.ok("CLIENT", "ID")
    refused(other.cmd("CLIENT", "TRACKING", "ON", "BCAST", "REDIRECT", ids), "ERR")
    # In RESP2 another connection of the tenant's hears.
    ear = session(w, larder, "a")
    ear.ok("SUBSCRIBE", "__redis__:invalidate")
    teller = session(w, larder, "a")
    teller.ok("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "t", "REDIRECT", w_id(larder, ear))
    other.ok("SET", "t1", "v")
    assert ear.reply() == [b"message", b"__redis__:invalidate", [b"t1"]]


def w_id(larder, conn):
    """larder's id of a connection that cannot ask any more."""
    import re
    name = "%s:%d" % conn.sock.getsockname()
    op = larder.connect()
    op.ok("AUTH", "operator")
    text = op.ok("LARDER", "CLIENTS").decode()
    op.close()
    return next(re.match(r"id=(\d+)", line)[1] for line in text.splitlines() if f"addr={name} " in line)


def test_connections(w):
    _, larder = both(w)
    a, a2, b = session(w, larder, "a"), session(w, larder, "a"), session(w, larder, "b")
    b.ok("CLIENT", "SETNAME", "hidden")
    assert b"hidden" not in a.ok("CLIENT", "LIST") and a.ok("CLIENT", "LIST").count(b"id=") == 2
    assert a.ok("CLIENT", "LIST", "ID", b.ok("CLIENT", "ID")) == b""
    assert a.ok("CLIENT", "KILL", "ID", b.ok("CLIENT", "ID")) == 0
    b.send_cmd("BLPOP", "none", 0)
    op = operator(w, larder)
    eventually(lambda: b"flags=b" in op.ok("CLIENT", "LIST"))
    line = next(x for x in op.ok("CLIENT", "LIST").splitlines() if b"flags=b" in x)
    assert a.ok("CLIENT", "UNBLOCK", line.split()[0][3:]) == 0
    assert a.ok("CLIENT", "KILL", "TYPE", "normal") == 1  # skips the caller
    a2.eof()
    text = a.ok("INFO")
    assert b"loading:0" in text and b"keyspace" not in text and b"larder" not in text, text


def test_info_counts_who_is_blocked(w):
    """Of the tenant's, as Redis does: clients (and Redis' own tests) wait for it."""
    _, larder = both(w)
    a, b = session(w, larder, "a"), session(w, larder, "b")
    waiting = [session(w, larder, "a") for _ in range(3)]
    for c in waiting:
        c.send_cmd("BLPOP", "list", 0)
    eventually(lambda: b"\r\nblocked_clients:3\r\n" in a.ok("INFO"))
    assert b"\r\nblocked_clients:0\r\n" in b.ok("INFO")
    waiting[1].close()
    a.ok("RPUSH", "list", "x")
    eventually(lambda: b"\r\nblocked_clients:1\r\n" in a.ok("INFO"))


def test_where_keys_cannot_be_told(w):
    """Redis says what is wrong, in its own words, and has not been shown any other name."""
    redis, larder = both(w, tenants={"a": {"scripts": "allow"}})
    a = session(w, larder, "a")
    for command in ("LMPOP x l LEFT", "LMPOP 3 l LEFT", "BLMPOP 1 -1 l LEFT", "ZMPOP a z MIN",
                    "SINTERCARD a s", "SINTERCARD 3 s t", "ZUNIONSTORE d 3 a b", "ZINTER 3 a b",
                    "EVAL s 2 k", "EVAL s -1 k", "XREAD STREAMS a b 0", "XREAD COUNT 1 STREAMS a"):
        got, want = a.cmd(*command.split()), redis.cmd(*command.split())
        assert isinstance(want, Error) and got == want, (command, got, want)
    # Within MULTI it is queued, as it is without a tenant.
    got = a.pipeline([("MULTI",), ("LMPOP", "x", "l", "LEFT"), ("SET", "k", 1), ("EXEC",)])
    assert got[1] == b"QUEUED" and got[3][1] == b"OK", got


def test_scripts(w):
    redis = w.redis()
    larder = tenants_larder(w, redis, {"a": {"scripts": "allow"}, "b": {}})
    a, b = session(w, larder, "a"), session(w, larder, "b")
    assert a.ok("EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", 1, "k", "v") == b"OK"
    assert redis.cmd("GET", "acme:k") == b"v"
    sha = a.ok("SCRIPT", "LOAD", "return KEYS[1]")
    assert a.ok("EVALSHA", sha, 1, "k") == b"acme:k"
    error = a.cmd("EVAL", "return redis.error_reply('no ' .. KEYS[1])", 1, "k")
    assert error == b"ERR no k" or error == b"no k", error
    assert a.ok("SCRIPT", "EXISTS", sha, "0" * 40) == [1, 0]  # redis-py asks it in its pipelines
    for command in (("EVAL", "return 1", 0), ("EVALSHA", sha, 0), ("SCRIPT", "LOAD", "return 1"),
                    ("SCRIPT", "EXISTS", sha), ("FCALL", "f", 0)):
        refused(b.cmd(*command))
    for command in (("SCRIPT", "FLUSH"), ("FUNCTION", "LIST")):
        refused(a.cmd(*command))


def test_refused(w):
    _, larder = both(w)
    a = session(w, larder, "a")
    for command in ("MONITOR", "CONFIG GET *", "SLOWLOG GET", "LATENCY LATEST", "MEMORY STATS",
                    "ACL WHOAMI", "ACL LIST", "FUNCTION LIST", "CLUSTER INFO", "MODULE LIST",
                    "DEBUG SLEEP 0", "SWAPDB 0 1", "MIGRATE h 1 k 0 1", "SYNC", "PSYNC ? -1",
                    "REPLICAOF no one", "SHUTDOWN", "LARDER STATS", "LARDER CLIENTS",
                    "LARDER FLUSH ALL", "LARDER KEY k", "LARDER FRESH DBSIZE", "CLIENT PAUSE 1",
                    "SAVE", "ROLE", "LASTSAVE", "WAIT 0 x y"):
        reply = a.cmd(*command.split())
        assert isinstance(reply, Error), (command, reply)
    refused(a.cmd("NOSUCH", "k"), "ERR unknown command 'NOSUCH'")
    refused(a.cmd("GET"), "ERR wrong number of arguments for 'get'")
    refused(a.cmd("CLIENT", "NOSUCH"))


def test_pipelines(w):
    """Runs of ordinary commands, inline ones among them, in order, however they are cut."""
    redis, larder = both(w)
    a = session(w, larder, "a")
    commands, want = [], []
    for i in range(3000):
        commands += [("SET", f"k{i}", f"v{i}"), ("GET", f"k{i}"), ("PING",), ("KEYS", f"k{i}"),
                     ("MGET", f"k{i}", "none"), ("CONFIG", "GET", "x")][:6 if i % 50 == 0 else 2]
        want += [b"OK", b"v%d" % i] + ([] if i % 50 else [b"PONG", [b"k%d" % i], [b"v%d" % i, None], None])
    got = a.pipeline(commands)
    for command, one, other in zip(commands, got, want):
        assert other is None and isinstance(one, Error) or one == other, (command, one, other)
    a.send_slowly(b"SET inline 1\r\nGET inline\r\n*2\r\n$3\r\nGET\r\n$6\r\ninline\r\n")
    assert a.replies(3) == [b"OK", b"1", b"1"]
    assert not redis.cmd("EXISTS", "k0") and redis.cmd("EXISTS", "acme:k0")


def test_large(w):
    """Requests that are streamed otherwise; replies that come in pieces."""
    redis, larder = both(w)
    a = session(w, larder, "a")
    value = b"x" * (3 << 20)
    assert a.ok("SET", "big", value) == b"OK"
    assert redis.cmd("STRLEN", "acme:big") == len(value)
    assert a.ok("GET", "big") == value
    assert stat(larder, w, b"clients_commands_large") == 1
    refused(a.cmd("CONFIG", "SET", "x", value))
    refused(a.cmd("NOSUCH", value))
    assert a.cmd("MSET", "m", value, "n", value) == b"OK" and redis.cmd("STRLEN", "acme:n") == len(value)
    huge = session(w, larder, "a", timeout=60)
    huge.send(b"*3\r\n$3\r\nSET\r\n$4\r\nhuge\r\n$%d\r\n" % (80 << 20))
    for _ in range(80):
        huge.send(b"y" * (1 << 20))
    huge.send(b"\r\n")
    assert huge.reply() == b"OK" and redis.cmd("STRLEN", "acme:huge") == 80 << 20
    a.ok("DEL", "huge", "m", "n")
    a.ok("RPUSH", "l", value)
    assert a.ok("BLPOP", "l", 0) == [b"l", value]
    for start in range(0, 20000, 1000):
        a.ok("MSET", *[x for i in range(start, start + 1000) for x in (f"key:{i:06d}", "v")])
    a.ok("MULTI")
    a.ok("KEYS", "key:*")
    assert sorted(a.ok("EXEC")[0]) == [b"key:%06d" % i for i in range(20000)]


def test_reload(w):
    redis = w.redis()
    larder = tenants_larder(w, redis, {"a": {}, "b": {}, "c": {}})
    a, b, c = (session(w, larder, n) for n in ("a", "b", "c"))
    larder.configure(tenants_ini(redis, {"a": {"password": "new"}, "c": {"prefix": "moved:"}, "d": {}}))
    larder.signal(1)
    b.eof()
    c.eof()
    assert a.ok("SET", "k", "v") == b"OK"
    d = session(w, larder, "d")
    d.ok("SET", "k", "v")
    assert redis.cmd("EXISTS", "d:k") == 1
    refused(w.conn(larder).cmd("AUTH", "a", password("a")), "WRONGPASS")
    refused(w.conn(larder).cmd("AUTH", "b", password("b")), "WRONGPASS")


def test_upstream_user(w):
    """Redis enforces what larder says: a connection as the tenant's own user."""
    redis = w.redis(acl=("user default on nopass ~* &* +@all",
                         "user ua on >uw ~acme:* &acme:* +@all"))
    larder = tenants_larder(w, redis, {"a": {"upstream_username": "ua", "upstream_password": "uw",
                                             "scripts": "allow"}, "b": {}})
    a, b = session(w, larder, "a"), session(w, larder, "b")
    b.ok("SET", "k", "of b")
    a.ok("SET", "k", "of a")
    error = a.cmd("EVAL", "return redis.call('GET', 'b[*c]?:k')", 0)
    assert isinstance(error, Error), error
    a3 = session(w, larder, "a", 3)
    assert a3.ok("GET", "k") == b"of a"
    assert isinstance(a3.cmd("EVAL", "return redis.call('GET', 'b[*c]?:k')", 0), Error)
    assert a.ok("DBSIZE") == 1 and a.ok("FLUSHDB") == b"OK" and b.ok("GET", "k") == b"of b"


# the near cache


def near_tenants(w, redis, **policy):
    return tenants_larder(w, redis, sections=rows("cache", {"max_memory": "64mb"}) + rows(
        "policy all", {"prefix": "k, session:", "local": "yes", **policy}))



def stat(larder, w, name):
    values = operator(w, larder).ok("LARDER", "STATS")
    return dict(zip(values[::2], values[1::2]))[name]


def test_near_cache(w):
    """What is kept is the tenant's; what others change is heard of."""
    redis = w.redis()
    larder = near_tenants(w, redis)
    for proto in (2, 3):
        redis.wipe()
        a, b = session(w, larder, "a", proto), session(w, larder, "b", proto)
        redis.cmd("SET", "acme:k", "of a", "EX", "1000")
        redis.cmd("SET", "b[*c]?:k", "of b", "EX", "1000")
        before = stat(larder, w, b"cache_hits")

        def hit():
            assert a.ok("GET", "k") == b"of a" and b.ok("GET", "k") == b"of b"
            return stat(larder, w, b"cache_hits") >= before + 20
        eventually(hit)
        redis.cmd("SET", "acme:k", "new", "EX", "1000")
        eventually(lambda: a.ok("GET", "k") == b"new")
        assert b.ok("GET", "k") == b"of b"
        # Its own write is read at once; a flush leaves nothing, and the other's alone.
        for i in range(50):
            assert a.pipeline([("SET", "k", i, "EX", 100), ("GET", "k")])[1] == b"%d" % i
            assert b.ok("GET", "k") == b"of b"
        a.ok("GET", "k")
        assert a.pipeline([("FLUSHDB",), ("GET", "k")]) == [b"OK", None]
        assert b.ok("GET", "k") == b"of b"
        assert a.ok("MGET", "k", "k2", "other") == [None] * 3
        assert a.ok("LARDER", "FRESH", "GET", "k") is None


def test_policies_behind_the_prefix(w):
    redis = w.redis()
    larder = near_tenants(w, redis, ttl="100s", max_value="1kb")
    a = session(w, larder, "a")
    a.ok("SET", "session:1", "x")
    assert 0 < redis.cmd("TTL", "acme:session:1") <= 100
    a.ok("SET", "acme:session:1", "x")
    assert redis.cmd("TTL", "acme:acme:session:1") == -1
    assert isinstance(a.cmd("SET", "k1", b"x" * 2000), Error)
    assert a.ok("SET", "free", b"x" * 2000) == b"OK"


def test_operator(w):
    redis = w.redis()
    larder = near_tenants(w, redis)
    a = session(w, larder, "a")
    for command in (("SET", "k", "v", "EX", 100), ("GET", "k"), ("CONFIG", "GET", "*")):
        a.cmd(*command)
    w.conn(larder).cmd("AUTH", "a", "wrong")
    op = operator(w, larder)
    line = op.ok("LARDER", "TENANTS").split(b"\n")[0].split()
    assert line[:3] == [b"tenant=a", b"prefix=acme:", b"scripts=deny"], line
    assert b"clients=1" in line and b"refused=1" in line and b"auth_failures=1" in line, line
    assert stat(larder, w, b"tenant_refused") == 1
    assert op.ok("LARDER", "FLUSH", "TENANT", "a") == b"OK"
    refused(op.cmd("LARDER", "FLUSH", "TENANT", "nobody"), "ERR")
    op.ok("SET", "plain", "1")  # the operator is nobody's tenant
    assert redis.cmd("GET", "plain") == b"1" and a.ok("GET", "plain") is None
