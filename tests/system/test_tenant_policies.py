"""Policies of tenants, who have the same names for their keys: each has its own expiries, caps,
leases, tokens and stale values; and a tenant's own user of the upstream, who may touch nothing but
what is behind the tenant's prefix, is enough for all of it."""
from near import rows
from outage import QUICK
from resp import TIMEOUT, Error, encode, eventually
from servers import Larder, make_ini, read_stats
from tenants import operator, password, refused, session, tenants_ini

# What README.md tells to give a tenant's user; KEYS is for KEYS, DBSIZE and FLUSHDB in MULTI.
ACL = ("user default on nopass ~* &* +@all",
       "user ua on >uw ~acme:* &acme:* &acme:news.* &__keyspace@0__:acme:* &__redis__:invalidate "
       "+@all -@admin -@dangerous +keys",
       "user uc on >uw ~emca:* &emca:* +@all -@admin -@dangerous +keys")
PREFIX = {"a": "acme:", "c": "emca:"}
POLICIES = rows("cache", {"coherence_timeout": "1h"}) + rows(
    "policy session", {"prefix": "session:", "sliding": "30m", "absolute": "8h"}) + rows(
    "policy f", {"prefix": "f:", "fence": "yes", "lease_ttl": "20s"}) + rows(
    "policy l", {"prefix": "l:", "local": "yes", "stampede": "wait", "scope": "fleet",
                 "lease_ttl": "100s", "lease_wait": "60s"}) + rows(
    "policy d", {"prefix": "d:", "local": "yes", "on_outage": "stale", "drop_writes": "yes",
                 "stale_ttl": "1h", "fence": "yes"})
MINUTE, HOUR = 60, 3600


class World:
    """Two tenants, with users of their own or larder's; `larders` before one Redis."""

    def __init__(self, w, own, larders=1, start=None, **up):
        start = start or w
        self.w, self.own = w, own
        self.redis = start.redis("--appendonly", "yes", "--appendfsync", "always", acl=ACL)
        users = {n: {"upstream_username": "u" + n, "upstream_password": "uw"} if own else {}
                 for n in PREFIX}
        ini = tenants_ini(self.redis, users, POLICIES)
        ini = ini.replace("[upstream]\n", "[upstream]\n" + "".join(
            f"{k} = {v}\n" for k, v in {"command_timeout": "10s", **up}.items()))
        self.larders = [w.add(Larder(self.redis, ini=ini, env=getattr(start, "env", None)))
                        for _ in range(larders)]
        for n in range(larders):
            eventually(lambda n=n: self.stats(n)["cache_trust"] == 2)

    def stats(self, n=0):
        return read_stats(operator(self.w, self.larders[n]).ok("LARDER", "STATS"))

    def pair(self, n=0, proto=2):
        return [session(self.w, self.larders[n], name, proto) for name in PREFIX]

    def denials(self):
        """What Redis has refused to anybody."""
        return self.redis.cmd("ACL", "LOG")


def worlds(w, **more):
    for own in (False, True):
        yield World(w, own, **more)


def seen(conn):
    """Each way to list keys says the same; returns it."""
    names, cursor = [], b"0"
    while True:
        cursor, keys = conn.ok("SCAN", cursor, "COUNT", 3)
        names += keys
        if cursor == b"0":
            break
    listed = conn.ok("KEYS", "*")
    assert sorted(names) == sorted(listed) and conn.ok("DBSIZE") == len(names), (names, listed)
    drawn = {conn.ok("RANDOMKEY") for _ in range(60)}
    assert drawn <= (set(names) or {None}) and (not names or drawn), (drawn, names)
    for pattern in ("larder:[dfl]*", "*larder:*:*"):
        assert conn.ok("KEYS", pattern) == []
    conn.ok("MULTI")
    for command in (("KEYS", "*"), ("DBSIZE",), ("RANDOMKEY",), ("SCAN", 0, "COUNT", 1000)):
        conn.ok(*command)
    keys, count, one, scan = conn.ok("EXEC")
    assert sorted(keys) == sorted(names) == sorted(scan[1]) and count == len(names)
    assert one in names or not names and one is None
    return sorted(names)


def test_own_keys_are_behind_the_prefix(w):
    """And neither seen nor touched by clients; they went to larder:deadline:acme:.. once, which a
    user held to ~acme:* may not write."""
    for own in (False, True):
        t = World(w, own)
        a, c = t.pair()
        for conn, value in ((a, "of a"), (c, "of c")):
            conn.ok("SET", "session:1", value)
            conn.ok("LARDER", "GETLEASE", "f:1")
            assert conn.ok("GET", "l:1") is None
        eventually(lambda t=t: t.redis.cmd("EXISTS", "acme:larder:lease:l:1",
                                           "emca:larder:lease:l:1") == 2)
        for prefix in PREFIX.values():
            found = {k.decode() for k in t.redis.cmd("KEYS", prefix + "*")}
            assert found == {prefix + k for k in (
                "session:1", "larder:deadline:session:1", "larder:fence:f:1",
                "larder:lease:l:1")}, found
        assert t.redis.cmd("KEYS", "larder:*") == []
        for conn in (a, c):
            assert seen(conn) == [b"session:1"]
            for key in ("larder:deadline:session:1", "larder:fence:f:1", "larder:lease:l:1"):
                refused(conn.cmd("GET", key), "NOPERM keys that begin with larder:deadline:")
                refused(conn.cmd("DEL", "x", key), "NOPERM keys that begin with larder:deadline:")
            assert conn.ok("SET", "larder:mine", 1) == b"OK"
            assert seen(conn) == [b"larder:mine", b"session:1"]
        boss = operator(w, t.larders[0])
        assert sorted(boss.ok("KEYS", "*")) == sorted(
            p.encode() + k for p in PREFIX.values() for k in (b"larder:mine", b"session:1"))
        assert boss.ok("DBSIZE") == 4 and len(boss.ok("SCAN", 0, "COUNT", 1000)[1]) == 4
        assert {boss.ok("RANDOMKEY") for _ in range(30)} <= set(boss.ok("KEYS", "*"))
        refused(boss.cmd("DEL", "acme:larder:deadline:session:1"), "NOPERM keys that begin")
        # A flush takes them along, and none of the other's.
        assert a.ok("FLUSHDB") == b"OK" and t.redis.cmd("KEYS", "acme:*") == []
        assert len(t.redis.cmd("KEYS", "emca:*")) == 5
        assert c.pipeline([("MULTI",), ("FLUSHDB",), ("EXEC",)])[2] == [b"OK"]
        assert t.redis.cmd("DBSIZE") == 0 and not t.denials(), t.denials()


def test_absolute_and_sliding(w):
    """Each tenant's session has its own cap, from its own beginning."""
    for own in (False, True):
        clock = w.clock()
        t = World(w, own, start=clock, command_timeout="1d", connect_timeout="1h",
                  queue_timeout="1h", link_idle_timeout="1d")
        a, c = t.pair()
        a.ok("SET", "session:1", "of a")
        began = clock.now()
        ends = {}
        clock.move(20 * MINUTE)
        assert a.ok("GET", "session:1") == b"of a" and c.ok("GET", "session:1") is None
        c.ok("SET", "session:1", "of c")
        began_c = clock.now()
        settle(t, a, c)
        while len(ends) < 2 and clock.now() < began + 10 * HOUR:
            clock.move(20 * MINUTE)
            for name, conn in (("a", a), ("c", c)):
                got = conn.ok("GET", "session:1")
                if got is None:
                    ends.setdefault(name, clock.now())
                else:
                    assert got.startswith(b"of " + name.encode())
                    assert 0 < conn.ok("TTL", "session:1") <= 30 * MINUTE
            settle(t, a, c)
        for name, start in (("a", began), ("c", began_c)):
            assert abs(ends[name] - start - 8 * HOUR) <= 20 * MINUTE + 2, (own, name)
        assert not t.denials(), t.denials()
        eventually(lambda t=t: t.redis.cmd("KEYS", "*larder:deadline*") == [])


def settle(t, *conns):
    """What was due has been said to Redis, and read there (see sessions.py)."""
    for conn in conns:
        for command in (("PING",), ("PING",), ("EXISTS", "nobody's")):
            conn.ok(*command)
    t.redis.cmd("PING")


def test_fences(w):
    for t in worlds(w):
        a, c = t.pair()
        tokens = [conn.ok("LARDER", "GETLEASE", "f:1")[1] for conn in (a, c)]
        assert tokens[0] != tokens[1]
        assert c.ok("LARDER", "SETLEASE", "f:1", tokens[0], "not its token") is None
        c.ok("SET", "f:1", "written")  # that makes c's void, and not a's
        assert c.ok("LARDER", "SETLEASE", "f:1", tokens[1], "loaded") is None
        assert a.ok("LARDER", "SETLEASE", "f:1", tokens[0], "loaded") == b"OK"
        assert a.ok("GET", "f:1") == b"loaded" and c.ok("GET", "f:1") == b"written"
        assert not t.denials(), t.denials()


def test_one_load_for_each_tenant(w):
    """Of two larders; who waits at the other one is woken by the push about acme:larder:lease:.."""
    for t in worlds(w, larders=2):
        loaders = t.pair(0)
        for conn in loaders:
            assert conn.ok("GET", "l:1") is None  # both are to load
        waiters = t.pair(1, 3)
        for conn in waiters:
            conn.send_cmd("GET", "l:1")
        eventually(lambda t=t: t.stats(1)["lease_waiting"] == 2)
        loaders[0].ok("SET", "l:1", "of a")
        assert waiters[0].reply() == b"of a"
        assert t.stats(1)["lease_waiting"] == 1
        loaders[1].ok("DEL", "l:1")  # nothing was loaded: the waiter is next
        assert waiters[1].reply() is None
        waiters[1].ok("SET", "l:1", "of c")
        assert [conn.ok("GET", "l:1") for conn in loaders] == [b"of a", b"of c"]
        assert t.stats(0)["lease_alone"] == t.stats(1)["lease_alone"] == 0
        eventually(lambda t=t: t.redis.cmd("KEYS", "*larder:lease*") == [])
        assert not t.denials(), t.denials()


def test_leases_are_heard_of(w):
    """A push about acme:larder:lease:.. wakes at once who would ask again only a quarter of lease_ttl later."""
    for t in worlds(w, larders=2):
        a = t.pair(0)[0]
        assert a.ok("GET", "l:1") is None
        waiter = t.pair(1)[0]
        waiter.send_cmd("GET", "l:1")
        eventually(lambda t=t: t.stats(1)["lease_elsewhere"] == 1)
        asked = t.stats(1)["lease_asked"]
        t.redis.cmd("DEL", "acme:larder:lease:l:1")
        assert waiter.reply() is None
        assert t.stats(1)["lease_asked"] == asked + 1


def test_outage(w):
    """Stale values are each tenant's own; what was dropped is deleted as its user."""
    for t in worlds(w, **QUICK):
        a, c = t.pair()
        for conn, value in ((a, "of a"), (c, "of c")):
            conn.pipeline([("SET", f"d:{k}", f"{value} {k}") for k in range(4)])
        for conn, value in ((a, "of a"), (c, "of c")):
            eventually(lambda conn=conn, value=value: conn.pipeline(
                [("GET", f"d:{k}") for k in range(4)]) == [f"{value} {k}".encode()
                                                           for k in range(4)])
        kept(t, 8)
        t.redis.kill()
        eventually(lambda t=t: t.stats()["outage_on"] == 1)
        assert a.cmd("DEL", "d:0") == 1 and c.cmd("SET", "d:1", "dropped") == b"OK"
        assert [a.cmd("GET", f"d:{k}") for k in range(4)] == [None, b"of a 1", b"of a 2", b"of a 3"]
        assert [c.cmd("GET", f"d:{k}") for k in range(4)] == [b"of c 0", None, b"of c 2", b"of c 3"]
        t.redis.start()
        eventually(lambda t=t: t.stats()["outage_on"] == 0, timeout=4 * TIMEOUT)
        assert a.cmd("MGET", *(f"d:{k}" for k in range(4))) == [None, b"of a 1", b"of a 2",
                                                                b"of a 3"]
        assert c.cmd("MGET", *(f"d:{k}" for k in range(4))) == [b"of c 0", None, b"of c 2",
                                                                b"of c 3"]
        assert t.redis.cmd("EXISTS", "acme:d:0", "emca:d:1") == 0
        assert not t.denials(), t.denials()


def kept(t, entries):
    eventually(lambda: t.stats()["cache_entries"] >= entries)


def test_what_a_user_of_its_own_may(w):
    """The walls are Redis' own then, and larder's as before."""
    t = World(w, True)
    a, c = t.pair()
    for conn in (*t.pair(), *t.pair(proto=3)):
        assert conn.ok("SET", "k", "v") == b"OK" and conn.ok("GET", "k") == b"v"
        assert conn.pipeline([("MULTI",), ("INCR", "n"), ("EXEC",)])[2] != []
    listener = t.pair()[0]
    listener.ok("SUBSCRIBE", "ch")
    assert a.ok("PUBLISH", "ch", "hello") == 1 and c.ok("PUBLISH", "ch", "not for it") == 0
    assert listener.reply() == [b"message", b"ch", b"hello"]
    # Redis lets a user who was given &acme:* subscribe that pattern, and none within it.
    answer = listener.cmd("PSUBSCRIBE", "c*")
    assert isinstance(answer, Error) and b"acme" not in answer, answer
    listener.ok("PSUBSCRIBE", "*")
    assert listener.ok("UNSUBSCRIBE", "ch") == [b"unsubscribe", b"ch", 1]
    assert a.ok("PUBLISH", "ch", "again") == 1
    assert listener.reply() == [b"pmessage", b"*", b"ch", b"again"]
    a.send(encode("BLPOP", "q", "0"))
    eventually(lambda: t.redis.cmd("INFO", "clients").count(b"blocked_clients:1"))
    t.pair()[0].ok("RPUSH", "q", "x")
    assert a.reply() == [b"q", b"x"]
    for conn in (a, c):  # of whom one has been given these patterns, too
        fresh = session(w, t.larders[0], "a" if conn is a else "c")
        for pattern in ("news.*", "__keyspace@0__:*"):
            answer = fresh.cmd("PSUBSCRIBE", pattern)
            assert isinstance(answer, Error) != (conn is a), (pattern, answer)
    follower, teller = t.pair()[0], t.pair()[0]
    number = follower.ok("CLIENT", "ID")
    follower.ok("SUBSCRIBE", "__redis__:invalidate")
    assert isinstance(t.pair()[1].cmd("SUBSCRIBE", "__redis__:invalidate"), Error)
    teller.ok("CLIENT", "TRACKING", "ON", "REDIRECT", number)
    teller.ok("GET", "seen")
    a.ok("SET", "seen", 1)
    assert follower.reply() == [b"message", b"__redis__:invalidate", [b"seen"]]
    a.ok("FLUSHALL")
    assert a.ok("DBSIZE") == 0 and c.ok("GET", "k") == b"v"
    # A wrong password of the upstream's is told as what it is, and to this tenant alone.
    t.redis.cmd("ACL", "SETUSER", "ua", "resetpass", ">other")
    t.redis.cmd("CLIENT", "KILL", "USER", "ua")
    fresh = w.conn(t.larders[0])
    fresh.ok("AUTH", "a", password("a"))
    answer = fresh.cmd("GET", "k", timeout=20)
    assert isinstance(answer, Error) and b"emca" not in answer, answer
    assert c.ok("GET", "k") == b"v"


def test_fresh_shows_no_more(w):
    """LARDER FRESH of what is about all keys is of the tenant's."""
    t = World(w, False)
    a, c = t.pair()
    c.ok("SET", "session:c", "of c")
    a.ok("SET", "session:a", "of a")
    for command in (("KEYS", "*"), ("DBSIZE",), ("RANDOMKEY",)):
        refused(a.cmd("LARDER", "FRESH", *command))
    assert a.ok("LARDER", "FRESH", "SCAN", 0, "COUNT", 1000) == [b"0", [b"session:a"]]


def test_a_namespace_as_a_user_held_to_it(w):
    """What README.md tells against scripts that make up names of keys, where there is a namespace."""
    redis = w.redis(acl=("user default on nopass ~* &* +@all",
                         "user un on >uw ~north:* &north:* &__redis__:invalidate +@all -@admin "
                         "-@dangerous"))
    ini = make_ini(("127.0.0.1", 0), redis, {"namespace": "north:"},
                   {"address": "127.0.0.1:@PORT@"}, {"username": "un", "password": "uw"})
    larder = w.add(Larder(redis, ini=ini + POLICIES))
    eventually(lambda: "coherence: armed" in larder.log())
    for proto in (2, 3):
        c = w.conn(larder, proto)
        c.ok("SET", "session:1", "v")
        token = c.ok("LARDER", "GETLEASE", "f:1")[1]
        assert c.ok("GET", "l:1") is None and c.ok("GET", "session:1") == b"v"
        assert sorted(c.ok("KEYS", "*")) == [b"session:1"] and c.ok("DBSIZE") == 1
        assert set(redis.cmd("KEYS", "*")) >= {b"north:larder:deadline:session:1",
                                               b"north:larder:fence:f:1", b"north:session:1"}
        assert c.ok("LARDER", "SETLEASE", "f:1", token, "v") == b"OK"
        assert not redis.cmd("ACL", "LOG")
        assert isinstance(c.cmd("EVAL", "return redis.call('SET', 'made:up', 1)", 0), Error)
        assert c.ok("EVAL", "return redis.call('SET', KEYS[1], 1)", 1, "named") == b"OK"
        assert redis.cmd("EXISTS", "made:up") == 0 and redis.cmd("EXISTS", "north:named") == 1
        assert redis.cmd("ACL", "LOG", "RESET") == b"OK"
        c.ok("FLUSHDB")
        assert redis.cmd("DBSIZE") == 0
