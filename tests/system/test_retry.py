"""Reads that a broken connection owed are asked once more on another; writes never, nor what stands
with a write."""
import threading

from fake_server import SILENT, FakeRedis
from near import near_larder
from outage import BREAKER, QUICK, is_upstream, serves_again
from relay import Relay
from resp import encode_all, eventually
from servers import scaled, scripted

LAST = b"last"


def breaks(w, times=1, how="cut", near=False, **up):
    """A server that says nothing until it is asked for the key `last`, and then breaks the link;
    so often."""
    scripted()
    state = {"left": times}

    def script(link, argv):
        if argv[0] in (b"HELLO", b"CLIENT", b"SUBSCRIBE", b"PING", b"PTTL"):
            return None
        if state["left"] > 0 and argv[-1] == LAST:
            state["left"] -= 1
            getattr(link, how)()
        return SILENT if state["left"] > 0 else None
    fake = w.add(FakeRedis(script))
    return fake, w.larder(fake, up={**QUICK, "command_timeout": "20s", **up})


def asked(fake, *words):
    """How often just that."""
    return sum([x.upper() if i == 0 else x for i, x in enumerate(r)] == [x.encode() for x in words]
               for r in fake.requests())


def test_a_read(w):
    for how in ("cut", "rst"):
        fake, larder = breaks(w, how=how)
        for proto in (2, 3):
            assert w.conn(larder, proto).cmd("GET", "last") == b"last:value"
        assert larder.stats()["clients_retried"] == 1 and larder.stats()["clients_failed"] == 0
        assert asked(fake, "GET", "last") == 3


def test_a_pipeline_of_reads_keeps_its_order(w):
    """.. also with larder's own answers within it, and errors of what is not asked again."""
    fake, larder = breaks(w)
    c = w.conn(larder)
    commands = [("GET", "a"), ("PING", "1"), ("GET", "b"), ("STRLEN", "c"), ("PING", "2"),
                ("PING", "3"), ("MGET", "x", "y"), ("GET", "d"), ("GET", "last")]
    c.send(encode_all(commands[:5]))
    eventually(lambda: asked(fake, "STRLEN", "c") == 1)
    c.send(encode_all(commands[5:]))
    c.send_cmd("PING", "4")
    got = c.replies(10)
    assert got == [b"a:value", b"1", b"b:value", b"OK", b"2", b"3", [b"x:value", b"y:value"],
                   b"d:value", b"last:value", b"4"], got
    assert larder.stats()["clients_retried"] == 6
    assert c.cmd("GET", "e") == b"e:value"


def test_a_long_pipeline(w):
    # No link aside, for which the first requests would have to be answered before the last are asked.
    fake, larder = breaks(w, pool_size="2")
    c = w.conn(larder)
    n = 1000  # of one that sends much no more than 1,024 are asked before they are answered
    c.send(encode_all([("GET", f"k{i}") for i in range(n)] + [("GET", "last")]))
    assert c.replies(n + 1) == [b"k%d:value" % i for i in range(n)] + [b"last:value"]


def test_half_of_a_pipeline(w):
    """Only what was not answered is asked again."""
    scripted()
    state = {"left": 1}

    def script(link, argv):
        if argv[:2] == [b"GET", b"k7"] and state["left"] > 0:
            state["left"] = 0
            link.cut()
    fake = w.add(FakeRedis(script))
    larder = w.larder(fake, up=QUICK)
    c = w.conn(larder)
    c.send(encode_all([("GET", f"k{i}") for i in range(10)]))
    assert c.replies(10) == [b"k%d:value" % i for i in range(10)]
    assert larder.stats()["clients_retried"] <= 10
    assert asked(fake, "GET", "k7") == 2


def test_once(w):
    fake, larder = breaks(w, times=2)
    c = w.conn(larder)
    answer = c.cmd("GET", "last")
    assert is_upstream(answer) and b"unknown" in answer, answer
    assert asked(fake, "GET", "last") == 2
    assert c.cmd("GET", "last") == b"last:value"


def test_no_write_and_nothing_with_a_write(w):
    fake, larder = breaks(w)
    c, other = w.conn(larder), w.conn(larder)
    other.send_cmd("GET", "o")
    eventually(lambda: asked(fake, "GET", "o") == 1)
    c.send(encode_all([("GET", "a"), ("PING",), ("SET", "b", "1"), ("GET", "c"), ("INCR", "last")]))
    got = c.replies(5)
    assert got[1] == b"PONG" and all(is_upstream(a) for i, a in enumerate(got) if i != 1), got
    assert other.reply() == b"o:value"  # whose write it was not
    for words in (("GET", "a"), ("SET", "b", "1"), ("GET", "c"), ("INCR", "last")):
        assert asked(fake, *words) == 1, words


def test_a_write_that_was_answered_is_no_matter(w):
    fake, larder = breaks(w, times=0)
    c = w.conn(larder)
    c.ok("SET", "k", "v")
    fake.links[-1].close()
    assert c.cmd("GET", "k") == b"k:value"


def test_transactions_and_blocking_commands_never(w):
    redis = w.redis()
    relay = w.add(Relay(redis.address))
    larder = w.larder(relay, up=QUICK)
    tx, blocked, watching = (w.conn(larder) for _ in range(3))
    tx.ok("MULTI")
    watching.ok("WATCH", "k")
    blocked.send_cmd("XREAD", "BLOCK", 0, "STREAMS", "s", "$")
    eventually(lambda: redis.blocked() == 1)
    relay.mode = "stall"
    tx.send_cmd("GET", "k")
    watching.send_cmd("GET", "k")
    eventually(lambda: larder.stats()["upstream_links_lent_pool"] == 2)
    relay.mode = "forward"
    relay.rst()
    assert is_upstream(blocked.reply())
    for c in (tx, watching):
        assert is_upstream(c.reply())
        c.eof()
    assert larder.stats()["clients_retried"] == 0


def test_a_reply_cut_in_two(w):
    """Half of it has reached the client: nothing can follow that would make sense."""
    scripted()
    state = {"left": 1}

    def script(link, argv):
        if argv[:2] == [b"GET", b"large"] and state["left"] > 0:
            state["left"] = 0
            link.send(b"$1000000\r\n" + b"x" * 500000)
            eventually(lambda: state.get("seen"))
            link.cut()
    fake = w.add(FakeRedis(script))
    larder = w.larder(fake, up=QUICK)
    c = w.conn(larder)
    c.send(encode_all([("GET", "large"), ("GET", "b")]))
    assert c.sock.recv(1000).startswith(b"$1000000\r\n")
    state["seen"] = True
    while c.sock.recv(1 << 20):
        pass
    assert asked(fake, "GET", "b") == 0 and asked(fake, "GET", "large") == 1


def test_within_its_deadline(w):
    """The second asking has what is left of the first one's time; and none when the breaker opens."""
    fake, larder = breaks(w, command_timeout="500ms")
    c = w.conn(larder)
    c.send_cmd("GET", "a")
    eventually(lambda: asked(fake, "GET", "a") == 1)
    fake.stop()
    answer = c.reply(timeout=20)
    assert is_upstream(answer) and b"cannot connect" in answer, answer
    fake, larder = breaks(w, **{**BREAKER, "command_timeout": "10m"})
    c = w.conn(larder)
    c.send_cmd("GET", "a")
    eventually(lambda: asked(fake, "GET", "a") == 1)
    fake.stop()
    assert is_upstream(c.reply())


def reader(conn, rounds, who, wrong, stop):
    while not stop.is_set():
        keys = [f"k{(rounds[who] + i) % 100}" for i in range(8)]
        values = [k.encode() for k in keys]
        got = conn.pipeline([("GET", k) for k in keys])
        wrong += [] if got == values else [(keys, got)]
        got = conn.cmd("MGET", *keys)
        wrong += [] if got == values else [(keys, got)]
        rounds[who] += 1


def test_readers_do_not_see_connections_break(w):
    redis = w.redis()
    relay = w.add(Relay(redis.address))
    larder = w.larder(relay, up={"backoff_min": "1ms", "backoff_max": "10ms"})
    readers_under_cuts(w, relay, larder)


def test_nor_those_of_the_near_cache(w):
    """Questions that others have joined, and those who asked first."""
    redis = w.redis()
    relay = w.add(Relay(redis.address))
    larder = near_larder(w, relay, arm=False, policy={"local_ttl": "1ms"},
                         up={"backoff_min": "1ms", "backoff_max": "10ms"})
    readers_under_cuts(w, relay, larder)


def readers_under_cuts(w, relay, larder):
    c = w.conn(larder)
    c.pipeline([("SET", f"k{i}", f"k{i}") for i in range(100)])
    rounds, wrong, stop = [0] * 8, [], threading.Event()
    threads = [threading.Thread(target=reader, args=(w.conn(larder), rounds, i, wrong, stop),
                                daemon=True) for i in range(8)]
    for t in threads:
        t.start()
    for i in range(scaled(30)):
        before = list(rounds)
        if i % 2:
            relay.rst()
        else:
            relay.cut()
        # what is asked once more must not lose its connection once more
        eventually(lambda: all(now > then + 1 for now, then in zip(rounds, before)))
    stop.set()
    for t in threads:
        t.join(20)
    assert not wrong, wrong[:5]
    assert larder.stats()["clients_retried"] > 0
    serves_again(c)
