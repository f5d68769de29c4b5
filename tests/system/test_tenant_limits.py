"""Limits of a tenant: its clients, commands a second, requests unanswered, share of the near cache.
Each holds for one tenant alone, and what is past it is counted."""
from resp import Closed, eventually
from tenants import operator, password, refused, session, tenants_ini, tenants_larder


def limited(w, upstream, limits, sections="", **more):
    """A tenant `a` with the limits, `b` without."""
    return tenants_larder(w, upstream, {"a": limits, "b": {}}, sections, **more)


def counts(w, larder, name):
    """What LARDER TENANTS says of the tenant."""
    for line in operator(w, larder).ok("LARDER", "TENANTS").split(b"\n"):
        fields = dict(f.split(b"=", 1) for f in line.split() if b"=" in f)
        if fields.get(b"tenant") == name.encode():
            return {k.decode(): int(v) for k, v in fields.items() if v.isdigit()}
    raise AssertionError("no tenant " + name)


def reload(larder, upstream, limits, sections=""):
    larder.configure(tenants_ini(upstream, {"a": limits, "b": {}}, sections))
    larder.signal(1)


def test_max_clients(w):
    redis = w.redis()
    larder = limited(w, redis, {"max_clients": 2})
    first, second = session(w, larder, "a"), session(w, larder, "a")
    third = w.conn(larder)
    refused(third.cmd("AUTH", "a", password("a")), "ERR max number of clients")
    refused(third.cmd("HELLO", 3, "AUTH", "a", password("a")), "ERR max number of clients")
    refused(third.cmd("GET", "k"), "NOAUTH")
    refused(third.cmd("AUTH", "a", "wrong"), "WRONGPASS")
    session(w, larder, "b").ok("SET", "k", "of b")
    assert first.ok("AUTH", "a", password("a")) == b"OK"  # it is one of the two
    got = counts(w, larder, "a")
    assert got["clients"] == 2 and got["refused_max_clients"] == 2, got
    second.close()
    eventually(lambda: third.cmd("AUTH", "a", password("a")) == b"OK")
    first.ok("RESET")
    second = session(w, larder, "a")
    refused(first.cmd("AUTH", "a", password("a")), "ERR max number of clients")
    reload(larder, redis, {"max_clients": 3})
    eventually(lambda: first.cmd("AUTH", "a", password("a")) == b"OK")


def test_max_clients_of_a_tenant_by_its_listener(w):
    redis = w.redis()
    larder = tenants_larder(w, redis, {"a": {"max_clients": 1}},
                            listener={"password": "", "tenant": "a"})
    first = w.conn(larder)
    assert first.ok("PING") == b"PONG"
    try:
        refused(w.conn(larder).cmd("PING"), "ERR max number of clients")
    except (Closed, OSError):
        pass  # closed before PING was said
    first.ok("RESET")
    assert first.ok("SET", "k", "v") == b"OK"
    first.close()
    eventually(lambda: w.conn(larder).cmd("PING") == b"PONG")
