"""[cache] self_check: larder compares hits with what the upstream says, and counts staleness."""
import signal
import threading

from fake_server import FakeRedis, bulk
from resp import encode, eventually
from servers import make_ini, scaled

SUMS = ("agreed", "transient", "disagreed", "stale_ttl", "skipped", "pending")


def ini(upstream, **cache):
    text = make_ini(("", 0), upstream, {"log_level": "debug"}, {"address": "127.0.0.1:@PORT@"})
    rows = "".join(f"{k} = {v}\n" for k, v in cache.items())
    return f"{text}[cache]\n{rows}\n[policy mine]\nprefix = k:\nlocal = yes\n"


def near(w, upstream, **cache):
    return w.larder(upstream, ini=ini(upstream, **cache))


def stats(larder):
    """The counters, which add up."""
    found = {name[11:]: n for name, n in larder.stats().items() if name.startswith("self_check_")}
    assert found["sampled"] == sum(found[name] for name in SUMS), found
    return found


def settled(larder):
    eventually(lambda: stats(larder)["pending"] == 0)
    return stats(larder)


def read_until(conn, larder, condition, *reads):
    """Reads the same again and again until the counters are as wanted."""
    words = b"".join(encode(*read) for read in reads) * 10

    def so():
        conn.send(words)
        conn.replies(10 * len(reads))
        return condition(stats(larder))
    eventually(so)


class Writer:
    """Writes to Redis beside larder until it is told to stop."""

    def __init__(self, conn):
        self.conn, self.over, self.rounds = conn, threading.Event(), 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over.is_set():
            i = self.rounds = self.rounds + 1
            key = i % 8
            self.conn.send(encode("SET", f"k:{key}", i) + encode("HSET", "k:hash", f"f{key}", i)
                           + encode("SADD", "k:set", i) + encode("SREM", "k:set", i - 20)
                           + encode("RPUSH", "k:list", i) + encode("LTRIM", "k:list", -5, -1)
                           + encode("DEL", f"k:{(i + 4) % 8}"))
            self.conn.replies(7)

    def stop(self):
        self.over.set()
        self.thread.join()


def test_coherent(w):
    """Others write what is read all the time: nothing that was kept is ever found stale."""
    redis = w.redis()
    larder = near(w, redis, self_check="1000/s")
    writer = Writer(w.conn(redis))
    reads = [("GET", f"k:{i}") for i in range(8)]
    reads += [("MGET", "k:1", "k:2"), ("EXISTS", "k:3"), ("EXISTS", "k:1", "k:4"),
              ("HGETALL", "k:hash"), ("HGET", "k:hash", "f1"), ("HMGET", "k:hash", "f2", "x"),
              ("SMEMBERS", "k:set"), ("LRANGE", "k:list", 0, -1), ("PTTL", "k:1")]
    enough = scaled(800)
    for proto in (2, 3):
        read_until(w.conn(larder, proto), larder, lambda s: s["sampled"] >= enough, *reads)
        enough *= 2
    writer.stop()
    found = settled(larder)
    assert writer.rounds > 10
    assert found["disagreed"] == found["stale_ttl"] == 0, found
    assert found["agreed"] > 0, found
    assert "self-check:" not in larder.log()


class NeverPushes(FakeRedis):
    """Arms the invalidation link and answers its PINGs, but says nothing of what changes: as if the
    upstream, or larder, had a fault. Everything has the value `value`."""

    def __init__(self):
        self.value, self.listening = b"old", set()
        super().__init__(self.handle)

    def handle(self, link, argv):
        if argv[0] == b"GET":
            return bulk(self.value)
        if argv[0] == b"HGETALL":
            return b"*2\r\n" + bulk("field") + bulk(self.value)
        if argv[0] == b"PTTL":
            return b":-1\r\n"
        if argv[0] == b"HPTTL":
            return b"-ERR unknown command\r\n"
        if argv[0] == b"SUBSCRIBE":
            self.listening.add(link)
            return b"*3\r\n" + bulk("subscribe") + bulk(argv[1]) + b":1\r\n"
        if argv[0] == b"PING" and link in self.listening:
            return b"*2\r\n" + bulk("pong") + bulk("")
        return None


def test_a_change_that_is_missed(w):
    """Found out, dropped, logged without the key."""
    fake = w.add(NeverPushes())
    larder = near(w, fake, self_check="1000/s", coherence_timeout="300ms")
    c = w.conn(larder)
    read_until(c, larder, lambda s: s["agreed"] >= 2, ("GET", "k:secret"), ("HGETALL", "k:hash"))
    assert settled(larder)["disagreed"] == 0
    fake.value = b"new"
    assert c.cmd("GET", "k:secret") == b"old"
    read_until(c, larder, lambda s: s["disagreed"] >= 1, ("GET", "k:secret"))
    eventually(lambda: c.cmd("GET", "k:secret") == b"new")
    read_until(c, larder, lambda s: s["disagreed"] >= 2, ("HGETALL", "k:hash"))
    eventually(lambda: c.cmd("HGETALL", "k:hash") == [b"field", b"new"])
    assert settled(larder)["stale_ttl"] == 0
    log = larder.log().splitlines()
    warnings = [line for line in log if " warning " in line and "self-check" in line]
    assert len(warnings) == 1 and "command=get disagreed=1" in warnings[0], warnings
    assert all(" debug " in line for line in log if "k:secret" in line)
    assert any("k:secret" in line for line in log)


def test_without_pushes(w):
    """Old values are what coherence = ttl allows: counted by themselves, and kept."""
    redis = w.redis()
    larder = near(w, redis, self_check="1000/s", coherence="ttl")
    c, other = w.conn(larder), w.conn(redis)
    other.ok("SET", "k:1", "old")
    read_until(c, larder, lambda s: s["agreed"] >= 1, ("GET", "k:1"))
    other.ok("SET", "k:1", "new")
    read_until(c, larder, lambda s: s["stale_ttl"] >= 5, ("GET", "k:1"))
    assert c.cmd("GET", "k:1") == b"old"
    found = settled(larder)
    assert found["disagreed"] == 0 and "self-check:" not in larder.log()


def test_sets_move_their_members(w):
    """A table that grows is rehashed step by step by reads: SMEMBERS then lists in another order
    though nobody has written. That is no disagreement."""
    redis = w.redis()
    larder = near(w, redis, self_check="1000/s")
    c, other = w.conn(larder), w.conn(redis)
    members = [b"m%d" % i for i in range(1025)]
    other.ok("SADD", "k:set", *members)
    read_until(c, larder, lambda s: s["agreed"] >= 1, ("SMEMBERS", "k:set"))
    before = c.cmd("SMEMBERS", "k:set")
    assert sorted(before) == sorted(members)
    for member in members:
        other.ok("SISMEMBER", "k:set", member)
    assert other.cmd("SMEMBERS", "k:set") != before
    assert c.cmd("SMEMBERS", "k:set") == before  # kept
    at = settled(larder)
    read_until(c, larder, lambda s: s["agreed"] > at["agreed"] + 2, ("SMEMBERS", "k:set"))
    found = settled(larder)
    assert found["transient"] == found["disagreed"] == 0, found


def test_off_and_on(w):
    """Off unless it is asked for; taken over on reload."""
    redis = w.redis()
    larder = near(w, redis)
    c = w.conn(larder)
    c.ok("SET", "k:1", "v")

    def hits():
        gets = redis.info("commandstats", "cmdstat_get")
        c.send(encode("GET", "k:1") * 100)
        c.replies(100)
        return redis.info("commandstats", "cmdstat_get") == gets

    c.ok("GET", "k:1")
    eventually(hits)
    assert stats(larder)["sampled"] == 0

    def reload(**cache):
        larder.configure(ini(redis, **cache))
        lines = larder.log().count("settings reloaded")
        larder.signal(signal.SIGHUP)
        eventually(lambda: larder.log().count("settings reloaded") > lines)

    reload(self_check="1000/s")
    read_until(c, larder, lambda s: s["agreed"] >= 5, ("GET", "k:1"))
    reload(self_check="0/s")
    before = settled(larder)["sampled"]
    for _ in range(20):
        c.send(encode("GET", "k:1") * 100)
        c.replies(100)
    assert stats(larder)["sampled"] == before
    assert hits()
