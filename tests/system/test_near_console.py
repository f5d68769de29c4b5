"""The near cache at the console: counters are exact, KEY and WHY tell what is so and change nothing,
FLUSH takes hold at once, FRESH passes the cache."""
import re

from fake_server import FakeRedis, bulk
from program import flat
from resp import Closed, Error, Map, encode, eventually

POLICIES = """
[policy users]
prefix = a:
local = yes
max_value = 1kb
[policy fleeting]
prefix = b:
local = yes
negative_ttl = 0
[policy brief]
prefix = d:
local = yes
local_ttl = 1ms
[policy off]
prefix = c:
"""


def near(w, upstream, policies=POLICIES, coherence="coherence_timeout = 1m", trust=2):
    """A larder with a near cache that is ready."""
    ini = ("[listener main]\naddress = 127.0.0.1:@PORT@\n[upstream]\naddress = %s:%d\n[cache]\n%s\n%s"
           % (*upstream.address, coherence, policies))
    larder = w.larder(upstream, ini=ini)
    eventually(lambda: larder.stats()["cache_trust"] == trust)
    return larder


class Counted:
    """What larder's near cache has counted since it was made, or asked last."""
    LEVELS = ("trust", "entries", "bytes", "max_bytes", "keys_under_way")

    def __init__(self, larder):
        self.larder = larder
        self.last = self.now()

    def now(self):
        return {k[6:]: v for k, v in self.larder.stats().items()
                if k.startswith("cache_") and k[6:] not in self.LEVELS}

    def since(self):
        now = self.now()
        return {k: v - self.last[k] for k, v in now.items() if v != self.last[k]}

    def are(self, **expected):
        found = self.since()
        assert found == expected, (found, expected)
        self.last = self.now()

    def become(self, **expected):
        """.. once what is under way has come."""
        eventually(lambda: self.since() == expected)
        self.are(**expected)


def pushed(larder, act):
    """Does what makes Redis push a key, and waits until larder has heard of it."""
    before = larder.stats()["invalidation_keys"]
    act()
    eventually(lambda: larder.stats()["invalidation_keys"] > before)


def facts(text):
    """LARDER KEY's lines."""
    return dict(line.split("=", 1) for line in flat(text).removeprefix("txt:").splitlines())


def calls(redis, word):
    """How often Redis has been asked that."""
    found = re.search(rb"cmdstat_%s:calls=(\d+)" % word.encode(), redis.cmd("INFO", "commandstats"))
    return int(found.group(1)) if found else 0


def why(conn, *words):
    """The lines of WHY, as (decision, key, policy, reason)."""
    text = flat(conn.cmd("LARDER", "WHY", *words)).removeprefix("txt:")
    lines = [re.fullmatch(r"decision=(\S+)(?: key=(\S*) policy=(\S*))? reason=(.*)", line)
             for line in text.splitlines()]
    assert lines and all(lines), text
    return [line.groups() for line in lines]


# counters


def test_reads_are_counted(w):
    redis = w.redis()
    redis.cmd("SET", "a:1", "v")
    redis.cmd("HSET", "a:hash", "f", "v")
    larder = near(w, redis)
    count = Counted(larder)
    c, d = w.conn(larder), w.conn(larder, 3)
    assert c.cmd("GET", "a:1") == b"v"
    count.are(misses=1, fills=1)
    assert c.cmd("GET", "a:1") == d.cmd("GET", "a:1") == b"v"
    count.are(hits=2)
    assert c.cmd("GET", "a:none") is None
    count.are(misses=1, fills=1)
    assert c.cmd("GET", "a:none") is d.cmd("GET", "a:none") is None
    count.are(negative=2)
    assert c.cmd("EXISTS", "a:1") == 1 and c.cmd("EXISTS", "a:none") == 0
    assert c.cmd("TTL", "a:1") == -1 and c.cmd("PTTL", "a:none") == -2
    count.are(hits=2, negative=2)
    assert c.cmd("HGETALL", "a:hash") == [b"f", b"v"]
    count.are(misses=1, fills=1)
    assert c.cmd("HGET", "a:hash", "f") == b"v"
    count.are(hits=1)
    for _ in range(100):  # neither of a policy that keeps, nor by a command that is kept
        c.cmd("GET", "c:1")
        c.cmd("GET", "other")
        c.cmd("OBJECT", "ENCODING", "a:1")
    count.are()


def test_several_keys_are_counted_each(w):
    redis = w.redis()
    redis.cmd("SET", "a:1", "v")
    larder = near(w, redis)
    c = w.conn(larder)
    assert c.cmd("GET", "a:1") == b"v" and c.cmd("GET", "a:2") is None
    count = Counted(larder)
    assert c.cmd("MGET", "a:1", "a:2") == [b"v", None]
    count.are(hits=1, negative=1)
    assert c.cmd("MGET", "a:1", "a:2", "a:3", "c:4") == [b"v", None, None, None]
    count.are(hits=1, negative=1, misses=1, fills=1)
    assert c.cmd("MGET", "a:4", "a:1") == [None, b"v"]
    count.are(hits=1, misses=1, fills=1)
    assert c.cmd("EXISTS", "a:1", "a:2", "a:1") == 2
    count.are(hits=2, negative=1)
    assert c.cmd("EXISTS", "a:1", "a:5", "c:1") == 1
    count.are(hits=1, misses=1)  # which is not kept
    assert c.cmd("EXISTS", "a:6", "a:7") == 0
    count.are(misses=2)
    c.send(encode("SET", "a:1", "w") + encode("MGET", "a:1", "a:2", "c:3"))
    assert c.replies(2) == [b"OK", [b"w", None, None]]
    assert count.since()["bypassed"] == 2


def test_joined_questions_are_counted(w):
    redis = w.redis()
    redis.cmd("MSET", "a:1", "v1", "a:2", "v2")
    larder = near(w, redis)
    c = [w.conn(larder) for _ in range(4)]
    assert [x.cmd("GET", "c:1") for x in c] == [None] * 4  # each has a link
    count = Counted(larder)
    redis.pause()
    for x in c:
        x.send_cmd("GET", "a:1")
    eventually(lambda: count.since() == {"misses": 1, "coalesced": 3})
    assert larder.stats()["cache_keys_under_way"] == 1
    redis.resume()
    assert [x.reply() for x in c] == [b"v1"] * 4
    count.are(misses=1, coalesced=3, fills=1)
    assert larder.stats()["cache_keys_under_way"] == 0
    redis.pause()
    for x in c:
        x.send_cmd("MGET", "a:2", "a:3")
    eventually(lambda: count.since() == {"misses": 2, "coalesced": 6})
    redis.resume()
    assert [x.reply() for x in c] == [[b"v2", None]] * 4
    count.are(misses=2, coalesced=6, fills=2)


def test_what_is_not_kept_says_why(w):
    redis = w.redis()
    redis.cmd("SET", "a:large", "x" * 2000)
    redis.cmd("RPUSH", "a:list", "x")
    redis.cmd("SET", "a:1", "v")
    larder = near(w, redis)
    count = Counted(larder)
    c, d = w.conn(larder), w.conn(larder)
    assert c.cmd("GET", "a:large") == b"x" * 2000
    count.are(misses=1, discarded_large=1)
    assert c.cmd("GET", "a:list").startswith(b"WRONGTYPE")
    count.are(misses=1, discarded_error=1)
    assert c.cmd("GET", "b:none") is None
    count.are(misses=1, discarded_settings=1)
    redis.pause()
    c.send_cmd("GET", "a:1")
    eventually(lambda: count.since() == {"misses": 1})
    d.send_cmd("SET", "a:1", "w")
    eventually(lambda: why(w.conn(larder), "GET", "a:1")[0][3] == "held by a write under way")
    redis.resume()
    assert c.reply() in (b"v", b"w") and d.reply() == b"OK"
    count.are(misses=1, discarded_changed=1)
    # value and time to live of two different moments
    fake = w.add(FakeRedis(lambda link, argv: b":-2\r\n" if argv[0] == b"PTTL" else None))
    larder = near(w, fake, coherence="coherence = ttl", trust=3)
    count = Counted(larder)
    assert w.conn(larder).cmd("GET", "a:1") == b"a:1:value"
    count.are(misses=1, discarded_raced=1)


def test_bypasses_are_counted(w):
    redis = w.redis()
    larder = near(w, redis)
    c, d = w.conn(larder), w.conn(larder)
    count = Counted(larder)

    def say(data, n):
        c.send(data)
        return c.replies(n)

    # behind a write of its own: in one run, and one by one (inline)
    pushed(larder, lambda: say(encode("SET", "a:1", "v") + encode("GET", "a:1"), 2))
    count.are(bypassed=1)
    pushed(larder, lambda: say(b"SET a:1 v\r\nGET a:1\r\nGET c:1\r\nINCR a:1\r\n", 4))
    count.are(bypassed=1)
    # a key that somebody else is writing
    assert d.cmd("GET", "c:1") is None
    redis.pause()
    c.send_cmd("SET", "a:1", "v")
    eventually(lambda: larder.stats()["cache_keys_under_way"] == 1)
    d.send(encode("GET", "a:1") + encode("MGET", "a:1", "a:2"))
    eventually(lambda: count.since() == {"bypassed": 2, "misses": 1})
    redis.resume()
    assert c.reply() == b"OK" and d.replies(2) == [b"v", [b"v", None]]
    count.are(bypassed=2, misses=1, fills=1)


def test_invalidations_by_source(w):
    redis = w.redis()
    redis.cmd("MSET", "a:1", "v", "a:2", "v")
    larder = near(w, redis)
    c, direct = w.conn(larder), w.conn(redis)
    assert c.cmd("MGET", "a:1", "a:2", "a:3") == [b"v", b"v", None]
    count = Counted(larder)
    direct.ok("SET", "a:1", "w")
    direct.ok("SET", "a:9", "w")  # which is not kept
    direct.ok("SET", "a:3", "w")  # known to be absent
    count.become(invalidated_push=2)
    pushed(larder, lambda: c.ok("SET", "a:2", "w"))
    count.are(invalidated_write=1)
    pushed(larder, lambda: c.ok("SET", "a:2", "x"))  # nothing is kept any more
    count.are()
    # all of it: by a client here, by somebody else, by the operator
    assert c.cmd("GET", "a:1") == b"w"
    count.are(misses=1, fills=1)
    c.ok("FLUSHALL")
    count.become(flushes_write=1, flushes_push=1)
    direct.ok("FLUSHALL")
    count.become(flushes_push=1)
    c.ok("LARDER", "FLUSH", "ALL")
    c.ok("LARDER", "FLUSH", "PREFIX", "a:")
    count.are(flushes_command=2)


def test_stats_of_the_invalidation_link(w):
    redis = w.redis()
    larder = near(w, redis)
    before = larder.stats()
    assert before["invalidation_mode"] == 1 and before["invalidation_armings"] == 1
    redis.cmd("MSET", "a:1", "v", "a:2", "v")
    eventually(lambda: larder.stats()["invalidation_keys"] == before["invalidation_keys"] + 2)
    help_text = dict(Map(zip(*[iter(larder.cmd("LARDER", "STATS", "HELP"))] * 2)))
    assert set(k.decode() for k in help_text) == set(before)
    text = w.conn(larder).cmd("INFO", "larder").decode()
    for name in ("cache_hits", "cache_max_bytes", "invalidation_pushes"):
        assert f"\r\n{name}:" in text, name
    assert before["cache_max_bytes"] == 64 << 20 >= before["cache_bytes"]


def test_memory_is_counted(w):
    redis = w.redis()
    larder = near(w, redis, coherence="coherence_timeout = 1m\nmax_memory = 1mb")
    c = w.conn(larder)
    for i in range(0, 4000, 100):
        redis.cmd("MSET", *[x for k in range(i, i + 100) for x in (f"a:{k}", "x" * 500)])
    for i in range(4000):
        assert len(c.cmd("GET", f"a:{i}")) == 500
    stats = larder.stats()
    assert stats["cache_evictions"] > 0, stats
    assert 0 < stats["cache_entries"] < 4000 and stats["cache_bytes"] <= 1 << 20, stats
    line = policy(c, "users")
    assert int(line["entries"]) == stats["cache_entries"]
    assert int(line["evictions"]) == stats["cache_evictions"]


# POLICIES, LINKS


def policy(conn, name):
    lines = flat(conn.cmd("LARDER", "POLICIES")).removeprefix("txt:").splitlines()
    rows = [dict(fact.split("=", 1) for fact in line.split(" ")) for line in lines]
    return next(row for row in rows if row["policy"] == name)


def test_policies(w):
    redis = w.redis()
    redis.cmd("SET", "a:1", "v")
    larder = near(w, redis)
    for proto in (2, 3):
        c = w.conn(larder, proto)
        before = policy(c, "users")
        assert before["prefixes"] == "a:" and before["local"] == "yes"
        assert policy(c, "off")["local"] == "no"
        c.ok("LARDER", "FLUSH", "ALL")
        for _ in range(4):
            assert c.cmd("GET", "a:1") == b"v"
        after = policy(c, "users")
        assert int(after["hits"]) - int(before["hits"]) == 3, (before, after)
        assert after["hit-ratio"] == "0.7500" and after["entries"] == "1", after
        assert int(after["load-us-p999"]) >= int(after["load-us-p50"]) > 0, after
        assert policy(c, "off")["hits"] == policy(c, "fleeting")["hits"] == "0"


def test_policies_over_a_reload(w):
    redis = w.redis()
    redis.cmd("SET", "a:1", "v")
    larder = near(w, redis)
    c = w.conn(larder)
    for _ in range(3):
        assert c.cmd("GET", "a:1") == b"v"
    with open(larder.config) as f:
        text = f.read()
    larder.configure(ini=text.replace("max_value = 1kb", "max_value = 2kb"))
    larder.signal(1)
    eventually(lambda: "2kb" in flat(c.cmd("LARDER", "SETTINGS")))
    assert policy(c, "users")["hits"] == "2" and larder.stats()["cache_hits"] == 2
    eventually(lambda: policy(c, "users")["entries"] == "0")  # it was of another policy
    assert facts(c.cmd("LARDER", "KEY", "a:1"))["kept"] == "no"


def coherence_line(conn):
    return next(line for line in flat(conn.cmd("LARDER", "LINKS")).splitlines()
                if line.startswith("coherence="))


def test_links_tell_the_coherence(w):
    redis = w.redis()
    larder = near(w, redis)
    assert coherence_line(w.conn(larder)) == "coherence=broadcast resp=2 trust=armed trouble="
    larder = near(w, redis, coherence="coherence = ttl", trust=3)
    assert coherence_line(w.conn(larder)) == "coherence=ttl resp=0 trust=ttl trouble="
    assert coherence_line(w.conn(w.larder(redis, ini="[listener main]\naddress = "
                                          "127.0.0.1:@PORT@\n[upstream]\naddress = %s:%d\n"
                                          % redis.address))) == (
        "coherence=none resp=0 trust=closed trouble=")
    # where Redis does not let larder: not broadcast, and why
    redis = w.redis(acl=["user default on nopass ~* &* +@all -client|tracking"])
    line = coherence_line(w.conn(near(w, redis, trust=3)))
    assert line.startswith("coherence=ttl resp=0 trust=ttl trouble=") and "NOPERM" in line, line


# KEY


def test_key(w):
    redis = w.redis()
    redis.cmd("SET", "a:1", "value")
    redis.cmd("SET", "a:2", "value", "PX", "60000")
    larder = near(w, redis)
    for proto in (2, 3):
        c = w.conn(larder, proto)
        c.ok("LARDER", "FLUSH", "ALL")

        def key(name):
            return facts(c.cmd("LARDER", "KEY", name))

        found = key("a:1")
        assert found == {"key": "a:1", "db": "0", "user": "default", "policy": "users",
                         "local": "yes", "held": "no", "trust": "armed", "kept": "no",
                         "served": "no", "why": "nothing kept"}, found
        c.cmd("MGET", "a:1", "a:2", "a:3")
        found = key("a:1")
        assert (found["kept"], found["kind"], found["bytes"]) == ("yes", "value", "11"), found
        assert (found["served"], found["why"], found["expiry-ms"]) == ("yes", "fresh", "never")
        assert 500000 < int(found["deadline-ms"]) <= 600000 and int(found["stamp"]) > 0
        found = key("a:2")
        assert 0 < int(found["expiry-ms"]) <= 60000 and found["deadline-ms"] == found["expiry-ms"]
        found = key("a:3")
        assert (found["kind"], found["served"]) == ("absent", "yes"), found
        assert "expiry-ms" not in found and 0 < int(found["deadline-ms"]) <= 5000
        # nobody else's: another database has another shelf
        c.ok("SELECT", "1")
        found = key("a:1")
        assert (found["db"], found["kept"]) == ("1", "no"), found
        c.ok("SELECT", "0")
        found = key("c:1")
        assert (found["policy"], found["local"], found["served"]) == ("off", "no", "no"), found
        found = key("x y\r\n")
        assert (found["key"], found["policy"]) == ("x\\x20y\\x0d\\x0a", ""), found
        assert found["why"] == "no policy is for the key"
        pushed(larder, lambda: redis.cmd("SET", "a:1", "value"))
        assert key("a:1")["kept"] == "no"


def test_key_past_its_deadline_and_held(w):
    redis = w.redis()
    redis.cmd("SET", "d:1", "value")
    larder = near(w, redis)
    c = w.conn(larder)

    def late():
        c.cmd("GET", "d:1")
        found = facts(c.cmd("LARDER", "KEY", "d:1"))
        return found["kept"] == "yes" and found["why"] == "expired" and found

    found = eventually(late)
    assert found["served"] == "no" and int(found["deadline-ms"]) <= 0, found
    redis.pause()
    w.conn(larder).send_cmd("SET", "d:1", "v")
    eventually(lambda: facts(c.cmd("LARDER", "KEY", "d:1"))["held"] == "yes")
    found = facts(c.cmd("LARDER", "KEY", "d:1"))
    assert (found["kept"], found["why"]) == ("no", "held by a write under way"), found
    redis.resume()


def test_key_without_a_cache(w):
    c = w.conn(w.pair().larder)
    if facts(c.cmd("LARDER", "KEY", "a:1"))["local"] == "no":
        assert facts(c.cmd("LARDER", "KEY", "a:1"))["why"] == "no policy keeps anything"
        assert why(c, "GET", "a:1") == [("pass", None, None, "no policy keeps anything")]


# WHY

NOT_KEPT = [("bypass", None, None, "it is not a read that is kept")]


def test_why(w):
    redis = w.redis()
    redis.cmd("SET", "a:1", "v")
    redis.cmd("HSET", "a:hash", "f", "v")
    larder = near(w, redis)
    for proto in (2, 3):
        c = w.conn(larder, proto)
        c.ok("LARDER", "FLUSH", "ALL")
        c.cmd("MGET", "a:1", "a:none")
        c.cmd("HGETALL", "a:hash")
        before, asked = Counted(larder), calls(redis, "get")

        def one(*words):
            lines = why(c, *words)
            assert len(lines) == 1, lines
            return lines[0]

        assert one("GET", "a:1") == ("hit", "a:1", "users", "fresh")
        assert one("get", "a:none") == ("hit", "a:none", "users", "fresh: the key does not exist")
        assert one("GET", "a:2") == ("miss", "a:2", "users", "nothing kept")
        assert one("STRLEN", "a:1") == ("miss", "a:1", "users", "nothing kept")
        assert one("EXISTS", "a:1")[0] == "hit"
        assert one("HGET", "a:hash", "f")[0] == "hit"
        assert one("HGET", "a:2", "x" * 600) == (
            "bypass", "a:2", "users", "its arguments are longer than any that are kept")
        assert one("TTL", "a:1")[:2] == ("hit", "a:1") and one("PTTL", "a:2")[0] == "bypass"
        assert one("GET", "other") == ("bypass", "other", "", "no policy is for the key")
        assert one("GET", "c:1") == ("bypass", "c:1", "off", "its policy keeps nothing: local = no")
        assert one("GET") == ("bypass", None, None, "wrong number of arguments")
        for words in (("RANDOMKEY",), ("SCAN", "0"), ("OBJECT", "ENCODING", "a:1")):
            assert why(c, *words) == NOT_KEPT, words
        assert [line[0] for line in why(c, "MGET", "a:1", "a:none", "a:2", "c:1")] == [
            "hit", "hit", "miss", "bypass"]
        assert [line[:2] for line in why(c, "EXISTS", "a:1", "a:2")] == [
            ("hit", "a:1"), ("miss", "a:2")]
        # writes: what they would hold
        assert one("SET", "a:1", "v") == ("hold", "a:1", "users", "until its reply")
        assert [line[:2] for line in why(c, "MSET", "a:1", "v", "c:1", "v", "b:1", "v")] == [
            ("hold", "a:1"), ("hold", "b:1")]
        assert one("SET", "c:1", "v") == (
            "pass", None, None, "it changes no key that is kept")
        assert one("EVAL", "return 1", "1", "a:1")[:2] == ("hold", "a:1")
        assert one("COPY", "a:1", "a:2")[:2] == ("hold", "a:2")
        assert one("FLUSHALL") == ("hold", None, None, "it may change any key")
        assert one("BLPOP", "a:list", "c:list", "0") == (
            "clear", "a:list", "users", "at its reply, for it may block")
        assert why(c, "NOSUCH", "a:1", "x") == [
            ("hold", "a:1", "users", "unknown command: any argument may be a key")]
        assert one("PUBLISH", "a:1", "x")[0] == "pass"
        assert one("PING")[0] == one("LARDER", "STATS")[0] == one("client", "id")[0] == "local"
        assert one("CONFIG", "SET", "a", "b")[0] == one("shutdown")[0] == "refused"
        assert one("CONFIG", "SET\0x")[0] == "refused"
        assert one("GET", "a:\r\nb\0 ")[1] == "a:\\x0d\\x0ab\\x00\\x20"
        # nothing was done
        before.are()
        assert calls(redis, "get") == asked and calls(redis, "set") == 1
        assert redis.cmd("EXISTS", "a:1", "c:1") == 1


def test_why_leaves_what_is_kept(w):
    """Not by a single counter or byte, and larder itself agrees with what it foretold."""
    redis = w.redis()
    redis.cmd("SET", "a:1", "v")
    larder = near(w, redis)
    c = w.conn(larder)
    c.cmd("GET", "a:1")
    watched = ("cache_", "invalidation_keys", "upstream_")

    def stats():
        return {k: v for k, v in larder.stats().items() if k.startswith(watched)}

    before = stats()
    for words in (("GET", "a:1"), ("GET", "a:2"), ("MGET", "a:1", "a:2"), ("SET", "a:1", "x"),
                  ("FLUSHALL",), ("DEL", "a:1"), ("EXEC",), ("MULTI",), ("SELECT", "3")):
        why(c, *words)
    c.cmd("LARDER", "KEY", "a:1")
    c.cmd("LARDER", "KEY", "a:2")
    after = stats()
    assert {k: (before[k], after[k]) for k in after if before[k] != after[k]} == {}
    count = Counted(larder)
    for key, what in (("a:1", "hits"), ("a:2", "misses"), ("a:2", "negative")):
        decision = why(c, "GET", key)[0][0]
        c.cmd("GET", key)
        assert decision == ("miss" if what == "misses" else "hit")
        found = count.since()
        assert found.pop(what) == 1, (key, what, found)
        count = Counted(larder)


def test_why_of_sessions(w):
    redis = w.redis()
    redis.cmd("SET", "a:1", "v")
    larder = near(w, redis)
    c = w.conn(larder)
    c.cmd("GET", "a:1")
    c.ok("WATCH", "other")
    assert why(c, "GET", "a:1") == [("bypass", None, None, "the session has WATCH in force")]
    c.ok("UNWATCH")
    assert why(c, "GET", "a:1")[0][0] == "hit"
    d = w.conn(larder, 3)
    d.ok("CLIENT", "TRACKING", "on")
    assert why(d, "GET", "a:1")[0][3] == "the session has a connection of its own"
    redis.pause()
    c.send(encode("SET", "c:1", "v") + encode("LARDER", "WHY", "GET", "a:1"))
    d = w.conn(larder)
    d.send_cmd("GET", "a:2")
    eventually(lambda: larder.stats()["cache_misses"] == 2)
    e = w.conn(larder)
    assert why(e, "GET", "a:2") == [("join", "a:2", "users", "the same question is in the air")]
    assert why(e, "STRLEN", "a:2")[0][0] == "miss"
    d.send_cmd("MGET", "a:3", "a:4")
    eventually(lambda: larder.stats()["cache_misses"] == 4)
    assert [x[:2] for x in why(e, "MGET", "a:3", "a:4")] == [("join", "a:3"), ("join", "a:4")]
    assert [x[:2] for x in why(e, "MGET", "a:4", "a:1")] == [("miss", "a:4"), ("hit", "a:1")]
    d.send_cmd("SET", "a:1", "v")
    eventually(lambda: why(e, "GET", "a:1") == [
        ("bypass", "a:1", "users", "held by a write under way")])
    assert [x[0] for x in why(e, "MGET", "a:1", "a:5")] == ["bypass", "miss"]
    redis.resume()
    assert c.reply() == b"OK"
    assert b"a command of the session that may write is unanswered" in c.reply()


def test_why_without_trust(w):
    redis = w.redis()
    redis.cmd("SET", "a:1", "v")
    larder = near(w, redis, coherence="coherence_timeout = 300ms")
    c = w.conn(larder)
    eventually(lambda: c.cmd("GET", "a:1") and why(c, "GET", "a:1")[0][0] == "hit")
    redis.pause()
    eventually(lambda: why(c, "GET", "a:1") == [
        ("bypass", "a:1", "users", "the invalidation link is not trusted")])
    assert why(c, "MGET", "a:1", "a:2")[0][0] == "bypass"
    assert facts(c.cmd("LARDER", "KEY", "a:1"))["why"] == "untrusted"
    assert "trust=silent" in coherence_line(c) and larder.stats()["cache_trust"] == 1
    redis.resume()
    eventually(lambda: why(c, "GET", "a:1")[0][0] == "hit")


# FLUSH


def test_flush(w):
    redis = w.redis()
    redis.cmd("MSET", *[x for i in range(2000) for x in (f"a:{i}", "v")])
    larder = near(w, redis)
    c, d = w.conn(larder), w.conn(larder, 3)
    keys = [f"a:{i}" for i in range(2000)]
    for i in range(0, 2000, 100):
        c.cmd("MGET", *keys[i:i + 100])
    assert larder.stats()["cache_entries"] == 2000
    c.ok("larder", "flush", "prefix", "a:1")
    # at once, though what it takes up goes in slices
    decisions = [line[0] for line in why(d, "MGET", *keys)]
    assert decisions == ["miss" if key.startswith("a:1") else "hit" for key in keys]
    assert facts(c.cmd("LARDER", "KEY", "a:1"))["served"] == "no"
    count = Counted(larder)
    assert c.cmd("GET", "a:1") == c.cmd("GET", "a:1") == c.cmd("GET", "a:2") == b"v"
    count.are(misses=1, fills=1, hits=2)
    eventually(lambda: larder.stats()["cache_entries"] == 2000 - 1111 + 1)
    assert why(c, "GET", "a:1")[0][0] == "hit"  # kept since
    d.ok("LARDER", "FLUSH", "ALL")
    assert {line[0] for line in why(d, "MGET", *keys)} == {"miss"}
    for words in ((), ("NOPE",), ("ALL", "x"), ("PREFIX",), ("PREFIX", "a", "b")):
        assert isinstance(c.cmd("LARDER", "FLUSH", *words), Error), words
    # what is in the air was asked before it
    redis.pause()
    c.send_cmd("GET", "a:5")
    eventually(lambda: larder.stats()["cache_keys_under_way"] == 1)
    d.ok("LARDER", "FLUSH", "PREFIX", "a:")
    redis.resume()
    assert c.reply() == b"v"
    assert why(c, "GET", "a:5")[0][0] == "miss"


# FRESH


def test_fresh(w):
    redis = w.redis()
    redis.cmd("SET", "a:1", "v")
    redis.cmd("HSET", "a:hash", "f", "v")
    larder = near(w, redis)
    for proto in (2, 3):
        c = w.conn(larder, proto)
        assert c.cmd("GET", "a:1") == b"v"
        asked, count = calls(redis, "get"), Counted(larder)
        assert c.cmd("GET", "a:1") == b"v" and calls(redis, "get") == asked
        assert c.cmd("LARDER", "FRESH", "GET", "a:1") == b"v"
        assert calls(redis, "get") == asked + 1
        count.are(hits=1)  # FRESH is not counted as a read of the cache
        # unchanged, whatever it is
        for words in (("HGETALL", "a:hash"), ("GET",), ("GET", "a:hash"), ("GET", "a:none"),
                      ("OBJECT", "ENCODING", "a:1"), ("EVAL", "return {1, 'x'}", "0"),
                      ("config", "get", "maxmemory"), ("SET", "a:1", "v", "NONSENSE")):
            direct = w.conn(redis, proto)
            assert c.raw("LARDER", "FRESH", *words) == direct.raw(*words), words
        c.send(b"larder fresh get a:1\r\n")
        assert c.reply() == b"v"
        # in the session's order and database, with its writes
        c.send(b"".join(encode(*x) for x in (
            ("SET", "a:1", "1"), ("LARDER", "FRESH", "INCR", "a:1"), ("GET", "a:1"),
            ("LARDER", "FRESH", "GET", "a:1"), ("PING",), ("SELECT", "2"),
            ("LARDER", "FRESH", "GET", "a:1"), ("SELECT", "0"), ("SET", "a:1", "v"))))
        assert c.replies(9) == [b"OK", 2, b"2", b"2", b"PONG", b"OK", None, b"OK", b"OK"]


def test_fresh_writes_hold(w):
    redis = w.redis()
    redis.cmd("SET", "a:1", "v")
    larder = near(w, redis)
    c, d = w.conn(larder), w.conn(larder)
    assert c.cmd("GET", "a:1") == b"v"
    count = Counted(larder)
    redis.pause()
    c.send_cmd("LARDER", "FRESH", "SET", "a:1", "w")
    eventually(lambda: why(d, "GET", "a:1")[0][3] == "held by a write under way")
    count.are(invalidated_write=1)
    redis.resume()
    assert c.reply() == b"OK" and d.cmd("GET", "a:1") == b"w"
    assert facts(d.cmd("LARDER", "KEY", "a:1"))["held"] == "no"
    # also when nobody wants the reply
    e = w.conn(larder)
    redis.pause()
    e.send(encode("CLIENT", "REPLY", "OFF") + encode("LARDER", "FRESH", "SET", "a:1", "x") +
           encode("LARDER", "FRESH", "GET", "a:1") + encode("CLIENT", "REPLY", "ON"))
    eventually(lambda: why(d, "GET", "a:1")[0][3] == "held by a write under way")
    redis.resume()
    assert e.reply() == b"OK"
    eventually(lambda: d.cmd("GET", "a:1") == b"x")
    eventually(lambda: larder.stats()["cache_keys_under_way"] == 0)


def test_fresh_refuses(w):
    redis = w.redis()
    larder = near(w, redis)
    for proto in (2, 3):
        c = w.conn(larder, proto)
        for words in (("LARDER", "STATS"), ("LARDER", "FRESH", "GET", "a:1"), ("BLPOP", "a:1", "0"),
                      ("MULTI",), ("SUBSCRIBE", "x"), ("SELECT", "1"), ("CLIENT", "ID"), ("NOSUCH",),
                      ("AUTH", "x"), ("CONFIG", "SET\0x", "maxmemory", "1"), ("QUIT",), ("",)):
            answer = c.cmd("LARDER", "FRESH", *words)
            assert answer.startswith(b"ERR LARDER FRESH is for ordinary commands, not '"), answer
        assert b"admin_commands" in c.cmd("LARDER", "FRESH", "CONFIG", "SET", "maxmemory", "1")
        assert b"admin_commands" in c.cmd("LARDER", "FRESH", "module", "load", "x")
        assert c.cmd("LARDER", "FRESH") == (
            b"ERR wrong number of arguments for 'larder|fresh' command")
    assert redis.cmd("CONFIG", "GET", "maxmemory") == [b"maxmemory", b"0"]


def test_no_larder_within_transactions(w):
    redis = w.redis()
    redis.cmd("SET", "a:1", "v")
    larder = near(w, redis)
    for own in (False, True):
        c = w.conn(larder, 3)
        if own:
            c.ok("CLIENT", "TRACKING", "on", "NOLOOP")
        for words in (("FRESH", "GET", "a:1"), ("STATS",), ("WHY", "GET", "a:1")):
            c.ok("MULTI")
            assert c.cmd("SET", "a:1", "w") == b"QUEUED"
            answer = c.cmd("LARDER", *words)
            assert answer == b"ERR LARDER within a transaction is refused by larder", answer
            assert c.cmd("EXEC").startswith(b"EXECABORT")
        assert c.cmd("GET", "a:1") == b"v"
        # WATCH alone keeps nothing from being asked
        c.ok("WATCH", "a:1")
        assert c.cmd("LARDER", "FRESH", "GET", "a:1") == b"v"
        pushed(larder, lambda: redis.cmd("SET", "a:1", "v"))
        c.ok("MULTI")
        assert c.cmd("GET", "a:1") == b"QUEUED" and c.cmd("EXEC") is None
        assert c.cmd("LARDER", "FRESH", "GET", "a:1") == b"v"


def test_console_is_for_those_who_logged_in(w):
    redis = w.redis()
    ini = ("[listener main]\naddress = 127.0.0.1:@PORT@\npassword = door\n"
           "[upstream]\naddress = %s:%d\n%s" % (*redis.address, POLICIES))
    c = w.conn(w.larder(redis, ini=ini))
    for words in (("KEY", "a:1"), ("WHY", "GET", "a:1"), ("FRESH", "SET", "a:1", "v"),
                  ("FLUSH", "ALL"), ("POLICIES",)):
        assert c.cmd("LARDER", *words).startswith(b"NOAUTH"), words
    assert redis.cmd("DBSIZE") == 0


def test_fresh_of_an_upstream_that_goes(w):
    """An error as any command gets, and nothing stays held."""
    def script(link, argv):
        if argv[0] == b"INCR":
            link.cut()
        return bulk("x") if argv[0] == b"GET" else None

    fake = w.add(FakeRedis(script))
    larder = near(w, fake, coherence="coherence = ttl", trust=3)
    c = w.conn(larder)
    try:
        assert c.cmd("LARDER", "FRESH", "INCR", "a:1").startswith(b"UPSTREAM ")
    except Closed:
        raise AssertionError("closed instead of an error") from None
    eventually(lambda: larder.stats()["cache_keys_under_way"] == 0)
