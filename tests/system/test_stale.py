"""stampede = stale, refresh_ahead: one client loads, the others are given the value that has
expired, or the one that is about to. The clock is moved: keys live for a minute."""
import re

from leases import PATIENT_UP, Leases, missed
from near import near_ini
from program import flat
from resp import Map, encode, eventually

LIFE, STALE, LEASE = 60, 30, 20  # seconds
KINDS = {
    "GET": (("SET", "k", "old", "EX", LIFE), ("GET", "k"), b"old"),
    "MGET": (("SET", "k", "old", "EX", LIFE), ("MGET", "k"), [b"old"]),
    "HGET": (("HSET", "k", "f", "old"), ("HGET", "k", "f"), b"old"),
    "HMGET": (("HSET", "k", "f", "old"), ("HMGET", "k", "f", "g"), [b"old", None]),
    "HGETALL": (("HSET", "k", "f", "old"), ("HGETALL", "k"), [b"f", b"old"]),
}


class Stale(Leases):
    """A larder with stampede = stale, and a Redis, under one clock."""

    def __init__(self, w, **policy):
        self.clock = w.clock()
        super().__init__(w, clock=self.clock, **{"stampede": "stale", "stale_ttl": f"{STALE}s",
                                                 "lease_ttl": f"{LEASE}s", **policy})
        self.a, self.b = self.conn(), self.conn(3)

    def keep(self, kind="GET", key="k"):
        """A value that is kept, for a minute."""
        write, read, value = KINDS[kind]
        self.a.ok(write[0], key, *write[2:])
        self.a.ok("EXPIRE", key, LIFE)
        for conn in (self.a, self.b):
            self.same(conn.cmd(read[0], key, *read[2:]), value)
        hits = self.stats()["cache_hits"]
        for conn in (self.a, self.b):
            self.same(conn.cmd(read[0], key, *read[2:]), value)
        assert self.stats()["cache_hits"] == hits + 2
        return (read[0], key, *read[2:]), value

    @staticmethod
    def same(reply, value):
        if isinstance(reply, Map):
            reply = [x for pair in reply for x in pair]
        assert reply == value, (reply, value)

    def expire(self, told=False):
        """It has expired; told: and Redis has said so already."""
        pushed = self.stats()["invalidation_keys"]
        self.clock.move(LIFE + 0.1)
        if told:
            eventually(lambda: self.stats()["invalidation_keys"] > pushed)

    def expired_and_told(self):
        """a has been told that k is missing."""
        self.keep()
        self.expire()
        assert self.a.cmd("GET", "k") is None
        assert self.b.cmd("GET", "k") == b"old"

    def stale(self):
        return self.stats()["cache_stale"]

    def policy(self, name):
        return int(re.search(rf" {name}=(\d+)", flat(self.probe.ok("LARDER", "POLICIES"))).group(1))


# the old value, during a load

def during_a_load(w, told):
    s = Stale(w)
    for n, kind in enumerate(KINDS):
        key = f"key:{n}"
        read, value = s.keep(kind, key)
        s.expire(told)
        before = s.stale()
        loader = s.conn()
        assert missed(loader.cmd(*read)), kind
        for _ in range(3):
            for conn in (s.a, s.b, loader):
                s.same(conn.cmd(*read), value)
        assert s.stale() == before + 9 and s.stats()["cache_loads"] == 1
        assert s.a.cmd("EXISTS", key) == 0 and s.a.cmd("TTL", key) == -2
        write = KINDS[kind][0]
        s.probe.ok(write[0], key, *("new" if x == "old" else x for x in write[2:]))
        new = [b"new" if x == b"old" else x for x in value] if isinstance(value, list) else b"new"
        for conn in (s.a, s.b, loader):
            s.same(conn.cmd(*read), new)
        assert s.stale() == before + 9 and s.stats()["cache_loads"] == 0


def test_old_value_during_a_load(w):
    during_a_load(w, False)


def test_old_value_when_redis_has_told_of_the_expiry(w):
    during_a_load(w, True)


def test_who_asks_together(w):
    """The question of the first is joined by the others: one is told to load."""
    s = Stale(w)
    s.keep()
    s.expire()
    s.redis.pause()
    conns = [s.conn(2 + n % 2) for n in range(20)]
    for conn in conns:
        conn.send(encode("GET", "k"))
    eventually(lambda: s.stats()["cache_coalesced"] >= 19)
    s.redis.resume()
    replies = [conn.reply() for conn in conns]
    assert sorted(replies, key=str) == [None] + [b"old"] * 19, replies
    assert s.stale() == 19


def test_many_keys_asked_together(w):
    s = Stale(w)
    s.keep()
    s.a.ok("SET", "other", "o")
    s.expire()
    assert s.a.cmd("MGET", "k", "other") == [None, b"o"]
    assert s.b.cmd("MGET", "k", "other") == [b"old", b"o"]
    s.a.ok("SET", "k", "new")
    assert s.b.cmd("MGET", "k", "other") == [b"new", b"o"]


def test_with_exists_beside_it(w):
    """Replies to several commands are kept under the key: those that are no value go."""
    s = Stale(w)
    s.a.ok("SET", "k", "old", "EX", LIFE)
    assert s.a.cmd("EXISTS", "k") == 1 and s.a.cmd("GET", "k") == b"old"
    assert s.a.cmd("STRLEN", "k") == 3
    s.expire(told=True)
    assert s.a.cmd("EXISTS", "k") == 0
    assert s.a.cmd("GET", "k") is None and s.b.cmd("GET", "k") == b"old"
    assert s.b.cmd("EXISTS", "k") == 0 and s.b.cmd("STRLEN", "k") == 0
    assert s.b.cmd("GET", "k") == b"old"


def test_not_before_a_client_was_told(w):
    s = Stale(w)
    s.keep()
    s.expire()
    for n in range(3):
        assert s.conn().cmd("EXISTS", "k") == 0
        assert s.stale() == 0
    assert s.a.cmd("GET", "k") is None
    assert s.stale() == 0
    assert s.a.cmd("GET", "k") == b"old"  # the loader's own connection, which many may share


def test_nothing_was_kept(w):
    """Then all are told that the key is absent, and that is kept as ever."""
    s = Stale(w, negative_ttl="10s")
    assert s.a.cmd("GET", "k") is None
    before = s.stats()["cache_negative"]
    assert s.b.cmd("GET", "k") is None
    assert s.stats()["cache_negative"] == before + 1 and s.stale() == 0


def test_stale_ttl(w):
    s = Stale(w, lease_ttl="1h")
    s.expired_and_told()
    s.clock.move(STALE - 1)
    assert s.b.cmd("GET", "k") == b"old"
    s.clock.move(1)
    assert s.b.cmd("GET", "k") is None and s.b.cmd("GET", "k") is None
    eventually(lambda: s.policy("entries") <= 1)  # at most that it is absent


def test_local_ttl_is_no_expiry(w):
    """What is no longer kept as fresh, though its key lives, is old for no one."""
    s = Stale(w, local_ttl="10s")
    s.a.ok("SET", "k", "old", "EX", LIFE)
    assert s.a.cmd("GET", "k") == b"old"
    s.clock.move(11)
    s.changed("DEL", "k")
    assert s.a.cmd("GET", "k") is None and s.b.cmd("GET", "k") is None
    assert s.stale() == 0


# what ends a load

def test_loader_leaves(w):
    s = Stale(w)
    s.expired_and_told()
    s.a.close()
    eventually(lambda: s.stats()["cache_loads"] == 0)
    other = s.conn()
    assert s.b.cmd("GET", "k") is None and other.cmd("GET", "k") == b"old"


def test_load_lapses(w):
    s = Stale(w, stale_ttl="1h")
    s.expired_and_told()
    s.clock.move(LEASE - 1)
    assert s.b.cmd("GET", "k") == b"old"
    s.clock.move(2)
    assert (s.b.cmd("GET", "k"), s.a.cmd("GET", "k")) == (None, b"old")


def test_loader_says_that_there_is_nothing(w):
    s = Stale(w)
    s.expired_and_told()
    s.a.ok("LARDER", "MISS", "k")
    assert (s.b.cmd("GET", "k"), s.a.cmd("GET", "k")) == (None, b"old")


# what takes the old value away

GONE = [("DEL", "k"), ("UNLINK", "k"), ("GETDEL", "k"), ("FLUSHALL",), ("FLUSHDB",),
        ("LARDER", "FLUSH", "ALL"), ("LARDER", "FLUSH", "PREFIX", "k"),
        ("EVAL", "return redis.call('DEL', KEYS[1])", 1, "k"), ("SET", "k", "v", "XX")]


def test_gone_before_the_load(w):
    s = Stale(w)
    for command in GONE:
        s.keep()
        s.expire()
        s.b.cmd(*command)
        assert s.a.cmd("GET", "k") is None, command
        assert s.b.cmd("GET", "k") is None, command
        s.a.ok("DEL", "k")
    assert s.stale() == 0


def test_gone_during_the_load(w):
    s = Stale(w)
    for n, command in enumerate(GONE):
        s.expired_and_told()
        s.b.cmd(*command)
        assert s.a.cmd("GET", "k") is None, command
        assert s.b.cmd("GET", "k") is None, command
        assert s.stale() == n + 1
        s.a.ok("DEL", "k")


def test_gone_by_others_before_its_expiry(w):
    s = Stale(w)
    for command in (("DEL", "k"), ("FLUSHALL",)):
        s.keep()
        flushes = s.stats()["cache_flushes_push"]
        if command[0] == "DEL":
            s.changed(*command)
        else:
            s.redis.cmd(*command)
            eventually(lambda was=flushes: s.stats()["cache_flushes_push"] > was)
        s.expire()
        assert s.a.cmd("GET", "k") is None and s.b.cmd("GET", "k") is None, command
    assert s.stale() == 0


def test_others_load_it(w):
    """Straight at Redis: from then on nobody is given the old value, nor when the new one is
    deleted again."""
    s = Stale(w)
    s.expired_and_told()
    s.changed("SET", "k", "new")
    assert s.b.cmd("GET", "k") == b"new"
    s.changed("DEL", "k")
    assert s.b.cmd("GET", "k") is None and s.a.cmd("GET", "k") is None
    assert s.stale() == 1


def test_others_load_and_delete_it(w):
    """Nobody has read what they wrote."""
    s = Stale(w)
    s.keep()
    s.expire(told=True)
    assert s.a.cmd("GET", "k") is None and s.b.cmd("GET", "k") == b"old"
    s.changed("SET", "k", "new")
    s.changed("DEL", "k")
    assert s.b.cmd("GET", "k") is None
    assert s.stale() == 1


def test_without_pushes(w):
    """coherence = ttl: what was read since is newer, though it is not kept; and what has only
    passed local_ttl has not expired."""
    clock = w.clock()
    redis = clock.redis()
    larder = clock.larder(redis, ini=near_ini(redis, up=PATIENT_UP, cache={"coherence": "ttl"},
                                              policy={"stampede": "stale", "max_value": "1kb",
                                                      "local_ttl": "2m"}))
    eventually(lambda: larder.stats()["cache_trust"] == 3)
    a, b = w.conn(larder), w.conn(larder)
    for key in ("k", "large"):
        redis.cmd("SET", key, "old", "EX", LIFE)
        assert a.cmd("GET", key) == b"old"
    redis.cmd("SET", "long", "old", "EX", 600)
    assert a.cmd("GET", "long") == b"old"
    clock.move(LIFE + 1)
    redis.cmd("SET", "large", bytes(2000), "EX", 5)
    assert a.cmd("GET", "large") == bytes(2000)
    clock.move(6)
    for key, value in (("k", b"old"), ("large", None)):
        assert (a.cmd("GET", key), b.cmd("GET", key)) == (None, value), key
    clock.move(LIFE)
    redis.cmd("DEL", "long")
    assert a.cmd("GET", "long") is None and b.cmd("GET", "long") is None


def test_link_lost(w):
    """Others may have written meanwhile."""
    s = Stale(w)
    s.expired_and_told()
    s.redis.cmd("CLIENT", "KILL", "TYPE", "pubsub")
    eventually(lambda: s.stats()["invalidation_losses"] == 1)
    eventually(lambda: s.stats()["cache_trust"] == 2)
    assert s.b.cmd("GET", "k") is None


def test_while_the_write_travels(w):
    """Until its reply: then the new value, and nothing else, is there."""
    s = Stale(w)
    s.expired_and_told()
    s.redis.pause()
    s.a.send(encode("SET", "k", "new") + encode("GET", "k"))
    eventually(lambda: s.stats()["cache_keys_under_way"] == 1)
    assert s.b.cmd("GET", "k") == b"old"
    s.redis.resume()
    replies = s.a.replies(2)
    assert replies == [b"OK", b"new"], replies
    assert s.b.cmd("GET", "k") == b"new"
    s.expire()
    assert s.stale() == 2


def test_while_a_deletion_travels(w):
    s = Stale(w)
    s.expired_and_told()
    s.redis.pause()
    s.a.send(encode("DEL", "k"))
    eventually(lambda: s.stats()["cache_keys_under_way"] == 1)
    s.b.send(encode("GET", "k"))
    s.b.quiet()
    s.redis.resume()
    assert s.a.reply() == 0 and s.b.reply() is None


# refresh_ahead

def ahead(w, **policy):
    s = Stale(w, **{"stampede": "no", "refresh_ahead": "yes", **policy})
    return s


def measure(s, seconds, key="measured"):
    """A load that takes so long."""
    conn = s.conn()
    assert missed(conn.cmd("GET", key))
    s.clock.move(seconds)
    conn.ok("SET", key, "v")


def told_ahead(s, conn, key="k", tries=2000):
    """Reads until that client is told to load; what else is read is a value."""
    for _ in range(tries):
        reply = conn.cmd("GET", key)
        if reply is None:
            return
        assert reply in (b"old", b"new")
    raise AssertionError("nobody was told to load ahead")


def test_ahead_one_is_told(w):
    s = ahead(w)
    measure(s, 1)
    s.keep()
    s.clock.move(LIFE - 1)
    gets = s.calls("get")
    told_ahead(s, s.a)
    assert s.stats()["cache_ahead"] == 1 and s.stats()["cache_loads"] == 1
    assert any("key=k state=ahead" in line for line in s.lines()), s.lines()
    for _ in range(200):
        assert s.a.cmd("GET", "k") == s.b.cmd("GET", "k") == b"old"
    assert s.calls("get") == gets
    s.b.ok("SET", "k", "new", "EX", LIFE)  # by another connection
    assert s.stats()["cache_loads"] == 0 and s.b.cmd("GET", "k") == b"new"
    for _ in range(200):
        assert s.a.cmd("GET", "k") == b"new"
    assert s.stats()["cache_ahead"] == 1


def test_ahead_every_kind_of_read(w):
    s = ahead(w)
    measure(s, 10)
    for n, (kind, (_, _, value)) in enumerate(KINDS.items()):
        read, value = s.keep(kind, f"key:{n}")
        s.clock.move(LIFE - 1)
        for proto in (2, 3):
            conn = s.conn(proto)
            replies = [conn.cmd(*read) for _ in range(400)]
            nils = [r for r in replies if missed(r)]
            assert len(nils) == (proto == 2), (kind, nils)
            if proto == 2:
                conn.ok("EXISTS", read[1])
                told = conn
        told.close()
        eventually(lambda: s.stats()["cache_loads"] == 0)


def test_ahead_loader_fails(w):
    """Its connection closes, or it takes too long: then another is told."""
    s = ahead(w, lease_ttl="2s")
    measure(s, 1.5)
    s.keep()
    s.clock.move(LIFE - 5)
    told_ahead(s, s.a)
    s.a.close()
    eventually(lambda: s.stats()["cache_loads"] == 0)
    told_ahead(s, s.b)
    s.clock.move(2)
    eventually(lambda: s.stats()["cache_loads"] == 0)
    told_ahead(s, s.b)
    assert s.stats()["cache_ahead"] == 3


def test_ahead_of_nothing(w):
    """Before a load was measured, far from the expiry, and where there is none."""
    s = ahead(w)
    s.keep()
    s.clock.move(LIFE - 0.5)
    for _ in range(300):
        assert s.a.cmd("GET", "k") == b"old"
    s.clock.move(1)
    measure(s, 0.2)
    s.a.ok("SET", "ever", "old")
    s.keep()
    for _ in range(300):
        assert s.a.cmd("GET", "k") == s.a.cmd("GET", "ever") == b"old"
    assert s.stats()["cache_ahead"] == 0


def test_too_late_ahead(w):
    """The key expires while the loader is at it: with stale the old value goes on."""
    s = ahead(w, stampede="stale")
    measure(s, 10)
    s.keep()
    s.clock.move(LIFE - 1)
    told_ahead(s, s.a)
    s.clock.move(2)
    for _ in range(5):
        assert s.b.cmd("GET", "k") == s.a.cmd("GET", "k") == b"old"
    s.a.ok("SET", "k", "new")
    assert s.b.cmd("GET", "k") == b"new"


def test_others_load_while_it_is_loaded_ahead(w):
    """The first word of Redis after the expiry may be that of their write."""
    s = ahead(w, stampede="stale")
    s.redis.cmd("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    measure(s, 10)
    s.keep()
    s.clock.move(LIFE - 1)
    told_ahead(s, s.a)
    s.clock.move(2)
    assert s.b.cmd("GET", "k") == b"old"
    s.changed("SET", "k", "new")
    assert s.b.cmd("GET", "k") == b"new"


def test_load_time_is_told(w):
    for stampede in ("stale", "wait"):
        s = Stale(w, stampede=stampede)
        assert s.policy("loader-us-p50") == 0
        measure(s, 2)
        eventually(lambda s=s: 2e6 <= s.policy("loader-us-p50") < 3e6)
        other = s.conn()
        assert other.cmd("GET", "none") is None
        s.clock.move(5)
        other.ok("DEL", "none")  # that is no load
        assert s.policy("loader-us-p999") < 3e6


def test_why(w):
    s = Stale(w)
    s.expired_and_told()
    assert "decision=stale key=k" in flat(s.b.ok("LARDER", "WHY", "GET", "k"))
    assert "served=no" in flat(s.b.ok("LARDER", "KEY", "k"))
    assert s.stale() == 1


# steady traffic

LIVES, LOAD_TIME, STEP = 8, 0.4, 0.05  # seconds


class Traffic:
    """Callers that share connections: each read, and each load, is one of them. A load takes
    LOAD_TIME on the clock."""

    def __init__(self, s, conns):
        self.s, self.conns = s, conns
        self.loading = []  # (ready at, connection)
        self.now, self.nils, self.values, self.written = 0.0, 0, 0, 0

    def step(self):
        for conn in self.conns:
            conn.send(encode("GET", "k") * 5)
        for conn in self.conns:
            for reply in conn.replies(5):
                if reply is None:
                    self.nils += 1
                    self.loading.append((self.now + LOAD_TIME, conn))
                else:
                    assert reply == b"%d" % self.written or self.loading, reply
                    self.values += 1
        self.s.clock.move(STEP)
        self.now += STEP
        for at, conn in list(self.loading):
            if at <= self.now:
                self.loading.remove((at, conn))
                self.written += 1
                conn.ok("SET", "k", self.written, "EX", LIVES)


def steady(w, conns, seconds, **policy):
    s = Stale(w, **policy)
    measure(s, LOAD_TIME)
    s.a.ok("SET", "k", 0, "EX", LIVES)
    t = Traffic(s, [s.conn(2 + n % 2) for n in range(conns)])
    while t.now < seconds:
        t.step()
        assert len(t.loading) <= 1, "two load at a time"
    # No fewer than its life makes necessary, and none in vain.
    assert t.nils - 1 <= t.written <= t.nils
    assert seconds / (LIVES + LOAD_TIME) - 2 <= t.nils <= 2 * seconds / LIVES, t.nils
    return s, t.nils, s.stats()["cache_stale"]


def test_last_moments(w):
    """What is kept here expires a little earlier than in Redis, whose value is still the old one:
    it is not lost by being asked for."""
    clock = w.clock()
    redis = clock.redis()
    larder = clock.larder(redis, ini=near_ini(redis, up=PATIENT_UP, cache={"coherence": "ttl"},
                                              policy={"stampede": "stale"}))
    eventually(lambda: larder.stats()["cache_trust"] == 3)
    a, b = w.conn(larder), w.conn(larder)
    redis.cmd("SET", "k", "old", "EX", LIFE)
    assert a.cmd("GET", "k") == b"old"
    clock.move(LIFE + 0.1)
    # A value as in the last moment of the old one's life.
    redis.cmd("SET", "k", "old", "PX", 300)
    redis.pause()
    a.send(encode("GET", "k"))
    eventually(lambda: larder.stats()["cache_keys_under_way"] == 1)
    clock.move(0.2)
    redis.resume()
    assert a.reply() == b"old"
    clock.move(0.4)
    assert (a.cmd("GET", "k"), b.cmd("GET", "k")) == (None, b"old")


def test_steady_stale(w):
    """Many callers on one connection: at each expiry one is told, all others have a value."""
    for conns in (1, 6):
        s, loads, stale = steady(w, conns, 120)
        assert s.stats()["cache_ahead"] == 0
        assert stale >= (loads - 1) * (LOAD_TIME / STEP - 1) * conns * 5


def test_steady_ahead(w):
    """The key never goes cold: only who loads it ahead is told nil, Redis says it to nobody."""
    for conns in (1, 6):
        s, loads, stale = steady(w, conns, 120, stampede="no", refresh_ahead="yes")
        assert stale == 0 and s.stats()["cache_ahead"] == loads


def test_steady_both(w):
    s, loads, stale = steady(w, 3, 120, refresh_ahead="yes")
    assert stale == 0 and s.stats()["cache_ahead"] == loads


def test_old_values_are_given_back(w):
    """Their memory is bounded by stale_ttl, and a policy without pays nothing."""
    clock = w.clock()
    redis = clock.redis()
    ini = near_ini(redis, up=PATIENT_UP, cache={"coherence_timeout": "1h"},
                   policy={"stampede": "stale", "stale_ttl": "10m"})
    ini += "[policy plain]\nprefix = plain:\nlocal = yes\n"
    larder = clock.larder(redis, ini=ini)
    c = w.conn(larder)
    eventually(lambda: larder.stats()["cache_trust"] == 2)
    for n in range(100):
        for key in (f"plain:{n}", f"old:{n}"):
            c.ok("SET", key, "v", "EX", 60)
            assert c.cmd("GET", key) == b"v"
    assert larder.stats()["cache_entries"] == 200
    clock.move(300)
    eventually(lambda: redis.cmd("DBSIZE") == 0)
    eventually(lambda: larder.stats()["cache_entries"] == 100)
    clock.move(361)
    eventually(lambda: larder.stats()["cache_entries"] == 0)
