"""AUTH and HELLO AUTH: put to Redis, or checked against the password of the listener."""
from compare import same, same_bytes
from resp import encode, encode_all, eventually
from servers import Pair

ACL = ("user default on nopass ~* &* +@all",
       "user reader on >secret ~r:* &* +@read +@connection +acl|whoami",
       "user writer on >hidden ~* &* +@all",
       "user bound on >secret ~* &* +eval +get +time",
       "user off off >nothing ~* +@all")


def acl_pair(w):
    redis = w.redis(acl=ACL)
    return Pair(redis, w.larder(redis))


def test_auth_as_upstream_users(w):
    """AUTH is Redis' to judge, and the session then is that user."""
    def scenario(s):
        for name, password in (("reader", "secret"), ("reader", "wrong"), ("off", "nothing"),
                               ("nobody", "x"), ("writer", "hidden"), ("default", "any")):
            c = s.open()
            c.cmd("AUTH", name, password)
            c.cmd("ACL", "WHOAMI")
            c.cmd("SET", "r:k", "v")
            c.cmd("GET", "r:k")
            c.cmd("GET", "other")
            c.send(encode_all([("AUTH", "writer", "hidden"), ("SET", "r:k", "w"), ("ACL", "WHOAMI"),
                               ("AUTH", "writer", "wrong"), ("ACL", "WHOAMI"),
                               ("AUTH", "reader", "secret"), ("GET", "r:k"), ("SET", "r:k", "x")]))
            for _ in range(8):
                c.raw_reply()
            c.cmd("RESET")
            c.cmd("ACL", "WHOAMI")
    same(w, scenario, pair=acl_pair(w))


def test_hello_auth_as_upstream_users(w):
    def scenario(s):
        for proto in (2, 3):
            c = s.open(proto=2)
            c.cmd("HELLO", proto, "AUTH", "reader", "wrong", "SETNAME", "no")
            c.cmd("CLIENT", "GETNAME")
            c.cmd("ACL", "WHOAMI")
            c.cmd("HELLO", proto, "AUTH", "reader", "secret", "SETNAME", "yes")
            c.cmd("CLIENT", "GETNAME")
            c.cmd("ACL", "WHOAMI")
            c.cmd("SET", "r:k", "v")
            c.cmd("GET", "r:k")
            c.cmd("GET", "other")
    same(w, scenario, pair=acl_pair(w), protos=(2,))


def test_users_do_not_mix(w):
    """Two users on one larder at once, many times over: nobody ever acts as the other."""
    pair = acl_pair(w)
    readers = [w.conn(pair.larder) for _ in range(5)]
    writers = [w.conn(pair.larder, proto=3) for _ in range(5)]
    for c in readers:
        c.ok("AUTH", "reader", "secret")
    for c in writers:
        c.ok("AUTH", "writer", "hidden")
    w.conn(pair.redis).ok("SET", "r:k", "v")
    for _ in range(20):
        for c in readers:
            c.send(encode("ACL", "WHOAMI") + encode("SET", "r:k", "bad") + encode("GET", "r:k"))
        for c in writers:
            c.send(encode("ACL", "WHOAMI") + encode("SET", "other", "fine"))
        for c in readers:
            who, refused, value = c.replies(3)
            assert who == b"reader" and value == b"v" and refused.startswith(
                b"NOPERM"), (who, refused)
        for c in writers:
            assert c.replies(2) == [b"writer", b"OK"]


def test_user_without_select(w):
    """Who may not SELECT stays with the connection that the AUTH came over, which is in the right
    database, whatever it has been busy with. It was taken for busy up to 50 ms after its reply:
    larder opened another, and could not bring that to the database."""
    redis = w.redis(acl=ACL)
    larder = w.larder(redis, up={"link_idle_timeout": "100ms"})
    slow = """local function now() local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end
              local t = now() while now() - t < 150 do end return 'done'"""

    def bound():
        return larder.cmd("LARDER", "LINKS").count(b"user=bound")

    a, b = w.conn(larder), w.conn(larder)
    for c in (a, b):
        c.ok("SELECT", 9)
        c.ok("MSET", "k", "nine", "large", "x" * (20 << 20))
        c.ok("AUTH", "bound", "secret")
    assert a.cmd("GET", "k") == b"nine"
    eventually(lambda: bound() == 1)
    for _ in range(3):
        assert a.cmd("EVAL", slow, 0) == b"done"
        assert a.cmd("GET", "k") == b"nine"
        assert bound() == 1
    a.send_cmd("GET", "large")  # a reply under way is no better for the other: it has to wait
    eventually(lambda: b"streaming=1" in larder.cmd("LARDER", "LINKS"))
    assert b.cmd("GET", "k") == b"nine"
    assert len(a.reply()) == 20 << 20


def test_upstream_password(w):
    """larder logs in; its clients need not, and what they say as AUTH Redis judges."""
    redis = w.redis("--requirepass", "up")
    redis.password = "up"
    larder = w.larder(redis, up={"password": "up"})
    c = w.conn(larder)
    assert c.cmd("SET", "k", "v") == b"OK"
    assert c.cmd("AUTH", "wrong").startswith(b"WRONGPASS")
    assert c.cmd("GET", "k") == b"v"
    assert c.cmd("AUTH", "up") == b"OK"
    assert c.cmd("GET", "k") == b"v"


def test_upstream_username(w):
    redis = w.redis(acl=ACL)
    larder = w.larder(redis, up={"username": "writer", "password": "hidden"})
    for proto in (2, 3):
        assert w.conn(larder, proto).cmd("ACL", "WHOAMI") == b"writer"


def test_unauthenticated_upstream_is_handed_on(w):
    """Redis wants a password and larder has none: the client's AUTH decides."""
    redis = w.redis("--requirepass", "up")
    redis.password = "up"
    larder = w.larder(redis)
    c = w.conn(larder)
    assert c.cmd("GET", "k").startswith(b"NOAUTH")
    assert c.cmd("AUTH", "nope").startswith(b"WRONGPASS")
    assert c.cmd("AUTH", "up") == b"OK"
    assert c.cmd("SET", "k", "v") == b"OK"
    d = w.conn(larder)
    assert d.cmd("HELLO", 3, "AUTH", "default", "up").get(b"proto") == 3
    assert d.cmd("GET", "k") == b"v"
    assert w.conn(larder).cmd("GET", "k").startswith(b"NOAUTH")


def listener_pair(w):
    """A larder with a password of its own beside a Redis with the same one."""
    behind, beside = w.redis(), w.redis("--requirepass", "door")
    beside.password = "door"
    larder = w.larder(behind, listener={"password": "door"})
    return Pair(beside, larder)


def test_listener_password(w):
    def scenario(s):
        for command in (("PING",), ("GET", "k"), ("NOPE",), ("GET",), ("MULTI",),
                        ("CLIENT", "ID", "x"),
                        ("SUBSCRIBE", "c"), ("HELLO",), ("HELLO", 2), ("HELLO", 3), ("HELLO", 9),
                        ("HELLO", 3, "SETNAME", "x"), ("HELLO", 3, "AUTH", "default", "wrong"),
                        ("HELLO", 3, "AUTH", "nobody", "door"), ("RESET",), ("AUTH", "wrong"),
                        ("AUTH", "nobody", "door"), ("AUTH", ""), ("AUTH",), ("ECHO", "x"),
                        ("SELECT", 1), ("EXEC",), ("INFO",), ("COMMAND",), ("SHUTDOWN",)):
            c = s.open()
            c.cmd(*command)
            c.cmd("AUTH", "door")
            c.cmd("PING")
            c.cmd("AUTH", "wrong")
            c.cmd("PING")
            c.cmd("RESET")
            c.cmd("PING")
            c.cmd("HELLO", 3, "AUTH", "default", "door")
            c.cmd("GET", "missing")
        c = s.open()
        c.send(encode_all([("AUTH", "wrong"), ("PING",), ("AUTH", "door"), ("PING",), ("QUIT",)]))
        for _ in range(5):
            c.raw_reply()
    same(w, scenario, protos=(2,), pair=listener_pair(w))


def test_listener_password_caps(w):
    """Who has not logged in gets Redis' tight caps, and after AUTH the wide ones."""
    pair = listener_pair(w)
    for data in (b"*11\r\n", b"*10\r\n" + b"$1\r\na\r\n" * 10, b"*2\r\n$4\r\nECHO\r\n$16385\r\n",
                 encode("ECHO", "x" * 16384), encode("AUTH", "door") + encode("ECHO", "x" * 20000),
                 encode("AUTH", "door") + encode(*["DEL"] + ["k"] * 20), b"*11\r\n$1\r\n"):
        same_bytes(w, data, pair=pair)


def test_listener_password_keeps_replies_short(w):
    """CVE-2025-21605: someone who has not logged in and does not read is not worth a megabyte."""
    pair = listener_pair(w)
    c = w.conn(pair.larder)
    c.sock.setblocking(False)
    sent = 0
    block = encode("GET", "k") * 1000
    try:
        while sent < 400 << 20:
            sent += c.sock.send(block)
    except OSError:
        pass
    assert w.conn(pair.larder).cmd("AUTH", "door") == b"OK"
    assert pair.larder.rss_kb() < 200 << 10
