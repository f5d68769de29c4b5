"""CLIENT PAUSE: Redis is paused, and nobody waits in larder whom Redis would serve."""
from compare import same
from resp import Error, encode, encode_all, eventually
from servers import NEAR_LINKS, scaled

READER = "#!lua flags=no-writes\nreturn redis.call('GET', KEYS[1])"
WRITER = "#!lua\nreturn redis.call('SET', KEYS[1], 'w')"
OLD = "return redis.call('SET', KEYS[1], 'o')"
LIBRARY = """#!lua name=lib
redis.register_function{function_name='reader', flags={'no-writes'},
    callback=function(keys) return redis.call('GET', keys[1]) end}
redis.register_function{function_name='writer',
    callback=function(keys) return redis.call('SET', keys[1], 'f') end}"""


def blocked(server):
    text = server.cmd("INFO", "clients").decode()
    return int(text.split("blocked_clients:")[1].split()[0])


def conns(w, server, count, proto=2):
    return [w.conn(server, proto, timeout=10) for _ in range(count)]


def test_it_is_redis_that_pauses(w):
    """Clients of others wait as well, and keys do not expire meanwhile."""
    redis = w.redis()
    larder = w.larder(redis)
    control, other, direct = *conns(w, larder, 2), w.conn(redis, timeout=10)
    control.ok("SET", "short", "v", "PX", 1)
    control.ok("CLIENT", "PAUSE", 100000, "WRITE")
    direct.send_cmd("SET", "k", "v")
    other.send_cmd("SET", "k", "w")
    eventually(lambda: blocked(larder) == 2)
    assert redis.blocked() == 1  # larder's own client waits in larder
    eventually(lambda: control.cmd("GET", "short") is None)
    assert redis.info("stats", "expired_keys") == "0"
    control.ok("CLIENT", "UNPAUSE")
    assert direct.reply() == b"OK" and other.reply() == b"OK"
    assert blocked(larder) == redis.blocked() == 0


def test_scripts_that_do_not_write_go_on(w):
    def scenario(s):
        control, c, other = s.open(), s.open(), s.open()
        control.cmd("SET", "k", "v")
        sha = control.cmd("SCRIPT", "LOAD", READER)
        control.cmd("FUNCTION", "LOAD", LIBRARY)
        control.cmd("CLIENT", "PAUSE", 100000, "WRITE")
        for command in (("EVAL", READER, 1, "k"), ("EVALSHA", sha, 1, "k"),
                        ("FCALL", "reader", 1, "k"), ("EVALSHA_RO", sha, 1, "k"),
                        ("EVAL", READER),
                        ("SCRIPT", "LOAD", "return 7"), ("GET", "k"), ("SET", "k"), ("MULTI",),
                        ("EVALSHA", sha, 1, "k"), ("FCALL", "reader", 1, "k"), ("GET", "k"),
                        ("EXEC",), ("WATCH", "k"), ("EVALSHA", sha, 1, "k"), ("MULTI",),
                        ("FCALL", "reader", 1, "k"), ("EXEC",)):
            c.cmd(*command)
            other.cmd("GET", "k")
        other.cmd("CLIENT", "TRACKING", "on", "BCAST", "PREFIX", "none")
        for command in (("EVALSHA", sha, 1, "k"), ("MULTI",), ("EVAL", READER, 1, "k"),
                        ("EXEC",), ("FCALL", "reader", 1, "k")):
            other.cmd(*command)
        control.cmd("CLIENT", "UNPAUSE")
    same(w, scenario)


def test_what_writes_waits(w):
    """Each kind, in each mode of a session; who reads is not held up."""
    redis = w.redis()
    larder = w.larder(redis)
    for proto in (2, 3):
        for server in (redis, larder):
            redis.wipe()
            control, reader = conns(w, server, 2, proto)
            sha = control.cmd("SCRIPT", "LOAD", WRITER)
            assert control.cmd("FUNCTION", "LOAD", LIBRARY) == b"lib"
            plain = [("SET", "a", 1), ("EVAL", WRITER, 1, "b"), ("EVAL", OLD, 1, "c"),
                     ("EVALSHA", sha, 1, "d"), ("FCALL", "writer", 1, "e"), ("PUBLISH", "ch", "x"),
                     ("PFCOUNT", "none"), ("BLPOP", "q", 10), ("SORT", "q", "STORE", "q2")]
            clients = conns(w, server, len(plain) + 3, proto)
            tx, queueing, own = clients[-3:]
            for c in tx, queueing:
                c.ok("MULTI")
            assert tx.cmd("EVALSHA", sha, 1, "t") == b"QUEUED"
            own.ok("CLIENT", "TRACKING", "on", "BCAST", "PREFIX", "none")
            control.ok("RPUSH", "q", "9")
            control.ok("CLIENT", "PAUSE", 100000, "WRITE")
            for c, command in zip(clients, plain):
                c.send_cmd(*command)
            tx.send_cmd("EXEC")
            queueing.send_cmd("EVAL", WRITER, 1, "u")
            own.send_cmd("FCALL", "writer", 1, "x")
            eventually(lambda: blocked(server) == len(clients))
            for _ in range(scaled(50)):
                assert reader.cmd("MGET", *"abcdetux") == [None] * 8
            control.ok("CLIENT", "UNPAUSE")
            got = [c.reply() for c in clients[:-3]]
            assert got[:7] == [b"OK"] * 5 + [0, 0], got
            assert got[7] in ([b"q", b"9"], None) and got[8] in (0, 1), got
            assert tx.reply() == [b"OK"] and queueing.reply() == b"QUEUED"
            assert own.reply() == b"OK"
            assert reader.cmd("MGET", *"bcdetx") == [b"w", b"o", b"w", b"f", b"w", b"f"]
            assert blocked(server) == 0


def test_within_a_transaction(w):
    """It begins with EXEC, and only if that is executed."""
    def scenario(s):
        control, c, other = s.open(), s.open(), s.open()

        def runs():
            for command in (("SET", "k", "v"), ("GET", "k")):
                c.cmd(*command)
        for last in (("DISCARD",), ("NOPE",), ("RESET",)):
            control.cmd("MULTI")
            control.cmd("CLIENT", "PAUSE", 100000)
            control.cmd(*last)
            if last == ("NOPE",):
                control.cmd("EXEC")
            for command in (("MULTI",), ("GET", "k"), ("EXEC",)):
                control.cmd(*command)
            runs()
        control.cmd("WATCH", "k")
        c.cmd("SET", "k", "x")
        control.cmd("MULTI")
        control.cmd("CLIENT", "PAUSE", 100000, "WRITE")
        control.cmd("EXEC")
        runs()
        control.cmd("MULTI")
        control.cmd("SET", "k", 1)
        control.cmd("CLIENT", "PAUSE", 100000, "WRITE")
        runs()
        control.cmd("SET", "k", 2)
        control.cmd("EXEC")
        other.send_cmd("SET", "k", 3)
        eventually(lambda: blocked(s.server) == 1)
        c.cmd("GET", "k")
        control.cmd("MULTI")
        control.cmd("CLIENT", "UNPAUSE")
        control.cmd("EXEC")
        other.frame()
        runs()
        control.cmd("MULTI")
        control.cmd("CLIENT", "PAUSE", 100000)
        control.cmd("CLIENT", "UNPAUSE")
        control.cmd("EXEC")
        runs()
    same(w, scenario)


def test_refused(w):
    """Nobody is held up for a pause that Redis did not grant."""
    def scenario(s):
        c, other = s.open(), s.open()
        for words in ((), ("x",), (-1,), (100, "SOME"), (100, "ALL", "x"), ("9" * 30,)):
            c.cmd("CLIENT", "PAUSE", *words)
            other.cmd("SET", "k", "v")
    same(w, scenario)
    redis = w.redis(acl=["user default on nopass ~* &* +@all -client|pause"])
    larder = w.larder(redis)
    c, other = conns(w, larder, 2)
    assert c.cmd("CLIENT", "PAUSE", 100000).startswith(b"NOPERM")
    other.ok("SET", "k", "v")


def test_who_leaves_takes_it_along(w):
    """What was held up for a client that is gone is not executed, in larder or in Redis."""
    redis = w.redis()
    larder = w.larder(redis)
    for server in (redis, larder):
        for leave in ("close", "rst"):
            redis.wipe()
            control, set_, script, tx = conns(w, server, 4)
            tx.ok("MULTI")
            assert tx.cmd("SET", "c", 1) == b"QUEUED"
            control.ok("CLIENT", "PAUSE", 100000, "WRITE")
            set_.send_cmd("SET", "a", 1)
            script.send_cmd("EVAL", OLD, 1, "b")
            tx.send_cmd("EXEC")
            eventually(lambda: blocked(server) == 3)
            for c in (set_, script, tx):
                getattr(c, leave)()
            eventually(lambda: blocked(server) == 0)
            control.ok("CLIENT", "UNPAUSE")
            assert control.cmd("MGET", "a", "b", "c") == [None] * 3


def test_no_deadline(w):
    """A pause may last longer than command_timeout."""
    redis = w.redis()
    larder = w.larder(redis, up={"command_timeout": "1s"})
    control, set_, script, tx, large = conns(w, larder, 5)
    tx.ok("MULTI")
    tx.ok("SET", "c", 1)
    control.ok("CLIENT", "PAUSE", 100000, "WRITE")
    replies = ((set_, ("SET", "a", 1), b"OK"), (script, ("EVAL", OLD, 1, "b"), b"OK"),
               (tx, ("EXEC",), [b"OK"]),
               (large, ("EVAL", OLD + "--" + "x" * (3 << 20), 1, "d"), b"OK"))
    for c, command, _ in replies:
        c.send_cmd(*command)
    eventually(lambda: blocked(larder) == 4)
    assert control.cmd("XREAD", "BLOCK", 1500, "STREAMS", "s", "$") is None  # past the deadline
    assert blocked(larder) == 4
    control.ok("CLIENT", "UNPAUSE")
    for c, _, reply in replies:
        got = c.reply()
        assert got == reply, got


def test_no_link_to_ask_over(w):
    """Then what only Redis could judge waits here."""
    redis = w.redis()
    larder = w.larder(redis, up={"max_lent": 0, "queue_timeout": "50ms"})
    control, c = conns(w, larder, 2)
    control.ok("CLIENT", "PAUSE", 100000, "WRITE")
    c.send(encode("EVAL", OLD, 1, "k") + encode("GET", "k"))
    eventually(lambda: larder.stats()["upstream_loans_refused"] == 1 and blocked(larder) == 1)
    assert control.cmd("GET", "k") is None
    control.ok("CLIENT", "UNPAUSE")
    assert c.replies(2) == [b"OK", b"o"]


def test_a_link_that_comes_too_late(w):
    """The pause ends while a script waits for its link: it is used and given back all the same."""
    redis = w.redis()
    larder = w.larder(redis, up={"max_lent": 1, "queue_timeout": "20s"})
    control, blocker, c = conns(w, larder, 3)
    assert c.cmd("GET", "k") is None
    blocker.send_cmd("BLPOP", "q", 0)
    eventually(lambda: redis.blocked() == 1)
    control.ok("CLIENT", "PAUSE", 100000, "WRITE")
    c.send(encode("EVAL", OLD, 1, "k") + encode("GET", "k"))
    eventually(lambda: larder.stats()["upstream_loans_waiting"] == 1)
    control.ok("CLIENT", "UNPAUSE")
    control.ok("RPUSH", "q", "x")
    assert blocker.reply() == [b"q", b"x"]
    assert c.replies(2) == [b"OK", b"o"]
    assert larder.stats()["upstream_links_lent_long"] == NEAR_LINKS
    loans = larder.stats()["upstream_loans"]
    assert c.cmd("EVAL", OLD, 1, "k") == b"OK" and c.cmd("GET", "k") == b"o"
    assert larder.stats()["upstream_loans"] == loans


def test_unblock_of_one_that_is_held_up(w):
    """0, as newer servers say; Redis 7.0 would not survive the question."""
    redis = w.redis()
    larder = w.larder(redis)
    control, c = conns(w, larder, 2)
    number = c.cmd("CLIENT", "ID")
    control.ok("CLIENT", "PAUSE", 100000, "WRITE")
    c.send_cmd("EVAL", OLD, 1, "k")
    eventually(lambda: redis.blocked() == 1)
    assert control.cmd("CLIENT", "UNBLOCK", number) == 0
    control.ok("CLIENT", "UNPAUSE")
    assert c.reply() == b"OK"


def test_writes_behind_the_pause(w):
    """What others ask in the turn that carries CLIENT PAUSE is not sent behind it on the link they
    share: it would hold up the reads that follow."""
    redis = w.redis()
    larder = w.larder(redis)
    control, writer, reader = conns(w, larder, 3)
    for c in (control, writer, reader):
        c.ok("PING", "x")
    for _ in range(scaled(10)):
        larder.pause()
        control.send_cmd("CLIENT", "PAUSE", 100000, "WRITE")
        writer.send_cmd("INCR", "n")
        reader.send_cmd("GET", "k")
        larder.resume()
        assert control.reply() == b"OK"
        assert reader.reply() is None
        control.ok("CLIENT", "UNPAUSE")
        assert not isinstance(writer.reply(), Error)


def test_large_requests(w):
    """Those that stream: a SET is held up, a script is Redis' to judge."""
    redis = w.redis()
    larder = w.larder(redis)
    control, a, b, c = conns(w, larder, 4)
    text = "x" * (3 << 20)
    control.ok("SET", "k", "v")
    control.ok("CLIENT", "PAUSE", 100000, "WRITE")
    assert a.cmd("EVAL", READER + "\n--" + text, 1, "k") == b"v"
    b.send(encode_all([("EVAL", OLD + "--" + text, 1, "b"), ("GET", "b")]))
    eventually(lambda: redis.blocked() == 1)
    c.sock.setblocking(False)
    c.sock.send(encode("SET", "c", text)[:100000])
    eventually(lambda: blocked(larder) == 2)
    assert control.cmd("MGET", "b", "c") == [None, None]
    control.ok("CLIENT", "UNPAUSE")
    assert b.replies(2) == [b"OK", b"o"]
