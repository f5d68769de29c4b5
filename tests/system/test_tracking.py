"""Connection state larder does not model: the session gets a link of its own, and it works."""
import re

from compare import same
from resp import Error, Push, encode, eventually
from servers import NEAR_LINKS, alone_with_redis, scaled

INVALIDATE = b"invalidate"
IDS = ((re.compile(rb":\d+\r\n"), b":<number>\r\n"),)


def test_forms(w):
    def scenario(s):
        for proto in (2, 3):
            c = s.open(proto)
            for command in (("TRACKING", "on"), ("TRACKINGINFO",), ("GETREDIR",),
                            ("CACHING", "yes"),
                            ("TRACKING", "off"), ("TRACKINGINFO",), ("TRACKING", "on", "OPTIN"),
                            ("CACHING", "yes"), ("CACHING", "no"), ("TRACKINGINFO",),
                            ("TRACKING", "on", "OPTOUT"), ("TRACKING", "off"),
                            ("TRACKING", "on", "BCAST", "PREFIX", "a", "PREFIX", "b"),
                            ("TRACKINGINFO",),
                            ("TRACKING", "on", "BCAST", "PREFIX", "ab"), ("TRACKING", "off"),
                            ("TRACKING", "on", "PREFIX", "a"),
                            ("TRACKING", "on", "OPTIN", "OPTOUT"),
                            ("TRACKING", "on", "REDIRECT", "999999"),
                            ("TRACKING", "on", "REDIRECT", "x"),
                            ("TRACKING", "maybe"), ("TRACKING",), ("TRACKING", "on", "NOLOOP"),
                            ("TRACKINGINFO",)):
                c.cmd("CLIENT", *command)
            c.cmd("GET", "k")
    same(w, scenario, protos=(3,))


def test_default(w):
    """A key that was read and is then written: one push, to the reader."""
    pair = w.pair()
    c, other = w.conn(pair.larder, 3), w.conn(pair.larder)
    other.ok("MSET", "a", 1, "b", 2)
    c.ok("CLIENT", "TRACKING", "on")
    assert c.cmd("GET", "a") == b"1" and c.cmd("GET", "missing") is None
    other.ok("SET", "a", 2)
    assert c.push() == [INVALIDATE, [b"a"]]
    other.ok("SET", "b", 3)  # never read: no push
    other.ok("SET", "missing", "x")
    assert c.push() == [INVALIDATE, [b"missing"]]
    assert c.cmd("GET", "a") == b"2"
    assert not c.pushes
    w.conn(pair.redis).ok("FLUSHALL")
    assert c.push() == [INVALIDATE, None]
    assert c.cmd("PING") == b"PONG"
    assert other.cmd("CLIENT", "TRACKINGINFO")[1] == [b"off"]


def test_bcast(w):
    pair = w.pair()
    c, other = w.conn(pair.larder, 3), w.conn(pair.larder)
    c.ok("CLIENT", "TRACKING", "on", "BCAST", "PREFIX", "user:", "PREFIX", "item:")
    for i in range(scaled(100)):
        other.ok("SET", "user:%d" % i, i)
        other.ok("SET", "else:%d" % i, i)
        assert c.push() == [INVALIDATE, [b"user:%d" % i]]
    assert c.cmd("GET", "user:1") == b"1"
    c.quiet(0.02)


def test_optin_and_optout(w):
    pair = w.pair()
    c, other = w.conn(pair.larder, 3), w.conn(pair.larder)
    other.ok("MSET", "a", 1, "b", 2, "c", 3)
    c.ok("CLIENT", "TRACKING", "on", "OPTIN")
    c.ok("GET", "a")
    c.ok("CLIENT", "CACHING", "yes")
    c.ok("GET", "b")
    c.ok("GET", "c")
    other.ok("MSET", "a", 2, "b", 3, "c", 4)
    assert c.push() == [INVALIDATE, [b"b"]]
    c.ok("CLIENT", "TRACKING", "off")
    c.ok("CLIENT", "TRACKING", "on", "OPTOUT")
    c.ok("CLIENT", "CACHING", "no")
    c.ok("GET", "a")
    c.ok("GET", "b")
    other.ok("MSET", "a", 3, "b", 4)
    assert c.push() == [INVALIDATE, [b"b"]]
    assert c.cmd("PING") == b"PONG" and not c.pushes


def test_caching_in_a_pipeline(w):
    """CACHING YES belongs to exactly the next command: nothing may come between on the link."""
    pair = w.pair()
    c, other = w.conn(pair.larder, 3), w.conn(pair.larder)
    c.ok("CLIENT", "TRACKING", "on", "OPTIN")
    for i in range(20):
        c.send(encode("CLIENT", "CACHING", "YES") + encode("MULTI") + encode("PTTL", "k")
               + encode("GET", "k") + encode("EXEC"))
        assert c.replies(4) == [b"OK", b"OK", b"QUEUED", b"QUEUED"]
        c.reply()
        other.ok("SET", "k", i)
        assert c.push() == [INVALIDATE, [b"k"]]


def redirect(w, proto):
    pair = w.pair()
    listener, c, other = w.conn(pair.larder), w.conn(pair.larder, proto), w.conn(pair.larder)
    number = listener.cmd("CLIENT", "ID")
    listener.send_cmd("SUBSCRIBE", "__redis__:invalidate")
    listener.value()
    assert c.cmd("CLIENT", "TRACKING", "on", "REDIRECT", number) == b"OK"
    assert c.cmd("CLIENT", "GETREDIR") == number
    c.ok("SET", "a", 1)
    assert c.cmd("GET", "a") == b"1"
    other.ok("SET", "a", 2)
    assert listener.value() == [b"message", b"__redis__:invalidate", [b"a"]]
    assert c.cmd("GET", "a") == b"2"
    w.conn(pair.redis).ok("FLUSHALL")
    assert listener.value() == [b"message", b"__redis__:invalidate", None]
    c.ok("CLIENT", "TRACKING", "off")
    assert c.cmd("CLIENT", "GETREDIR") == -1


def test_redirect_to_another_client_of_larder(w):
    """The id that larder gave the one means something to the other."""
    redirect(w, 2)
    redirect(w, 3)


def test_redirect_to_oneself(w):
    """On one RESP2 connection: TRACKING REDIRECT own id BCAST, then SUBSCRIBE."""
    pair = w.pair()
    c, other = w.conn(pair.larder), w.conn(pair.larder)
    number = c.cmd("CLIENT", "ID")
    assert c.cmd("CLIENT", "TRACKING", "on", "REDIRECT", number, "BCAST", "PREFIX", "p:") == b"OK"
    c.send_cmd("SUBSCRIBE", "__redis__:invalidate")
    assert c.value() == [b"subscribe", b"__redis__:invalidate", 1]
    other.ok("SET", "p:k", "v")
    assert c.value() == [b"message", b"__redis__:invalidate", [b"p:k"]]


def test_tracking_goes_with_its_client(w):
    """And is not inherited by the next."""
    alone_with_redis()
    redis = w.redis()
    larder = w.larder(redis)
    other = w.conn(larder)
    for leave in ("close", "rst"):
        c = w.conn(larder, 3)
        c.ok("CLIENT", "TRACKING", "on", "BCAST")
        assert redis.info("clients", "tracking_clients") == "1"
        getattr(c, leave)()
        eventually(lambda: redis.info("clients", "tracking_clients") == "0")
        d = w.conn(larder, 3)
        other.ok("SET", "k", "v")
        assert d.cmd("GET", "k") == b"v" and not d.pushes
        d.close()


def test_everything_works_on_an_own_link(w):
    """The session goes on as before: transactions, blocking, pub/sub, SELECT, errors."""
    def scenario(s):
        c, other = s.open(), s.open()
        c.cmd("CLIENT", "TRACKING", "on", "BCAST", "PREFIX", "tracked")
        for command in (("SET", "k", "v"), ("MULTI",), ("GET", "k"), ("EXEC",), ("SELECT", 3),
                        ("GET", "k"),
                        ("SELECT", 99), ("SELECT", 0), ("NOPE",), ("RPUSH", "q", "x"),
                        ("BLPOP", "q", 0),
                        ("WATCH", "k"), ("MULTI",), ("DISCARD",), ("CLIENT", "SETNAME", "me"),
                        ("CLIENT", "GETNAME"), ("PING",), ("ECHO", "x")):
            c.cmd(*command)
        c.send_cmd("SUBSCRIBE", "ch")
        c.frame()
        other.cmd("PUBLISH", "ch", "hello")
        c.frame()
        c.cmd("GET", "k")
        other.cmd("SET", "tracked", "x")
        c.frame()
        c.send_cmd("BLPOP", "q", 0)
        s.blocked(1)
        other.cmd("RPUSH", "q", "y")
        c.raw_reply()
        c.cmd("RESET")
        c.cmd("CLIENT", "GETNAME")
    same(w, scenario, protos=(3,))


def test_push_between_replies_of_a_pipeline(w):
    """Pushes of one's own writes come behind their replies."""
    c = w.conn(w.pair().larder, 3)
    c.ok("CLIENT", "TRACKING", "on", "BCAST")
    count = scaled(500)
    c.send(b"".join(encode("SET", "k%d" % i, i) + encode("GET", "k%d" % i) for i in range(count)))
    for i in range(count):
        assert c.reply() == b"OK"
        assert c.reply() == b"%d" % i
    keys = []
    while len(keys) < count:
        push = c.push()
        assert isinstance(push, Push) and push[0] == INVALIDATE
        keys += push[1]
    assert sorted(keys) == sorted(b"k%d" % i for i in range(count))


def test_readonly_and_asking(w):
    """Words of a cluster that change a connection: Redis' answer, and nobody else is affected."""
    def scenario(s):
        c, other = s.open(), s.open()
        for word in ("READONLY", "READWRITE", "ASKING"):
            c.cmd(word)
            c.cmd("SET", "k", word)
            other.cmd("GET", "k")
    same(w, scenario, admin=True)


def test_redirect_to_one_that_has_not_subscribed(w):
    """In RESP3 it need not: the pushes come all the same. In RESP2 it may do so later."""
    def scenario(s):
        listener, c, other = s.open(), s.open(3), s.open()
        number = listener.cmd("CLIENT", "ID")
        assert c.cmd("CLIENT", "TRACKING", "on", "REDIRECT", number) == b"OK"
        assert c.cmd("CLIENT", "GETREDIR") == number
        for value in (1, 2):
            listener.cmd("SET", "mine", value)
            c.cmd("GET", "k")
            if s.proto == 2:
                listener.send_cmd("SUBSCRIBE", "__redis__:invalidate")
                listener.frame()
            other.cmd("SET", "k", value)
            listener.frame()
            if s.proto == 2:
                listener.send_cmd("UNSUBSCRIBE")
                listener.frame()
        listener.send_cmd("SUBSCRIBE", "ch")
        listener.frame()
        c.cmd("GET", "k")
        other.cmd("PUBLISH", "ch", "hello")
        other.cmd("SET", "k", 3)
        listener.frame()
        listener.frame()
        listener.send_cmd("UNSUBSCRIBE", "ch")
        listener.frame()
        listener.cmd("GET", "mine")
    same(w, scenario, masks=IDS)


def test_a_link_that_was_named_goes_to_nobody_else(w):
    """The invalidations would go to its next user."""
    redis = w.redis()
    larder = w.larder(redis)
    for proto in (2, 3):
        listener, c, other = w.conn(larder, proto), w.conn(larder, 3), w.conn(larder)
        other.ok("SET", "y", 1)  # the shared link is there already
        listener.send_cmd("SUBSCRIBE", "__redis__:invalidate")
        listener.value()
        c.ok("CLIENT", "TRACKING", "on", "BCAST", "REDIRECT",
             other.cmd("CLIENT", "ID") - 2)
        listener.send_cmd("UNSUBSCRIBE")
        listener.value()
        assert listener.cmd("GET", "k") is None
        next_one = w.conn(larder, proto)
        next_one.send_cmd("SUBSCRIBE", "ch")
        next_one.value()
        other.ok("SET", "x", 1)
        assert other.cmd("PUBLISH", "ch", "hello") == 1
        assert next_one.value() == [b"message", b"ch", b"hello"]
        for conn in (listener, c, next_one):
            conn.close()


def test_redirection_when_there_is_no_link(w):
    """Whoever names a client that has none waits for it: until it is lent, refused, or its client
    has gone."""
    redis = w.redis()
    larder = w.larder(redis, up={"max_lent": 1, "queue_timeout": "300ms"})
    listener, c, control = w.conn(larder, 3), w.conn(larder, 3), w.conn(larder)
    number = listener.cmd("CLIENT", "ID")
    control.send_cmd("BLPOP", "q", 0)
    eventually(lambda: redis.blocked() == 1)
    assert c.cmd("CLIENT", "TRACKING", "on", "REDIRECT", number).startswith(b"UPSTREAM no conn")
    assert c.cmd("GET", "k") is None and listener.cmd("GET", "k") is None
    c.send_cmd("CLIENT", "TRACKING", "on", "REDIRECT", number)
    eventually(lambda: larder.stats()["upstream_loans_waiting"] == 1)
    listener.close()
    assert isinstance(c.reply(), Error)
    redis.cmd("RPUSH", "q", "x")
    assert control.reply() == [b"q", b"x"]
    assert c.cmd("CLIENT", "TRACKING", "on").startswith(b"OK")


def test_tracking_info_names_larders_ids(w):
    """Also of a client that has gone, and in the push that says so."""
    pair = w.pair()
    listener, c, other = w.conn(pair.larder), w.conn(pair.larder, 3), w.conn(pair.larder)
    number = listener.cmd("CLIENT", "ID")
    listener.send_cmd("SUBSCRIBE", "__redis__:invalidate")
    listener.value()
    c.ok("CLIENT", "TRACKING", "on", "REDIRECT", number, "NOLOOP")
    assert c.cmd("CLIENT", "TRACKINGINFO").get(b"redirect") == number
    assert c.cmd("GET", "k") is None
    listener.cmd("QUIT")
    channel = "__redis__:invalidate"
    eventually(lambda: pair.redis.cmd("PUBSUB", "NUMSUB", channel)[1] == NEAR_LINKS)
    other.ok("SET", "k", 1)
    assert c.push() == [b"tracking-redir-broken", number]
    assert c.cmd("CLIENT", "TRACKINGINFO").get(b"redirect") == number
    assert c.cmd("CLIENT", "GETREDIR") == number


def test_back_to_resp2_with_subscriptions(w):
    """Invalidations are messages there."""
    def scenario(s):
        listener, c, other = s.open(3), s.open(), s.open()
        number = listener.cmd("CLIENT", "ID")
        listener.send_cmd("SUBSCRIBE", "__redis__:invalidate")
        listener.frame()
        c.cmd("CLIENT", "TRACKING", "on", "REDIRECT", number)
        listener.cmd("HELLO", 2)
        c.cmd("GET", "k")
        other.cmd("SET", "k", 1)
        listener.frame()
        s.direct("FLUSHALL")
        listener.frame()
    same(w, scenario, protos=(2,), masks=IDS)


def test_unblock_of_a_subscriber_that_blocks(w):
    """It is unblocked where it blocks, not where it listens."""
    pair = w.pair()
    c, other = w.conn(pair.larder, 3), w.conn(pair.larder)
    number = c.cmd("CLIENT", "ID")
    c.send_cmd("SUBSCRIBE", "ch")
    c.frame()
    c.send_cmd("BLPOP", "q", 0)
    eventually(lambda: pair.redis.blocked() == 1)
    assert other.cmd("CLIENT", "UNBLOCK", number) == 1
    assert c.reply() is None
