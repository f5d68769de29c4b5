"""Limits of a tenant: its clients, commands a second, requests unanswered, share of the near cache.
Each holds for one tenant alone, and what is past it is counted."""
import socket
import struct

from near import need_cache, rows

from resp import Closed, Error, encode, encode_all, eventually
from tenants import operator, password, refused, session, tenants_ini, tenants_larder


def limited(w, upstream, limits, sections="", **more):
    """A tenant `a` with the limits, `b` without."""
    return tenants_larder(w, upstream, {"a": limits, "b": {}}, sections, **more)


def counts(w, larder, name):
    """What LARDER TENANTS says of the tenant."""
    for line in operator(w, larder).ok("LARDER", "TENANTS").split(b"\n"):
        fields = dict(f.split(b"=", 1) for f in line.split() if b"=" in f)
        if fields.get(b"tenant") == name.encode():
            return {k.decode(): int(v) for k, v in fields.items() if v.isdigit()}
    raise AssertionError("no tenant " + name)


def reload(larder, upstream, limits, sections=""):
    larder.configure(tenants_ini(upstream, {"a": limits, "b": {}}, sections))
    larder.signal(1)


def test_max_clients(w):
    redis = w.redis()
    larder = limited(w, redis, {"max_clients": 2})
    first, second = session(w, larder, "a"), session(w, larder, "a")
    third = w.conn(larder)
    refused(third.cmd("AUTH", "a", password("a")), "ERR max number of clients")
    refused(third.cmd("HELLO", 3, "AUTH", "a", password("a")), "ERR max number of clients")
    refused(third.cmd("GET", "k"), "NOAUTH")
    refused(third.cmd("AUTH", "a", "wrong"), "WRONGPASS")
    session(w, larder, "b").ok("SET", "k", "of b")
    assert first.ok("AUTH", "a", password("a")) == b"OK"  # it is one of the two
    got = counts(w, larder, "a")
    assert got["clients"] == 2 and got["refused_max_clients"] == 2, got
    second.close()
    eventually(lambda: third.cmd("AUTH", "a", password("a")) == b"OK")
    first.ok("RESET")
    second = session(w, larder, "a")
    refused(first.cmd("AUTH", "a", password("a")), "ERR max number of clients")
    reload(larder, redis, {"max_clients": 3})
    eventually(lambda: first.cmd("AUTH", "a", password("a")) == b"OK")


def test_max_clients_of_a_tenant_by_its_listener(w):
    redis = w.redis()
    larder = tenants_larder(w, redis, {"a": {"max_clients": 1}},
                            listener={"password": "", "tenant": "a"})
    first = w.conn(larder)
    assert first.ok("PING") == b"PONG"
    try:
        refused(w.conn(larder).cmd("PING"), "ERR max number of clients")
    except (Closed, OSError):
        pass  # closed before PING was said
    first.ok("RESET")
    assert first.ok("SET", "k", "v") == b"OK"
    first.close()
    eventually(lambda: w.conn(larder).cmd("PING") == b"PONG")


def throttled(limits, clock):
    """redis and larder, with the limits, under a clock of the test's."""
    redis = clock.redis()
    ini = tenants_ini(redis, {"a": limits, "b": {}})
    larder = clock.larder(redis, ini=ini)
    return redis, larder


NEAR = rows("cache", {"max_memory": "64mb"}) + rows(
    "policy all", {"prefix": "k", "local": "yes", "local_ttl": "1h"})


def said(replies):
    return ["T" if isinstance(r, Error) and r.startswith(b"THROTTLED") else r for r in replies]


def test_max_ops_refuses_in_order(w):
    clock = w.clock()
    redis, larder = throttled({"max_ops": "5/s"}, clock)
    a, b = session(w, larder, "a"), session(w, larder, "b")
    got = said(a.pipeline([("INCR", "n")] * 4 + [("PING",)] + [("INCR", "n")] * 995))
    assert got[:5] == [1, 2, 3, 4, b"PONG"] and got.count("T") >= 900, got[:20]
    served = [r for r in got if isinstance(r, int)]
    assert served == list(range(1, len(served) + 1))
    assert redis.cmd("GET", "acme:n") == b"%d" % len(served)
    text = next(r for r in a.pipeline([("GET", "n")] * 100) if isinstance(r, Error))
    assert text == b"THROTTLED tenant a is past max_ops = 5/s; the command was not executed", text
    assert b.pipeline([("INCR", "n")] * 1000)[-1] == 1000
    assert counts(w, larder, "a")["throttled"] >= 990 and counts(w, larder, "b")["throttled"] == 0
    # HELLO, AUTH and RESET are free; SELECT waits rather than be refused.
    a.pipeline([("PING",)] * 10)
    assert a.ok("HELLO", 3) and a.ok("AUTH", "a", password("a")) == b"OK"
    a.send(encode("SELECT", 1))
    clock.move(1)
    assert a.reply() == b"OK"
    clock.move(10)
    assert "T" not in said(a.pipeline([("PING",)] * 5))


def test_max_ops_and_transactions(w):
    clock = w.clock()
    redis, larder = throttled({"max_ops": "6/s"}, clock)
    a = session(w, larder, "a")
    got = said(a.pipeline([("PING",)] * 3 + [("MULTI",), ("SET", "x", 1)] + [("SET", "x", 2)] * 20 +
                          [("EXEC",)]))
    assert got[3:5] == [b"OK", b"QUEUED"] and "T" in got and got[-1].startswith(b"EXECABORT"), got
    assert redis.cmd("EXISTS", "acme:x") == 0
    # A MULTI that is refused: nothing behind it is executed outside.
    clock.move(10)
    got = said(a.pipeline([("PING",)] * 50 + [("MULTI",)] + [("SET", "x", 3)] * 10 + [("EXEC",)]))
    assert got[50] == "T" and got[-1].startswith(b"EXECABORT"), got
    assert redis.cmd("EXISTS", "acme:x") == 0
    clock.move(10)
    assert a.pipeline([("MULTI",), ("SET", "x", 4), ("EXEC",)])[-1] == [b"OK"]
    # EXEC is not refused, whatever there is left.
    clock.move(10)
    got = a.pipeline([("MULTI",)] + [("SET", "x", 5)] * 5 + [("EXEC",)])
    assert got[-1] == [b"OK"] * 5, got


def test_max_ops_counts_hits(w):
    """Were they not counted, all of the pipeline would be answered; at the rate it takes half a minute."""
    need_cache()
    redis = w.redis()
    larder = limited(w, redis, {"max_ops": "300/s"}, NEAR)
    redis.cmd("SET", "acme:k", "v")
    a = session(w, larder, "a")
    eventually(lambda: hits_of(w, larder, a) > 0)
    before = hits_of(w, larder, a)
    got = said(a.pipeline([("GET", "k")] * 10000))
    assert got.count("T") >= 7000 and got[:100].count(b"v") >= 50, got.count("T")
    assert hits_of(w, larder, a) - before >= got.count(b"v") - 5
    assert counts(w, larder, "a")["throttled"] >= 7000


def hits_of(w, larder, c):
    c.cmd("GET", "k")
    values = operator(w, larder).ok("LARDER", "STATS")
    return dict(zip(values[::2], values[1::2]))[b"cache_hits"]


def test_max_ops_delays(w):
    clock = w.clock()
    redis, larder = throttled({"max_ops": "10/s", "throttle": "delay"}, clock)
    a, other, b = session(w, larder, "a"), session(w, larder, "a"), session(w, larder, "b")
    a.send(encode_all([("INCR", "n")] * 5000))
    eventually(lambda: counts(w, larder, "a")["delayed"] > 0)
    assert int(redis.cmd("GET", "acme:n")) < 4000
    other.send(encode("INCR", "m"))
    assert b.pipeline([("INCR", "n")] * 2000)[-1] == 2000
    done = 0
    while done < 5000:
        clock.move(100)  # brings ten at most: that is the bucket
        got = [a.reply() for _ in range(5)]
        assert got == list(range(done + 1, done + 6)), got
        done += 5
        if done == 100:
            assert other.reply() == 1
            break
    reload(larder, redis, {})
    assert [a.reply() for _ in range(5000 - done)] == list(range(done + 1, 5001))
    got = counts(w, larder, "a")
    assert got["throttled"] == 0 and got["delayed_ms"] > 0, got


def test_who_is_delayed_may_go(w):
    """And a client that has said all is answered all."""
    clock = w.clock()
    _, larder = throttled({"max_ops": "10/s", "throttle": "delay"}, clock)
    gone, ends = session(w, larder, "a"), session(w, larder, "a")
    gone.send(encode_all([("INCR", "n")] * 1000))
    ends.send(encode_all([("INCR", "m")] * 30))
    ends.sock.shutdown(socket.SHUT_WR)
    eventually(lambda: counts(w, larder, "a")["delayed"] >= 2)
    gone.close()
    reload(larder, larder.upstream, {"max_ops": "10000/s", "throttle": "delay"})
    assert ends.rest(timeout=60) == b"".join(b":%d\r\n" % i for i in range(1, 31))
    eventually(lambda: counts(w, larder, "a")["clients"] == 0)


def test_max_ops_of_large_requests(w):
    clock = w.clock()
    redis, larder = throttled({"max_ops": "2/s"}, clock)
    a = session(w, larder, "a")
    big = "x" * (3 << 20)
    got = said(a.pipeline([("SET", "n", big)] * 2 + [("PING",)] * 50 + [("SET", "n", "y" + big)]))
    assert got[:2] == [b"OK"] * 2 and "T" in got, got
    clock.move(10)
    assert a.ok("SET", "n", big) == b"OK" and redis.cmd("STRLEN", "acme:n") == len(big)


def test_max_pending_is_of_all_the_clients_together(w):
    redis = w.redis()
    larder = limited(w, redis, {"max_pending": 8})
    conns = [session(w, larder, "a") for _ in range(20)]
    b = session(w, larder, "b")
    session(w, larder, "b").ok("SET", "warm", 1)  # there is a link
    redis.pause()
    for c in conns:
        c.send(encode_all([("INCR", "n")] * 50))
    eventually(lambda: counts(w, larder, "a")["paused_pending"] >= 19)
    assert counts(w, larder, "a")["pending"] == 8
    b.send(encode("INCR", "n"))
    redis.resume()
    assert b.reply() == 1
    seen = sorted(c.reply() for c in conns for _ in range(50))
    assert seen == list(range(1, 1001))
    assert counts(w, larder, "a")["pending"] == 0


def test_max_pending_when_clients_die(w):
    redis = w.redis()
    larder = limited(w, redis, {"max_pending": 4})
    session(w, larder, "b").ok("SET", "warm", 1)  # there is a link
    redis.pause()
    for _ in range(10):
        c = session(w, larder, "a")
        c.send(encode_all([("INCR", "n")] * 50))
        eventually(lambda: counts(w, larder, "a")["pending"] == 4)
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.close()
    eventually(lambda: counts(w, larder, "a")["clients"] == 0)
    assert counts(w, larder, "a")["pending"] == 4  # their replies are due all the same
    c = session(w, larder, "a")
    c.send(encode("INCR", "m"))
    redis.resume()
    assert c.reply() == 1
    eventually(lambda: counts(w, larder, "a")["pending"] == 0)
    assert c.pipeline([("INCR", "m")] * 100)[-1] == 101


def test_who_blocks_is_not_pending(w):
    """Else the one who could end that could say nothing."""
    redis = w.redis()
    larder = limited(w, redis, {"max_pending": 1})
    blocked = [session(w, larder, "a") for _ in range(5)]
    for c in blocked:
        c.send(encode("BLPOP", "list", 0))
    eventually(lambda: b"blocked_clients:5" in redis.cmd("INFO", "clients"))
    other = session(w, larder, "a")
    for i in range(5):
        assert other.ok("RPUSH", "list", i) >= 1
    assert sorted(c.reply()[1] for c in blocked) == [b"%d" % i for i in range(5)]
    got = other.pipeline([("MULTI",)] + [("INCR", "n")] * 10 + [("EXEC",)])
    assert got[-1] == list(range(1, 11)), got


def test_max_pending_changes_on_reload(w):
    redis = w.redis()
    larder = limited(w, redis, {"max_pending": 2})
    a, late = session(w, larder, "a"), session(w, larder, "a")
    session(w, larder, "b").ok("SET", "warm", 1)  # there is a link
    redis.pause()
    a.send(encode_all([("INCR", "n")] * 10))
    late.send(encode("INCR", "m"))
    eventually(lambda: counts(w, larder, "a")["paused_pending"] >= 2)
    reload(larder, redis, {"max_pending": 5})
    eventually(lambda: counts(w, larder, "a")["pending"] == 5)
    reload(larder, redis, {})
    eventually(lambda: counts(w, larder, "a")["pending"] == 11)
    redis.resume()
    assert [a.reply() for _ in range(10)] == list(range(1, 11)) and late.reply() == 1


def fill(c, n, value="x" * 10000):
    c.pipeline([("SET", "k%d" % i, value) for i in range(n)])
    c.pipeline([("GET", "k%d" % i) for i in range(n)])


def test_max_cache_memory(w):
    need_cache()
    redis = w.redis()
    larder = limited(w, redis, {"max_cache_memory": "1mb"}, NEAR)
    a, b = session(w, larder, "a"), session(w, larder, "b")
    b.ok("SET", "k", "v")
    eventually(lambda: hits_of(w, larder, b) > 0)
    fill(b, 300)
    fill(a, 1000)
    got, other = counts(w, larder, "a"), counts(w, larder, "b")
    assert (1 << 19) < got["cache_bytes"] <= (1 << 20) * 17 // 16, got
    assert got["cache_evictions"] > 500 and other["cache_evictions"] == 0, (got, other)
    assert other["cache_entries"] >= 300 and other["cache_bytes"] > 3000000, other
    # A smaller share takes hold, a flush is of one tenant alone.
    reload(larder, redis, {"max_cache_memory": "256kb"}, NEAR)
    eventually(lambda: counts(w, larder, "a")["cache_bytes"] <= (1 << 18) * 17 // 16)
    operator(w, larder).ok("LARDER", "FLUSH", "TENANT", "a")
    eventually(lambda: counts(w, larder, "a")["cache_entries"] == 0)
    assert counts(w, larder, "b")["cache_entries"] == other["cache_entries"]
    before = hits_of(w, larder, b)
    assert b.pipeline([("GET", "k%d" % i) for i in range(300)]) == [b"x" * 10000] * 300
    assert hits_of(w, larder, b) >= before + 300
    # No share: as much as there is.
    reload(larder, redis, {}, NEAR)
    eventually(lambda: counts(w, larder, "a")["clients"] == 1 and b"max_cache_memory = 0" in
               b"".join(x for x in operator(w, larder).ok("LARDER", "SETTINGS").split(b"\n")
                        if b"tenant a" in x))
    fill(a, 300)
    assert counts(w, larder, "a")["cache_entries"] >= 300


def test_what_was_kept_goes_with_its_tenant(w):
    need_cache()
    redis = w.redis()
    larder = limited(w, redis, {}, NEAR)
    a, b = session(w, larder, "a"), session(w, larder, "b")
    b.ok("SET", "k", "v")
    eventually(lambda: hits_of(w, larder, b) > 0)
    fill(a, 100)
    fill(b, 100)
    larder.configure(tenants_ini(redis, {"b": {}, "new": {"prefix": "acme:"}}, NEAR))
    larder.signal(1)
    a.eof()
    new = session(w, larder, "new")
    assert counts(w, larder, "new")["cache_entries"] == 0
    assert counts(w, larder, "b")["cache_entries"] >= 100
    redis.cmd("SET", "acme:k1", "changed")
    eventually(lambda: new.cmd("GET", "k1") == b"changed")
    fill(new, 50)
    assert counts(w, larder, "new")["cache_entries"] >= 50


def test_what_one_asks_for_keeps_no_other_from_being_served(w):
    """Counted in commands: larder finds all of it at once, the loud tenant's first."""
    redis = w.redis()
    larder = limited(w, redis, {})
    loud, b, op = session(w, larder, "a"), session(w, larder, "b"), operator(w, larder)
    b.ok("SET", "k", "v")
    for many in ([("ECHO", "x")] * 10000, [("KEYS", "*")] * 200, [("FLUSHDB",)] * 50):
        before = counts(w, larder, "a")["commands"]
        larder.pause()
        loud.send(encode_all(many))
        b.send(encode("GET", "k"))
        op.send(encode("LARDER", "TENANTS"))
        larder.resume()
        assert b.reply() == b"v"
        line = op.reply().split(b"\n")[0].split()
        served = int(next(x for x in line if x.startswith(b"commands="))[9:]) - before
        assert served <= 256 + 256, served  # TURN_UNITS, QUEUED_UNITS
        for _ in many:
            loud.reply()
    # Nor does one who does not read its replies.
    loud.ok("SET", "big", "x" * 100000)
    loud.send(encode_all([("GET", "big")] * 3000))
    for _ in range(100):
        assert b.ok("GET", "k") == b"v"
