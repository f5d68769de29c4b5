"""SUBSCRIBE and its kin in RESP2 and RESP3, MONITOR."""
import re

from compare import same, same_bytes
from resp import Push, encode, encode_all, eventually
from servers import scaled


def test_forms(w):
    """Confirmations, messages, what is allowed meanwhile, and back to an ordinary client."""
    def scenario(s):
        c, other = s.open(), s.open()
        for command, frames in (
                (("SUBSCRIBE", "a", "b", "a"), 3), (("PSUBSCRIBE", "p*", "x?"), 2),
                (("SSUBSCRIBE", "sh"), 1),
                (("PING",), 1), (("PING", "hello"), 1), (("UNSUBSCRIBE", "b", "never"), 2)):
            c.send_cmd(*command)
            for _ in range(frames):
                c.frame()
        for channel, frames in (("a", 1), ("b", 0), ("p1", 1), ("x1", 1), ("nobody", 0)):
            other.cmd("PUBLISH", channel, "to " + channel)
            for _ in range(frames):
                c.frame()
        other.cmd("SPUBLISH", "sh", "shard")
        c.frame()
        other.cmd("PUBLISH", "sh", "not shard")
        other.cmd("PUBSUB", "CHANNELS")
        other.cmd("PUBSUB", "NUMSUB", "a", "b")
        other.cmd("PUBSUB", "NUMPAT")
        other.cmd("PUBSUB", "SHARDCHANNELS")
        for command, frames in ((("UNSUBSCRIBE",), 1), (("PUNSUBSCRIBE", "x?"), 1),
                                (("PUNSUBSCRIBE",), 1),
                                (("SUNSUBSCRIBE",), 1), (("UNSUBSCRIBE",), 1),
                                (("PUNSUBSCRIBE",), 1),
                                (("SUNSUBSCRIBE",), 1)):
            c.send_cmd(*command)
            for _ in range(frames):
                c.frame()
        other.cmd("PUBLISH", "a", "nobody")
        c.cmd("SET", "k", "v")
        c.cmd("GET", "k")
        c.cmd("PING")
        c.cmd("MULTI")
        c.cmd("EXEC")
    same(w, scenario)


def test_resp2_allows_few_commands(w):
    def scenario(s):
        c = s.open()
        c.send_cmd("SUBSCRIBE", "a")
        c.frame()
        for command in (("GET", "k"), ("PUBLISH", "a", "x"), ("MULTI",), ("NOPE",), ("SELECT", 1),
                        ("CLIENT", "ID"), ("HELLO",), ("BLPOP", "q", 0), ("AUTH", "x"), ("get",),
                        ("ECHO", "x"), ("PING", "a", "b"), ("MONITOR",), ("CLIENT", "NOPE"),
                        ("INFO",)):
            c.send_cmd(*command)
            c.frame()
        c.send_cmd("PING")
        c.frame()
        c.send_cmd("UNSUBSCRIBE")
        c.frame()
        c.cmd("GET", "k")
    same(w, scenario, protos=(2,))


def test_resp3_commands_between_pushes(w):
    """A RESP3 subscriber is an ordinary client that also gets pushes."""
    def scenario(s):
        c = s.open()
        c.send_cmd("SUBSCRIBE", "a")
        c.frame()
        for command in (("SET", "k", "v"), ("GET", "k"), ("NOPE",), ("SELECT", 1), ("GET", "k"),
                        ("SELECT", 0), ("GET", "k"), ("PING",), ("ECHO", "x"), ("INCR", "n"),
                        ("EVAL", "return {1,2}", 0), ("MULTI",), ("GET", "k"), ("EXEC",),
                        ("RPUSH", "q", "x"), ("BLPOP", "q", 0), ("WATCH", "k"), ("UNWATCH",)):
            c.cmd(*command)
        c.send_cmd("SUBSCRIBE", "b")
        c.frame()
        c.cmd("GET", "k")
    same(w, scenario, protos=(3,))


def test_resp3_own_publish(w):
    """Who publishes to itself gets one push and one reply."""
    c = w.conn(w.pair().larder, proto=3)
    c.send_cmd("SUBSCRIBE", "a")
    assert c.push() == [b"subscribe", b"a", 1]
    for i in range(50):
        assert c.cmd("PUBLISH", "a", i) == 1
        assert c.push() == [b"message", b"a", b"%d" % i]


def test_resp3_interleaved_under_load(w):
    """Thousands of pushes between the replies of a pipeline: neither disturbs the other's order."""
    pair = w.pair()
    c, publisher = w.conn(pair.larder, proto=3, timeout=20), w.conn(pair.larder, timeout=20)
    c.send_cmd("SUBSCRIBE", "a")
    assert isinstance(c.value(), Push)
    count = scaled(3000)
    c.send(b"".join(encode("ECHO", "e%d" % i) + encode("INCR", "n") for i in range(count)))
    publisher.send(b"".join(encode("PUBLISH", "a", "m%d" % i) for i in range(count)))
    for i in range(count):
        assert c.reply() == b"e%d" % i
        assert c.reply() == i + 1
    for i in range(count):
        assert c.push() == [b"message", b"a", b"m%d" % i]
    assert publisher.replies(count) == [1] * count


def test_pipelined_subscriptions(w):
    """SUBSCRIBE among other commands, in one segment."""
    def scenario(s):
        c = s.open()
        c.send(encode_all([("SET", "k", "v"), ("SUBSCRIBE", "a"), ("PING",),
                           ("SUBSCRIBE", "b", "c"),
                           ("UNSUBSCRIBE",), ("GET", "k"), ("PING",), ("UNSUBSCRIBE", "zz"),
                           ("PSUBSCRIBE", "*"), ("PUNSUBSCRIBE", "*"), ("GET", "k"),
                           ("ECHO", "end")]))
        # pushes may come a moment before or after a reply; each kind keeps its order
        frames = [c.frame() for _ in range(15)]
        assert sum(b"subscribe" in f for f in frames) == 9, frames

    def split(s):
        scenario(s)
        frames = [f for _, way, f in s.log if way == "<"]
        s.log[:] = [x for x in s.log if x[1] == ">"]
        conn = s.conns[0]
        for kind in (True, False):
            s.log += [(conn, "<", f) for f in frames if (b"subscribe" in f) == kind]
    same(w, split)


def test_messages_of_every_size(w):
    def scenario(s):
        c, other = s.open(timeout=20), s.open(timeout=20)
        c.send_cmd("SUBSCRIBE", "ch")
        c.frame()
        for size in (0, 1, 1000, 65535, 65536, 70000, 1 << 20, 5 << 20):
            other.cmd("PUBLISH", "ch", b"%d" % size + b"m" * size)
            c.frame()
    same(w, scenario)


def test_many_subscribers(w):
    """Each gets each message once, in order."""
    pair = w.pair()
    subs = [w.conn(pair.larder, 2 + i % 2) for i in range(40)]
    for i, c in enumerate(subs):
        c.send_cmd("SUBSCRIBE", "all", "ch%d" % i)
        c.value(), c.value()
    publisher = w.conn(pair.larder)
    for turn in range(20):
        assert publisher.cmd("PUBLISH", "all", turn) == 40
        assert publisher.cmd("PUBLISH", "ch%d" % turn, "own") == 1
    for i, c in enumerate(subs):
        for turn in range(20):
            assert list(c.value()) == [b"message", b"all", b"%d" % turn]
            if turn == i:
                assert list(c.value()) == [b"message", b"ch%d" % i, b"own"]


def test_subscriber_that_leaves(w):
    """Its subscriptions leave with it."""
    pair = w.pair()
    for proto in (2, 3):
        for leave in ("close", "rst"):
            c = w.conn(pair.larder, proto)
            c.send_cmd("SUBSCRIBE", "ch")
            c.value()
            assert pair.redis.cmd("PUBSUB", "NUMSUB", "ch") == [b"ch", 1]
            getattr(c, leave)()
            eventually(lambda: pair.redis.cmd("PUBSUB", "NUMSUB", "ch") == [b"ch", 0])


def test_unsubscribed_links_come_back(w):
    """A thousand who subscribe one after the other need few connections."""
    redis = w.redis()
    larder = w.larder(redis)
    c = w.conn(larder)
    before = redis.connections()
    for i in range(scaled(300)):
        c.send(encode("SUBSCRIBE", "ch") + encode("UNSUBSCRIBE", "ch") + encode("PING"))
        assert c.replies(2)[1] == [b"unsubscribe", b"ch", 0] and c.reply() == b"PONG"
    opened = redis.connections() - before - 1
    assert opened <= 12, f"{opened} connections for one subscriber at a time"


def test_idle_subscriber_is_not_idle(w):
    redis = w.redis()
    larder = w.larder(
        redis, larder={
            "client_idle_timeout": "200ms"}, up={
            "command_timeout": "100ms"})
    subscriber, lazy = w.conn(larder), w.conn(larder)
    subscriber.send_cmd("SUBSCRIBE", "ch")
    subscriber.value()
    lazy.ok("PING")
    lazy.eof()  # the idle one goes
    assert redis.cmd("PUBLISH", "ch", "still here") == 1
    assert subscriber.value() == [b"message", b"ch", b"still here"]


def test_reset_and_quit_when_subscribed(w):
    same_bytes(w, encode_all([("SUBSCRIBE", "a"), ("RESET",), ("GET", "k"), ("SUBSCRIBE", "b"),
                              ("QUIT",), ("PING",)]))


def test_monitor(w):
    """Lines of others' commands, as Redis writes them, until RESET."""
    pair = w.pair()
    c, other = w.conn(pair.larder), w.conn(pair.larder)
    assert c.cmd("MONITOR") == b"OK"
    other.ok("SET", "monitored", "a b\n")
    line = b""
    while b"monitored" not in line:
        line = c.value()
    assert re.match(rb'\d+\.\d+ \[0 127\.0\.0\.1:\d+\] "SET" "monitored" "a b\\n"\Z', line), line
    c.send_cmd("RESET")
    while c.value() != b"RESET":
        pass
    other.ok("SET", "unseen", "x")
    assert c.cmd("GET", "unseen") == b"x"


def test_monitor_that_leaves(w):
    redis = w.redis()
    larder = w.larder(redis)
    c = w.conn(larder)
    c.ok("MONITOR")
    eventually(lambda: b"flags=O" in redis.cmd("CLIENT", "LIST"))
    c.close()
    eventually(lambda: b"flags=O" not in redis.cmd("CLIENT", "LIST"))


def test_keyspace_notifications(w):
    """Events reach the client that subscribes to them, each once."""
    redis = w.redis("--notify-keyspace-events", "KEA")
    c, other = (w.conn(x) for x in [w.larder(redis)] * 2)
    c.send_cmd("PSUBSCRIBE", "__key*__:*")
    c.value()
    other.ok("SET", "k", "v")
    assert c.value() == [b"pmessage", b"__key*__:*", b"__keyspace@0__:k", b"set"]
    assert c.value() == [b"pmessage", b"__key*__:*", b"__keyevent@0__:set", b"k"]
