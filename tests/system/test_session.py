"""What larder answers itself must be what Redis answers: HELLO, CLIENT, SELECT, RESET, QUIT."""
import os
import re

from compare import same, same_bytes, same_commands
from resp import Closed, Error, Map, encode, encode_all, eventually
from servers import Pair, alone_with_redis, only_plain, scaled


def test_select(w):
    def scenario(s):
        a, b = s.open(), s.open()
        a.ok("SET", "k", "zero")
        b.ok("SELECT", 3)
        b.ok("SET", "k", "three")
        a.cmd("GET", "k")
        b.cmd("GET", "k")
        b.cmd("SELECT", 99)
        b.cmd("GET", "k")
        b.cmd("SELECT", "x")
        b.cmd("SELECT", "-1")
        b.cmd("GET", "k")
        b.ok("SELECT", 15)
        b.cmd("GET", "k")
        b.ok("SELECT", "0")
        b.cmd("GET", "k")
    same(w, scenario)


def test_select_of_many_clients_on_shared_links(w):
    """Interleaved, in one segment each: every command runs in the db of its own session."""
    pair = w.pair()
    clients = [w.conn(pair.larder, proto=2 + i % 2) for i in range(16)]
    for i, c in enumerate(clients):
        c.ok("SELECT", i)
        c.ok("SET", "k", "db%d" % i)
    for turn in range(scaled(30, 5)):
        for i, c in enumerate(clients):
            c.send(encode("GET", "k") + encode("SELECT", (i + turn) % 16) + encode("GET", "k")
                   + encode("SELECT", 16) + encode("GET", "k") + encode("SELECT", i)
                   + encode("GET", "k"))
        for i, c in enumerate(clients):
            got = c.replies(7)
            mine, other = b"db%d" % i, b"db%d" % ((i + turn) % 16)
            assert got[0] == mine and got[2] == other and got[4] == other and got[6] == mine, got
            assert isinstance(got[3], Error)


def test_select_learns_the_upstreams_databases(w):
    redis = w.redis("--databases", "3")
    same(w, lambda s: [s.open().cmd("SELECT", n) for n in (0, 2, 3, 15)],
         pair=Pair(redis, w.larder(redis)))


def test_upstream_database_is_where_clients_begin(w):
    redis = w.redis()
    larder = w.larder(redis, up={"database": 5})
    c, d = w.conn(larder), w.conn(larder, proto=3)
    c.ok("SET", "k", "v")
    assert d.cmd("GET", "k") == b"v"
    direct = w.conn(redis)
    assert direct.cmd("GET", "k") is None
    direct.ok("SELECT", 5)
    assert direct.cmd("GET", "k") == b"v"
    c.ok("SELECT", 0)
    assert c.cmd("GET", "k") is None


def test_hello_forms(w):
    """Every form, each on a fresh connection, in RESP2 and after HELLO 3."""
    forms = [("HELLO",), ("HELLO", 2), ("HELLO", 3), ("hello", "3"), ("HELLO", 4), ("HELLO", "03"),
             ("HELLO", "3x"), ("HELLO", ""), ("HELLO", 3, "AUTH"), ("HELLO", 3, "AUTH", "default"),
             ("HELLO", 3, "AUTH", "default", "anything"), ("HELLO", 3, "AUTH", "x", "y"),
             ("HELLO", 3, "SETNAME"), ("HELLO", 3, "SETNAME", "n"), ("HELLO", 3, "SETNAME", "a\nb"),
             ("HELLO", 3, "AUTH", "default", "p", "SETNAME", "n"),
             ("HELLO", 3, "SETNAME", "n", "AUTH", "x", "y"), ("HELLO", 3, "NOPE"),
             ("HELLO", "SETNAME", "n"), ("HELLO", 3, "SETNAME", "")]

    def scenario(s):
        for form in forms:
            c = s.open()
            c.cmd(*form)
            c.cmd("CLIENT", "GETNAME")
            c.cmd("GET", "missing")
    same(w, scenario)


def test_hello_reports_the_server(w):
    c = w.conn(w.pair().larder)
    hello = c.cmd("HELLO", 3)
    assert isinstance(hello, Map)
    assert [k for k, _ in hello] == [b"server", b"version", b"proto", b"id", b"mode", b"role",
                                     b"modules"]
    assert hello.get(b"proto") == 3 and hello.get(b"id") == c.cmd("CLIENT", "ID")


def test_client_id_is_stable_and_unique(w):
    pair = w.pair()
    conns = [w.conn(pair.larder, 2 + i % 2) for i in range(20)]
    ids = [c.cmd("CLIENT", "ID") for c in conns]
    assert len(set(ids)) == 20 and all(i > 0 for i in ids) and ids == sorted(ids)
    for c, number in zip(conns, ids):
        c.ok("SELECT", 2)
        c.pipeline([("MULTI",), ("GET", "k"), ("EXEC",)])
        assert c.cmd("CLIENT", "ID") == number
        c.ok("RESET")
        assert c.cmd("CLIENT", "ID") == number


FIELDS = ("id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem "
          "multi-mem rbs rbp obl oll omem tot-mem events cmd user redir resp").split()


def info_fields(text):
    return dict(field.split("=", 1) for field in text.decode().replace("txt:", "").split())


def test_client_info(w):
    pair = w.pair()
    for proto in (2, 3):
        direct, c = w.conn(pair.redis, proto), w.conn(pair.larder, proto)
        assert list(info_fields(direct.cmd("CLIENT", "INFO"))) == FIELDS
        for conn in (direct, c):
            conn.ok("CLIENT", "SETNAME", "bob")
            conn.ok("SELECT", 4)
            info = info_fields(conn.cmd("CLIENT", "INFO"))
            assert list(info) == FIELDS, (list(info), conn is direct)
            assert info["name"] == "bob" and info["db"] == "4" and info["resp"] == str(proto)
            assert info["id"] == str(conn.cmd("CLIENT", "ID")) and info["addr"] == conn.name()
            assert info["laddr"] == "%s:%d" % conn.sock.getpeername()
            assert info["user"] == "default" and info["cmd"] == "client|info" and info["sub"] == "0"
            assert info["multi"] == "-1" and info["redir"] == "-1" and info["flags"] == "N"


def test_client_list(w):
    pair = w.pair()
    for server in (pair.redis, pair.larder):
        a, b, sub = (w.conn(server) for _ in range(3))
        b.ok("CLIENT", "SETNAME", "second")
        sub.ok("SUBSCRIBE", "ch")
        ids = [c.cmd("CLIENT", "ID") for c in (a, b)]
        rows = [info_fields(r) for r in a.cmd("CLIENT", "LIST").split(b"\n") if r]
        mine = {r["addr"]: r for r in rows}
        assert mine[b.name()]["name"] == "second"
        assert mine[sub.name()]["sub"] == "1" and "P" in mine[sub.name()]["flags"]
        rows = a.cmd("CLIENT", "LIST", "ID", *ids)
        assert [int(info_fields(r)["id"]) for r in rows.split(b"\n") if r] == ids
        assert a.cmd("CLIENT", "LIST", "ID", 999999999) == b""
        rows = a.cmd("CLIENT", "LIST", "TYPE", "pubsub").split(b"\n")
        listeners = [info_fields(r)["addr"] for r in rows if r]
        if server is pair.redis and os.environ.get("LARDER_NEAR"):
            assert len(listeners) == 2 and sub.name() in listeners  # the invalidation link
        else:
            assert listeners == [sub.name()]
        assert a.name().encode() in a.cmd("CLIENT", "LIST", "TYPE", "normal")
        b.ok("MULTI")
        b.ok("PING")
        assert info_fields(a.cmd("CLIENT", "LIST", "ID", ids[1]))["multi"] == "1"
        for c in (a, b, sub):
            c.close()


def test_client_kill(w):
    """By each filter; who is killed sees a close, who is not goes on."""
    only_plain("links come to another port")
    alone_with_redis()

    def victims(s, count=2):
        conns = [s.open() for _ in range(count)]
        for c in conns:
            c.ok("PING")  # accepted by now
        return conns

    def scenario(s):
        killer = s.open()
        me = "%s:%d" % killer.sock.getpeername()
        a, b = victims(s)
        killer.cmd("CLIENT", "KILL", a.name())
        a.eof()
        killer.cmd("CLIENT", "KILL", a.name())
        a_id = raw_id(b)
        killer.cmd("CLIENT", "KILL", "ID", a_id)
        b.eof()
        a, b = victims(s)
        killer.cmd("CLIENT", "KILL", "ADDR", a.name(), "ID", raw_id(a), "SKIPME", "yes")
        a.eof()
        killer.cmd("CLIENT", "KILL", "ADDR", b.name(), "ID", 1 << 40)
        b.cmd("PING")
        b.send_cmd("SUBSCRIBE", "ch")
        b.value()
        killer.cmd("CLIENT", "KILL", "TYPE", "pubsub")
        b.eof()
        killer.cmd("CLIENT", "KILL", "USER", "nobody")
        c, d = victims(s)
        # Who left a moment ago may not have been noticed yet.
        eventually(lambda: raw(killer, "CLIENT", "LIST").count(b"id=") == 3)
        killed = killer.cmd("CLIENT", "KILL", "LADDR", me, "SKIPME", "yes")
        assert killed == 2, killed
        c.eof()
        d.eof()
        killer.cmd("PING")
        c = victims(s, 1)[0]
        killer.cmd("CLIENT", "KILL", "ID", raw_id(killer), "SKIPME", "yes")
        killer.cmd("CLIENT", "KILL", "ID", raw_id(killer), "SKIPME", "no")
        killer.eof()
        c.cmd("PING")
    # LADDR and USER reach every client of the server: so one of its own
    redis = w.redis()
    same(w, scenario, pair=Pair(redis, w.larder(redis)))


def raw(conn, *words):
    """A command without a record, for its answer differs."""
    log, conn.log = conn.log, None
    answer = conn.cmd(*words)
    conn.log = log
    return answer


def raw_id(conn):
    return raw(conn, "CLIENT", "ID")


def test_client_kill_a_blocked_one(w):
    """Its link goes with it: no element is taken for the dead."""
    pair = w.pair()
    a, b = w.conn(pair.larder), w.conn(pair.larder)
    a_id = a.cmd("CLIENT", "ID")
    a.send_cmd("BLPOP", "q", 0)
    eventually(lambda: pair.redis.blocked() == 1)
    assert b.cmd("CLIENT", "KILL", "ID", a_id) == 1
    a.eof()
    eventually(lambda: pair.redis.blocked() == 0)
    b.ok("RPUSH", "q", "kept")
    assert b.cmd("LRANGE", "q", 0, -1) == [b"kept"]


def test_client_pause(w):
    """ALL stops everything, WRITE stops writes; UNPAUSE lets them go in order."""
    redis = w.redis()
    larder = w.larder(redis)
    for server in (redis, larder):
        a, b, control = (w.conn(server, timeout=10) for _ in range(3))
        assert control.cmd("CLIENT", "PAUSE", 100000, "WRITE") == b"OK"
        assert b.cmd("GET", "k") is None
        a.send(encode("SET", "k", "v") + encode("GET", "k"))
        b.quiet(0.05)
        a.quiet(0.05)
        assert b.cmd("GET", "k") is None
        assert control.cmd("CLIENT", "UNPAUSE") == b"OK"
        assert a.replies(2) == [b"OK", b"v"]
        # ALL stops UNPAUSE too: it ends by itself
        assert control.cmd("CLIENT", "PAUSE", 300) == b"OK"
        b.send(encode("GET", "k") + encode("PING"))
        b.quiet(0.05)
        assert b.replies(2) == [b"v", b"PONG"]
        control.ok("DEL", "k")


def test_client_reply(w):
    """OFF, SKIP and ON, among pipelined commands of each kind."""
    for proto in (2, 3):
        hello = encode("HELLO", proto)
        for commands in (
                [("CLIENT", "REPLY", "OFF"), ("SET", "a", 1), ("PING",), ("NOPE",), ("MULTI",),
                 ("INCR", "a"), ("EXEC",), ("SELECT", 1), ("SELECT", 0), ("CLIENT", "REPLY", "ON"),
                 ("GET", "a")],
                [("CLIENT", "REPLY", "SKIP"), ("SET", "a", 2), ("GET", "a"), ("PING",)],
                [("CLIENT", "REPLY", "SKIP"), ("PING",), ("GET", "a"), ("CLIENT", "REPLY", "SKIP"),
                 ("NOPE",), ("ECHO", "x")],
                [("CLIENT", "REPLY", "SKIP"), ("CLIENT", "REPLY", "SKIP"), ("PING", "1"),
                 ("PING", "2")],
                [("CLIENT", "REPLY", "OFF"), ("CLIENT", "REPLY", "SKIP"), ("PING",), ("ECHO", "x"),
                 ("CLIENT", "REPLY", "ON"), ("CLIENT", "ID", "x")],
                [("CLIENT", "REPLY", "OFF"), ("EVAL", "return {1,2,3}", 0), ("GET", "big"),
                 ("RPUSH", "q", "1"), ("BLPOP", "q", 0), ("CLIENT", "REPLY", "ON"), ("GET", "a")]):
            same_bytes(w, hello + encode("SET", "big", "v" * 300000) + encode_all(commands))


def test_client_no_evict_and_names(w):
    same_commands(w, [("CLIENT", "NO-EVICT", "on"), ("CLIENT", "NO-EVICT", "off"),
                      ("CLIENT", "SETNAME", "a\r\nb"), ("CLIENT", "SETNAME", "é".encode()),
                      ("CLIENT", "SETNAME", "x" * 1000), ("CLIENT", "GETNAME"),
                      ("CLIENT", "SETINFO", "LIB-NAME", "x"), ("CLIENT", "NO-TOUCH", "on")])


def test_reset(w):
    """Back to RESP2, db 0, no name, nothing watched, subscribed or queued."""
    def scenario(s):
        c, other = s.open(), s.open()
        for state in ([("SELECT", 5), ("SET", "k", "five")], [("CLIENT", "SETNAME", "x")],
                      [("MULTI",), ("SET", "k", "queued")], [("WATCH", "k")], [("HELLO", 3)],
                      [("SUBSCRIBE", "ch")], [("CLIENT", "REPLY", "ON")], [("MONITOR",)],
                      [("CLIENT", "TRACKING", "on", "BCAST")], [("HELLO", 3), ("SUBSCRIBE", "ch")]):
            for command in state:
                c.cmd(*command) if command[0] != "SUBSCRIBE" else (c.send_cmd(*command), c.value())
            c.send_cmd("RESET")
            while c.frame() != b"+RESET\r\n":
                pass
            c.cmd("CLIENT", "GETNAME")
            c.cmd("GET", "k")
            c.cmd("HGETALL", "missing")
            other.cmd("PUBLISH", "ch", "nobody")
            other.cmd("SET", "k", "zero")
            c.cmd("EXEC")
            c.cmd("PING")
    # a MONITOR sees other clients' commands with their times before it is reset
    same(w, scenario, masks=((re.compile(rb"\A\+[0-9.]+ \[.*", re.S), b"+monitored\r\n"),))


def test_quit(w):
    def scenario(s):
        for before in ([], [("MULTI",)], [("SELECT", 3)], [("SUBSCRIBE", "c")], [("WATCH", "k")]):
            c = s.open()
            for command in before:
                c.send_cmd(*command)
                c.value()
            c.send_cmd("QUIT")
            c.raw_reply()
            c.eof()
    same(w, scenario)


def test_inline_quit_and_ping(w):
    same_bytes(w, b"PING\r\nping hello\r\nECHO \"a b\"\r\nQUIT\r\nPING\r\n")


def test_info_is_redis_shaped_with_a_section_of_larder(w):
    pair = w.pair()
    for proto in (2, 3):
        c = w.conn(pair.larder, proto)
        info = c.cmd("INFO").decode()
        direct = w.conn(pair.redis, proto).cmd("INFO").decode()
        for field in ("redis_version", "run_id", "loading", "role", "maxmemory_policy", "tcp_port"):
            line = next(x for x in direct.splitlines() if x.startswith(field + ":"))
            assert line in info.splitlines(), f"{line} is not in larder's INFO"
        assert "# Larder\r\n" in info
        sections = [x for x in info.splitlines() if x.startswith("# ")]
        assert [x for x in sections if x != "# Larder"] == [
            x for x in direct.splitlines() if x.startswith("# ")]
        assert "# Larder" in c.cmd("INFO", "larder").decode()
        assert "# Server" not in c.cmd("INFO", "larder").decode()
        assert "# Larder" not in c.cmd("INFO", "server").decode()
        assert "redis_version" in c.cmd("INFO", "server").decode()
        assert "# Larder" in c.cmd("INFO", "everything").decode()


def test_time_and_lastsave(w):
    c = w.conn(w.pair().larder)
    seconds, micros = c.cmd("TIME")
    assert seconds.isdigit() and micros.isdigit() and int(seconds) > 1700000000
    assert c.cmd("LASTSAVE") > 1700000000
    assert c.cmd("ROLE")[0] == b"master"


def test_a_client_that_leaves_leaves_no_state(w):
    """SELECT 5, HELLO 3, a name, WATCH, MULTI: the next client begins afresh."""
    pair = w.pair()
    for leave in ("close", "rst"):
        for _ in range(5):
            c = w.conn(pair.larder)
            c.send(encode_all([("SELECT", 5), ("CLIENT", "SETNAME", "old"),
                   ("WATCH", "k"), ("MULTI",), ("SET", "k", "never")]))
            c.replies(5)
            getattr(c, leave)()
            d = w.conn(pair.larder)
            assert d.cmd("CLIENT", "GETNAME") is None
            assert d.cmd("SET", "k", "zero") == b"OK"
            assert d.cmd("EXEC").startswith(b"ERR EXEC without MULTI")
            d.close()
    assert pair.redis.cmd("GET", "k") == b"zero"


def test_setname_is_shown_only_of_ones_own(w):
    pair = w.pair()
    a, b = w.conn(pair.larder), w.conn(pair.larder)
    a.ok("CLIENT", "SETNAME", "a")
    assert b.cmd("CLIENT", "GETNAME") is None and a.cmd("CLIENT", "GETNAME") == b"a"


def test_closed_is_closed(w):
    c = w.conn(w.pair().larder)
    c.ok("QUIT")
    c.eof()
    try:
        for _ in range(100):
            c.send(encode("PING"))
            c.eof()
    except Closed:
        pass
