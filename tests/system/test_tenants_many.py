"""Ten thousand tenants: that they are there, costs the others nothing, nor each what it asks for."""
import os
import re

import instructions
from many_tenants import FEW, POLICIES, counted, many_larder, told
from near import need_cache, rows

from resp import eventually
from servers import Skip
from tenants import operator, session, tenants_ini, tenants_larder

MANY = 10000
HEADS = 64  # OWNERS_HEADS


def hits(w, larder, policy):
    lines = operator(w, larder).ok("LARDER", "POLICIES").decode()
    return int(re.search(rf"policy={policy} .* hits=(\d+)", lines)[1])


def test_ten_thousand(w):
    """What the upstream is told of stays short, and a reload leaves the others alone."""
    need_cache()
    redis = w.redis()
    larder = many_larder(w, redis, MANY)
    a, b, gone = (session(w, larder, name) for name in ("t17", "t9999", "t5"))
    a.ok("SET", "session:1", "a", "EX", 100)
    b.ok("SET", "session:1", "b", "EX", 100)
    assert a.ok("GET", "session:1") == b"a" and b.ok("KEYS", "*") == [b"session:1"]
    eventually(lambda: 0 < told(redis) <= HEADS + 2)

    def kept():
        before = hits(w, larder, "all")
        assert a.ok("GET", "session:1") == b"a" and b.ok("GET", "session:1") == b"b"
        return hits(w, larder, "all") == before + 2

    eventually(kept)
    # One goes, one comes.
    larder.configure(tenants_ini(redis, {f"t{i}": {} for i in range(MANY + 1) if i != 5},
                                 sections=POLICIES))
    larder.signal(1)
    gone.eof()
    assert kept()
    session(w, larder, f"t{MANY}").ok("SET", "session:1", "new")
    assert kept() and 0 < told(redis) <= HEADS + 2
    assert redis.cmd("GET", f"t{MANY}:session:1") == b"new"


def test_prefixes_with_nothing_in_common(w):
    need_cache()
    redis = w.redis()
    tenants = {"%08x" % (i * 2654435761 % 2 ** 32): {} for i in range(3000)}
    larder = tenants_larder(w, redis, tenants, sections=POLICIES)
    last = session(w, larder, list(tenants)[-1])
    last.ok("SET", "user:1", "v")
    eventually(lambda: 0 < told(redis) <= HEADS + 2)

    def kept():
        before = hits(w, larder, "all")
        assert last.ok("GET", "user:1") == b"v"
        return hits(w, larder, "all") > before

    eventually(kept)


def test_the_way_is_as_short(w):
    """A hit, what passes and a login take as many instructions among thousands as among ten."""
    need_cache()
    if os.environ.get("SANITIZER"):
        raise Skip("valgrind runs no sanitized program")
    if not instructions.there():
        raise Skip("needs valgrind")
    redis = w.redis()
    few, many = counted(w, redis, FEW), counted(w, redis, 3000)
    for what, most in (("a hit, pipelined", 1.05), ("a GET that passes, pipelined", 1.25),
                       ("a login", 1.5)):
        few_of, many_of = few["instructions of " + what], many["instructions of " + what]
        assert many_of <= few_of * most, (what, few_of, many_of)


def test_the_policy_of_a_full_name(w):
    """Who is nobody's tenant names keys in full: the policy is that of the name behind the prefix."""
    need_cache()
    redis = w.redis()
    larder = tenants_larder(w, redis, sections=rows(
        "policy s", {"prefix": "session:", "local": "yes"}) + rows(
        "policy f", {"prefix": "acme:", "local": "yes"}))
    a, op = session(w, larder, "a"), operator(w, larder)
    a.ok("SET", "session:1", "v")

    def kept(conn, key):
        before = hits(w, larder, "s")
        assert conn.ok("GET", key) == b"v"
        return hits(w, larder, "s") > before

    eventually(lambda: kept(a, "session:1"))
    for _ in range(5):
        assert kept(op, "acme:session:1") and kept(a, "session:1")
    assert hits(w, larder, "f") == 0
