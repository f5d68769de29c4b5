"""While the upstream is away, full, loading or somebody else: deadlines, errors, no storm."""
import time

from fake_server import FakeRedis
from outage import QUICK, is_upstream, serves_again, timed
from relay import Relay
from resp import SLOW, Error, encode, eventually
from servers import free_port, only_plain


def test_away_at_the_start(w):
    """larder starts without an upstream, and serves when there is one."""
    redis = w.redis()
    redis.kill()
    larder = w.larder(redis, up={**QUICK, "command_timeout": "10s", "queue_timeout": "10s"})
    waiting = [w.conn(larder, timeout=20) for _ in range(4)]
    waiting[0].send(encode("SET", "k", "v") + encode("GET", "k"))
    waiting[1].send(encode("PING"))
    waiting[2].send(encode("MULTI") + encode("INCR", "n") + encode("EXEC"))
    waiting[3].send(encode("SUBSCRIBE", "ch"))
    assert waiting[1].reply() == b"PONG"
    redis.start()
    assert waiting[0].replies(2) == [b"OK", b"v"]  # within the deadline a command just waits
    assert waiting[2].replies(3) == [b"OK", b"QUEUED", [1]]
    assert waiting[3].value() == [b"subscribe", b"ch", 1]


def test_resp3_while_away(w):
    """HELLO 3 without an upstream: an answer by the deadline, whatever it is, and service later."""
    redis = w.redis()
    redis.kill()
    larder = w.larder(redis, up=QUICK)
    c = w.conn(larder)
    timed(c, "HELLO", 3)
    timed(c, "INFO")
    timed(c, "CLIENT", "TRACKING", "on")
    # What stands behind these must not run in another database or as another user.
    for words in (("SELECT", 1), ("AUTH", "x"), ("HELLO", 3, "AUTH", "default", "x")):
        c = w.conn(larder)
        timed(c, *words)
        c.eof()
    redis.start()
    serves_again(w.conn(larder, 2))
    serves_again(w.conn(larder, 3))


def backoff(w, prepare):
    redis = w.redis()
    relay = w.add(Relay(redis.address))
    larder = w.larder(relay, up={**QUICK, "backoff_min": "20ms", "backoff_max": "200ms"})
    conns = [w.conn(larder) for _ in range(20)]
    for c in conns:
        assert c.cmd("SET", "k", "v") == b"OK"
    prepare(relay)
    before = relay.accepted
    begin = time.monotonic()
    rounds = 0
    while time.monotonic() - begin < 2:
        for c in conns:
            c.send_cmd("GET", "k")
        for c in conns:
            assert is_upstream(c.reply(timeout=20)) or rounds == 0
        rounds += 1
    tries = relay.accepted - before
    # ten links, a try each 100 ms on average once they have backed off, and the first quick ones
    assert tries < 400, f"{tries} connections in two seconds"
    assert tries >= 3, f"only {tries} tries in two seconds"
    relay.refuse(None)
    for c in conns[:3]:
        serves_again(c)


def test_backoff_when_connections_are_reset(w):
    backoff(w, lambda relay: (relay.refuse("rst"), relay.rst()))


def test_backoff_when_connections_are_closed(w):
    backoff(w, lambda relay: (relay.refuse("close"), relay.cut()))


def test_no_spin_while_away(w):
    """A dead upstream and waiting clients cost next to nothing."""
    clock, dead = w.redis(), free_port()
    larder = w.larder(("127.0.0.1", dead), up={"command_timeout": "60s"})
    conns = [w.conn(larder) for _ in range(50)]
    for c in conns:
        c.send_cmd("GET", "k")
    before = larder.cpu_seconds()
    assert clock.cmd("BLPOP", "no-such-list", 1) is None
    assert larder.cpu_seconds() - before < 0.1 * SLOW
    assert len(larder.log().splitlines()) < 200
    for c in conns:
        c.close()


def test_upstream_full(w):
    """maxclients reached upstream: an error by the deadline, no crash, no storm."""
    redis = w.redis()
    hogs = [w.conn(redis) for _ in range(8)]
    control = w.conn(redis)
    control.ok("CONFIG", "SET", "maxclients", "9")
    larder = w.larder(redis, up=QUICK)
    c = w.conn(larder)
    assert isinstance(timed(c, "GET", "k"), Error)
    for hog in hogs:
        hog.close()
    serves_again(c)


def test_loading_upstream(w):
    """-LOADING is handed on, or waited for, but never a hang."""
    state = {"loading": True}

    def script(link, argv):
        if state["loading"] and argv[0] not in (b"HELLO", b"AUTH", b"CLIENT"):
            return b"-LOADING Redis is loading the dataset in memory\r\n"
    fake = w.add(FakeRedis(script))
    larder = w.larder(fake, up=QUICK)
    c = w.conn(larder)
    assert isinstance(timed(c, "GET", "k"), Error)
    state["loading"] = False
    eventually(lambda: c.cmd("GET", "k") == b"k:value")


def test_restarted_with_another_password(w):
    """The login that worked no longer does: an error, not a loop."""
    only_plain("its options are replaced")
    redis = w.redis("--requirepass", "one")
    redis.password = "one"
    larder = w.larder(redis, up={**QUICK, "password": "one"})
    c = w.conn(larder)
    c.ok("SET", "k", "v")
    redis.kill()
    redis.options = ["--requirepass", "two"]
    redis.start()
    eventually(lambda: isinstance(timed(c, "GET", "k"), Error))
    assert c.cmd("PING") == b"PONG"
    redis.kill()
    redis.options = ["--requirepass", "one"]
    redis.start()
    serves_again(c)


def test_upstream_by_name(w):
    redis = w.redis()
    larder = w.larder(None, up={"address": "localhost:%d" % redis.port})
    assert w.conn(larder).cmd("SET", "k", "v") == b"OK"
    larder = w.larder(None, up={**QUICK, "address": "no-such-host.invalid:%d" % redis.port})
    c = w.conn(larder)
    assert is_upstream(timed(c, "GET", "k", deadline=2))
    assert c.cmd("PING") == b"PONG"
