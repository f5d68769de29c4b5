"""What has gone wrong with policies, a test each: the comment says how."""
import signal

from fake_near import keep, scene
from fake_server import FakeRedis
from resp import SLOW, Error, encode, encode_all, eventually
from servers import make_ini


def larder_for(w, upstream, sections, larder=None, up=None, **more):
    """sections: policies as {name: {setting: value}}; one is for the keys NAME:*, unless it says
    otherwise."""
    ini = make_ini(("127.0.0.1", 0), upstream, larder, {"address": "127.0.0.1:@PORT@"}, up)
    for name, rows in sections.items():
        rows = {"prefix": name + ":", **rows}
        ini += f"[policy {name}]\n" + "".join(f"{k} = {v}\n" for k, v in rows.items())
    return w.larder(upstream, ini=ini, **more)


def armed(larder):
    """Waits until what is read is kept."""
    eventually(lambda: larder.stats()["cache_trust"] == 2)
    return larder


def clock_larder(clock, redis, more="", **up):
    """For sessions that slide for 30 minutes, with nothing that ends while the clock is moved."""
    ini = make_ini(("127.0.0.1", 0), redis, None, {"address": "127.0.0.1:@PORT@"},
                   {"command_timeout": "1d", "link_idle_timeout": "1d", **up})
    ini += ("[cache]\ncoherence_timeout = 1h\n"
            "[policy s]\nprefix = s:\nlocal = yes\nlocal_ttl = 1d\nsliding = 30m\n")
    return armed(clock.larder(redis, ini=ini + more))


def renewed(redis, *keys):
    return eventually(lambda: all(redis.cmd("TTL", key) > 3000 for key in keys))


DENY, TTL = {"deny": "yes"}, {"ttl": "80m"}
SLIDING = {"sliding": "60m"}
ABSOLUTE = {"absolute": "8h"}
LOCAL = {"local": "yes"}
NOPERM = b"NOPERM policy 'deny' of larder denies access to this key"


def test_a_pause_is_no_way_round(w):
    """What only Redis can judge during CLIENT PAUSE went there past the policies."""
    redis = w.redis()
    larder = larder_for(w, redis, {"deny": DENY, "ttl": TTL})
    judge, conn, multi = w.conn(larder), w.conn(larder), w.conn(larder)
    redis.cmd("SET", "deny:k", "secret")
    multi.ok("MULTI")
    judge.ok("CLIENT", "PAUSE", 600000, "WRITE")
    assert conn.cmd("EVAL_RO", "return redis.call('GET', KEYS[1])", 1, "deny:k") == NOPERM
    conn.send_cmd("EVAL", "return redis.call('GET', KEYS[1])", 1, "deny:k")
    conn.send_cmd("NOSUCH", "deny:k")
    conn.send_cmd("EVAL", "return redis.call('SET', KEYS[1], 1)", 1, "ttl:k")
    multi.send(encode_all([("EVAL", "return redis.call('SET', KEYS[1], 1)", 1, "ttl:m"),
                           ("EXEC",)]))
    judge.ok("CLIENT", "UNPAUSE")
    assert conn.replies(3) == [NOPERM, NOPERM, b"OK"]
    assert multi.replies(2) == [b"QUEUED", [b"OK"]]
    for key in ("ttl:k", "ttl:m"):
        assert 4700 < redis.cmd("TTL", key) <= 4800, key


def test_the_second_writer_is_told_in_its_own_words(w):
    """Who waited for another's SET .. NX was refused in the words of the last command that it had
    sent meanwhile."""
    for proto, null in ((2, b"$-1\r\n"), (3, b"_\r\n")):
        fake, one, *_ = scene(w, policy={"immutable": "yes"})
        two, three = (w.conn(one.sock.getpeername(), proto) for _ in range(2))
        gate = fake.hold("SET", "once")
        one.send_cmd("SET", "once", 1, "NX")
        gate.wait()
        two.send(encode_all([("SETNX", "once", 2), ("PING",)]))
        three.send(encode_all([("SET", "once", 3, "NX"), ("SETNX", "other", 3)]))
        w.conn(one.sock.getpeername()).ok("PING")
        gate.release()
        assert one.reply() == b"OK"
        assert [two.raw_reply() for _ in range(2)] == [b":0\r\n", b"+PONG\r\n"]
        assert three.raw_reply() == null


def test_an_attempt_that_leaves_nothing(w):
    """SET .. NX with a time that is past sets nothing, though it is answered OK: who waited for it
    was told that the key exists."""
    redis = w.redis()
    larder = armed(larder_for(w, redis, {"once": {**LOCAL, "immutable": "yes"}}))
    one, two = w.conn(larder), w.conn(larder)
    one.ok("PING")
    redis.pause()
    one.send_cmd("SET", "once:k", 1, "NX", "PXAT", 1)
    two.send_cmd("SET", "once:k", 2, "NX")
    w.conn(larder).ok("PING")
    redis.resume()
    assert one.reply() == b"OK"
    assert two.reply() == b"OK"
    assert redis.cmd("GET", "once:k") == b"2"


def test_msetex_cut_down(w):
    """MSETEX of two keys whose TTL was to be cut down was sent twice, in one: from then on every
    reply of that connection was another's."""
    redis = w.redis()
    larder = larder_for(w, redis, {"max": {"max_ttl": "60m"}})
    conn, other, direct = w.conn(larder), w.conn(larder), w.conn(redis)
    command = ("MSETEX", 2, "max:a", 1, "max:b", 2, "EX", 999999)
    conn.send(encode_all([command, ("ECHO", "a"), ("INCR", "n")]))
    assert conn.raw_reply() == direct.raw(*command)  # Redis 7 does not know it
    assert conn.reply() == b"a" and conn.reply() == 1
    assert other.ok("STRLEN", "n") == 1


def test_unwatch_within_multi(w):
    """UNWATCH is queued, too: of EXEC's reply the wrong elements were cut out."""
    redis = w.redis()
    conn = w.conn(larder_for(w, redis, {"ttl": TTL}))
    conn.ok("MULTI")
    assert conn.ok("UNWATCH") == b"QUEUED"
    assert conn.ok("HSET", "ttl:h", "f", 1, "g", 2, "h", 3) == b"QUEUED"
    assert conn.ok("STRLEN", "nothing") == b"QUEUED"
    assert conn.ok("EXEC") == [b"OK", 3, 0]


def test_a_large_request_behind_others(w):
    """The reply to a write before it, within MULTI, was taken for an answer to the large request
    that was still being sent, and the client was closed."""
    redis = w.redis()
    conn = w.conn(larder_for(w, redis, {"ttl": TTL}))
    large = encode("SET", "ttl:large", b"x" * (3 << 20))
    conn.ok("MULTI")
    conn.send(encode("HSET", "ttl:h", "f", 1, "g", 2) + large[:2 << 20])
    assert conn.reply() == b"QUEUED"
    conn.send(large[2 << 20:])
    assert conn.reply() == b"QUEUED"
    assert conn.ok("EXEC") == [2, b"OK"]
    assert 4700 < redis.cmd("TTL", "ttl:large") <= 4800


def test_logins_that_are_gone(w):
    """Whoever had read a sliding key kept the connections of its login open for good, until there
    were as many as pool_size and nobody else could log in."""
    redis = w.redis(acl=["user default on nopass ~* &* +@all"] +
                    [f"user u{i} on >p ~* &* +@all" for i in range(12)])
    for local in ("yes", "no"):
        larder = larder_for(w, redis, {"sliding": {**SLIDING, "local": local}},
                            up={"pool_size": 4, "max_links": 8, "queue_timeout": "2s"})
        for i in range(12):
            conn = w.conn(larder)
            conn.ok("AUTH", f"u{i}", "p")
            redis.cmd("SET", "sliding:k", i, "EX", 100)
            assert conn.ok("GET", "sliding:k") == b"%d" % i
            assert conn.ok("EXISTS", "other") == 0
            conn.close()


def test_renewals_of_a_login_that_is_gone(w):
    """A renewal for which there will never be a link kept the timer of all others from running, as
    long as there were hits."""
    clock = w.clock()
    redis = clock.redis(acl=["user default on nopass ~* &* +@all", "user u on >p ~* &* +@all"])
    larder = clock_larder(clock, redis)
    conn, user, direct = w.conn(larder), w.conn(larder), w.conn(redis)
    user.ok("AUTH", "u", "p")
    for key, ttl in (("s:user", 1500), ("s:due", 1800), ("s:hit", 1800)):
        direct.ok("SET", key, 1, "EX", ttl)
    conn.ok("GET", "s:hit")
    for _ in range(2):  # from memory the second time
        clock.move(30)
        user.ok("GET", "s:user")
        conn.ok("GET", "s:due")
    assert larder.stats()["policy_sliding_keys"] >= 2
    user.close()
    direct.ok("ACL", "DELUSER", "u")
    clock.move(100)
    eventually(lambda: "WRONGPASS" in larder.log())  # that of s:user was due
    clock.move(300)

    def told():
        for _ in range(5):
            conn.ok("GET", "s:hit")
        return direct.ok("TTL", "s:due") > 1380
    eventually(told, every=0.001)


def test_a_pause_of_writes_stops_no_reads(w):
    """Redis holds up a renewal, as any write, and with it all that came behind on the connection;
    the same of the scripts in the place of KEYS, SCAN, TTL .."""
    redis = w.redis()
    larder = armed(larder_for(w, redis, {"s": {**LOCAL, **SLIDING}, "cap": ABSOLUTE}))
    judge, conn = w.conn(larder), w.conn(larder)
    redis.cmd("SET", "cap:k", 1)
    redis.cmd("SET", "s:k", 1, "EX", 3595)
    redis.cmd("SET", "s:l", 1, "EX", 600)
    conn.ok("GET", "s:k")
    judge.ok("CLIENT", "PAUSE", 600000, "WRITE")
    assert conn.ok("GET", "s:l") == b"1"  # is to be renewed
    assert conn.ok("EXISTS", "a", "b") == 0
    assert sorted(conn.ok("KEYS", "*")) == [b"cap:k", b"s:k", b"s:l"]
    assert sorted(conn.ok("SCAN", 0)[1]) == [b"cap:k", b"s:k", b"s:l"]
    assert conn.ok("RANDOMKEY") in (b"cap:k", b"s:k", b"s:l")
    assert conn.ok("DBSIZE") == 3
    assert conn.ok("TTL", "s:k") >= 3590
    assert conn.ok("TTL", "s:l") >= 590
    assert conn.ok("EXISTS", "a", "b") == 0
    judge.ok("CLIENT", "UNPAUSE")
    renewed(redis, "s:l")


def test_expire_beyond_max_ttl(w):
    """EXPIRE of a sliding key was answered here for longer than max_ttl, and told so later."""
    redis = w.redis()
    larder = armed(larder_for(w, redis, {"s": {**LOCAL, "sliding": "60s", "max_ttl": "100s"}}))
    conn = w.conn(larder)
    redis.cmd("SET", "s:k", 1, "EX", 100)
    for seconds in (105, 120, 130):
        conn.ok("GET", "s:k")
        assert conn.ok("EXPIRE", "s:k", seconds) == 1
        assert 95 <= conn.ok("TTL", "s:k") <= 100
        assert 95 <= redis.cmd("TTL", "s:k") <= 100


def test_large_reads_renew(w):
    """What is too large to be kept, or to be collected, was read without being renewed."""
    redis = w.redis()
    larder = armed(larder_for(w, redis, {"s": {**LOCAL, **SLIDING}, "plain": SLIDING}))
    conn = w.conn(larder)

    def set_up(**sizes):
        for key, size in sizes.items():
            redis.cmd("SET", key.replace("_", ":"), b"x" * size, "EX", 600)
    set_up(s_a=400000, s_b=400000, s_c=400000)
    assert [len(v) for v in conn.ok("MGET", "s:a", "s:b", "s:c")] == [400000] * 3
    renewed(redis, "s:a", "s:b", "s:c")
    set_up(s_large=3 << 20, plain_large=3 << 20)
    assert len(conn.ok("GET", "s:large")) == 3 << 20
    assert len(conn.ok("GET", "plain:large")) == 3 << 20
    renewed(redis, "s:large", "plain:large")
    set_up(s_small=10, plain_small=10)
    assert conn.ok("MGET", "s:small", "plain:small") == [b"x" * 10] * 2
    renewed(redis, "s:small", "plain:small")


def test_who_reads_slowly_what_slides(w):
    """The question for the TTL of what is read stood behind the reply, as if somebody else's were
    held up by a slow reader of it: so it was read for him, and he closed when it was too much."""
    redis = w.redis()
    redis.cmd("SETRANGE", "s:k", (64 << 20) - 1, "x")
    for policy in (SLIDING, {**SLIDING, **LOCAL}):
        larder = larder_for(w, redis, {"s": policy}, {"client_buffer_max": "8mb"})
        conn, other = w.conn(larder, timeout=20), w.conn(larder)
        redis.cmd("EXPIRE", "s:k", 600)
        conn.send_cmd("GET", "s:k")
        for _ in range(10):
            conn.data += conn.sock.recv(100000)
            assert other.ok("EXISTS", "s:k", "t") == 1
        assert len(conn.reply()) == 64 << 20
        renewed(redis, "s:k")


def test_a_read_of_who_has_left(w):
    """Of an MGET that two had asked for together, nothing was renewed when the first had left."""
    redis = w.redis()
    larder = armed(larder_for(w, redis, {"s": {**LOCAL, **SLIDING}}))
    redis.cmd("SET", "s:a", 1, "EX", 600)
    redis.cmd("SET", "s:b", 2, "EX", 600)
    one, two = w.conn(larder), w.conn(larder)
    one.ok("EXISTS", "other")
    two.ok("EXISTS", "other")
    redis.pause()
    one.send_cmd("MGET", "s:a", "s:b")
    eventually(lambda: larder.stats()["cache_misses"] == 2)
    two.send_cmd("MGET", "s:a", "s:b")
    eventually(lambda: larder.stats()["cache_coalesced"] == 2)
    one.rst()
    eventually(lambda: larder.stats()["clients_clients"] == 2)
    redis.resume()
    assert two.reply() == [b"1", b"2"]
    renewed(redis, "s:a", "s:b")


def test_copy_to_another_database(w):
    """The key of that name in this database was given the expiry; the copy lived forever."""
    redis = w.redis()
    larder = larder_for(w, redis, {"ttl": TTL, "cap": ABSOLUTE, "s": {**LOCAL, **SLIDING}})
    direct = w.conn(redis)
    for kind, ttl in (("ttl", 4800), ("cap", 8 * 3600), ("s", 3600)):
        for mode in ("", "MULTI", "WATCH"):
            conn = w.conn(larder)
            direct.ok("FLUSHALL")
            direct.ok("SET", "source", 1)
            direct.ok("SET", f"{kind}:k", "of this database")
            if mode:
                conn.ok(*("MULTI",) if mode == "MULTI" else ("WATCH", "none"))
            done = conn.ok("COPY", "source", f"{kind}:k", "DB", 5)
            assert conn.ok("EXEC") == [1] if mode == "MULTI" else done == 1
            assert conn.cmd("GET", f"{kind}:k") == b"of this database"
            assert direct.ok("TTL", f"{kind}:k") == -1, (kind, mode)
            direct.ok("SELECT", 5)
            assert ttl - 100 < direct.ok("TTL", f"{kind}:k") <= ttl, (kind, mode)
            assert direct.ok("EXISTS", f"larder:deadline:{kind}:k") == (kind == "cap")
            direct.ok("SELECT", 0)
            assert direct.ok("EXISTS", f"larder:deadline:{kind}:k") == 0, (kind, mode)


def test_deny_whatever_the_size(w):
    """A command that larder does not know was not looked into when it was large."""
    redis = w.redis()
    larder = larder_for(w, redis, {"deny": DENY, "cap": ABSOLUTE}, {"admin_commands": "allow"})
    conn = w.conn(larder)
    for value in (b"x", b"x" * (3 << 20)):
        for command in (("NOSUCH", "deny:k", value), ("XINFO", "NOSUCH", "deny:k", value),
                        ("OBJECT", "ENCODING", "deny:k"), ("DEBUG", "OBJECT", "deny:k"),
                        ("MEMORY", "USAGE", "deny:k"), ("SORT", "k", "GET", "deny:*"),
                        ("MIGRATE", "h", 1, "", 0, 1, "KEYS", "deny:k"),
                        ("XREADGROUP", "GROUP", "g", "c", "NEW", 1, "STREAMS", "deny:k", ">"),
                        ("EVAL", "return 1", "2", "k", "deny:k")):
            assert conn.cmd(*command) == NOPERM, command[:2]
            named = [b"larder:deadline:x" if a == "deny:k" else a for a in command]
            if named != list(command):
                said = conn.cmd(*named)
                assert said.startswith(b"NOPERM keys that begin with larder:"), named[:2]


def test_fresh_is_no_way_round(w):
    """LARDER FRESH went past the policies."""
    redis = w.redis()
    larder = armed(larder_for(w, redis, {
        "deny": DENY, "ttl": TTL, "max": {"max_ttl": "60m"}, "require": {"require_ttl": "yes"},
        "size": {"max_value": 100}, "s": {**LOCAL, **SLIDING},
        "once": {**LOCAL, "immutable": "yes"}, "cap": ABSOLUTE}))
    conn, direct = w.conn(larder), w.conn(redis)

    def fresh(*command):
        return conn.cmd("LARDER", "FRESH", *command)
    direct.ok("SET", "larder:deadline:x", 1)
    for proto in (2, 3):
        conn = w.conn(larder, proto)
        assert fresh("GET", "deny:k") == NOPERM
        assert fresh("MGET", "a", "deny:k") == NOPERM
        assert fresh("GET", "larder:deadline:x").startswith(b"NOPERM keys that begin")
        assert fresh("KEYS", "larder:*") == []
        assert fresh("SCAN", 0, "COUNT", 1000)[1] == sorted(set(direct.ok("KEYS", "*"))
                                                           - {b"larder:deadline:x"})
        assert fresh("DBSIZE") == direct.ok("DBSIZE") - 1
        assert fresh("HSET", "ttl:h", "f", 1, "g", 2) == 2
        assert fresh("SET", "ttl:s", 1) == b"OK"
        assert 4700 < direct.ok("TTL", "ttl:h") <= 4800 and 4700 < direct.ok("TTL", "ttl:s") <= 4800
        assert fresh("SETEX", "max:k", 99999, "v") == b"OK"
        assert direct.ok("TTL", "max:k") <= 3600
        assert fresh("SET", "require:k", 1).startswith(b"ERR policy 'require' of larder")
        assert fresh("SET", "size:k", "x" * 101).startswith(b"ERR policy 'size' of larder")
        direct.ok("SET", "s:k", 1, "EX", 600)
        assert fresh("GET", "s:k") == b"1"
        renewed(direct, "s:k")
        assert fresh("EXPIRE", "s:k", 3601) == 1 and direct.ok("TTL", "s:k") >= 3600
        assert fresh("SET", "once:k", 1, "NX") == b"OK"
        assert fresh("SET", "once:k", 1, "NX") is None
        direct.ok("DEL", "once:k")
        assert fresh("SET", "once:k", 1, "NX") == b"OK"
        direct.ok("DEL", "once:k", "ttl:h", "ttl:s", "max:k", "s:k")
        conn.ok("WATCH", "w")
        assert fresh("GET", "deny:k") == NOPERM
        assert fresh("HSET", "ttl:h", "f", 1, "g", 2) == 2
        assert 4700 < direct.ok("TTL", "ttl:h") <= 4800
        direct.ok("DEL", "ttl:h")


def test_why_tells_of_refusals(w):
    """LARDER WHY said of a command that is refused where it would go."""
    redis = w.redis()
    larder = larder_for(w, redis, {"deny": DENY, "cap": ABSOLUTE, "s": {**LOCAL, **SLIDING},
                                   "require": {"require_ttl": "yes"}})
    conn = w.conn(larder)
    for command in (("GET", "deny:k"), ("MGET", "s:k", "deny:k"), ("NOSUCH", "deny:k"),
                    ("SET", "deny:k", 1), ("GET", "larder:deadline:k")):
        said = conn.ok("LARDER", "WHY", *command)
        assert said.startswith(b"decision=refused"), (command, said)
    assert b"decision=refused" in conn.ok("LARDER", "WHY", "SET", "require:k", 1)
    assert b"decision=refused" not in conn.ok("LARDER", "WHY", "SET", "require:k", 1, "EX", 1)
    assert conn.ok("PING") == b"PONG"
    for key in ("deny:k", "larder:deadline:k"):
        assert b"served=no" in conn.ok("LARDER", "KEY", key)


def test_what_is_too_large_spoils_the_transaction(w):
    """A request that was refused because it was too large to be looked at was left out, and the
    rest of its transaction executed."""
    redis = w.redis()
    conn = w.conn(larder_for(w, redis, {"size": {"max_value": 100}}))
    conn.ok("MULTI")
    conn.ok("INCR", "n")
    conn.send(encode("SET", "size:k", b"x" * (65 << 20)))
    assert isinstance(conn.reply(), Error)
    assert conn.cmd("EXEC").startswith(b"EXECABORT")
    assert redis.cmd("DBSIZE") == 0


def test_who_blocked_has_written(w):
    """The reply to BLMOVE left before what was kept of its keys was dropped: only the reply to the
    words behind it did that. So somebody else could still read the old value (P1)."""
    fake, one, two, _ = scene(w, policy={"ttl": "1h", "prefix": "*"}, k="old")
    keep(fake, two, "GET", "k")
    gate = fake.hold("PEXPIRE", "k", "3600000")
    one.send_cmd("BLMOVE", "a", "k", "LEFT", "RIGHT", 0)
    gate.wait()
    fake.change("k", "new")
    assert one.reply() == b"OK"
    assert two.ok("GET", "k") == b"new"
    gate.release()


def test_an_upstream_that_lies_about_exec(w):
    """The number of elements that EXEC announced was believed, and so many numbers were noted."""
    def script(_link, argv):
        if argv[0] in (b"HSET", b"PEXPIRE"):
            return b"+QUEUED\r\n"
        if argv[0] == b"EXEC":
            return b"*2000000000\r\n" + b":1\r\n" * 50000
        return None
    fake = w.add(FakeRedis(script))
    larder = larder_for(w, fake, {"ttl": TTL})
    conn = w.conn(larder)
    conn.send_cmd("HSET", "ttl:h", "f", 1)
    eventually(lambda: fake.count("EXEC") == 1)
    larder_rss = larder.rss_kb
    w.conn(larder).ok("PING")
    assert larder_rss() < 1000000, larder_rss()


def test_the_end_of_a_link_while_streaming(w):
    """The client whose large write was lost with its link was closed without a word."""
    for rows in ({}, {"ttl": TTL}):
        fake = w.add(FakeRedis())
        conn = w.conn(larder_for(w, fake, rows))
        large = encode("SET", "ttl:k", b"x" * (3 << 20))
        conn.send(large[:2 << 20])
        eventually(lambda fake=fake: [link.reset() for link in fake.links
                                      if len(link.data) > 1 << 20])
        said = conn.rest()
        assert said.startswith(b"-UPSTREAM ") and said.count(b"\n") == 1, (rows, said)


def test_skip_of_a_large_request(w):
    """CLIENT REPLY SKIP silenced what came behind a large request as well."""
    redis = w.redis()
    for rows in ({}, TTL):
        conn = w.conn(larder_for(w, redis, {"ttl": rows} if rows else {}))
        conn.send(encode("CLIENT", "REPLY", "SKIP") + encode("SET", "ttl:k", b"x" * (3 << 20)) +
                  encode("ECHO", "a") + encode("STRLEN", "ttl:k"))
        assert conn.reply() == b"a", rows
        assert conn.reply() == 3 << 20


def test_muted_writes(w):
    """CLIENT REPLY OFF and SKIP silence a write with all that larder says about it."""
    redis = w.redis()
    for proto in (2, 3):
        for policy in (TTL, {**LOCAL, **SLIDING}, ABSOLUTE, {**ABSOLUTE, **LOCAL, **SLIDING}):
            redis.cmd("FLUSHALL")
            conn = w.conn(larder_for(w, redis, {"p": policy}), proto)
            writes = [("HSET", "p:h", "f", 1), ("SET", "p:s", 1), ("MSET", "p:a", 1, "p:b", 2),
                      ("INCR", "p:n"), ("EXPIRE", "p:n", 50), ("TTL", "p:n"), ("GET", "p:s"),
                      ("DBSIZE",), ("KEYS", "*"), ("HSET", "p:s", "wrong", "type")]
            said = []
            for write in writes:
                conn.send(encode("CLIENT", "REPLY", "SKIP") + encode(*write) + encode("INCR", "n"))
                said.append(conn.reply())
            assert said == list(range(1, len(writes) + 1)), said
            conn.send(encode("CLIENT", "REPLY", "OFF") + encode_all(writes) +
                      encode("CLIENT", "REPLY", "ON") + encode("LRANGE", "p:l", 0, 1))
            assert conn.replies(2) == [b"OK", []]
            conn.send(encode("CLIENT", "REPLY", "OFF") + encode_all(
                [("MULTI",), *writes, ("EXEC",), ("CLIENT", "REPLY", "ON"), ("STRLEN", "n")]))
            assert conn.replies(2) == [b"OK", 2]


def test_the_error_of_another_write(w):
    """What had gone wrong behind a command that blocked was told as the reason why a later write
    had failed."""
    def script(_link, argv):
        if argv[0] == b"PEXPIRE":
            return b"-ERR of %s\r\n" % argv[1]
        if argv[0] == b"EXEC":
            return b"-EXECABORT Transaction discarded because of previous errors.\r\n"
        if argv[0] == b"HSET":
            return b"+QUEUED\r\n"
        return None
    conn = w.conn(larder_for(w, w.add(FakeRedis(script)), {"ttl": TTL}))
    assert conn.ok("BLMOVE", "a", "ttl:one", "LEFT", "RIGHT", 1) == b"OK"
    assert conn.ok("RENAME", "a", "ttl:two") == b"OK"
    assert conn.cmd("HSET", "ttl:three", "f", 1) == (
        b"ERR larder could not do what its policy asks, and so it was not written: "
        b"ERR of ttl:three")


def test_a_refusal_by_a_policy_that_is_new(w):
    """A command that had waited for a connection of its own, and was refused by a policy that a
    reload had brought meanwhile, kept that connection from everybody."""
    redis = w.redis()
    larder = larder_for(w, redis, {"deny": {"local": "no"}}, up={"max_lent": 1})
    one, two = w.conn(larder), w.conn(larder)
    one.send_cmd("BLPOP", "l", 0)
    eventually(lambda: redis.blocked() == 1)
    two.send_cmd("BLPOP", "deny:l", 0)
    eventually(lambda: larder.stats()["upstream_loans_waiting"] == 1)
    with open(larder.config) as f:
        ini = f.read()
    larder.configure(ini.replace("local = no", "deny = yes"))
    larder.signal(signal.SIGHUP)
    eventually(lambda: "settings reloaded" in larder.log())
    redis.cmd("RPUSH", "l", "x")
    assert one.reply() == [b"l", b"x"]
    assert two.reply() == NOPERM
    eventually(lambda: larder.stats()["upstream_links_lent_long"] == 0)
    one.send_cmd("BLPOP", "l", 0)
    redis.cmd("RPUSH", "l", "y")
    assert one.reply() == [b"l", b"y"]


def test_muted_msetex(w):
    """Keys that LARDER MSETEX had set while replies were off were held for good: nothing was kept
    of them any more."""
    fake, one, two, _ = scene(w, policy={"absolute": "1h"})
    one.send(encode("CLIENT", "REPLY", "OFF") + encode("LARDER", "MSETEX", 0, "k", "new") +
             encode("CLIENT", "REPLY", "ON"))
    assert one.reply() == b"OK"
    assert keep(fake, two, "GET", "k") == b"new"


def test_read_within_multi_of_a_session_with_its_own_link(w):
    """What it read within MULTI was never renewed."""
    redis = w.redis()
    larder = larder_for(w, redis, {"s": SLIDING})
    conn = w.conn(larder)
    conn.ok("CLIENT", "TRACKING", "ON", "NOLOOP")
    for last in ("EXEC", "DISCARD"):
        redis.cmd("SET", "s:k", 1, "EX", 600)
        conn.ok("MULTI")
        conn.ok("GET", "s:k")
        conn.ok(last)
        renewed(redis, "s:k")


def test_conditions_on_what_was_promised(w):
    """EXPIRE .. GT, NX .. of a sliding key were judged by the deadline that Redis knew, and the
    later one that reads had been promised was forgotten."""
    clock = w.clock()
    redis = clock.redis()
    larder = clock_larder(clock, redis)
    conn, direct = w.conn(larder), w.conn(redis)
    for command, changed, ttl in ((("EXPIRE", "s:k", 1795, "GT"), 0, 1800),
                                  (("EXPIRE", "s:k", 9, "NX"), 0, 1800),
                                  (("PEXPIRE", "s:k", 2000000, "LT"), 0, 1800),
                                  (("EXPIRE", "s:k", 1801, "LT"), 0, 1800),
                                  (("EXPIRE", "s:k", 1790, "LT"), 1, 1790),
                                  (("EXPIRE", "s:k", 1900, "GT"), 1, 1900),
                                  (("EXPIRE", "s:k", 100, "XX"), 1, 100)):
        for mode in (False, True):
            direct.ok("SET", "s:k", 1, "EX", 1800)
            eventually(lambda: conn.ok("GET", "s:k")
                       and b"kept=yes" in conn.ok("LARDER", "KEY", "s:k"))
            clock.move(60)
            conn.ok("GET", "s:k")
            assert direct.ok("TTL", "s:k") <= 1740 and conn.ok("TTL", "s:k") >= 1799
            if mode:
                conn.ok("MULTI")
            done = conn.ok(*command)
            done = conn.ok("EXEC") if mode else [done]
            assert done == [changed], (command, mode, done)
            assert ttl - 1 <= conn.ok("TTL", "s:k") <= ttl, (command, mode)
            assert ttl - 1 <= direct.ok("TTL", "s:k") <= ttl, (command, mode)


def test_looks_that_find_no_link(w):
    """A read that could not be asked was remembered all the same, to be asked when its key would
    expire: as many as came while Redis was away."""
    redis = w.redis()
    larder = larder_for(w, redis, {"s": SLIDING}, up={"command_timeout": "100ms"})
    conn = w.conn(larder)
    redis.cmd("SET", "s:k", 1, "EX", 3600)
    assert conn.ok("GET", "s:k") == b"1"
    redis.kill()
    said = [conn.cmd("GET", "s:k") for _ in range(20)]
    assert all(isinstance(s, Error) for s in said), said
    redis.start()
    eventually(lambda: conn.cmd("GET", "s:k") is None)
    larder.expect_exit = True
    larder.signal(signal.SIGTERM)  # it asks first all that it has to
    assert larder.process.wait(10 * SLOW) == 0
    found = redis.info("commandstats", "cmdstat_pttl")
    assert int(found.split(",")[0].split("=")[1]) <= 2, found


def test_sigterm_with_renewals_outstanding(w):
    """larder ends in time, whatever has become of Redis, with all renewals told if it could."""
    for fate in ("alive", "killed", "stopped"):
        redis = w.redis()
        larder = armed(larder_for(w, redis, {"s": {**LOCAL, **SLIDING}},
                                  {"shutdown_timeout": "2s"}, {"command_timeout": "500ms"}))
        conn = w.conn(larder)
        conn.ok("SET", "s:k", 1)
        redis.cmd("EXPIRE", "s:k", 3500)
        eventually(lambda: conn.ok("GET", "s:k") and larder.stats()["policy_sliding_keys"] > 0)
        {"alive": lambda: None, "killed": redis.kill, "stopped": redis.pause}[fate]()
        larder.expect_exit = True
        larder.signal(signal.SIGTERM)
        assert larder.process.wait(10 * SLOW) == 0
        if fate == "alive":
            assert redis.cmd("TTL", "s:k") > 3590
        if fate == "stopped":
            redis.resume()


def test_what_is_promised_until_a_write_is_asked(w):
    """What reads had been promised was forgotten for the sake of a write that was never put to
    Redis: a SET .. NX that larder answered, and one for which there was no connection."""
    clock = w.clock()
    redis = clock.redis()
    larder = clock_larder(clock, redis, "immutable = yes\n", max_lent=1, queue_timeout="100ms")
    conn, direct = w.conn(larder), w.conn(redis)
    direct.ok("SET", "s:k", 1, "EX", 1800)
    eventually(lambda: conn.ok("GET", "s:k") and b"kept=yes" in conn.ok("LARDER", "KEY", "s:k"))
    clock.move(60)
    conn.ok("GET", "s:k")
    assert direct.ok("TTL", "s:k") <= 1740 and conn.ok("TTL", "s:k") >= 1799
    assert conn.cmd("SET", "s:k", 2, "NX") is None
    assert conn.ok("SETNX", "s:k", 2) == 0
    assert conn.ok("TTL", "s:k") >= 1799
    other = w.conn(larder)
    other.send_cmd("BLPOP", "l", 0)
    eventually(lambda: redis.blocked() == 1)
    assert conn.cmd("BLMOVE", "l", "s:k", "LEFT", "LEFT", 0).startswith(b"UPSTREAM")
    assert conn.ok("TTL", "s:k") >= 1799


def test_a_renewal_that_comes_behind_a_write(w):
    """A renewal that had waited for a link, or for the end of CLIENT PAUSE, gave a key the time
    back that a write had taken from it meanwhile."""
    redis = w.redis()
    larder = armed(larder_for(w, redis, {"s": {**LOCAL, **SLIDING}}))
    judge, conn, writer = w.conn(larder), w.conn(larder), w.conn(larder)
    redis.cmd("SET", "s:k", 1, "EX", 600)
    redis.cmd("SET", "s:l", 1, "EX", 600)
    judge.ok("CLIENT", "PAUSE", 600000, "WRITE")
    conn.ok("MGET", "s:k", "s:l")
    writer.send_cmd("EXPIRE", "s:k", 100)
    judge.ok("CLIENT", "UNPAUSE")
    assert writer.reply() == 1
    renewed(redis, "s:l")
    assert redis.cmd("TTL", "s:k") <= 100


def test_large_replies_within_exec(w):
    """Elements are cut out of EXEC's reply whatever the size of those about them, as it comes."""
    redis = w.redis()
    policies = {"ttl": TTL, "cap": {**ABSOLUTE, **SLIDING}, "s": {**LOCAL, **SLIDING}}
    larder = larder_for(w, redis, policies)
    for size in (60 << 10, 200 << 10, 5 << 20):
        redis.cmd("SET", "big", b"x" * size)
        for proto in (2, 3):
            conn = w.conn(larder, proto, timeout=20)
            for kind in policies:
                redis.cmd("DEL", f"{kind}:h", f"{kind}:l")
                commands = [("MULTI",), ("HSET", f"{kind}:h", "f", 1, "g", 2), ("GET", "big"),
                            ("LPUSH", f"{kind}:l", b"y" * size, b"z"), ("GET", "big"),
                            ("LRANGE", f"{kind}:l", 0, -1), ("HSET", f"{kind}:h", "f", 1, "i", 2),
                            ("EXEC",), ("ECHO", "end")]
                said = conn.pipeline(commands)
                assert said[-2] == [2, b"x" * size, 2, b"x" * size, [b"z", b"y" * size], 1]
                assert said[-1] == b"end"
                assert conn.ok("SET", f"{kind}:h2", b"w" * size) == b"OK"
                assert conn.ok("GETSET", f"{kind}:h2", b"v") == b"w" * size
                assert conn.ok("EVAL", "return {1,{KEYS[1],string.rep('x',%d)},3}" % size, 1,
                               f"{kind}:n") == [1, [f"{kind}:n".encode(), b"x" * size], 3]


def test_many_keys(w):
    redis = w.redis()
    larder = larder_for(w, redis, {"ttl": TTL, "cap": {**ABSOLUTE, **SLIDING},
                                   "s": {**LOCAL, **SLIDING}}, {"max_pending": 16})
    conn, direct = w.conn(larder, timeout=30), w.conn(redis)
    for kind in ("ttl", "cap", "s"):
        names = [f"{kind}:{i}".encode() + b"\r\n\0\xff" for i in range(10000)]
        flat = [x for name in names for x in (name, b"v")]
        assert conn.ok("MSET", *flat) == b"OK"
        assert conn.ok("MGET", *names) == [b"v"] * 10000
        assert conn.ok("MSETNX", *flat) == 0
        assert conn.ok("EVAL", "return #KEYS", 10000, *names) == 10000
        assert all(2000 < ttl <= 4800 for ttl in direct.pipeline([("TTL", n) for n in names]))
        said = conn.pipeline([("HSET", n + b"h", "f", i, "g", i) for i, n in enumerate(names)] +
                             [("INCR", "n"), ("ECHO", "end")])
        assert said[:-2] == [2] * 10000 and said[-1] == b"end"
        ttls = direct.pipeline([("TTL", n + b"h") for n in names])
        assert all(2000 < ttl <= 4800 for ttl in ttls)
        if kind == "cap":
            assert conn.ok("DBSIZE") == 40001 and len(conn.ok("KEYS", "*")) == 40001
        conn.ok("MULTI")
        assert conn.ok("MSET", *flat) == b"QUEUED"
        assert conn.ok("EXEC") == [b"OK"]


def test_hidden_keys_and_errors(w):
    redis = w.redis()
    larder = larder_for(w, redis, {"cap": ABSOLUTE})
    for proto in (2, 3):
        redis.cmd("FLUSHALL")
        direct, conn = w.conn(redis, proto), w.conn(larder, proto)
        conn.ok("SELECT", 1)
        direct.ok("SELECT", 2)
        for command in (("RANDOMKEY",), ("DBSIZE",), ("KEYS", "*"), ("SCAN", 0), ("SCAN", "x"),
                        ("SCAN", 0, "COUNT"), ("SCAN", 0, "COUNT", 0),
                        ("SCAN", 0, "MATCH", "a*", "TYPE", "string"), ("SCAN", 0, "NOSUCH", 1),
                        ("KEYS",), ("KEYS", "a", "b"), ("DBSIZE", 1), ("SCAN",),
                        ("RANDOMKEY", 1), ("KEYS", "[a"), ("SCAN", -1), ("SCAN", 10**20)):
            for before, behind in ((None, None), ("MULTI", "EXEC"), ("WATCH", "UNWATCH")):
                told = []
                for c in (direct, conn):
                    if before:
                        c.ok(*((before, "w") if before == "WATCH" else (before,)))
                    said = [c.raw(*command)]
                    if behind:
                        said.append(c.raw(behind))
                    told.append(said)
                assert told[0] == told[1], (command, before, told)
        conn.ok("SET", "cap:k", 1)
        direct.ok("SET", "cap:k", 1)
        for command in (("RANDOMKEY",), ("DBSIZE",), ("KEYS", "*"), ("SCAN", 0),
                        ("SCAN", 0, "MATCH", "larder*"), ("SCAN", 0, "TYPE", "hash")):
            assert direct.raw(*command) == conn.raw(*command), command
        assert conn.pipeline([("DBSIZE",), ("ECHO", "a"), ("DBSIZE",), ("SET", "b", 1),
                              ("DBSIZE",), ("DBSIZE",)]) == [1, b"a", 1, b"OK", 2, 2]


for _test in (test_many_keys, test_large_replies_within_exec):
    _test.timeout = 90
