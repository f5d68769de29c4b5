"""drop_writes and the journal: writes that are answered while the upstream is away, and what becomes
of their keys when it is back."""
import threading

from fake_near import NearRedis
from fake_server import FakeRedis
from outage import back, is_out, is_upstream, kill, outage_larder, policy_row, timed
from relay import Relay
from resp import SLOW, TIMEOUT, Error, encode, encode_all, eventually
from servers import read_stats
from tenants import operator, session, tenants_larder

DROP = {"drop_writes": "yes", "on_outage": "stale", "local": "yes"}
PERSIST = ("--appendonly", "yes", "--appendfsync", "always")


def test_what_is_dropped(w):
    """Success, in both protocols, and nothing else is."""
    redis = w.redis()
    larder = outage_larder(w, redis, {"d": DROP, "other": {"on_outage": "miss"}},
                           up={"command_timeout": "400ms"})
    conns = [w.conn(larder), w.conn(larder, 3)]
    kill(redis, larder)
    for c in conns:
        done = [("SET", "d:k", "v"), ("SET", "d:k", "v", "EX", 10), ("SET", "d:k", "v", "PX", 9),
                ("SET", "d:k", "v", "KEEPTTL"), ("SETEX", "d:k", 10, "v"),
                ("PSETEX", "d:k", 10, "v"), ("MSET", "d:k", "v", "d:l", "w"),
                ("HSET", "d:h", "f", 1, "g", 2), ("HMSET", "d:h", "f", 1), ("DEL", "d:k"),
                ("UNLINK", "d:k", "d:l", "d:m"), ("EXPIRE", "d:k", 10), ("PEXPIRE", "d:k", 10),
                ("EXPIREAT", "d:k", 10), ("PEXPIREAT", "d:k", 10)]
        assert c.pipeline(done) == [b"OK"] * 7 + [2, b"OK", 1, 3, 1, 1, 1, 1]
        refused = [("SET", "d:k", "v", "NX"), ("SET", "d:k", "v", "XX"), ("SET", "d:k", "v", "GET"),
                   ("SET", "d:k", "v", "EX", "no"), ("SETNX", "d:k", "v"), ("INCR", "d:k"),
                   ("LPOP", "d:k"), ("GETDEL", "d:k"), ("GETSET", "d:k", "v"),
                   ("EXPIRE", "d:k", 10, "NX"), ("MSET", "d:k", "v", "other:k", "w"),
                   ("MSETNX", "d:k", "v"), ("DEL", "d:k", "x"), ("SET", "x", "y"),
                   ("EVAL", "return 1", 1, "d:k"), ("HSET", "d:h", "f"), ("SADD", "d:s", "m"),
                   ("MULTI",), ("SET", "d:k", "v", "IFEQ", "x")]
        for words in refused:
            answer = c.cmd(*words, timeout=20)
            assert isinstance(answer, Error), f"{words}: {answer!r}"
    stats = larder.stats()
    assert stats["outage_journal"] == 4, "d:k, d:l, d:m, d:h"
    assert stats["outage_dropped"] == stats["outage_journalled"] == 36
    why = w.conn(larder).cmd("LARDER", "WHY", "DEL", "d:k").decode()
    assert why.startswith("decision=outage") and "drop_writes" in why, why


def test_gone_when_it_is_back(w):
    """Keys whose writes were dropped are deleted before anybody can ask; others are as they were."""
    redis = w.redis(*PERSIST)
    larder = outage_larder(w, redis, {"d": DROP})
    c = w.conn(larder)
    keys = [f"d:{i}" for i in range(3000)]
    c.pipeline([("SET", key, "old") for key in keys] + [("SET", "d:kept", "old")])
    c.pipeline([("GET", key) for key in keys])
    kill(redis, larder)
    assert c.cmd("GET", "d:1") == b"old"
    answers = c.pipeline([("DEL", key) if i % 2 else ("SET", key, "new")
                          for i, key in enumerate(keys)])
    assert answers == [1 if i % 2 else b"OK" for i in range(3000)]
    # dropped: neither the new value nor the old one
    assert c.pipeline([("GET", key) for key in keys]) == [None] * 3000
    redis.start()
    others = [w.conn(larder, proto) for proto in (2, 3) for _ in range(5)]
    seen = []
    while is_out(larder):
        for other in others:
            seen.append(other.cmd("GET", "d:7"))
            seen += other.cmd("MGET", "d:8", "d:9")
    assert set(seen) <= {None}, set(seen)
    assert c.pipeline([("GET", key) for key in keys]) == [None] * 3000
    assert c.cmd("GET", "d:kept") == b"old"
    assert redis.cmd("DBSIZE") == 1
    row = policy_row(larder, "d")
    assert int(row["outage-replayed"]) == int(row["outage-journalled"]) == 3000, row
    assert larder.stats()["outage_journal"] == 0
    # and everything works
    assert c.cmd("SET", "d:1", "newer") == b"OK"
    assert c.cmd("GET", "d:1") == b"newer"


def cut(fake, relay):
    relay.refuse("rst")
    relay.rst()


def test_first_on_the_new_link(w):
    """No client's command is sent, on whatever connection, before the deletions are answered."""
    fake = w.add(NearRedis(**{"d:k": "old", "d:l": "old", "x": "X"}))
    relay = w.add(Relay(fake.address))
    larder = outage_larder(w, relay, {"d": DROP}, up={
        "connect_timeout": "20s", "command_timeout": "20s", "queue_timeout": "20s"})
    a, b, c = w.conn(larder, timeout=20), w.conn(larder, 3, timeout=20), w.conn(larder, timeout=20)
    assert a.cmd("GET", "d:k") == b"old"
    cut(fake, relay)
    eventually(lambda: is_out(larder))
    assert a.pipeline([("DEL", "d:k"), ("SET", "d:l", "new")]) == [1, b"OK"]
    seen = len(fake.requests())
    gate = fake.hold("DEL", "d:k")
    relay.refuse(None)
    gate.wait()
    # reads of the policy are answered here; the rest waits, and so do writes
    assert a.cmd("GET", "d:k") is None
    a.send_cmd("SET", "d:l", "newer")
    b.send_cmd("GET", "x")
    c.send(encode("MULTI") + encode("GET", "d:k") + encode("EXEC"))
    w.conn(larder).send_cmd("BLPOP", "q", 0)
    w.conn(larder).send_cmd("WATCH", "d:k")
    w.conn(larder, 3).send_cmd("SUBSCRIBE", "ch")
    w.conn(larder).send_cmd("LARDER", "FRESH", "GET", "d:k")
    for conn in (a, b, c):
        conn.quiet(0.3)
    words = [argv[0].upper() for argv in fake.requests()[seen:]]
    assert set(words) <= {b"HELLO", b"DEL", b"CLIENT", b"SELECT"}, words
    gate.release()
    assert a.reply() == b"OK"
    assert b.reply() == b"X"
    assert c.replies(3) == [b"OK", b"QUEUED", [None]]
    assert a.cmd("GET", "d:l") == b"newer"
    assert fake.asked("DEL") == 2


def test_the_link_ends_meanwhile(w):
    """What had no answer is deleted on the next link."""
    fake = w.add(NearRedis(**{f"d:{i}": "old" for i in range(10)}))
    relay = w.add(Relay(fake.address))
    larder = outage_larder(w, relay, {"d": DROP})
    c = w.conn(larder)
    assert c.cmd("GET", "d:1") == b"old"
    cut(fake, relay)
    eventually(lambda: is_out(larder))
    c.pipeline([("DEL", f"d:{i}") for i in range(10)])
    gates = [fake.hold("DEL", f"d:{i}", run=False) for i in (0, 5, 7)]
    relay.refuse(None)
    for gate in gates:
        gate.wait()
        gate.link.close()
        gate.release()
    eventually(lambda: not is_out(larder), timeout=4 * TIMEOUT)
    assert c.pipeline([("GET", f"d:{i}") for i in range(10)]) == [None] * 10
    assert larder.stats()["outage_replayed"] == 10


def test_unknown_fate(w):
    """A write whose link breaks is an error, though its policy would drop it, or count it as 1."""
    fake = w.add(NearRedis(**{"d:k": "old"}))
    larder = outage_larder(w, fake, {"d": DROP, "open": {"on_outage": "open"}})
    for words in (("SET", "d:k", "new"), ("DEL", "d:k"), ("INCR", "open:n"), ("EXPIRE", "open:n", 5)):
        c = w.conn(larder)
        eventually(lambda: c.cmd("GET", "d:k") == b"old")
        gate = fake.hold(words[0], words[1], run=False)
        c.send(encode(*words) + encode("GET", "d:k"))
        gate.wait()
        gate.link.close()
        gate.release()
        got = c.replies(2)
        assert is_upstream(got[0]) and b"unknown whether" in got[0], (words, got)
        eventually(lambda: not is_out(larder))
        fake.change("d:k", "old")
    stats = larder.stats()
    assert stats["outage_dropped"] == 0 and stats["outage_opened"] == 0, stats


def test_loading(w):
    """A write answered -LOADING is dropped too; its key is deleted when that is over."""
    said = [b""]
    values = {b"d:k": b"old"}

    def script(link, argv):
        if said[0] and argv[0] in (b"GET", b"SET", b"DEL", b"PING"):
            return said[0]
        if argv[0] == b"GET":
            value = values.get(argv[1])
            return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)
        if argv[0] == b"DEL":
            return b":%d\r\n" % (values.pop(argv[1], None) is not None)
        return None

    fake = w.add(FakeRedis(script))
    larder = outage_larder(w, fake, {"d": {"drop_writes": "yes", "on_outage": "miss"}})
    c = w.conn(larder)
    assert c.cmd("GET", "d:k") == b"old"
    said[0] = b"-LOADING Redis is loading the dataset in memory\r\n"
    assert c.cmd("SET", "d:k", "new") == b"OK"
    for _ in range(5):
        assert c.cmd("GET", "d:k") is None
        assert c.cmd("SET", "d:l", "new") == b"OK"
    said[0] = b""
    eventually(lambda: not is_out(larder), timeout=4 * TIMEOUT)
    assert c.cmd("GET", "d:k") is None
    assert larder.stats()["outage_replayed"] == 2


def test_stopped(w):
    """A stopped server, whose connections stay: answered at once when the breaker is open; what is
    dropped then is deleted when it goes on, before anybody asks."""
    redis = w.redis()
    larder = outage_larder(w, redis, {"d": DROP}, up={
        "command_timeout": "300ms", "connect_timeout": "1s", "breaker_failures": 3,
        "breaker_open": "400ms"})
    c, other = w.conn(larder), w.conn(larder, 3)
    for key in ("d:k", "d:l"):
        c.ok("SET", key, "old")
        assert c.cmd("GET", key) == b"old"
        assert other.cmd("GET", key) == b"old"
    redis.pause()
    try:
        eventually(lambda: c.cmd("GET", "d:none") is None and is_out(larder))
        for _ in range(20):
            assert timed(c, "GET", "d:k", deadline=0) == b"old"
        assert timed(c, "DEL", "d:k", deadline=0) == 1
        assert timed(c, "SET", "d:l", "new", deadline=0) == b"OK"
        assert other.pipeline([("GET", "d:k"), ("GET", "d:l")]) == [None, None]
    finally:
        redis.resume()
    eventually(lambda: not is_out(larder), timeout=4 * TIMEOUT)
    assert other.pipeline([("GET", "d:k"), ("GET", "d:l")]) == [None, None]
    assert redis.cmd("DBSIZE") == 0
    assert larder.stats()["outage_replayed"] == 2
    assert c.cmd("SET", "d:k", "newer") == b"OK"
    assert other.cmd("GET", "d:k") == b"newer"


def test_fence(w):
    """What was loaded before a write that was dropped is not stored behind it."""
    redis = w.redis(*PERSIST)
    larder = outage_larder(w, redis, {"d": {**DROP, "fence": "yes", "lease_ttl": "1h"}})
    loader, c = w.conn(larder), w.conn(larder)
    tokens = {key: loader.ok("LARDER", "GETLEASE", key)[1] for key in ("d:k", "d:l")}
    assert all(tokens.values())
    kill(redis, larder)
    assert c.cmd("DEL", "d:k") == 1
    back(redis, larder)
    assert loader.cmd("LARDER", "SETLEASE", "d:k", tokens["d:k"], "old") is None
    assert loader.cmd("LARDER", "SETLEASE", "d:l", tokens["d:l"], "new") == b"OK"
    assert c.cmd("MGET", "d:k", "d:l") == [None, b"new"]


def test_too_many(w):
    """More keys than the journal has room for: what is kept of the policy goes, counted and said."""
    redis = w.redis(*PERSIST)
    larder = outage_larder(w, redis, {"d": DROP, "e": DROP}, up={"journal_max": 10})
    c = w.conn(larder)
    c.pipeline([("SET", f"d:{i}", "old") for i in range(20)] + [("SET", "e:k", "old")])
    c.pipeline([("GET", f"d:{i}") for i in range(20)] + [("GET", "e:k")])
    kill(redis, larder)
    assert c.cmd("DEL", *[f"d:{i}" for i in range(10)]) == 10
    assert c.cmd("GET", "d:15") == b"old"
    assert c.cmd("DEL", "d:10") == 1
    assert c.cmd("MGET", "d:10", "d:15", "e:k") == [None, None, b"old"]
    assert c.cmd("DEL", "d:3") == 1, "noted already"
    back(redis, larder)
    assert c.pipeline([("GET", f"d:{i}") for i in range(20)]) == [None] * 10 + [b"old"] * 10
    row = policy_row(larder, "d")
    assert (row["outage-given-up"], row["outage-replayed"]) == ("1", "10"), row
    assert "is not deleted upstream" in larder.log()


def test_too_late(w):
    """Keys are forgotten after journal_ttl."""
    clock = w.clock()
    redis = clock.redis(*PERSIST)
    larder = outage_larder_under(clock, redis)
    c = w.conn(larder)
    c.pipeline([("SET", "d:k", "old"), ("SET", "d:l", "old")])
    kill(redis, larder)
    assert c.cmd("DEL", "d:k") == 1
    clock.move(40)
    assert c.cmd("DEL", "d:l") == 1
    clock.move(40)
    eventually(lambda: larder.stats()["outage_given_up"] == 1)
    back(redis, larder)
    assert c.cmd("MGET", "d:k", "d:l") == [b"old", None]


def outage_larder_under(clock, redis):
    from servers import make_ini
    ini = make_ini(("127.0.0.1", 0), redis, None, {"address": "127.0.0.1:@PORT@"},
                   {"command_timeout": "1d", "link_idle_timeout": "1d", "connect_timeout": "1h",
                    "backoff_max": "50ms", "journal_ttl": "1m"})
    ini += "[policy d]\nprefix = d:\ndrop_writes = yes\n"
    return clock.larder(redis, ini=ini)


def test_refused(w):
    """The upstream refuses to delete: that is given up, and nobody waits for it."""
    redis = w.redis(acl=["user default on nopass ~* &* +@all"])
    redis.cmd("CONFIG", "SET", "appendonly", "no")
    larder = outage_larder(w, redis, {"d": DROP})
    c = w.conn(larder)
    c.ok("SET", "d:k", "old")
    kill(redis, larder)
    assert c.cmd("DEL", "d:k") == 1
    with open(f"{redis.dir}/users.acl", "w") as f:
        f.write("user default on nopass ~* &* +@all -del\n")
    back(redis, larder)
    stats = larder.stats()
    assert (stats["outage_given_up"], stats["outage_journal"]) == (1, 0)
    assert c.cmd("SET", "d:k", "new") == b"OK"


def test_users_and_databases(w):
    """Each key is deleted in its database, as the user who wrote it; whoever that is has to wait."""
    users = ["user default on nopass ~* &* +@all", "user ann on >pw ~* &* +@all"]
    redis = w.redis(*PERSIST, acl=users)
    larder = outage_larder(w, redis, {"d": DROP})
    zero, three, ann = w.conn(larder), w.conn(larder), w.conn(larder, 3)
    three.ok("SELECT", 3)
    ann.ok("AUTH", "ann", "pw")
    ann.ok("SELECT", 4)
    for c in (zero, three, ann):
        for key in ("d:k", "d:l"):
            c.ok("SET", key, "old")
    redis.cmd("SET", "d:m", "old")
    kill(redis, larder)
    assert zero.cmd("DEL", "d:k") == 1
    assert three.cmd("DEL", "d:l") == 1
    assert ann.cmd("DEL", "d:k", "d:l") == 2
    assert three.cmd("GET", "d:k") is None or True
    back(redis, larder)
    assert zero.cmd("MGET", "d:k", "d:l", "d:m") == [None, b"old", b"old"]
    assert three.cmd("MGET", "d:k", "d:l") == [b"old", None]
    assert ann.cmd("MGET", "d:k", "d:l") == [None, None]
    assert larder.stats()["outage_replayed"] == 4
    # who wrote has left meanwhile
    assert zero.cmd("SET", "d:k", "old") == b"OK"
    ann.ok("SET", "d:k", "old")
    kill(redis, larder)
    assert ann.cmd("DEL", "d:k") == 1
    ann.close()
    back(redis, larder)
    direct = redis.direct()
    direct.ok("SELECT", 4)
    assert direct.cmd("GET", "d:k") is None
    direct.close()


def test_a_large_value(w):
    """One that is not collected is swallowed, and answered."""
    redis = w.redis(*PERSIST)
    larder = outage_larder(w, redis, {"d": DROP})
    c = w.conn(larder)
    c.ok("SET", "d:k", "old")
    kill(redis, larder)
    for words in (("SET", "d:k", "x" * 5000000), ("SETEX", "d:k", 10, "x" * 5000000)):
        assert c.cmd(*words) == b"OK"
        assert c.cmd("GET", "d:k") is None
    back(redis, larder)
    assert c.cmd("GET", "d:k") is None


def test_silent_clients(w):
    """CLIENT REPLY OFF: what is dropped is dropped in silence."""
    redis = w.redis(*PERSIST)
    larder = outage_larder(w, redis, {"d": DROP})
    c = w.conn(larder)
    c.ok("SET", "d:k", "old")
    kill(redis, larder)
    c.send(encode_all([("CLIENT", "REPLY", "OFF"), ("DEL", "d:k"), ("CLIENT", "REPLY", "ON")]))
    assert c.reply() == b"OK"
    c.quiet()
    back(redis, larder)
    assert c.cmd("GET", "d:k") is None


def reads(stats):
    return sum(stats["cache_" + name] for name in ("hits", "misses", "coalesced", "bypassed"))


def test_never_an_old_value(w):
    """Writers and readers through many outages: nobody reads what was there before a write that he,
    or anybody, has seen succeed."""
    redis = w.redis(*PERSIST)
    larder = outage_larder(w, redis, {"d": DROP}, up={"backoff_max": "20ms"})
    stop, wrong = threading.Event(), []
    newest = [0] * 8  # the number of the last write that was answered, by key

    def write(k):
        c, n = larder.connect(), 0
        while not stop.is_set():
            n += 1
            answer = c.cmd("SET", f"d:{k}", n, timeout=20 * SLOW)
            if not isinstance(answer, Error):
                newest[k] = n
        c.close()

    def read(proto):
        c, i = larder.connect(proto), 0
        while not stop.is_set():
            k, i = i % 8, i + 1
            least = newest[k]
            got = c.cmd("GET", f"d:{k}", timeout=20 * SLOW)
            # an error has an unknown fate: what it wrote is newer than all that was answered
            if got is not None and not isinstance(got, Error) and int(got) < least:
                wrong.append((k, got, least))
        c.close()

    threads = [threading.Thread(target=write, args=(k,)) for k in range(8)]
    threads += [threading.Thread(target=read, args=(proto,)) for proto in (2, 3, 2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(6):
            before = larder.stats()
            eventually(lambda: reads(larder.stats()) > reads(before) + 100)
            redis.kill()
            eventually(lambda: larder.stats()["outage_dropped"] > before["outage_dropped"] + 50)
            redis.start()
            eventually(lambda: not is_out(larder), timeout=4 * TIMEOUT)
            eventually(lambda: larder.stats()["cache_trust"] == 2, timeout=4 * TIMEOUT)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong, wrong[:5]
    stats = larder.stats()
    assert stats["outage_given_up"] == 0 and stats["outage_replayed"] > 0, stats


test_never_an_old_value.timeout = 90


def test_tenants(w):
    """What one tenant's write has dropped is deleted for it alone."""
    redis = w.redis(*PERSIST)
    policy = "[policy d]\nprefix = d:\n" + "".join(f"{k} = {v}\n" for k, v in DROP.items())
    larder = tenants_larder(w, redis, sections=policy)
    boss = operator(w, larder)

    def out():
        return read_stats(boss.cmd("LARDER", "STATS"))["outage_on"] == 1

    ann, cid = session(w, larder, "a"), session(w, larder, "c", 3)
    for c in (ann, cid):
        c.pipeline([("SET", "d:k", "old"), ("SET", "d:l", "old")])
        eventually(lambda: c.pipeline([("GET", "d:k"), ("GET", "d:l")]) == [b"old"] * 2)
    redis.kill()
    eventually(out)
    assert ann.cmd("DEL", "d:k") == 1
    assert ann.cmd("MGET", "d:k", "d:l") == [None, ann.cmd("GET", "d:l")]
    assert cid.cmd("DEL", "d:l") == 1
    assert b"acme" not in ann.raw("XPENDING", "d:s", "g")
    redis.start()
    eventually(lambda: not out(), timeout=4 * TIMEOUT)
    assert ann.cmd("MGET", "d:k", "d:l") == [None, b"old"]
    assert cid.cmd("MGET", "d:k", "d:l") == [b"old", None]
