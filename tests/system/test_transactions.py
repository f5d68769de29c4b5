"""WATCH, MULTI, EXEC, DISCARD: on a lent link, which comes back clean and is used again."""
import threading

from compare import same, same_bytes
from resp import Conn, Error, encode_all, eventually
from servers import scaled


def test_forms(w):
    """Every order of words, whole and wrong."""
    def scenario(s):
        for commands in (
                ["MULTI", "SET k v", "GET k", "EXEC", "GET k"],
                ["MULTI", "EXEC"],
                ["MULTI", "DISCARD", "EXEC"],
                ["EXEC", "DISCARD", "PING"],
                ["MULTI", "MULTI", "SET k w", "EXEC"],
                ["MULTI", "WATCH k", "EXEC"],
                ["WATCH k", "MULTI", "UNWATCH", "GET k", "EXEC"],
                ["WATCH k", "UNWATCH", "PING"],
                ["WATCH k", "DISCARD", "MULTI", "DISCARD", "GET k"],
                ["MULTI", "NOPE a b", "SET k x", "EXEC", "GET k"],
                ["MULTI", "GET", "EXEC", "PING"],
                ["MULTI", "INCR k", "SET k y", "LPUSH k z", "EXEC", "GET k"],
                ["MULTI", "SET k 1", "INCR k", "HSET k f v", "EXEC"],
                ["MULTI", "PING", "PING x", "ECHO y", "CLIENT GETNAME", "EXEC"],
                ["MULTI", "SELECT 3", "SET k three", "SELECT 0", "GET k", "EXEC", "GET k"],
                ["MULTI", "SELECT 3", "EXEC", "GET k", "SELECT 0"],
                ["MULTI", "SELECT 3", "DISCARD", "GET k"],
                ["MULTI", "SELECT 99", "GET k", "EXEC", "GET k"],
                ["SELECT 4", "MULTI", "SET k four", "EXEC", "GET k", "SELECT 0", "GET k"],
                ["MULTI", "EVAL return{1,2} 0", "EVALSHA ffff 0", "EXEC"],
                ["MULTI", "BLPOP nothing 0", "BRPOP nothing 0", "BZPOPMIN z 0",
                 "XREAD BLOCK 0 STREAMS s $",
                 "WAIT 0 100", "EXEC"],
                ["MULTI", "SUBSCRIBE c", "DISCARD"],
                ["MULTI", "AUTH x", "DISCARD"],
                ["MULTI", "CLIENT SETNAME inside", "CLIENT GETNAME", "EXEC", "CLIENT GETNAME"],
                ["MULTI", "CLIENT NOPE", "EXEC"],
                ["MULTI", "EXEC x", "DISCARD"],
                ["MULTI", "HGETALL missing", "GET missing", "LPOP missing 2", "EXEC"],
                ["MULTI", "FLUSHDB", "DBSIZE", "EXEC"],
                ["MULTI", "HELLO 2", "EXEC"], ["MULTI", "HELLO 3", "EXEC"], ["HELLO 2"],
                ["MULTI", "RESET", "EXEC"]):
            c = s.open()
            for command in commands:
                c.cmd(*command.split())
            # and the same once more in one segment
            c = s.open()
            c.send(encode_all(command.split() for command in commands))
            for _ in commands:
                c.frame()
            c.cmd("PING", "end")
    same(w, scenario)


def test_large_values_inside(w):
    def scenario(s):
        c = s.open(timeout=20)
        big = b"x" * (3 << 20)
        c.send(encode_all([("MULTI",), ("SET", "big", big), ("GET", "big"), ("SET", "k", "v"),
                           ("GET", "big"), ("EXEC",), ("GET", "k"), ("STRLEN", "big")]))
        for _ in range(8):
            c.raw_reply()
    same(w, scenario)


def test_watch_conflict(w):
    def scenario(s):
        c, other = s.open(), s.open()
        for change in (("SET", "k", "x"), ("DEL", "k"), ("FLUSHDB",), ("RENAME", "z", "k"),
                       ("EXPIRE", "k", 100), ("GET", "k"), ("SET", "elsewhere", "x"),
                       ("SWAPDB", 1, 2)):
            other.ok("SET", "k", "old")
            other.ok("SET", "z", "old")
            c.cmd("WATCH", "k", "k2")
            c.cmd("GET", "k")
            other.cmd(*change)
            c.cmd("MULTI")
            c.cmd("SET", "k", "mine")
            c.cmd("EXEC")
            c.cmd("GET", "k")
        c.cmd("WATCH", "k")
        c.cmd("SET", "k", "self")
        c.cmd("MULTI")
        c.cmd("GET", "k")
        c.cmd("EXEC")
        c.cmd("WATCH", "k")
        other.cmd("SET", "k", "x")
        c.cmd("UNWATCH")
        c.cmd("MULTI")
        c.cmd("GET", "k")
        c.cmd("EXEC")
    same(w, scenario, admin=True)


def test_watch_follows_the_db(w):
    def scenario(s):
        c, other = s.open(), s.open()
        other.ok("SELECT", 2)
        c.cmd("SELECT", 2)
        c.cmd("WATCH", "k")
        c.cmd("SELECT", 0)
        other.ok("SET", "k", "x")
        c.cmd("MULTI")
        c.cmd("SET", "k", "zero")
        c.cmd("EXEC")
        c.cmd("GET", "k")
    same(w, scenario)


def test_between_watch_and_exec_other_work_goes_on(w):
    """A session under WATCH speaks on the lent link, others on the shared one."""
    def scenario(s):
        c, other = s.open(), s.open()
        c.cmd("WATCH", "k")
        for i in range(5):
            c.cmd("INCR", "counter")
            other.cmd("INCR", "counter")
            c.cmd("ECHO", i)
        c.cmd("MULTI")
        other.cmd("GET", "counter")
        c.cmd("INCR", "counter")
        c.cmd("EXEC")
    same(w, scenario)


def test_queued_inline(w):
    same_bytes(w, b"MULTI\r\nSET k v\r\nget k\r\n\r\nEXEC\r\nMULTI\r\nnope\r\nEXEC\r\nQUIT\r\n")


def test_client_that_leaves_runs_nothing(w):
    """In MULTI, under WATCH, with FIN or RST, with EXEC never sent."""
    pair = w.pair()
    check = w.conn(pair.larder)
    for leave in ("close", "rst"):
        for commands in ([("MULTI",), ("INCR", "k")], [("WATCH", "k"), ("MULTI",), ("INCR", "k")],
                         [("WATCH", "k")], [("MULTI",), ("SELECT", 7), ("SET", "k", "x")],
                         [("SELECT", 7), ("WATCH", "k"), ("HELLO", 3)]):
            c = w.conn(pair.larder)
            c.pipeline(commands)
            getattr(c, leave)()
            # whoever gets the link next begins with nothing watched, queued or selected
            for _ in range(3):
                d = w.conn(pair.larder)
                assert d.pipeline([("MULTI",), ("SET", "mine", "1"),
                                  ("GET", "k"), ("EXEC",)])[-1] == [b"OK", None]
                d.close()
    assert check.cmd("GET", "k") is None


def test_client_that_leaves_behind_an_exec(w):
    """EXEC sent: it runs, though nobody reads the reply, and the reply goes to nobody else."""
    pair = w.pair()
    for _ in range(20):
        c = w.conn(pair.larder)
        c.send(encode_all([("MULTI",), ("INCR", "n"), ("EXEC",)]))
        c.close()
        d = w.conn(pair.larder)
        assert d.pipeline([("MULTI",), ("ECHO", "mine"), ("EXEC",)]) == [
            b"OK", b"QUEUED", [b"mine"]]
        d.close()
    value = pair.redis.cmd("GET", "n")
    assert value is None or int(value) <= 20


def test_one_after_the_other_in_one_segment(w):
    c = w.conn(w.pair().larder, timeout=20)
    count = scaled(500)
    for proto in (2, 3):
        c.ok("HELLO", proto)
        c.send(b"".join(encode_all([("GET", "n"), ("MULTI",),
               ("INCR", "n"), ("EXEC",), ("PING", i)]) for i in range(count)))
        first = c.reply()
        first = int(first) if first else 0
        for i in range(count):
            if i:
                assert c.reply() == b"%d" % (first + i)
            assert c.replies(4) == [b"OK", b"QUEUED", [first + i + 1], b"%d" % i]


def transactions(address, count, failures):
    try:
        c = Conn(address, timeout=20)
        for i in range(count):
            key = "k%d" % (i % 7)
            got = c.pipeline([("WATCH", "mine"), ("MULTI",),
                             ("INCR", key), ("INCR", "total"), ("EXEC",)])
            if not isinstance(got[4], list) or len(got[4]) != 2:
                raise AssertionError(f"EXEC answered {got!r}")
        c.close()
    except Exception as e:
        failures.append(repr(e))


def test_ten_thousand_from_fifty_clients(w):
    """They open no more connections than the pool has: a link is given back and lent again."""
    pool = 10
    redis = w.redis()
    larder = w.larder(redis, up={"pool_size": pool, "queue_timeout": "30s"})
    count = scaled(200)
    failures = []
    threads = [threading.Thread(target=transactions, args=(larder.address, count, failures))
               for _ in range(50)]
    before = redis.connections()
    asked = 1  # by connections() itself
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]
    opened = redis.connections() - before - asked
    assert opened <= pool, f"{opened} connections opened, the pool has {pool}"
    assert redis.cmd("GET", "total") == b"%d" % (50 * count)
    stats = larder.stats()
    assert stats, "LARDER STATS shows no counters"


test_ten_thousand_from_fifty_clients.timeout = 60


def test_more_transactions_than_links(w):
    """All links lent: the next waits its turn, past queue_timeout it gets an error and lives on."""
    redis = w.redis()
    larder = w.larder(redis, up={"pool_size": 4, "queue_timeout": "200ms"})
    holders = []
    refused = None
    for _ in range(8):
        c = w.conn(larder)
        answer = c.cmd("MULTI")
        if isinstance(answer, Error):
            refused = (c, answer)
            break
        holders.append(c)
    assert refused, "eight transactions at once on a pool of four"
    assert refused[1].startswith(b"UPSTREAM"), refused
    assert refused[0].cmd("SET", "k", "v") == b"OK"
    assert w.conn(larder).cmd("GET", "k") == b"v"  # ordinary commands go on meanwhile
    waiting = w.conn(larder)
    waiting.send_cmd("MULTI")
    holders[0].ok("EXEC")
    assert waiting.reply() == b"OK"
    assert waiting.cmd("DISCARD") == b"OK"
    assert holders[1].cmd("EXEC") == []


def test_clients_that_leave_while_they_wait_for_a_link(w):
    """A crowd says MULTI and is gone before its turn: the queue empties without a connection for
    each, and whoever is still there is served."""
    redis = w.redis()
    larder = w.larder(redis, up={"pool_size": 10, "queue_timeout": "30s"})
    before = redis.connections()
    for _ in range(scaled(1000)):
        c = Conn(larder.address)
        c.send(encode_all([("MULTI",), ("INCR", "n")]))
        c.close()
    c = w.conn(larder, timeout=20)
    assert c.pipeline([("MULTI",), ("GET", "n"), ("EXEC",)])[2] == [None]
    eventually(lambda: c.cmd("CLIENT", "LIST").count(b"\n") == 1, timeout=10)
    opened = redis.connections() - before - 1
    assert opened <= 20, f"{opened} connections opened for a pool of 10"


def test_session_returns_to_the_shared_link(w):
    """After EXEC the pool is as before: few connections however many clients have had one."""
    redis = w.redis()  # not one where other tests have left connections that idle
    larder = w.larder(redis)
    for _ in range(30):
        c = w.conn(larder)
        c.pipeline([("MULTI",), ("SET", "k", "v"), ("EXEC",)])
    eventually(lambda: int(redis.info("clients", "connected_clients")) <= 15)
