"""Time: what is to happen hours from now happens in a moment, when a test moves the clock of Redis
and of larder (tests/support/clock.py). Expiry in Redis, larder's own timers, and its links."""
import re
import signal

from near import near_ini
from resp import eventually
from test_near_console import calls

HOUR = 3600
# Trust in the invalidation link outlasts what is moved, unless a test is about that.
PATIENT = {"coherence_timeout": "1h"}


def near(clock, redis, **sections):
    """A larder that keeps every key, and is ready to."""
    larder = clock.larder(redis, ini=near_ini(redis, **{"cache": PATIENT, **sections}))
    eventually(lambda: larder.stats()["cache_trust"] == 2)
    return larder


def test_keys_expire_by_a_move(w):
    clock = w.clock()
    redis = clock.redis()
    larder = clock.larder(redis)
    c = w.conn(larder)
    assert redis.info("server", "monotonic_clock") == "POSIX clock_gettime"  # not the processor's
    c.ok("SET", "k", "v", "EX", HOUR)
    c.ok("SET", "long", "v", "EX", 9 * HOUR)
    c.ok("SET", "kept", "v")
    clock.move(HOUR - 1)
    assert c.cmd("GET", "k") == b"v" and 0 < c.cmd("PTTL", "k") <= 1000
    clock.move(2)
    assert c.cmd("GET", "k") is None and c.cmd("TTL", "k") == -2
    assert abs(int(c.cmd("TIME")[0]) - clock.now()) < 2
    clock.move(8 * HOUR)
    eventually(lambda: redis.cmd("DBSIZE") == 1)  # serverCron has looked, nobody asked for it
    assert c.cmd("GET", "kept") == b"v"


def test_what_waits_is_woken(w):
    clock = w.clock()
    redis = clock.redis()
    larder = clock.larder(redis)
    c = w.conn(larder)
    c.send_cmd("BLPOP", "list", 60)
    eventually(lambda: redis.blocked() == 1)
    clock.move(59)
    c.quiet()
    clock.move(2)
    assert c.reply() is None


def test_idle_clients_are_closed_by_a_move(w):
    clock = w.clock()
    larder = clock.larder(clock.redis(), larder={"client_idle_timeout": "30m"})
    idle, busy = w.conn(larder), w.conn(larder)
    assert idle.cmd("PING") == busy.cmd("PING") == b"PONG"
    clock.move(0.4 * HOUR)
    assert busy.cmd("PING") == b"PONG"
    clock.move(0.2 * HOUR)
    idle.eof()
    assert busy.cmd("PING") == b"PONG"


def test_idle_links_are_renewed_by_a_move(w):
    clock = w.clock()
    redis = clock.redis()
    larder = clock.larder(redis, up={"link_idle_timeout": "1h"})
    c = w.conn(larder)
    assert c.cmd("PING") == b"PONG"

    def links():
        return set(re.findall(rb"state=idle .*upstream-id=(\d+)", c.ok("LARDER", "LINKS")))
    before = links()
    clock.move(HOUR + 1)
    eventually(lambda: links() and not links() & before)
    assert c.cmd("PING") == b"PONG"


def test_what_is_kept_goes_after_local_ttl(w):
    clock = w.clock()
    redis = clock.redis()
    larder = near(clock, redis, policy={"local_ttl": "10m"})
    c = w.conn(larder)
    c.ok("SET", "k", "v")
    assert c.cmd("GET", "k") == b"v"
    begin = calls(redis, "get")
    clock.move(590)
    assert c.cmd("GET", "k") == b"v" and calls(redis, "get") == begin
    clock.move(20)
    assert c.cmd("GET", "k") == b"v" and calls(redis, "get") == begin + 1
    assert c.cmd("GET", "k") == b"v" and calls(redis, "get") == begin + 1
    assert larder.stats()["cache_trust"] == 2


def test_what_is_kept_goes_with_its_key(w):
    clock = w.clock()
    redis = clock.redis()
    larder = near(clock, redis, policy={"local_ttl": "2h"})
    c = w.conn(larder)
    c.ok("SET", "k", "v", "EX", HOUR)
    assert c.cmd("GET", "k") == b"v"
    clock.move(HOUR - 1)
    begin = calls(redis, "get")
    assert c.cmd("GET", "k") == b"v" and calls(redis, "get") == begin
    assert 0 < c.cmd("PTTL", "k") <= 1000
    clock.move(2)
    assert c.cmd("GET", "k") is None and c.cmd("TTL", "k") == -2


def test_trust_comes_back_after_hours(w):
    """With coherence_timeout at its default: what was kept is not served until the link has
    answered anew, and from then on changes are heard of."""
    clock = w.clock()
    redis = clock.redis()
    larder = near(clock, redis, cache={}, policy={"local_ttl": "30d"})
    c = w.conn(larder)
    for turn in range(3):
        c.ok("SET", "k", turn)
        assert c.cmd("GET", "k") == b"%d" % turn
        clock.move(8 * HOUR)
        assert c.cmd("GET", "k") == b"%d" % turn
        eventually(lambda: larder.stats()["cache_trust"] == 2)
        c.cmd("GET", "k")
        begin = calls(redis, "get")
        assert c.cmd("GET", "k") == b"%d" % turn and calls(redis, "get") == begin
        redis.cmd("SET", "k", "changed")
        eventually(lambda: c.cmd("GET", "k") == b"changed")
    larder.signal(signal.SIGTERM)
    assert larder.process.wait(20) == 0  # no timer is left that would hold it up
    larder.start()
    assert w.conn(larder).cmd("GET", "k") == b"changed"
