"""How leases end, and how waiting does: each way once, and what becomes of those who wait."""
import signal
import socket
import time

from leases import NEGATIVE, TTL, WAIT, Leases, missed, ready
from relay import Relay
from resp import SLOW, TIMEOUT, Closed, Error, eventually

GET = ("GET", "k")


def scene(w, waiting=4, **more):
    """A holder of k and so many who wait."""
    s = Leases(w, **more)
    return s, s.hold("k"), s.park(GET, waiting)


def loads(s, holder, waiting, value=b"v"):
    """The present holder loads it, which serves the others."""
    holder.ok("SET", "k", value)
    s.all_get(waiting, value)
    s.rest()


# a value

def test_a_direct_writer_ends_it(w):
    for command in (("SET", "k", "v"), ("SET", "k", "v", "PX", 60_000), ("APPEND", "k", "v")):
        s, _, waiting = scene(w)
        s.redis.cmd(*command)
        s.all_get(waiting, b"v")
        s.rest()
        assert s.since("loaded") == 1 and s.since("promoted") == 0, s.counters()


def test_another_sidecar_ends_it(w):
    s, _, waiting = scene(w)
    other = Leases(w, s.redis)
    other.conn().ok("SET", "k", "v")
    s.all_get(waiting, b"v")
    s.rest()


# voided

def test_deleted_one_loads_again(w):
    """Each DEL lets one more begin: what the others load may be of before."""
    for command in (("DEL", "k"), ("UNLINK", "k"), ("GETDEL", "k"), ("DEL", "other", "k")):
        s, _, waiting = scene(w)
        for turn in range(3):
            s.conn(2 + turn % 2).ok(*command)
            holder, waiting = s.one_misses(waiting)
            s.are(1, len(waiting))
        assert s.since("voided") == 3, (command, s.counters())
        loads(s, holder, waiting)


def test_deleted_by_its_holder(w):
    s, holder, waiting = scene(w)
    assert holder.cmd("DEL", "k") == 0
    chosen, waiting = s.one_misses(waiting)
    loads(s, chosen, waiting)


def test_pushed_and_absent_one_loads_again(w):
    """A direct writer has written and deleted it: nothing is there when larder asks."""
    s, _, waiting = scene(w)
    s.old()
    direct = s.redis.direct()
    direct.pipeline([("MULTI",), ("SET", "k", "x"), ("DEL", "k"), ("EXEC",)])
    direct.close()
    holder, waiting = s.one_misses(waiting)
    assert s.since("voided") == 1
    loads(s, holder, waiting)


def test_flushed_one_loads_again_or_two(w):
    """Redis tells of the flush too, whoever made it: that is a second end."""
    for command in (("FLUSHDB",), ("FLUSHALL",), ("FLUSHALL", "ASYNC")):
        s, _, waiting = scene(w, 6)
        s.conn().ok(*command)
        eventually(lambda: ready(waiting))
        s.round()
        told = ready(waiting)
        assert 1 <= len(told) <= 2, (command, len(told))
        s.all_miss(told)
        others = [c for c in waiting if c not in told]
        s.parked(others)
        loads(s, s.probe, others)


def test_flushed_one_loads_again(w):
    """By a direct writer, and by LARDER FLUSH."""
    s, _, waiting = scene(w)
    s.redis.cmd("FLUSHALL")
    holder, waiting = s.one_misses(waiting)
    s.probe.ok("LARDER", "FLUSH", "ALL")
    holder, waiting = s.one_misses(waiting)
    loads(s, holder, waiting)


def test_voided_without_waiters(w):
    s = Leases(w)
    holder = s.hold("k")
    s.probe.ok("DEL", "k")
    s.rest()
    holder = s.hold("k")
    waiting = s.park(GET, 2)
    loads(s, holder, waiting)


# holders that go

def test_holder_leaves_and_one_is_promoted(w):
    for end in ("close", "rst", "quit", "kill", "half"):
        s, holder, waiting = scene(w, 5)
        for turn in range(3):
            if end == "quit":
                holder.send_cmd("QUIT")
            elif end == "kill":
                assert s.probe.cmd("CLIENT", "KILL", holder.name()) == b"OK"
            elif end == "half":
                holder.sock.shutdown(socket.SHUT_WR)
            else:
                getattr(holder, end)()
            holder, waiting = s.one_misses(waiting)
            s.are(1, len(waiting))
            assert s.since("promoted") == turn + 1, (end, s.counters())
        loads(s, holder, waiting)
        assert s.since("loaded") == 1 and s.since("voided") == 0, s.counters()


def test_holder_leaves_without_waiters(w):
    s = Leases(w)
    for end in ("close", "rst"):
        getattr(s.hold("k"), end)()
        s.rest()
    assert s.since("promoted") == 0


def test_holder_of_many_leaves(w):
    s = Leases(w)
    holder, keys = s.conn(), [f"k{n}" for n in range(50)]
    waiting = {}
    for key in keys:
        s.hold(key, conn=holder)
    for key in keys:
        waiting[key] = s.park(("GET", key), 2)
    s.are(50, 100)
    holder.close()
    for key in keys:
        chosen, waiting[key] = eventually(lambda: ready(waiting[key]))[0], waiting[key]
        assert chosen.reply() is None
        waiting[key].remove(chosen)
        assert chosen.cmd("SET", key, key) == b"OK"
    for key in keys:
        s.all_get(waiting[key], key.encode())
    s.rest()


# time

def lapse(s, clock):
    """Waiters who are there when lease_ttl is over; they have not waited for long."""
    clock.move(TTL - 10)
    waiting = s.park(GET, 3) + s.park(("HGETALL", "k"), 2)
    clock.move(11)
    s.all_miss(waiting)
    s.rest()


def test_lapsed_it_is_known_to_be_absent(w):
    clock = w.clock()
    s = Leases(w, clock=clock)
    holder = s.hold("k")
    lapse(s, clock)
    assert s.since("lapsed") == 1 and s.since("timed_out") == 0, s.counters()
    asked, granted = s.calls("get"), s.since("granted")
    for turn in range(10):
        assert s.at_once(s.conn(2), "GET", "k") is None
        clock.move((NEGATIVE - 2) / 10)
    assert s.calls("get") == asked and s.since("granted") == granted == 1
    clock.move(3)
    again = s.hold("k")
    assert s.since("granted") == 2
    waiting = s.park(GET, 2)
    assert holder.ok("SET", "k", "v") == b"OK"  # who held it first has loaded it at last
    s.all_get(waiting, b"v")
    s.rest()
    again.close()


def test_lapsed_a_write_is_seen(w):
    """Known to be absent is what it is only until somebody writes it."""
    clock = w.clock()
    s = Leases(w, clock=clock)
    holder = s.hold("k")
    lapse(s, clock)
    holder.ok("SET", "k", "late")
    assert s.conn().cmd("GET", "k") == s.conn(3).cmd("GET", "k") == b"late"
    s.rest()


def test_lapsed_without_negative_ttl(w):
    """Not kept as absent, but not leased either for lease_ttl: everybody loads for himself."""
    clock = w.clock()
    s = Leases(w, clock=clock, negative_ttl="0")
    s.hold("k")
    lapse(s, clock)
    asked = s.calls("get")
    for turn in range(10):
        assert s.at_once(s.conn(2 + turn % 2), "GET", "k") is None
        clock.move((TTL - 2) / 10)
    assert s.calls("get") == asked + 10 and s.since("granted") == 1, s.counters()
    clock.move(3)
    holder = s.hold("k")
    loads(s, holder, s.park(GET, 3))


def test_lapsed_without_waiters(w):
    clock = w.clock()
    s = Leases(w, clock=clock)
    s.hold("k")
    s.are(1, 0)
    clock.move(TTL + 1)
    s.rest()
    assert s.since("lapsed") == 1


def test_lease_wait_by_the_clock(w):
    """Each has its own time; the lease goes on without them."""
    clock = w.clock()
    s, holder, first = scene(w, 3, clock=clock)
    clock.move(WAIT / 2)
    second = s.park(GET, 3)
    clock.move(WAIT / 2 + 1)
    s.all_miss(first)
    s.parked(second)
    assert s.since("timed_out") == 3
    loads(s, holder, second)


def test_promoted_has_its_own_lease_ttl(w):
    clock = w.clock()
    s = Leases(w, clock=clock)
    holder = s.hold("k")
    clock.move(TTL - 20)
    waiting = s.park(GET, 3)
    holder.close()
    holder, waiting = s.one_misses(waiting)
    clock.move(WAIT - 5)  # past the first one's
    s.round()
    s.parked(waiting)
    loads(s, holder, waiting)
    assert s.since("lapsed") == 0


# waiters that go

def test_waiter_that_left_is_forgotten(w):
    s, holder, waiting = scene(w, 6)
    for number, end in enumerate(("close", "rst", "close", "rst")):
        getattr(waiting.pop(), end)()
        s.are(1, 5 - number)
    loads(s, holder, waiting)
    s, holder, waiting = scene(w, 2)
    for c in waiting:
        c.rst()
    s.are(1, 0)
    holder.close()  # nobody is there to be promoted
    s.rest()
    assert s.since("promoted") == 0


def test_waiter_that_half_closes(w):
    """It may be told the nil or not; it is forgotten."""
    s, holder, waiting = scene(w, 2)
    waiting[0].sock.shutdown(socket.SHUT_WR)
    s.are(1, 1)
    assert waiting[0].rest() in (b"", b"$-1\r\n", b"_\r\n")
    loads(s, holder, waiting[1:])


def test_killed_waiter_is_forgotten(w):
    s, holder, waiting = scene(w, 3)
    assert s.probe.cmd("CLIENT", "KILL", waiting[0].name()) == b"OK"
    s.are(1, 2)
    assert waiting[0].rest() in (b"", b"$-1\r\n", b"_\r\n")
    loads(s, holder, waiting[1:])


def test_holder_and_waiters_leave_at_once(w):
    s, holder, waiting = scene(w, 100)
    for c in [holder, *waiting[:90]]:
        c.rst()
    chosen, others = s.one_misses(waiting[90:])
    s.are(1, 9)
    loads(s, chosen, others)


# larder and Redis

def test_sigterm_answers_who_waits(w):
    s, _, waiting = scene(w, 6)
    s.larder.expect_exit = True
    s.larder.signal(signal.SIGTERM)
    begin = time.monotonic()
    s.all_miss(waiting)
    for c in waiting:
        c.eof()
    assert s.larder.process.wait(2 * TIMEOUT) == 0
    assert time.monotonic() - begin < 2 * TIMEOUT < WAIT * SLOW


def answered_somehow(conns):
    """Each with the nil, an error or a value; these."""
    found = [c.reply() for c in conns]
    assert all(x is None or x == b"v" or isinstance(x, Error) for x in found), found
    return found


def test_upstream_dies(w):
    """They are told well before lease_wait is over."""
    s, _, waiting = scene(w)
    s.redis.kill()
    answered_somehow(waiting)
    s.are(0, 0)
    s.redis.start()
    s.settle()

    def held():
        c = s.conn()
        return c if c.cmd("GET", "again") is None and s.counters()["held"] else None
    holder = eventually(held)
    waiting = s.park(("GET", "again"), 3)
    holder.ok("SET", "again", "v")
    s.all_get(waiting, b"v")
    s.rest()


def behind_relay(w, **more):
    redis = w.redis()
    relay = w.add(Relay(redis.address))
    relay.cmd = redis.cmd
    return Leases(w, relay, sections={"up": {"backoff_min": "5ms", "backoff_max": "50ms"}}, **more)


def test_links_are_cut(w):
    """Whoever waits has the value in the end, or is told to do without; nobody loads for ever."""
    for _ in range(3):
        s = behind_relay(w, lease_wait=f"{int(2000 * SLOW)}ms")
        holder = s.hold("k")
        waiting = s.park(GET, 4)
        s.redis.cut()
        eventually(lambda: s.stats()["cache_trust"] == 2)
        eventually(lambda: holder.cmd("SET", "k", "v") == b"OK")
        answered_somehow(waiting)
        s.rest()
        eventually(lambda: s.conn().cmd("GET", "k") == b"v")


def test_a_push_that_was_missed(w):
    """Written while no link heard of it: they are answered all the same, none with what was."""
    s = behind_relay(w, lease_wait=f"{int(2000 * SLOW)}ms")
    s.hold("k")
    waiting = s.park(GET, 4)
    s.redis.refuse()
    s.redis.cut()
    s.redis.cmd("SET", "k", "v")
    s.redis.refuse(None)
    answered_somehow(waiting)
    s.conn().ok("SET", "k", "v")
    s.rest()


# settings

def test_reload_switches_it_off(w):
    """Who waits is told at once."""
    for change in ("stampede = no", None):
        s, holder, waiting = scene(w)
        with open(s.larder.config) as f:
            text = f.read()
        policy = text[text.index("[policy all]"):]
        text = text.replace("stampede = wait", change) if change else text.replace(policy, "")
        with open(s.larder.config, "w") as f:
            f.write(text)
        s.larder.signal(signal.SIGHUP)
        s.all_miss(waiting)
        s.are(0, 0)
        for _ in range(3):
            assert s.at_once(s.conn(), "GET", "k") is None
        holder.ok("SET", "k", "v")
        assert s.conn().cmd("GET", "k") == b"v"


def test_reload_that_changes_nothing(w):
    s, holder, waiting = scene(w)
    reloads = s.larder.log().count("settings reloaded")
    s.larder.signal(signal.SIGHUP)
    eventually(lambda: s.larder.log().count("settings reloaded") > reloads)
    s.round()
    for c in ready(waiting):  # a reload may make them ask again, nothing worse
        assert missed(c.reply())
        waiting.remove(c)
    loads(s, holder, waiting)


def test_a_policy_whose_waits_time_out_stops_parking(w):
    clock = w.clock()
    s = Leases(w, clock=clock, lease_ttl="10m")
    holder = s.hold("k")
    while s.since("timed_out") < 20:
        waiting = s.park(GET, 5)
        clock.move(WAIT + 1)
        s.all_miss(waiting)
    for turn in range(4):
        assert s.at_once(s.conn(2 + turn % 2), "GET", "k") is None
    line = [x for x in s.larder.log().splitlines() if "policy" in x and "all" in x][-1:]
    assert line and ("park" in line[0] or "stampede" in line[0] or "wait" in line[0]), line
    clock.move(31)
    loads(s, holder, s.park(GET, 3))


def test_a_few_that_time_out_change_nothing(w):
    clock = w.clock()
    s = Leases(w, clock=clock, lease_ttl="10m")
    for turn in range(5):
        holder = s.hold(f"k{turn}")
        waiting = s.park(("GET", f"k{turn}"), 8)
        holder.ok("SET", f"k{turn}", "v")
        s.all_get(waiting, b"v")
    holder = s.hold("k")
    waiting = s.park(GET, 5)
    clock.move(WAIT + 1)
    s.all_miss(waiting)
    loads(s, holder, s.park(GET, 3))


def test_a_larder_that_is_killed_takes_its_leases_along(w):
    s, holder, waiting = scene(w)
    s.larder.kill()
    for c in [holder, *waiting]:
        try:
            c.eof()
        except Closed:
            pass
    s.larder.start()
    s.larder.expect_exit = False
    s.settle()
    holder = s.hold("k")
    loads(s, holder, s.park(GET, 3))
