"""Leases: what must not go wrong while a question is under way. A scripted Redis (fake_near.py)
keeps back what a test wants kept back; clients in RESP2 and in RESP3 are on different links."""
import signal
import time

from fake_near import NearRedis
from leases import PUSH_MS, WAIT, Leases, ready
from resp import SLOW, TIMEOUT, Error, encode, eventually

ONE_CHANCE = True  # tests/system/run

GET = ("GET", "k")


def scene(w, clock=None, **policy):
    """The scripted Redis, a larder before it, a holder of k."""
    fake = w.add(NearRedis())
    s = Leases(w, fake, clock, sections={"up": {"pool_size": 2, "command_timeout": "1m"}}, **policy)
    return s, fake, s.hold("k")


def question(w, count=4, **more):
    """So many in RESP2 wait for k; somebody in RESP3 has stored it, and the question that larder
    asks for them is answered `v`, but the answer is kept back."""
    s, fake, holder = scene(w, **more)
    waiting = s.park(GET, count, proto=2)
    gate = fake.hold("GET", "k")
    s.conn(3).ok("SET", "k", "v")
    return s, fake, holder, waiting, gate.wait()


# before there is a lease

def test_all_who_asked_before_the_first_answer(w):
    """They ask at once, nobody knows yet: one is told so, the others wait."""
    for proto in (2, 3):
        fake = w.add(NearRedis())
        s = Leases(w, fake)
        gate = fake.hold("GET", "k")
        conns = [s.conn(proto) for _ in range(20)]
        for c in conns:
            c.send(encode(*GET))
        gate.wait().release()
        holder, others = s.one_misses(conns)
        s.are(1, 19)
        holder.ok("SET", "k", "v")
        s.all_get(others, b"v")
        s.rest()


def test_who_has_been_answered_behind_its_read(w):
    """It has joined another's question, and has sent on: it does not wait for the load, which
    would keep back what has been answered since."""
    for proto in (2, 3):
        fake = w.add(NearRedis())
        s = Leases(w, fake)
        gate = fake.hold("GET", "k")
        first, joined = s.conn(proto), s.conn(proto)
        first.send(encode(*GET))
        gate.wait()
        joined.send(encode(*GET))
        eventually(lambda: s.stats()["cache_coalesced"] == 1)
        joined.send(encode("PING"))
        s.turn()
        gate.release()
        assert first.reply() is None and joined.reply() is None and joined.reply() == b"PONG"
        s.are(1, 0)
        first.ok("SET", "k", "v")
        s.rest()


def test_lease_wait_of_who_asked_before_the_first_answer(w):
    """They waited until the lease ended: nobody had set the timer to their time."""
    clock = w.clock()
    fake = w.add(NearRedis())
    s = Leases(w, fake, clock, sections={"up": {"command_timeout": "1h"}})
    gate = fake.hold("GET", "k")
    conns = [s.conn() for _ in range(5)]
    for c in conns:
        c.send(encode(*GET))
    gate.wait().release()
    _, others = s.one_misses(conns)
    clock.move(WAIT + 1)
    s.all_miss(others)
    assert s.since("timed_out") == 4 and s.since("lapsed") == 0


def test_who_asks_behind_a_write(w):
    """The key had been written, which was to be asked about, and a read that came later was told
    that there was nothing, once it had waited for so long."""
    clock = w.clock()
    s, fake, holder, waiting, gate = question(w, clock=clock)
    late = [s.conn(proto) for proto in (2, 3)]
    for c in late:
        c.send(encode(*GET))
    eventually(lambda: s.stats()["cache_misses"] + s.stats()["cache_coalesced"] >= 3)
    clock.move(WAIT + 1)
    eventually(lambda: s.since("timed_out") > 0)
    assert not ready(late), [c.reply() for c in ready(late)]
    gate.release()
    s.all_get(late, b"v")
    for c in waiting:
        assert c.reply() in (None, b"v")
    s.rest()


def test_the_first_leaves_before_its_answer(w):
    fake = w.add(NearRedis())
    s = Leases(w, fake)
    gate = fake.hold("GET", "k")
    first, *others = [s.conn() for _ in range(5)]
    first.send(encode(*GET))
    gate.wait()
    for c in others:
        c.send(encode(*GET))
    first.rst()
    eventually(lambda: s.stats()["lease_held"] == 0)
    gate.release()
    holder, others = s.one_misses(others)
    s.are(1, 3)
    holder.ok("SET", "k", "v")
    s.all_get(others, b"v")
    s.rest()


def test_written_before_the_nil_has_come(w):
    """The nil is of before the write: whoever asks after it has the value, and waits for nobody."""
    fake = w.add(NearRedis())
    s = Leases(w, fake)
    gate = fake.hold("GET", "k")
    first = s.conn(2)
    first.send(encode(*GET))
    gate.wait()
    writer = s.conn(3)
    writer.ok("SET", "k", "v")
    gate.release()
    assert first.reply() in (None, b"v")
    for proto in (2, 3):
        assert s.conn(proto).cmd("GET", "k") == b"v"
    first.close()
    s.rest()


# the question

def test_one_question_for_all(w):
    s, fake, holder = scene(w)
    waiting = s.park(GET, 20, proto=2)
    before = fake.asked("GET", "k")
    holder.ok("SET", "k", "v")
    s.all_get(waiting, b"v")
    assert fake.asked("GET", "k") == before + 1
    s.rest()


def test_what_the_upstream_says_to_the_question(w):
    """An error is everybody's, and the end of the lease."""
    s, fake, holder, waiting, gate = question(w)
    gate.release(b"-BUSY something runs\r\n")
    for c in waiting:
        assert c.reply() == Error(b"BUSY something runs")
    s.rest()
    fake.change("k", None)
    fake.push("k")
    eventually(lambda: s.conn().cmd("GET", "k") is None and s.counters()["held"] == 1)
    holder.close()


def test_absent_when_asked_the_lease_goes_on(w):
    """After a write: it may have been one that made nothing."""
    s, fake, holder, waiting, gate = question(w)
    fake.change("k", None)
    gate.release(b"$-1\r\n")
    s.round()
    s.parked(waiting)
    s.are(1, 4)
    holder.ok("SET", "k", "v")
    s.all_get(waiting, b"v")
    s.rest()


def test_written_again_meanwhile(w):
    """They may have either value; whoever asks from then on has the new one."""
    s, _, holder, waiting, gate = question(w)
    writer = s.conn(3)
    writer.send_cmd("SET", "k", "new")
    gate.release()
    assert writer.reply() == b"OK"
    for c in waiting:
        assert c.reply() in (b"v", b"new")
    for proto in (2, 3):
        assert s.conn(proto).cmd("GET", "k") == b"new"
    s.rest()
    holder.close()


def test_deleted_meanwhile(w):
    """They may have the value of before, or one loads again; nobody has it afterwards."""
    s, _, _, waiting, gate = question(w)
    c = s.conn(3)
    c.send_cmd("DEL", "k")
    gate.release()
    assert c.reply() == 1
    late = s.conn(3)
    late.send_cmd("GET", "k")
    s.round()
    s.probe.ok("SET", "k", "again")
    assert late.reply() in (None, b"again")
    for c in waiting:
        assert c.reply() in (None, b"v", b"again")
    late.close()
    for c in waiting:
        c.close()
    s.rest()


def test_holder_leaves_meanwhile(w):
    s, _, holder, waiting, gate = question(w)
    holder.rst()
    s.turn()
    gate.release()
    for c in waiting:
        reply = c.reply()
        assert reply in (b"v", None), reply
    for c in waiting:
        c.close()
    s.rest()


def test_waiters_leave_meanwhile(w):
    s, _, _, waiting, gate = question(w, 6)
    waiting.pop().rst()
    waiting.pop().close()
    waiting[0].send_cmd("PING")
    s.turn()
    gate.release()
    assert waiting[0].reply() in (None, b"v") and waiting[0].reply() == b"PONG"
    s.all_get(waiting[1:], b"v")
    s.rest()


def test_all_waiters_leave_meanwhile(w):
    s, _, _, waiting, gate = question(w)
    for c in waiting:
        c.rst()
    s.turn()
    gate.release()
    s.rest()


def test_lease_wait_is_over_meanwhile(w):
    """Redis has not said anything; they are told the nil in time."""
    s, _, _, waiting, gate = question(w, lease_wait="300ms")
    begin = time.monotonic()
    for c in waiting:
        assert c.reply() is None
    assert time.monotonic() - begin < 0.3 + 2 * SLOW
    gate.release()
    s.rest()


def test_the_link_breaks_meanwhile(w):
    """Asked again, or an error: answered it is."""
    s, _, _, waiting, gate = question(w)
    gate.link.close()
    gate.release()
    for c in waiting:
        reply = c.reply()
        assert reply == b"v" or reply is None or isinstance(reply, Error), reply
    for c in waiting:
        c.close()
    s.rest()


def test_larder_ends_meanwhile(w):
    s, _, _, waiting, gate = question(w)
    s.larder.expect_exit = True
    s.larder.signal(signal.SIGTERM)
    gate.release()
    for c in waiting:
        assert c.reply() in (None, b"v")
    assert s.larder.process.wait(3 * TIMEOUT) == 0


def test_pushed_while_nothing_is_there(w):
    """Each push that finds nothing lets one more begin, and no more than one."""
    s, fake, _ = scene(w)
    waiting = s.park(GET, 4, proto=2)
    for _ in range(3):
        s.old()
        fake.push("k")
        _, waiting = s.one_misses(waiting)
    s.are(1, 1)
    fake.change("k", "v")
    fake.push("k")
    s.all_get(waiting, b"v")
    s.rest()


def test_the_push_of_the_expiry_that_was_found(w):
    """It came behind the answer that nothing is there, on another connection, and let a second
    client load what the first had just begun to."""
    fake = w.add(NearRedis())
    s = Leases(w, fake)
    for turn in range(100):
        key, began = f"k{turn}", time.monotonic()
        holder = s.hold(key)
        waiting = s.park(("GET", key), 2, proto=2)
        fake.push(key)
        eventually(lambda key=key: fake.asked("GET", key) == 2)
        if time.monotonic() - began < PUSH_MS / 1000:
            break
        holder.ok("SET", key, "v")
        s.rest()
        s.began = s.counters()
    s.round()
    s.parked(waiting)
    assert s.since("promoted") == 0
    s.old()
    fake.push(key)
    _, waiting = s.one_misses(waiting)
    assert s.since("voided") == 1 and s.since("promoted") == 1
    holder.ok("SET", key, "v")
    s.all_get(waiting, b"v")
    s.rest()


def test_pushes_of_other_keys(w):
    s, fake, holder = scene(w)
    waiting = s.park(GET, 4)
    before = fake.asked("GET", "k")
    for n in range(50):
        fake.push("kk", f"k{n}", "", "K")
    s.round()
    s.parked(waiting)
    assert fake.asked("GET", "k") == before
    holder.ok("SET", "k", "v")
    s.all_get(waiting, b"v")
    s.rest()
