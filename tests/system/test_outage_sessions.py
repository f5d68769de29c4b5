"""Connections that are opened while the upstream is away, by clients that greet, log in and select a
database before they read."""
from outage import QUICK, back, is_upstream, kill, outage_larder, serves_again
from resp import Conn, Error, eventually

STALE = {"k": {"on_outage": "stale", "local": "yes", "stale_ttl": "10m"}}
FAST = {**QUICK, "command_timeout": "300ms"}


def warm(larder, *words, key="k:1"):
    c = Conn(larder.address)
    for command in words:
        c.ok(*command)
    c.ok("SET", key, "value")
    eventually(lambda: c.cmd("GET", key) == b"value" and b"served=yes" in c.cmd("LARDER", "KEY", key))
    return c


def test_greeted(w):
    """HELLO in either protocol, whichever the upstream has been asked for."""
    redis = w.redis()
    larder = outage_larder(w, redis, STALE)
    warm(larder)
    kill(redis, larder)
    for proto in (3, 2):
        c = w.conn(larder)
        hello = c.cmd("HELLO", proto, "SETNAME", "late")
        fields = dict(hello) if proto == 3 else dict(zip(hello[::2], hello[1::2]))
        assert fields[b"proto"] == proto and fields[b"id"] == c.cmd("CLIENT", "ID")
        assert fields[b"server"] == b"redis" and fields[b"modules"] == []
        assert c.cmd("CLIENT", "GETNAME") == b"late"
        assert c.cmd("GET", "k:1") == b"value"
        info = c.cmd("INFO").decode()
        assert "loading:0" in info and "role:master" in info and "redis_version:" in info
        assert "# Larder" in info
    back(redis, larder)
    assert c.cmd("HELLO", 3)[0] == (b"server", b"redis")
    serves_again(c)
    assert "# Keyspace" in c.cmd("INFO").decode()


def test_logged_in(w):
    """Who has been let in before is; nobody else is, and nothing is told them."""
    redis = w.redis("--requirepass", "sesame")
    admin = w.conn(redis)
    admin.ok("AUTH", "sesame")
    admin.ok("ACL", "SETUSER", "app", "on", ">word", "~*", "&*", "+@all")
    admin.close()
    larder = outage_larder(w, redis, STALE, up={**FAST, "password": "sesame"})
    warm(larder).close()
    warm(larder, ("AUTH", "app", "word"), key="k:app").close()
    kill(redis, larder)
    for words, key in ((("AUTH", "sesame"), "k:1"), (("AUTH", "default", "sesame"), "k:1"),
                       (("AUTH", "app", "word"), "k:app"),
                       (("HELLO", "3", "AUTH", "app", "word"), "k:app"),
                       (("HELLO", "2", "AUTH", "default", "sesame"), "k:1")):
        c = w.conn(larder)
        assert not isinstance(c.cmd(*words), Error), words
        assert c.cmd("GET", key) == b"value", words
        c.close()
    for words in (("AUTH", "wrong"), ("AUTH", "app", "sesame"), ("AUTH", "nobody", "word"),
                  ("HELLO", "3", "AUTH", "app", "")):
        c = w.conn(larder)
        assert is_upstream(c.cmd(*words, timeout=20)), words
        c.eof()
    c = w.conn(larder)
    assert c.cmd("GET", "k:app") is None  # what another has read
    assert c.cmd("AUTH", "app", "word") == b"OK"
    assert c.cmd("GET", "k:app") == b"value"
    back(redis, larder)
    # The server has forgotten that user meanwhile: it is the server's word that counts now.
    eventually(lambda: isinstance(c.cmd("GET", "k:app", timeout=20), Error))
    late = w.conn(larder)
    assert late.cmd("AUTH", "sesame") == b"OK"
    serves_again(late)


def test_selected(w):
    """A database that somebody has been in, and those below it."""
    redis = w.redis()
    larder = outage_larder(w, redis, STALE, up=FAST)
    warm(larder)
    warm(larder, ("SELECT", "3"), key="k:3")
    kill(redis, larder)
    c = w.conn(larder)
    c.pipeline([("SELECT", "3")] * 2)
    assert c.cmd("GET", "k:3") == b"value"
    assert c.pipeline([("SELECT", "2"), ("GET", "k:1"), ("SELECT", "0"), ("GET", "k:1")]) == \
        [b"OK", None, b"OK", b"value"]
    assert c.cmd("SELECT", "3") == b"OK"
    back(redis, larder)
    c.ok("SET", "k:where", "three")
    direct = w.conn(redis)
    direct.ok("SELECT", "3")
    assert direct.cmd("GET", "k:where") == b"three"
    kill(redis, larder)
    for db in ("4", "1000"):
        c = w.conn(larder)
        assert is_upstream(c.cmd("SELECT", db, timeout=20))
        c.eof()


def test_not_without_a_policy(w):
    """Where no policy answers for the upstream a session is told that it is away."""
    redis = w.redis()
    larder = outage_larder(w, redis, {"k": {"ttl": "1m"}}, up=FAST)
    c = w.conn(larder)
    c.ok("SELECT", "0")
    assert c.cmd("HELLO", 3)[0] == (b"server", b"redis")
    redis.kill()
    c = w.conn(larder)
    assert is_upstream(c.cmd("SELECT", "0", timeout=20))
    c.eof()
    assert is_upstream(w.conn(larder).cmd("INFO", timeout=20))
