"""Commands that block: each on a lent link, with nobody else waiting behind it."""
from compare import same, same_bytes
from resp import encode, encode_all, eventually
from servers import scaled

# the command, and the write that ends its wait
BLOCKING = [
    (("BLPOP", "q", "q2", 0), ("RPUSH", "q2", "x")),
    (("BRPOP", "q", 0), ("RPUSH", "q", "x", "y")),
    (("BLMOVE", "q", "d", "LEFT", "RIGHT", 0), ("RPUSH", "q", "x")),
    (("BRPOPLPUSH", "q", "d", 0), ("RPUSH", "q", "x")),
    (("BLMPOP", 0, 2, "q", "q2", "LEFT", "COUNT", 2), ("RPUSH", "q", "x", "y", "z")),
    (("BZPOPMIN", "z", 0), ("ZADD", "z", 1, "m")),
    (("BZPOPMAX", "z", "z2", 0), ("ZADD", "z2", 1, "m", 2, "n")),
    (("BZMPOP", 0, 1, "z", "MIN"), ("ZADD", "z", 1.5, "m")),
    (("XREAD", "BLOCK", 0, "STREAMS", "s", "$"), ("XADD", "s", "5-5", "f", "v")),
    (("xread", "count", 2, "block", 0, "streams", "s", "t", 0, 0), ("XADD", "t", "5-5", "f", "v")),
    (("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "sg", ">"),
     ("XADD", "sg", "5-5", "f", "v")),
]


def prepare(conn):
    conn.ok("XGROUP", "CREATE", "sg", "g", "$", "MKSTREAM")


def test_each_is_served(w):
    """The reply comes with the write, and later bytes of the blocked client only then."""
    def scenario(s):
        other = s.open()
        prepare(other)
        for block, write in BLOCKING:
            c = s.open()
            c.send(encode(*block) + encode("SET", "later", block[0]) + encode("PING", "after"))
            s.blocked(1)
            assert s.direct("EXISTS", "later") == 0
            other.cmd(*write)
            for _ in range(3):
                c.raw_reply()
            other.cmd("GETDEL", "later")
            other.cmd("DEL", "q", "q2", "d", "z", "z2", "s", "t")
    same(w, scenario)


def test_each_times_out(w):
    def scenario(s):
        c = s.open()
        prepare(c)
        for block, _ in BLOCKING:
            short = [(0.02 if isinstance(a, int) and a == 0 and block[0].upper()[0] != "X" else a)
                     for a in block]
            if block[0].upper().startswith("X"):
                at = [str(a).upper() for a in short].index("BLOCK")
                short[at + 1] = 20
            c.cmd(*short)
            c.cmd("PING")
    same(w, scenario)


def test_client_that_leaves_takes_nothing(w):
    """FIN or RST while blocked: what is pushed afterwards stays where it is."""
    pair = w.pair()
    other = w.conn(pair.larder)
    prepare(other)
    for leave in ("close", "rst"):
        for block, write in BLOCKING:
            c = w.conn(pair.larder)
            c.send(encode(*block) + encode("SET", "later", "x"))
            eventually(lambda: pair.redis.blocked() == 1)
            getattr(c, leave)()
            eventually(lambda: pair.redis.blocked() == 0)
            if write[0] == "XADD":
                continue
            count = {"RPUSH": "LLEN", "ZADD": "ZCARD"}[write[0]]
            pushed = other.ok(*write)
            assert other.cmd(count, write[1]) == pushed, f"{block} took an element for the dead"
            other.ok("DEL", write[1])
    assert other.cmd("XPENDING", "sg", "g")[0] == 0
    assert other.cmd("GET", "later") is None


def test_client_that_leaves_with_a_reply_due(w):
    """Pops whose client is gone: the next client still gets its own reply."""
    pair = w.pair()
    for i in range(scaled(50)):
        c = w.conn(pair.larder)
        c.send(encode("RPUSH", "q", "x%d" % i) + encode("BLPOP", "q", 0) + encode("BLPOP", "q2", 0))
        c.close()
        d = w.conn(pair.larder)
        assert d.cmd("BLPOP", "none", 0.001) is None
        assert d.pipeline([("RPUSH", "mine%d" % i, "y"), ("BLPOP", "mine%d" % i, 0)]) == [
            1, [b"mine%d" % i, b"y"]]
        d.close()
    eventually(lambda: pair.redis.blocked() == 0)


def test_order_of_waiting_clients(w):
    """First come, first served, through one larder."""
    pair = w.pair()
    waiting = []
    for i in range(8):
        c = w.conn(pair.larder)
        c.send_cmd("BLPOP", "q", 0)
        eventually(lambda: pair.redis.blocked() == i + 1)
        waiting.append(c)
    w.conn(pair.larder).ok("RPUSH", "q", *range(8))
    for i, c in enumerate(waiting):
        assert c.reply() == [b"q", b"%d" % i]


def test_many_blocked_stop_nobody(w):
    """More blocked clients than the pool has links, and others go on."""
    pair = w.pair()
    blocked = [w.conn(pair.larder, 2 + i % 2) for i in range(60)]
    for i, c in enumerate(blocked):
        c.send_cmd("BRPOP", "q%d" % i, 0)
    eventually(lambda: pair.redis.blocked() == 60)
    other = w.conn(pair.larder)
    for i in range(60):
        assert other.cmd("RPUSH", "q%d" % i, "v%d" % i) == 1
    for i, c in enumerate(blocked):
        assert c.reply() == [b"q%d" % i, b"v%d" % i]
        assert c.cmd("PING") == b"PONG"


def test_max_lent(w):
    """The bound on blocked links: one more waits for queue_timeout, then gets an error."""
    redis = w.redis()
    larder = w.larder(redis, up={"max_lent": 3, "queue_timeout": "200ms"})
    blocked = [w.conn(larder) for _ in range(3)]
    for i, c in enumerate(blocked):  # one after the other: the first is served first
        c.send_cmd("BLPOP", "q", 0)
        eventually(lambda: redis.blocked() == i + 1)
    more = w.conn(larder)
    assert more.cmd("BLPOP", "q", 0).startswith(b"UPSTREAM")
    assert more.cmd("RPUSH", "q", "x") == 1
    assert blocked[0].reply() == [b"q", b"x"]
    more.send_cmd("BLPOP", "q", 0)
    eventually(lambda: redis.blocked() == 3)


def test_in_the_sessions_db(w):
    def scenario(s):
        c, other = s.open(), s.open()
        c.ok("SELECT", 6)
        c.send_cmd("BLPOP", "q", 0)
        s.blocked(1)
        other.cmd("RPUSH", "q", "wrong db")
        other.cmd("SELECT", 6)
        other.cmd("RPUSH", "q", "right db")
        c.raw_reply()
        c.cmd("EXISTS", "q")
        c.cmd("SELECT", 0)
        c.cmd("LRANGE", "q", 0, -1)
    same(w, scenario)


def test_longer_than_the_command_timeout(w):
    """Deadlines are for commands that do not block."""
    redis = w.redis()
    larder = w.larder(redis, up={"command_timeout": "100ms", "queue_timeout": "100ms"},
                      larder={"client_idle_timeout": "200ms"})
    c = w.conn(larder)
    assert c.cmd("BLPOP", "q", 0.6) is None  # Redis' own timeout, six of larder's later
    c.send_cmd("BLPOP", "q", 0)
    eventually(lambda: redis.blocked() == 1)
    assert redis.cmd("BLPOP", "nothing", 0.5) is None
    assert redis.cmd("RPUSH", "q", "x") == 1
    assert c.reply() == [b"q", b"x"]


def test_client_unblock(w):
    """By the id that larder gave, with both words."""
    pair = w.pair()
    c, other = w.conn(pair.larder), w.conn(pair.larder)
    number = c.cmd("CLIENT", "ID")
    assert other.cmd("CLIENT", "UNBLOCK", number) == 0
    for words, answer in (((), None), (("TIMEOUT",), None), (("ERROR",), b"UNBLOCKED")):
        c.send_cmd("BLPOP", "q", 0)
        eventually(lambda: pair.redis.blocked() == 1)
        assert other.cmd("CLIENT", "UNBLOCK", number, *words) == 1
        got = c.reply()
        assert got is None if answer is None else got.startswith(answer), got
        eventually(lambda: pair.redis.blocked() == 0)
        assert c.cmd("PING") == b"PONG"
    assert other.cmd("CLIENT", "UNBLOCK", number) == 0


def test_unblocked_by_what_befalls_the_key(w):
    def scenario(s):
        c, other = s.open(), s.open()
        other.ok("XADD", "s", "1-1", "f", "v")
        other.ok("XGROUP", "CREATE", "s", "g", "$")
        c.send_cmd("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")
        s.blocked(1)
        other.cmd("DEL", "s")
        c.raw_reply()
        c.cmd("PING")
        c.send_cmd("BLPOP", "q", 0)
        s.blocked(1)
        other.cmd("SET", "q", "not a list")
        other.cmd("DEL", "q")
        other.cmd("EVAL", "redis.call('RPUSH', KEYS[1], 'x')", 1, "q")
        c.raw_reply()
    same(w, scenario)


def test_blocking_errors(w):
    """Refused at once: the link is not left waiting."""
    same_bytes(w, encode_all([
        ("SET", "s", "v"), ("BLPOP", "s", 0), ("BLPOP", "q"), ("BLPOP", "q", "x"),
        ("BLPOP", "q", -1),
        ("BLMOVE", "q", "d", "LEFT", 0), ("BLMOVE", "q", "d", "UP", "LEFT", 0),
        ("BZMPOP", 0, 0, "z", "MIN"),
        ("BLMPOP", 0, 5, "q", "LEFT"), ("XREAD", "BLOCK", -1, "STREAMS", "s", 0),
        ("XREAD", "BLOCK", "STREAMS", "s", 0), ("XREAD", "BLOCK", 0), ("XREADGROUP", "BLOCK", 0),
        ("XREAD", "BLOCK", 0, "STREAMS", "a", "b", "$"), ("BLPOP", "q", 1e30), ("PING",)]))


def test_xread_without_block_is_ordinary(w):
    """A stream or group that is called BLOCK makes nobody wait, and takes no lent link."""
    def scenario(s):
        c = s.open()
        c.cmd("XADD", "BLOCK", "1-1", "f", "v")
        c.cmd("XREAD", "STREAMS", "BLOCK", 0)
        c.cmd("XREAD", "COUNT", 1, "STREAMS", "BLOCK", "5-5")
        c.cmd("XGROUP", "CREATE", "BLOCK", "BLOCK", 0)
        c.cmd("XREADGROUP", "GROUP", "BLOCK", "BLOCK", "STREAMS", "BLOCK", ">")
    same(w, scenario)


def test_wait(w):
    """WAIT counts the writes of the session that asks, wherever they went."""
    redis, replica = w.redis(), w.redis()
    larder = w.larder(redis)
    replica.cmd("REPLICAOF", "127.0.0.1", redis.port)
    eventually(lambda: redis.info("replication", "connected_slaves") == "1"
               and replica.info("replication", "master_link_status") == "up", timeout=15)
    for proto in (2, 3):
        c = w.conn(larder, proto)
        for i in range(5):
            c.send(encode("SET", "k", i) + encode("WAIT", 1, 5000) + encode("GET", "k"))
            assert c.replies(3) == [b"OK", 1, b"%d" % i]
            assert replica.cmd("GET", "k") == b"%d" % i
        assert c.cmd("WAIT", 0, 10) in (0, 1)
        assert c.cmd("WAIT", "x", 1).startswith(b"ERR")
        # a replica that cannot answer: WAIT must not lie
        replica.pause()
        try:
            c.send(encode("SET", "k", "unseen") + encode("WAIT", 1, 100))
            assert c.replies(2) == [b"OK", 0]
        finally:
            replica.resume()


test_wait.timeout = 45


def test_blocked_clients_do_not_starve_transactions(w):
    redis = w.redis()
    larder = w.larder(redis, up={"pool_size": 3})
    blocked = [w.conn(larder) for _ in range(10)]
    for c in blocked:
        c.send_cmd("BZPOPMIN", "z", 0)
    eventually(lambda: redis.blocked() == 10)
    c = w.conn(larder)
    for _ in range(5):
        assert c.pipeline([("WATCH", "a"), ("MULTI",), ("INCR", "a"), ("EXEC",)])[3] is not None
    assert c.cmd("GET", "a") == b"5"
