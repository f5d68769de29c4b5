"""Every way to say that a key is missing, before every way to load it: from the connection that was
told to, or from another one of its pool. Who waits gets what Redis itself would say."""
import re

from leases import Leases, reads, ready
from resp import Error, encode

ANOTHER = "another"  # a key that is there


# Each makes the key where there was none; K is its name. A list is one pipeline.
def strings(k):
    script = "return redis.call('SET', KEYS[1], ARGV[1])"
    return [("SET", k, "v"), ("SET", k, "v", "EX", 100), ("SET", k, "v", "PX", 100_000),
            ("SET", k, "v", "NX"), ("SET", k, "v", "NX", "EX", 100), ("SET", k, "v", "KEEPTTL"),
            ("SET", k, "v", "GET"), ("SET", k, "v", "EXAT", 4102444800), ("SETEX", k, 100, "v"),
            ("PSETEX", k, 100_000, "v"), ("SETNX", k, "v"), ("GETSET", k, "v"),
            ("MSET", k, "v"), ("MSET", ANOTHER, "x", k, "v"), ("MSETNX", k, "v", k + ":2", "x"),
            ("APPEND", k, "v"), ("INCR", k), ("INCRBYFLOAT", k, "1.5"), ("SETRANGE", k, 2, "v"),
            ("SETBIT", k, 7, 1), ("COPY", ANOTHER, k), ("PFADD", k, "v"),
            ("BITOP", "NOT", k, ANOTHER), ("EVAL", script, 1, k, "v"),
            ("LARDER", "MSETEX", 100_000, k, "v"),
            ("LARDER", "MSETEX", 100_000, ANOTHER, "x", k, "v"),
            [("SET", k, "v"), ("EXPIRE", k, 100)],
            [("MULTI",), ("SET", k, "v"), ("EXPIRE", k, 100), ("EXEC",)],
            [("MULTI",), ("INCR", ANOTHER + ":n"), ("SETEX", k, 100, "v"), ("EXEC",)],
            [("PING",), ("SET", k, "v"), ("GET", ANOTHER)],
            [("RENAME", k + ":old", k)], [("RESTORE", k, 0, "DUMP")]]


def hashes(k):
    script = "redis.call('HMSET', KEYS[1], 'f', ARGV[1], 'g', 'x') redis.call('EXPIRE', KEYS[1], 9)"
    return [("HSET", k, "f", "v"), ("HSET", k, "f", "v", "g", "x"), ("HMSET", k, "f", "v"),
            ("HSETNX", k, "f", "v"), ("HINCRBY", k, "f", 3), ("HINCRBYFLOAT", k, "f", "0.5"),
            ("EVAL", script, 1, k, "v"),
            [("HMSET", k, "f", "v", "g", "x"), ("EXPIRE", k, 100)],
            [("HSET", k, "f", "v"), ("PEXPIRE", k, 100_000)],
            [("MULTI",), ("HMSET", k, "f", "v"), ("EXPIRE", k, 100), ("EXEC",)]]


def others(k):
    """What else may lie under the name."""
    return [("LPUSH", k, "v"), ("SADD", k, "v"), ("ZADD", k, 1, "v"), ("XADD", k, "*", "f", "v"),
            ("SUNIONSTORE", k, ANOTHER + ":set")]


# None of these makes the key.
def failures(k):
    return [("SET", k, "v", "XX"), ("SET", k, "v", "XX", "GET"), ("SET", k, "v", "EX", 0),
            ("SET", k, "v", "WRONG"), ("SETEX", k, "soon", "v"), ("MSETNX", k, "v", ANOTHER, "x"),
            ("EXPIRE", k, 100), ("PEXPIRE", k, 100_000), ("PERSIST", k), ("LPUSHX", k, "v"),
            ("RPUSHX", k, "v"), ("ZADD", k, "XX", 1, "v"), ("RENAMENX", ANOTHER, ANOTHER),
            ("COPY", "none", k), ("HDEL", k, "f"), ("SREM", k, "v"), ("LREM", k, 0, "v"),
            ("LSET", k, 0, "v"), ("RPOP", k), ("INCRBY", k, "x"), ("HINCRBYFLOAT", k, "f", "x"),
            ("XADD", k, "NOMKSTREAM", "*", "f", "v"), ("HINCRBY", k, "f", "x"),
            ("EVAL", "return 1", 1, k), ("EVAL", "return redis.call('GET', KEYS[1])", 1, k),
            ("EVAL", "return redis.error_reply('no')", 1, k), ("EVALSHA", "0" * 40, 1, k),
            ("LARDER", "MSETEX", "soon", k, "v"), ("LARDER", "MSETEX", 100_000, k),
            [("MULTI",), ("SET", k, "v", "XX"), ("EXEC",)],
            [("MULTI",), ("SET", k, "v"), ("DISCARD",)],
            [("MULTI",), ("SET", k), ("EXEC",)]]


def each_load(k):
    return strings(k) + hashes(k) + others(k)


def prepare(s, key):
    """What some of the commands read."""
    s.redis.cmd("SET", ANOTHER, "v")
    s.redis.cmd("SADD", ANOTHER + ":set", "v")
    s.redis.cmd("SET", key + ":old", "v")
    return s.redis.cmd("DUMP", ANOTHER)


def commands_of(load, dump):
    load = load if isinstance(load, list) else [load]
    return [tuple(dump if word == "DUMP" else word for word in command) for command in load]


def name_of(load):
    words = " ".join(str(x) for command in (load if isinstance(load, list) else [load])
                     for x in command)
    return re.sub(r"[^ -~]", "?", words)[:60]


class Matrix:
    """For each read as the first a pool of connections, used again for each load."""

    def __init__(self, w):
        self.s = Leases(w)
        self.conns = {proto: [self.s.conn(proto) for _ in range(8)] for proto in (2, 3)}
        self.direct = {proto: w.conn(self.s.redis, proto) for proto in (2, 3)}
        self.round = 0

    def run(self, first, load_of, by_another):
        """Missed by `first`, loaded by the number load_of of each_load()."""
        self.round += 1
        key, proto = f"k{self.round}", 2 + self.round % 2
        dump = prepare(self.s, key)
        load = commands_of(each_load(key)[load_of], dump)
        what = (first, name_of(load), "another" if by_another else "the holder")
        holder, loader, *_ = self.conns[proto]
        self.s.hold(key, *reads(key)[first], conn=holder)
        waiting = []
        for number, read in enumerate(reads(key)):
            version = 2 + (self.round + number) % 2
            conn = self.conns[version][2 + number]
            conn.send(encode(*read))
            waiting.append((conn, version, read))
        self.s.parked([conn for conn, _, _ in waiting])
        for reply in (loader if by_another else holder).pipeline(load):
            assert not isinstance(reply, Error), (what, reply)
        for conn, version, read in waiting:
            same = self.direct[version].raw(*read)
            try:
                reply = conn.raw_reply()
            except AssertionError as e:
                raise AssertionError(f"{what}: {read} over RESP{version}: {e}") from None
            assert reply == same, (what, read, reply, same)
        if load[-1][0] in ("EXPIRE", "PEXPIRE"):
            assert self.direct[2].cmd("PTTL", key) > 0, what
        self.s.rest()


def every_load(w, firsts, which):
    m = Matrix(w)
    for load in range(len(each_load("k"))):
        for first in firsts:
            if which(load, first):
                m.run(first, load, (load + first) % 2 == 0)
    s = m.s
    assert s.since("granted") == m.round, s.counters()
    assert s.since("timed_out") == s.since("interrupted") == s.since("promoted") == 0


def test_loads_after_get(w):
    every_load(w, (0,), lambda load, first: True)


def test_loads_after_mget_and_exists(w):
    every_load(w, (1, 5), lambda load, first: True)


def test_loads_after_hget_and_hmget(w):
    every_load(w, (2, 3), lambda load, first: True)


def test_loads_after_hgetall(w):
    every_load(w, (4,), lambda load, first: True)


def test_loads_by_the_holder_and_by_another(w):
    """Both of them for each, where the others take turns."""
    m = Matrix(w)
    for load in range(len(each_load("k"))):
        for by_another in (True, False):
            m.run(load % 6, load, by_another)


for test in (test_loads_after_mget_and_exists, test_loads_after_hget_and_hmget,
             test_loads_by_the_holder_and_by_another):
    test.timeout = 90
del test


def test_failed_writes_end_nothing(w):
    """Nor does what reads; by the holder or by others: who waits goes on waiting."""
    s = Leases(w)
    prepare(s, "k")
    holder = s.hold("k")
    waiting = [s.park(read)[0] for read in reads("k")]
    for number, failure in enumerate(failures("k")):
        conn = holder if number % 2 else s.conn(2 + number // 2 % 2)
        conn.pipeline(commands_of(failure, b""))
        s.round()
        assert not ready(waiting), (name_of(failure), [c.reply() for c in ready(waiting)])
        counted = s.counters()
        assert (counted["held"], counted["waiting"]) == (1, 6), (name_of(failure), counted)
        assert s.redis.cmd("EXISTS", "k") == 0, name_of(failure)
    assert s.since("voided") == s.since("loaded") == 0, s.counters()
    holder.ok("HSET", "k", "f", "v")
    for conn, read in zip(waiting, reads("k")):
        assert conn.raw_reply() == w.conn(s.redis).raw(*read), read
    s.rest()


def test_a_watched_transaction_that_fails(w):
    s = Leases(w)
    s.redis.cmd("SET", ANOTHER, "1")
    holder = s.hold("k")
    waiting = s.park(("GET", "k"), 3)
    c = s.conn()
    c.ok("WATCH", ANOTHER)
    s.redis.cmd("SET", ANOTHER, "2")
    assert c.pipeline([("MULTI",), ("SET", "k", "v"), ("EXEC",)])[2] is None
    s.round()
    s.parked(waiting)
    holder.ok("SET", "k", "v")
    s.all_get(waiting, b"v")
    s.rest()


def test_writes_of_other_keys_end_nothing(w):
    s = Leases(w)
    holder = s.hold("k")
    waiting = s.park(("GET", "k"), 3)
    script = "return redis.call('SET', KEYS[1], 'k')"
    for command in (("SET", "k2", "v"), ("SET", "K", "v"), ("DEL", "kk"), ("SET", "", "v"),
                    ("MSET", "a", "k", "b", "k"), ("EVAL", script, 1, "l")):
        s.conn().ok(*command)
        s.redis.cmd(*command)
    s.round()
    s.parked(waiting)
    holder.ok("SET", "k", "v")
    s.all_get(waiting, b"v")
    s.rest()
