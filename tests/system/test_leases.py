"""Leases: of many that miss a key one is told so and loads it, the others wait for the value."""
import time

from crowd import Crowd
from leases import HASH, Leases, missed, reads, ready
from resp import SLOW, Error, Status, encode, encode_all
from servers import Skip, raise_file_limit, sanitized, scaled

LOAD = 0.2 * SLOW  # seconds that it takes to load a value
LEASE_TTL = 3      # times SLOW, of the crowds


# crowds

def crowd(w, keys, count=1000, **more):
    """So many at once, by turns for each of the keys; nobody's wait is cut short."""
    raise_file_limit()
    s = Leases(w, lease_wait=f"{int(10 * SLOW)}s", lease_ttl=f"{int(1000 * LEASE_TTL * SLOW)}ms",
               sections={"larder": {"max_clients": 2 * count}})
    names = [f"key:{n % keys}" for n in range(count)]
    found = w.add(Crowd(s.larder.address, names, LOAD, **more))
    found.run()
    s.rest()
    assert s.since("timed_out") == s.since("interrupted") == 0, s.counters()
    return s, found


def test_one_loads_for_a_thousand(w):
    s, found = crowd(w, 1)
    assert found.loads == {"key:0": 1}, found.loads
    assert len(found.waits) == 999 and found.longest() < LOAD + 2 * SLOW, found.longest()
    assert s.since("granted") == s.since("loaded") == 1, s.counters()


def test_one_loads_each_of_a_hundred(w):
    s, found = crowd(w, 100)
    assert set(found.loads.values()) == {1}, found.loads
    assert len(found.waits) == 900 and found.longest() < LOAD + 2 * SLOW, found.longest()
    assert s.since("granted") == s.since("loaded") == 100, s.counters()


def test_without_leases_everybody_loads(w):
    """Which shows that the others are a crowd indeed."""
    s = Leases(w, stampede="no")
    found = w.add(Crowd(s.larder.address, ["key:0"] * 100, LOAD))
    found.run()
    assert found.loads == {"key:0": 100}
    s.rest()
    assert s.since("granted") == 0


def test_holder_dies_and_another_loads(w):
    s, found = crowd(w, 1, dies=lambda member, before: before == 0)
    assert found.loads == {"key:0": 2}, found.loads
    assert found.longest() <= (LEASE_TTL + 0.05) * SLOW, found.longest()
    assert s.since("promoted") == 1 and s.since("loaded") == 1, s.counters()


def test_holders_of_a_hundred_keys_die(w):
    s, found = crowd(w, 100, dies=lambda member, before: before == 0)
    assert set(found.loads.values()) == {2}, found.loads
    assert found.longest() <= (LEASE_TTL + 0.05) * SLOW, found.longest()
    assert s.since("promoted") == s.since("loaded") == 100, s.counters()


def test_holders_die_one_after_the_other(w):
    _, found = crowd(w, 1, count=50, dies=lambda member, before: before < 5)
    assert found.loads == {"key:0": 6} and len(found.waits) == 44, found.loads


def test_a_large_value_is_given_to_all(w):
    _, found = crowd(w, 2, count=500, size=50_000)
    assert set(found.loads.values()) == {1} and len(found.waits) == 498


def test_one_loads_what_has_expired(w):
    """The first read makes Redis remove it and tell so, which does not let a second one load it."""
    for ahead in ("no", "yes"):
        clock = w.clock()
        s = Leases(w, clock=clock, refresh_ahead=ahead)
        s.redis.cmd("DEBUG", "SET-ACTIVE-EXPIRE", 0)
        conns = [s.conn(2 + n % 2) for n in range(20)]
        s.hold("k", conn=conns[0]).ok("SET", "k", "v", "PX", 5000)
        for _ in range(10):
            for conn in conns:
                assert conn.cmd("GET", "k") == b"v"
            clock.move(6)
            for conn in conns:
                conn.send(encode("GET", "k"))
            holder, others = s.one_misses(conns)
            s.old()
            holder.ok("SET", "k", "v", "PX", 5000)
            s.all_get(others, b"v")
        assert s.since("granted") == s.since("loaded") == 11, s.counters()
        assert s.since("promoted") == s.since("voided") == 0, s.counters()


def test_ten_thousand_that_wait(w):
    """2 KB each at most, connection and all; served, and nobody else is kept waiting meanwhile."""
    count = scaled(10_000)
    if raise_file_limit() < count + 1000:
        raise Skip("too few descriptors")
    s = Leases(w, sections={"larder": {"max_clients": count + 100}})
    holder = s.hold("k")
    before = s.larder.rss_kb()
    waiting = [s.conn() for _ in range(count)]
    for conn in waiting:
        conn.send(encode("GET", "k"))
    s.are(1, count)
    each = (s.larder.rss_kb() - before) * 1024 / count
    assert each <= 2048 or sanitized(), f"{each:.0f} bytes each"
    holder.ok("SET", "k", "v")
    s.all_get(waiting, b"v")
    s.rest()


test_ten_thousand_that_wait.timeout = 120


# who waits

def test_waiters_get_what_was_loaded(w):
    s = Leases(w)
    for key, proto in (("a", 2), ("b", 3)):
        holder = s.hold(key, proto=proto)
        waiting = s.park(("GET", key), 4)
        s.are(1, 4)
        holder.ok("SET", key, "v")
        s.all_get(waiting, b"v")
        s.rest()
        assert s.conn(proto).cmd("GET", key) == b"v"
    assert s.since("granted") == s.since("loaded") == 2


def test_every_read_waits_and_begins(w):
    """Whatever says first that the key is missing, everything that reads the key waits."""
    s = Leases(w)
    for number in range(len(reads("k"))):
        for proto in (2, 3):
            key = f"k{number}:{proto}"
            first = reads(key)[number]
            holder = s.hold(key, *first, proto=proto)
            waiting = [s.park(read, 2) for read in reads(key)]
            holder.ok("HSET", key, *HASH)
            for read, conns in zip(reads(key), waiting):
                for conn, version in zip(conns, (2, 3)):
                    same = w.conn(s.redis, version).raw(*read)
                    assert conn.raw_reply() == same, (first, read, version)
            s.rest()


def test_waiting_for_another_type_is_an_error(w):
    s = Leases(w)
    holder = s.hold("k")
    waiting, others = s.park(("HGETALL", "k"), 2), s.park(("GET", "k"), 2)
    holder.ok("SET", "k", "v")
    for conn in waiting:
        assert conn.reply().startswith(b"WRONGTYPE ")
    s.all_get(others, b"v")
    s.rest()


def test_a_field_that_is_missing_is_no_missing_key(w):
    s = Leases(w)
    s.redis.cmd("HSET", "hash", "other", "1")
    for read in (("HGET", "hash", "f"), ("HMGET", "hash", "f", "g")):
        for proto in (2, 3):
            assert missed(s.conn(proto).cmd(*read)) and missed(s.conn(proto).cmd(*read))
    s.rest()
    assert s.since("granted") == 0


def test_one_key_of_mget_is_kept(w):
    """It was kept by a name that it was not looked for by: each was asked upstream."""
    s = Leases(w)
    for proto in (2, 3):
        conn = s.conn(proto)
        for value in (b"v", b"w"):
            s.changed("SET", "k", value)
            assert conn.cmd("MGET", "k") == [value]
            asked = s.calls("mget")
            assert conn.pipeline([("MGET", "k")] * 3) == [[value]] * 3
            assert s.conn(proto).cmd("MGET", "k") == [value]
            assert s.calls("mget") == asked
    s.rest()


def test_who_cannot_wait_is_answered(w):
    """As without leases: while another loads the key."""
    s = Leases(w, more="[policy plain]\nprefix = plain:\nlocal = yes\n")
    s.hold("k")
    for proto in (2, 3):
        c = s.conn(proto)
        assert s.at_once(c, "MGET", "k", "l") == [None, None]
        assert s.at_once(c, "EXISTS", "k", "k") == 0
        for command in (("STRLEN", "k"), ("TYPE", "k"), ("TTL", "k"), ("HLEN", "k"),
                        ("GETRANGE", "k", 0, -1), ("LLEN", "k")):
            s.at_once(c, *command)
        c.ok("MULTI")
        assert s.at_once(c, "GET", "k") == b"QUEUED"
        assert c.cmd("EXEC") == [None]
        c.ok("WATCH", "w")
        assert s.at_once(c, "GET", "k") is None
        c.ok("UNWATCH")
        assert c.pipeline([("GET", "k"), ("PING",)]) == [None, b"PONG"]
        assert c.pipeline([("GET", "k")] * 20 + [("PING",)]) == [None] * 20 + [b"PONG"]
        assert s.at_once(c, "GET", "plain:k") is None and s.at_once(c, "GET", "plain:k") is None
    for words in (("CLIENT", "REPLY", "ON"), ("SELECT", 0), ("CLIENT", "SETNAME", "x")):
        c = s.conn()
        c.ok(*words)
        s.park_on([c], ("GET", "k"))  # these are plain all the same


def test_with_replies_off_nobody_waits(w):
    s = Leases(w)
    holder = s.hold("k")
    c = s.conn()
    c.send(encode_all([("CLIENT", "REPLY", "OFF"), ("GET", "k"), ("CLIENT", "REPLY", "ON")]))
    assert c.reply() == b"OK"
    c.send(encode_all([("CLIENT", "REPLY", "OFF"), ("GET", "k")]))
    s.round()
    s.are(1, 0)
    c.send(encode("CLIENT", "REPLY", "ON"))
    assert c.reply() == b"OK"
    holder.ok("SET", "k", "v")
    s.rest()


def test_the_holder_never_waits(w):
    s = Leases(w)
    for proto in (2, 3):
        holder = s.hold("a", proto=proto)
        for read in reads("a"):
            assert missed(s.at_once(holder, *read)), read
        other = s.hold("b")
        assert s.at_once(holder, "GET", "b") is None  # holding one, it waits for no other
        assert s.at_once(other, "GET", "a") is None
        holder.close()
        other.close()
        s.rest()


def test_nothing_missing_is_kept(w):
    """A nil is no answer for others: the next one that asks is asked for, and begins anew."""
    s = Leases(w)
    for turn in range(3):
        before = s.calls("get")
        holder = s.hold("k")
        holder.close()
        s.rest()
        assert s.calls("get") == before + 1, turn
    assert s.since("granted") == 3 and s.since("promoted") == 0


def test_databases_are_apart(w):
    s = Leases(w)
    holder = s.hold("k")
    there = s.conn()
    there.ok("SELECT", 3)
    s.hold("k", conn=there)
    waiting = s.park(("GET", "k"), 2)
    there.ok("SET", "k", "there")
    s.round()
    # Redis tells of a changed key without its database: one of them may have been told to load it
    assert len(ready(waiting)) <= 1
    holder.ok("SET", "k", "here")
    s.all_get(waiting, b"here", None)
    s.rest()


def test_keys_with_odd_names(w):
    s = Leases(w)
    for key in (b"", b"\r\n", b"\x00", b"k" * 20_000, b"a b c", "schl\u00fcssel".encode()):
        holder = s.hold(key, "GET", key)
        waiting = s.park(("GET", key), 2)
        assert len(s.lines()) == 1
        holder.ok("SET", key, "v")
        s.all_get(waiting, b"v")
        s.rest()


# how long

def test_lease_wait_is_kept(w):
    """Not before, and not 10 ms after; some of them, where other processes want the machine too."""
    s = Leases(w, lease_wait="150ms")
    s.hold("k")
    late = []
    for turn in range(14):
        c = s.conn(2 + turn % 2)
        begin = time.monotonic()
        assert c.cmd("GET", "k") is None
        late.append(time.monotonic() - begin - 0.15)
    assert min(late) > -0.003, late
    assert sorted(late)[len(late) // 4] < 0.01 * SLOW, late
    assert s.since("timed_out") == 14
    s.are(1, 0)


def test_who_waited_for_nothing_loads_itself(w):
    """After lease_wait each loads for itself; the lease goes on, and ends with the first value."""
    s = Leases(w, lease_wait="200ms")
    holder = s.hold("k")
    c = s.conn()
    assert c.cmd("GET", "k") is None
    s.are(1, 0)
    waiting = s.conn()
    waiting.send_cmd("GET", "k")
    c.ok("SET", "k", "mine")
    assert waiting.reply() in (b"mine", None)
    s.rest()
    holder.ok("SET", "k", "late")
    assert s.conn().cmd("GET", "k") == b"late"


# the console

def test_console_tells_the_leases(w):
    s = Leases(w)
    holder = s.conn()
    number = holder.cmd("CLIENT", "ID")
    assert s.lines() == []
    s.hold("some:key", conn=holder)
    waiting = s.park(("GET", "some:key"), 3)
    other = s.hold("other:key", proto=3)
    lines = s.lines()
    assert len(lines) == 2, lines
    line = next(x for x in lines if "some:key" in x)
    assert "waiting=3" in line and str(number) in line, line
    assert "waiting=0" in next(x for x in lines if "other:key" in x)
    for c in (s.conn(2), s.conn(3)):
        assert not isinstance(c.cmd("LARDER", "LEASES"), Error)
    holder.ok("SET", "some:key", "v")
    s.all_get(waiting, b"v")
    other.close()
    s.rest()


def test_miss_says_that_there_is_nothing(w):
    """LARDER MISS: all are told, and nobody asks or loads for negative_ttl."""
    clock = w.clock()
    s = Leases(w, clock=clock, negative_ttl="1m")
    for proto in (2, 3):
        holder = s.hold("k", proto=proto)
        waiting = s.park(("GET", "k"), 4) + s.park(("HGETALL", "k"), 2)
        assert holder.cmd("LARDER", "MISS", "k") == b"OK"
        s.all_miss(waiting)
        s.rest()
        granted, asked = s.since("granted"), s.calls("get")
        for c in (holder, *waiting, s.conn()):
            assert s.at_once(c, "GET", "k") is None
        assert s.since("granted") == granted and s.calls("get") == asked
        clock.move(61)
        holder = s.hold("k")
        holder.close()
        s.rest()
    assert s.since("lapsed") == 2, s.counters()


def test_miss_ends_with_the_next_write(w):
    s = Leases(w)
    holder = s.hold("k")
    assert holder.cmd("LARDER", "MISS", "k") == b"OK"
    assert s.at_once(s.conn(), "GET", "k") is None
    s.changed("SET", "k", "v")
    assert s.conn().cmd("GET", "k") == b"v"
    s.changed("DEL", "k")
    s.hold("k").close()
    s.rest()


def test_miss_of_what_nobody_holds(w):
    s = Leases(w)
    s.redis.cmd("SET", "there", "v")
    for c in (s.conn(2), s.conn(3)):
        for words in (("MISS", "there"), ("MISS", "none")):
            assert isinstance(c.cmd("LARDER", *words), (Status, Error)), words
        for words in (("MISS",), ("MISS", "a", "b"), ("LEASES", "x", "y", "z")):
            assert isinstance(c.cmd("LARDER", *words), Error), words
        assert c.cmd("GET", "there") == b"v"
    s.rest()


def test_counters_are_there(w):
    s = Leases(w)
    names = {"held", "waiting", "granted", "promoted", "lapsed", "voided", "loaded", "timed_out",
             "interrupted", "no_park"}
    assert names <= set(s.counters()), names - set(s.counters())
    assert not any(s.counters().values())
