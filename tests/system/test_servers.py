"""The near cache before every kind of server there is: Redis 6, 7 and 8, Valkey 8 and 9. The 7 is
the one that is installed, the others are fetched by `make servers`, or skipped. 6.2, which Debian
never had, is tested where somebody has put it: build/servers/redis-6.2/server.

What is promised does not depend on the server: whoever changes a key, however, is seen. What may be
kept does: servers whose hash fields expire one by one say so; then no whole hash is kept."""
import os
import random
import re
import time

import coherence
from compare import same, same_commands
from near import near_ini, need_cache
from resp import Error, Map, eventually
from servers import ROOT, Pair, Skip

ONE_CHANCE = True  # tests/system/run

SERVERS = ("redis-6", "redis-6.2", "redis-7", "redis-8", "valkey-8", "valkey-9")
FIELDS_EXPIRE = ("redis-8", "valkey-9")


def program(name):
    if name == "redis-7":
        return "redis-server"
    path = os.path.join(ROOT, "build", "servers", name, "server")
    if not os.access(path, os.X_OK):
        raise Skip(f"there is no build/servers/{name}/server: see make servers")
    return path


class Stand:
    """A server of that kind, and a larder before it that keeps everything."""

    def __init__(self, w, name, trust=2, policy=None, **redis):
        need_cache()
        w.program = program(name)
        self.w, self.name = w, name
        self.redis = w.redis(**redis)
        # The tests say when a push must have come; larder shall not lose its trust meanwhile.
        self.larder = w.larder(self.redis, ini=near_ini(
            self.redis, larder={"admin_commands": "allow"}, cache={"coherence_timeout": "1m"},
            policy=policy))
        eventually(lambda: self.stats()["cache_trust"] == trust)

    def stats(self):
        return self.larder.stats()

    def open(self, proto=2):
        return self.w.conn(self.larder, proto)

    def direct(self, *command):
        found = self.redis.cmd(*command)
        assert not isinstance(found, Error), (command, found)
        return found

    def answered(self):
        stats = self.stats()
        return stats["cache_hits"] + stats["cache_negative"]

    def is_hit(self, conn, expected, *command):
        """Was it answered from memory? Either way it is answered so."""
        before = self.answered()
        found = conn.ok(*command)
        assert found == expected, (command, found)
        return self.answered() > before

    def kept(self, conn, expected, *command, behind=()):
        """Soon this is the answer, then it comes from memory: not always the second time, for the
        push about a write of just before may be on its way. behind: is asked before, each time."""
        eventually(lambda: conn.ok(*command) == expected)
        eventually(lambda: (behind and conn.ok(*behind), self.is_hit(conn, expected, *command))[1])


def check_pushes(w, name):
    """A direct writer's change is seen, whatever it is."""
    s = Stand(w, name)
    log = s.larder.log()
    assert "coherence: armed, mode=RESP2 " in log, log
    for proto in (2, 3):
        c = s.open(proto)
        s.direct("SET", "k", "old")
        s.kept(c, b"old", "GET", "k")
        s.direct("SET", "k", "new")
        s.kept(c, b"new", "GET", "k")
        s.kept(c, -1, "PTTL", "k", behind=("GET", "k"))
        s.direct("DEL", "k")
        s.kept(c, None, "GET", "k")
        s.direct("APPEND", "k", "x")
        s.kept(c, b"x", "GET", "k")
        s.direct("EXPIRE", "k", 1000)
        s.kept(c, b"x", "GET", "k")
        assert 990 < c.ok("TTL", "k") <= 1000
        s.direct("RENAME", "k", "other")
        s.kept(c, None, "GET", "k")
        s.direct("EVAL", "redis.call('set', 'k', 'by a script')", 0)
        s.kept(c, b"by a script", "GET", "k")
        s.direct("FLUSHDB")
        s.kept(c, None, "GET", "k")
        s.direct("SADD", "set", "a")
        s.kept(c, 1, "SCARD", "set")
        s.direct("SADD", "set", "b")
        s.kept(c, 2, "SCARD", "set")
        assert s.direct("FLUSHALL") == b"OK"
        eventually(lambda: c.ok("SCARD", "set") == 0)


def check_expiry(w, name):
    """P3: past its time a key is not read any more, even if the server says nothing of it."""
    s = Stand(w, name)
    s.direct("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    c = s.open()
    for i in range(3):
        end = int(time.time() * 1000) + 100
        s.direct("SET", f"k{i}", "v")
        s.direct("PEXPIREAT", f"k{i}", end)
        for _ in range(5):
            assert c.ok("GET", f"k{i}") in (b"v", None)
        eventually(lambda end=end: time.time() * 1000 > end + 1, every=0.001)
        assert c.cmd("GET", f"k{i}") is None


def check_own_writes(w, name):
    """What goes through larder: commands of every server, transactions, whole databases."""
    s = Stand(w, name)
    for proto in (2, 3):
        c, d = s.open(proto), s.open()

        def through(*command):
            for _ in range(2):
                d.ok("GET", "k")
            before = s.direct("DUMP", "k")
            c.ok(*command)
            assert d.ok("GET", "k") == s.direct("GET", "k"), command
            assert s.direct("DUMP", "k") != before, f"{command} has changed nothing"

        through("SET", "k", "1")
        through("INCR", "k")
        through("APPEND", "k", "3")
        through("MSET", "k", "4", "x", "5")
        through("EVAL", "return redis.call('set', KEYS[1], 'script')", 1, "k")
        through("RENAME", "x", "k")
        through("SWAPDB", 0, 1)
        through("SWAPDB", 0, 1)
        through("FLUSHDB")
        through("SETRANGE", "k", 2, "range")
        through("GETSET", "k", "another")
        c.ok("MULTI")
        c.ok("SET", "k", "in MULTI")
        c.ok("GET", "k")
        d.ok("GET", "k")
        assert c.ok("EXEC") == [b"OK", b"in MULTI"]
        assert d.ok("GET", "k") == b"in MULTI"
        s.kept(d, b"in MULTI", "GET", "k")
        for command in (("SET", "k", "if", "IFEQ", "in MULTI"), ("DELIFEQ", "k", "if"),
                        ("MSETEX", 1, "k", "w", "EX", 100)):
            c.cmd(*command)  # an error where the server does not have it
            assert d.ok("GET", "k") == s.direct("GET", "k"), command
        c.ok("DEL", "k")
        assert d.ok("GET", "k") is None


def pairs(proto, *flat):
    return list(flat) if proto == 2 else Map(zip(flat[::2], flat[1::2]))


def check_hashes(w, name):
    s = Stand(w, name, policy={"field_ttl": "yes"})
    expire = name in FIELDS_EXPIRE
    for proto in (2, 3):
        c = s.open(proto)
        s.direct("DEL", "h")
        s.direct("HSET", "h", "a", 1, "b", 2)
        whole = pairs(proto, b"a", b"1", b"b", b"2")
        if expire:
            for _ in range(3):
                assert not s.is_hit(c, whole, "HGETALL", "h")
        else:
            s.kept(c, whole, "HGETALL", "h")
            s.kept(c, b"1", "HGET", "h", "a", behind=("HGETALL", "h"))
            s.direct("HSET", "h", "b", 2)
        s.kept(c, b"1", "HGET", "h", "a")
        s.kept(c, [b"2", None], "HMGET", "h", "b", "c")
        s.direct("HSET", "h", "a", 3, "c", 4)
        s.kept(c, b"3", "HGET", "h", "a")
        s.kept(c, [b"2", b"4"], "HMGET", "h", "b", "c")
        s.direct("HDEL", "h", "a")
        s.kept(c, None, "HGET", "h", "a")
        if expire:
            fields_that_expire(s, c)


def fields_that_expire(s, c):
    """A field's own TTL ends the hit (P3), and who sets one or takes one away is seen."""
    s.direct("DEBUG", "SET-ACTIVE-EXPIRE", 0)  # the server shall not say that it is over
    for command in (("HPEXPIRE", "h", 150, "FIELDS", 1, "f"),
                    ("HSETEX", "h", "PX", 150, "FIELDS", 1, "f", "v"),
                    ("HGETEX", "h", "PX", 150, "FIELDS", 1, "f")):
        for one in (("HGET", "h", "f"), ("HMGET", "h", "b", "f")):
            value, gone = (b"v", None) if one[0] == "HGET" else ([b"2", b"v"], [b"2", None])
            s.direct("HSET", "h", "f", "v")
            s.kept(c, value, *one)
            s.direct(*command)
            end = time.time() * 1000 + 150
            for _ in range(5):
                assert c.ok(*one) in (value, gone)
            eventually(lambda end=end: time.time() * 1000 > end + 1, every=0.001)
            assert c.cmd(*one) == gone, (command, one)
    s.direct("HSET", "h", "f", "v")
    s.kept(c, b"v", "HGET", "h", "f")
    c.ok("HPEXPIRE", "h", 100000, "FIELDS", 1, "f")
    s.kept(c, b"v", "HGET", "h", "f")
    if s.name == "redis-8":
        assert c.ok("HGETDEL", "h", "FIELDS", 1, "f") == [b"v"]
        assert c.cmd("HGET", "h", "f") is None


def check_whole_hashes(w, name):
    """field_ttl = no: nobody here gives fields a TTL, so whole hashes are kept by every server."""
    s = Stand(w, name, policy={"field_ttl": "no"})
    for proto in (2, 3):
        c = s.open(proto)
        s.direct("DEL", "h")
        s.direct("HSET", "h", "a", 1)
        s.kept(c, pairs(proto, b"a", b"1"), "HGETALL", "h")
        s.kept(c, b"1", "HGET", "h", "a", behind=("HGETALL", "h"))
        s.direct("HSET", "h", "a", 2)
        s.kept(c, pairs(proto, b"a", b"2"), "HGETALL", "h")


def check_resp3(w, name):
    """Where SUBSCRIBE or its channel is not allowed, pushes come over RESP3."""
    refusals = ["-subscribe"] if name == "redis-6" else ["-subscribe", "resetchannels"]
    for refused in refusals:
        s = Stand(w, name, acl=[f"user default on nopass ~* +@all {refused}"])
        log = s.larder.log()
        assert "coherence: armed, mode=RESP3 " in log and "NOPERM" in log, log
        c = s.open()
        s.direct("SET", "k", "old")
        s.kept(c, b"old", "GET", "k")
        s.direct("SET", "k", "new")
        s.kept(c, b"new", "GET", "k")
        s.direct("FLUSHALL")
        eventually(lambda c=c: c.ok("GET", "k") is None)


def check_no_pushes(w, name):
    """Where tracking is not allowed at all, local_ttl is what bounds the age."""
    # 6 does not know how to take away one of a command's parts, 6.0 no channels either
    rights = {"redis-6": "-client +client|id +client|setname",
              "redis-6.2": "&* -client +client|id +client|setname"}.get(name, "&* -client|tracking")
    s = Stand(w, name, trust=3, acl=[f"user default on nopass ~* +@all {rights}"])
    log = s.larder.log()
    assert "coherence: armed" not in log and "NOPERM" in log, log
    c = s.open()
    s.direct("SET", "k", "old")
    s.kept(c, b"old", "GET", "k")


def check_killed_link(w, name):
    """What was kept before the link was lost is not served after."""
    s = Stand(w, name)
    c = s.open()
    for i in range(5):
        s.direct("SET", "k", i)
        c.ok("GET", "k")
        armings = s.stats()["invalidation_armings"]
        assert s.direct("CLIENT", "KILL", "TYPE", "pubsub") == 1
        s.direct("SET", "k", f"after {i}")
        eventually(lambda n=armings: s.stats()["invalidation_armings"] > n)
        assert c.ok("GET", "k") == b"after %d" % i
        eventually(lambda: s.stats()["cache_trust"] == 2)
    s.kept(c, b"after 4", "GET", "k")


SAID = [("HELLO",), ("HELLO", 3), ("HELLO", 2), ("HELLO", 4), ("HELLO", 3, "SETNAME", "me"),
        ("CLIENT", "GETNAME"), ("CLIENT", "SETINFO", "LIB-NAME", "x"), ("CLIENT", "NO-TOUCH", "on"),
        ("CLIENT", "CAPA", "redirect"), ("CLIENT", "NOSUCH"), ("NOSUCH", "a", "b"), ("GET",),
        ("COMMAND", "COUNT"), ("SET", "k", "1", "IFEQ", "2"), ("SET", "k", "v"), ("GET", "k"),
        ("GET", "k"), ("TYPE", "k"), ("OBJECT", "ENCODING", "k"), ("HSET", "h", "f", "v"),
        ("HPTTL", "h", "FIELDS", 1, "f"), ("HEXPIRE", "h", 100, "FIELDS", 1, "f"),
        ("HGETEX", "h", "FIELDS", 1, "f"), ("HGETALL", "h"), ("HGETALL", "h"), ("HGET", "k", "f"),
        ("HGET", "k", "f"), ("GET", "h"), ("GET", "h"), ("ZADD", "z", 1.5, "m"),
        ("ZSCORE", "z", "m"), ("ZRANGE", "z", 0, -1, "WITHSCORES"), ("SMISMEMBER", "s", "a"),
        ("MULTI",), ("GET", "k"), ("NOSUCH",), ("EXEC",), ("WAIT", 0, 1),
        ("FUNCTION", "LIST"), ("ACL", "WHOAMI"), ("RESET",), ("DEL", "k", "h", "z")]
# What larder answers by itself it answers as 7.0 does. Redis 6 has other words for a subcommand that
# is unknown, 6.0 no RESET and no bare HELLO either.
OTHER_IN_6_2 = ("CLIENT SETINFO", "CLIENT NO-TOUCH", "CLIENT CAPA", "CLIENT NOSUCH")
OTHERS = {"redis-6": ("HELLO", "RESET", *OTHER_IN_6_2), "redis-6.2": OTHER_IN_6_2}


def check_transparency(w, name):
    """Same questions, same bytes; INFO tells of the server behind."""
    s = Stand(w, name)
    pair = Pair(s.redis, s.larder)
    others = OTHERS.get(name, ())
    said = [command for command in SAID
            if " ".join(map(str, command[:1 + (command[0] == "CLIENT")])) not in others
            or command[:2] in (("HELLO", 2), ("HELLO", 3))]
    same_commands(w, said, pair=pair)

    def scenario(stage):
        c = stage.open()
        for section in ("server", "replication"):
            text = c.ok("INFO", section)
            lines = [line for line in text.split(b"\r\n") if line.split(b":")[0] in (
                b"redis_version", b"valkey_version", b"server_name", b"redis_mode", b"server_mode",
                b"valkey_release_stage", b"run_id", b"tcp_port", b"executable", b"role")]
            stage.log[-1] = (*stage.log[-1][:2], b"|".join(lines))
    same(w, scenario, pair=pair)


def check_judge(w, name):
    """The judge of coherence, before this server."""
    if name == "redis-7":
        raise Skip("that is what test_coherence.py does")
    need_cache()
    w.program = program(name)
    seed = random.SystemRandom().randrange(1, 1 << 31)
    coherence.hot(w, 4, seed)
    coherence.spread(w, 3, seed)


check_judge.timeout = 90


def of(check, name):
    def test(w):
        check(w, name)
    test.timeout = getattr(check, "timeout", 30)
    return test


for _name in SERVERS:
    for _check in (check_pushes, check_expiry, check_own_writes, check_hashes, check_whole_hashes,
                   check_resp3, check_no_pushes, check_killed_link, check_transparency,
                   check_judge):
        _title = f"test_{re.sub('[-.]', '_', _name)}_{_check.__name__[6:]}"
        globals()[_title] = of(_check, _name)
