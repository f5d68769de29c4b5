"""on_outage: what reads and counters are answered while the upstream is away."""
import signal

from fake_near import NearRedis
from fake_server import FakeRedis
from outage import (QUICK, armed, back, is_out, is_upstream, kill, outage_larder, policy_row,
                    timed)
from resp import Error, encode, encode_all, eventually

MISS, STALE = {"on_outage": "miss"}, {"on_outage": "stale", "local": "yes"}
OPEN = {"on_outage": "open"}

# Every read of the table, of keys that are absent; K is the key.
READS = """
BITCOUNT K
BITFIELD_RO K GET u8 0 GET u4 0
BITPOS K 0
BITPOS K 1
DUMP K
EXISTS K
EXISTS K K
EXPIRETIME K
GEODIST K a b
GEOHASH K a b
GEOPOS K a b
GEORADIUSBYMEMBER_RO K a 1 m
GEORADIUS_RO K 1 1 1 m
GEOSEARCH K FROMLONLAT 1 1 BYRADIUS 1 m
GET K
GETBIT K 7
GETRANGE K 0 -1
HEXISTS K f
HGET K f
HGETALL K
HKEYS K
HLEN K
HMGET K f g h
HRANDFIELD K
HRANDFIELD K 3
HRANDFIELD K 3 WITHVALUES
HSCAN K 0
HSTRLEN K f
HVALS K
LCS K K
LCS K K LEN
LCS K K IDX
LINDEX K 0
LLEN K
LPOS K x
LPOS K x COUNT 0
LRANGE K 0 -1
MEMORY USAGE K
MGET K K K
OBJECT ENCODING K
OBJECT FREQ K
OBJECT IDLETIME K
OBJECT REFCOUNT K
PEXPIRETIME K
PFCOUNT K
PTTL K
SCARD K
SDIFF K K
SINTER K K
SINTERCARD 2 K K
SISMEMBER K m
SMEMBERS K
SMISMEMBER K m n
SORT_RO K
SRANDMEMBER K
SRANDMEMBER K 2
SRANDMEMBER K -2
SSCAN K 0
STRLEN K
SUBSTR K 0 1
SUNION K K
TOUCH K K
TTL K
TYPE K
XINFO CONSUMERS K g
XINFO GROUPS K
XINFO STREAM K
XLEN K
XPENDING K g
XRANGE K - +
XREAD COUNT 2 STREAMS K K 0 0
XREVRANGE K + -
ZCARD K
ZCOUNT K 0 1
ZDIFF 2 K K
ZINTER 2 K K
ZINTERCARD 2 K K
ZLEXCOUNT K - +
ZMSCORE K a b
ZRANDMEMBER K
ZRANDMEMBER K 2
ZRANDMEMBER K 2 WITHSCORES
ZRANGE K 0 -1
ZRANGE K 0 -1 WITHSCORES
ZRANGEBYLEX K - +
ZRANGEBYSCORE K 0 1
ZRANK K m
ZREVRANGE K 0 -1
ZREVRANGEBYLEX K + -
ZREVRANGEBYSCORE K 1 0
ZREVRANK K m
ZSCAN K 0
ZSCORE K m
ZUNION 2 K K WITHSCORES
"""
# Their keys are not told by where they stand, or they are about no key.
NOT_ANSWERED = {"dbsize", "eval_ro", "evalsha_ro", "fcall_ro", "keys", "lolwut", "randomkey", "scan"}


def reads(key):
    return [[key if word == "K" else word for word in line.split()]
            for line in READS.strip().splitlines()]


def test_a_miss_is_what_redis_says(w):
    """Each read, in both protocols: byte for byte what Redis answers of an absent key."""
    redis = w.redis()
    larder = outage_larder(w, redis, {"miss": MISS})
    expected = {}
    for proto in (2, 3):
        direct = redis.direct(proto)
        for words in reads("miss:k"):
            expected[proto, tuple(words)] = direct.raw(*words)
        direct.close()
    asked = {words[0].lower() + ("|" + words[1].lower() if words[0] in ("OBJECT", "XINFO", "MEMORY")
                                 else "") for words in reads("k")}
    names = {row[0].decode() for row in redis.cmd("COMMAND") if b"readonly" in row[2]}
    names |= {sub[0].decode() for row in redis.cmd("COMMAND") for sub in row[9]
              if b"readonly" in sub[2]}
    assert names - asked == NOT_ANSWERED, (names - asked) ^ NOT_ANSWERED
    conns = {2: w.conn(larder), 3: w.conn(larder, 3)}
    kill(redis, larder)
    for (proto, words), raw in expected.items():
        got = conns[proto].raw(*words)
        assert got == raw, f"RESP{proto} {' '.join(words)}: {got!r}, Redis {raw!r}"


def test_at_once_and_in_order(w):
    """A pipeline in an outage: no request waits, none overtakes."""
    redis = w.redis()
    larder = outage_larder(w, redis, {"miss": MISS, "open": OPEN}, up={"command_timeout": "30s"})
    for proto in (2, 3):
        c = w.conn(larder, proto)
        kill(redis, larder)
        for _ in range(50):
            assert timed(c, "GET", "miss:k", deadline=1) is None
        many = []
        for i in range(200):
            many += [("GET", "miss:k"), ("PING",), ("EXISTS", "miss:a", "miss:b"),
                     ("INCR", "open:n"), ("ECHO", str(i))]
        got = c.pipeline(many)
        for i in range(200):
            assert got[5 * i:5 * i + 5] == [None, b"PONG", 0, 1, str(i).encode()], got[5 * i:][:5]
        back(redis, larder)
        assert c.cmd("SET", "miss:k", "v") == b"OK"
        assert c.cmd("GET", "miss:k") == b"v"
        assert c.cmd("DEL", "miss:k") == 1


def test_other_keys_are_errors(w):
    """Keys of no policy, or of on_outage = error, alone or among others; what is no read."""
    redis = w.redis()
    larder = outage_larder(w, redis, {"miss": MISS, "error": {}}, up={"command_timeout": "300ms"})
    c = w.conn(larder)
    kill(redis, larder)
    for words in (("GET", "x"), ("GET", "error:k"), ("MGET", "miss:k", "error:k"),
                  ("MGET", "miss:k", "x"), ("SET", "miss:k", "v"), ("INCR", "miss:k"),
                  ("DEL", "miss:k"), ("LPOP", "miss:k"), ("GETDEL", "miss:k"), ("KEYS", "miss:*"),
                  ("EVAL", "return 1", 1, "miss:k"), ("EVAL_RO", "return 1", 1, "miss:k"),
                  ("XREAD", "BLOCK", 5, "STREAMS", "miss:k", "0"), ("BLPOP", "miss:k", 1),
                  ("GETEX", "miss:k", "EX", 3), ("SINTER", "miss:k", "x")):
        assert is_upstream(c.cmd(*words)), words
    assert c.cmd("GET", "miss:k") is None


def test_stale(w):
    """What was kept is given: values, hashes, absence; what was not is missed."""
    redis = w.redis()
    larder = outage_larder(w, redis, {"stale": STALE, "miss": MISS})
    conns = [w.conn(larder), w.conn(larder, 3)]
    direct = redis.direct()
    direct.ok("SET", "stale:s", "value", "EX", 1000)
    direct.ok("SET", "stale:forever", "x" * 20000)
    direct.ok("HSET", "stale:h", "f", 1, "g", 2)
    direct.ok("SET", "miss:s", "there")
    direct.close()
    before = []
    asked = [("GET", "stale:s"), ("GET", "stale:forever"), ("HGETALL", "stale:h"),
             ("GET", "stale:none"), ("TYPE", "stale:s"), ("EXISTS", "stale:s"),
             ("HGET", "stale:h", "g"), ("HMGET", "stale:h", "g", "nope"), ("TTL", "stale:forever"),
             ("EXISTS", "stale:s", "stale:none", "stale:h", "stale:forever")]
    for c in conns:
        for words in asked:
            c.cmd(*words)
        before.append([c.raw(*words) for words in asked[:-1]])
        assert c.cmd("GET", "miss:s") == b"there"
    kill(redis, larder)
    for c, known in zip(conns, before):
        for words, raw in zip(asked, known):
            assert c.raw(*words) == raw, words
        assert 990 < c.cmd("TTL", "stale:s") <= 1000
        assert 990000 < c.cmd("PTTL", "stale:s") <= 1000000
        # kept as a value: s and forever
        assert c.cmd(*asked[-1]) == 2
        assert c.cmd("MGET", "stale:s", "stale:none", "miss:s", "stale:other") == [
            b"value", None, None, None]
        assert c.cmd("GET", "stale:unread") is None
        assert c.cmd("STRLEN", "stale:s") == 0
    row = policy_row(larder, "stale")
    assert int(row["outage-stale"]) >= 20 and int(row["outage-missed"]) >= 6, row
    assert int(policy_row(larder, "miss")["outage-missed"]) == 2
    assert larder.stats()["outage_begun"] == 1
    why = conns[0].cmd("LARDER", "WHY", "GET", "stale:s").decode()
    assert why.startswith("decision=outage"), why
    back(redis, larder)
    armed(larder)
    # Redis has come back empty: nothing of before is served
    for c in conns:
        assert c.cmd("GET", "stale:s") is None
        assert c.cmd("HGETALL", "stale:h") == []
        assert c.cmd("MGET", "stale:s", "stale:forever") == [None, None]


def test_stale_twice(w):
    """A value that was not read between two outages is still there in the second, one that was
    written by another client in between is not."""
    redis = w.redis()
    larder = outage_larder(w, redis, {"stale": STALE})
    c = w.conn(larder)
    for key in ("stale:a", "stale:b", "stale:d"):
        assert c.cmd("SET", key, "1") == b"OK"
        assert c.cmd("GET", key) == b"1"
    kill(redis, larder)
    back(redis, larder)
    armed(larder)
    redis.cmd("SET", "stale:b", "2")
    assert c.cmd("SET", "stale:d", "2") == b"OK"
    # the push has come when this is known
    eventually(lambda: b"nothing kept" in c.cmd("LARDER", "KEY", "stale:b"))
    kill(redis, larder)
    assert c.cmd("MGET", "stale:a", "stale:b", "stale:d") == [b"1", None, None]


def test_expired_values(w):
    """Up to stale_ttl behind the expiry, whether that was the key's or local_ttl's; not longer."""
    clock = w.clock()
    redis = clock.redis()
    ini = outage_ini(redis, {
        "short": {**STALE, "stale_ttl": "10s", "local_ttl": "1h"},
        "long": {**STALE, "stale_ttl": "1h", "local_ttl": "20s"},
        "none": {"local": "yes", "on_outage": "miss"}})
    larder = clock.larder(redis, ini=ini)
    armed(larder)
    c = w.conn(larder)
    for key in ("short:k", "none:k"):
        c.ok("SET", key, "v", "EX", 30)
        assert c.cmd("GET", key) == b"v"
    c.ok("SET", "long:k", "v")
    assert c.cmd("GET", "long:k") == b"v"
    kill(redis, larder)
    assert c.cmd("MGET", "short:k", "long:k", "none:k") == [b"v", b"v", None]
    clock.move(35)
    assert c.cmd("MGET", "short:k", "long:k") == [b"v", b"v"]
    assert c.cmd("TTL", "short:k") == 0
    clock.move(10)
    assert c.cmd("MGET", "short:k", "long:k") == [None, b"v"]
    clock.move(3600)
    assert c.cmd("MGET", "short:k", "long:k") == [None, None]


def outage_ini(redis, sections):
    from servers import make_ini
    ini = make_ini(("127.0.0.1", 0), redis, None, {"address": "127.0.0.1:@PORT@"},
                   {**QUICK, "command_timeout": "1d", "link_idle_timeout": "1d"})
    ini += "[cache]\ncoherence_timeout = 1h\n"
    for name, rows in sections.items():
        ini += f"[policy {name}]\nprefix = {name}:\n"
        ini += "".join(f"{k} = {v}\n" for k, v in rows.items())
    return ini


def test_open(w):
    """Rate limiters: who counts is let through."""
    redis = w.redis()
    larder = outage_larder(w, redis, {"open": OPEN})
    for proto in (2, 3):
        c = w.conn(larder, proto)
        assert c.cmd("INCR", "open:n") == 1 + 7 * (proto - 2)
        assert c.cmd("INCRBY", "open:n", 6) == 7 + 7 * (proto - 2)
        kill(redis, larder)
        assert c.pipeline([("INCR", "open:n"), ("INCRBY", "open:n", 5), ("DECR", "open:n"),
                           ("DECRBY", "open:n", 5), ("INCRBYFLOAT", "open:n", "2.5"),
                           ("HINCRBY", "open:h", "f", 3), ("HINCRBYFLOAT", "open:h", "f", 3),
                           ("EXPIRE", "open:n", 60), ("EXPIRE", "open:n", 60, "NX"),
                           ("PEXPIRE", "open:n", 60), ("EXPIREAT", "open:n", 60),
                           ("PEXPIREAT", "open:n", 60), ("TTL", "open:n"), ("PTTL", "open:n"),
                           ("GET", "open:n"), ("MGET", "open:n", "open:m")]) == [
            1, 1, 1, 1, b"1", 1, b"1", 1, 1, 1, 1, 1, -1, -1, None, [None, None]]
        assert is_upstream(c.cmd("SET", "open:lock", 1, "NX", timeout=20)), "a lock is not given"
        redis.start()
        eventually(lambda: not is_out(larder))
        redis.cmd("SET", "open:n", 7)
    assert int(policy_row(larder, "open")["outage-opened"]) == 24


def test_loading(w):
    """-LOADING and -MASTERDOWN count as an outage; other errors do not."""
    said = [b""]

    def script(link, argv):
        return said[0] if said[0] and argv[0] in (b"GET", b"MGET", b"INCR") else None

    fake = w.add(FakeRedis(script))
    larder = outage_larder(w, fake, {"miss": MISS, "open": OPEN, "error": {}})
    c = w.conn(larder)
    assert c.cmd("GET", "miss:k") == b"miss:k:value"
    for text in (b"-LOADING Redis is loading the dataset in memory\r\n",
                 b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set\r\n"):
        said[0] = text
        for _ in range(20):
            assert c.cmd("GET", "miss:k") is None
            assert c.cmd("MGET", "miss:k", "miss:l") == [None, None]
            assert c.cmd("INCR", "open:k") == 1
        assert c.raw("GET", "error:k") == text
        said[0] = b"-OOM command not allowed\r\n"
        eventually(lambda: c.cmd("GET", "miss:k") == b"OOM command not allowed")
        said[0] = b""
        eventually(lambda: c.cmd("GET", "miss:k") is not None)


def test_loading_kept(w):
    """The same of what the near cache asks for."""
    fake = w.add(NearRedis(**{"stale:k": "v", "stale:l": "w"}))
    larder = outage_larder(w, fake, {"stale": STALE})
    a, b = w.conn(larder), w.conn(larder)
    assert a.cmd("GET", "stale:k") == b"v"
    fake.push(b"stale:l")
    loading = b"-LOADING Redis is loading the dataset in memory\r\n"
    gate = fake.hold("GET", "stale:l")
    a.send_cmd("GET", "stale:l")
    gate.wait()
    b.send_cmd("GET", "stale:l")
    eventually(lambda: larder.stats()["cache_coalesced"] == 1)
    gate.release(loading)
    assert a.reply() is None
    assert b.reply() is None
    assert a.cmd("GET", "stale:k") == b"v"
    # nobody has said so for a while
    eventually(lambda: not is_out(larder))
    assert a.cmd("GET", "stale:l") == b"w"


def test_the_link_breaks(w):
    """Reads whose link breaks get the outage's answer, in their order; writes their error."""
    fake = w.add(NearRedis(**{"stale:k": "v"}))
    larder = outage_larder(w, fake, {"stale": STALE, "miss": MISS})
    a, b = w.conn(larder), w.conn(larder, 3)
    assert a.cmd("GET", "stale:k") == b"v"
    gate = fake.hold("SET", "stale:w", run=False)
    a.send(encode_all([("SET", "stale:w", "1"), ("GET", "stale:k"), ("GET", "miss:k"),
                       ("PING",), ("HGETALL", "miss:h"), ("GET", "x")]))
    gate.wait()
    link = gate.link
    link.close()
    gate.release()
    got = a.replies(6)
    assert is_upstream(got[0]) and b"unknown whether" in got[0], got
    assert got[1] == b"v" and got[2] is None and got[3] == b"PONG" and got[4] == [], got
    assert is_upstream(got[5]), got
    # who joined a question on it is asked for again
    eventually(lambda: not is_out(larder))
    assert b.cmd("GET", "miss:k") is None


def test_no_answer_in_time(w):
    """A stopped server: the read that waited is answered by its policy at its deadline."""
    redis = w.redis()
    larder = outage_larder(w, redis, {"stale": STALE, "miss": MISS},
                           up={"command_timeout": "300ms"})
    c = w.conn(larder)
    c.ok("SET", "stale:k", "v")
    assert c.cmd("GET", "stale:k") == b"v"
    redis.signal(signal.SIGSTOP)
    try:
        for _ in range(3):
            assert timed(c, "GET", "miss:k") is None
            got = timed(c, "HGETALL", "stale:h")
            assert got == [], got
            assert timed(c, "MGET", "stale:k", "miss:k") == [b"v", None]
        assert is_upstream(timed(c, "SET", "stale:k", "w"))
    finally:
        redis.signal(signal.SIGCONT)
    eventually(lambda: not is_out(larder) and larder.stats()["cache_trust"] == 2)
    assert c.cmd("GET", "stale:k") == redis.cmd("GET", "stale:k")


def test_a_large_answer_is_cut(w):
    """Half of a reply is out: nothing can stand in for the rest."""
    def script(link, argv):
        if argv[0] == b"GET" and argv[1] == b"miss:big":
            link.send(b"$10000000\r\n" + b"x" * 3000000)
            link.cut()
        return None

    fake = w.add(FakeRedis(script))
    larder = outage_larder(w, fake, {"miss": MISS})
    c = w.conn(larder)
    c.send(encode("GET", "miss:big"))
    assert c.rest().startswith(b"$10000000\r\n")


def test_reload(w):
    """Policies change; what they have counted stays."""
    redis = w.redis()
    larder = outage_larder(w, redis, {"a": MISS}, up={"command_timeout": "300ms"})
    c = w.conn(larder)
    kill(redis, larder)
    assert c.cmd("GET", "a:k") is None
    with open(larder.config) as f:
        text = f.read()
    with open(larder.config, "w") as f:
        f.write(text + "[policy b]\nprefix = b:\non_outage = miss\n")
    larder.signal(signal.SIGHUP)
    eventually(lambda: not isinstance(c.cmd("GET", "b:k"), Error))
    assert c.cmd("GET", "a:k") is None
    assert int(policy_row(larder, "a")["outage-missed"]) == 2
