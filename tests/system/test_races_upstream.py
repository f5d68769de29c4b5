"""The races of the near cache with what comes from upstream: pushes, the invalidation link,
deadlines, answers to many; see test_races_writes.py.
"""
import time

from fake_near import is_kept, keep, pushed, scene
from resp import SLOW, encode, eventually

ONE_CHANCE = True  # tests/system/run

# foreign writes: the push comes on a link of its own

def test_a_push_that_overtakes_a_fill(w):
    """
        C1              Redis                               another larder's client
        GET k --------> reads "old", the reply hangs
                                                            SET k new
        <-------------- push k, on the invalidation link
        <-------------- "old": delivered, not kept
        GET k --------> must be asked
    """
    fake, c1, c2, _ = scene(w)
    keep(fake, c1, "GET", "probe")
    gate = fake.hold("GET", "k")
    c1.send_cmd("GET", "k")
    gate.wait()
    fake.change("k", "new")
    pushed(fake, c2, "k")
    gate.release()
    assert c1.reply() == b"old"
    assert c1.cmd("GET", "k") == b"new"


def test_a_push_drops_and_nothing_else(w):
    fake, c1, c2, _ = scene(w, other="x")
    keep(fake, c1, "GET", "k")
    keep(fake, c1, "GET", "other")
    fake.change("k", "new")
    pushed(fake, c2, "k")
    assert c1.cmd("GET", "k") == b"new"
    assert is_kept(fake, c2, "GET", "other")


def test_a_push_closes_what_is_in_the_air(w):
    """
        C1              C2              Redis
        GET k ------------------------> reads "old", the reply hangs; k is changed
        <------------------------------ push k
                        GET k --------> must be asked: waiting would tell what is known to be old
    """
    fake, c1, c2, _ = scene(w)
    gate = fake.hold("GET", "k")
    c1.send_cmd("GET", "k")
    gate.wait()
    fake.change("k", "new")
    pushed(fake, c2, "k")
    assert c2.cmd("GET", "k") == b"new"
    gate.release()
    assert c1.reply() == b"old"


def test_a_flush_that_overtakes_a_fill(w):
    """The same with a push of everything (FLUSHDB, FLUSHALL by anybody)."""
    fake, c1, c2, _ = scene(w)
    gate = fake.hold("GET", "k")
    c1.send_cmd("GET", "k")
    gate.wait()
    fake.change("k", "new")
    pushed(fake, c2)
    gate.release()
    assert c1.reply() == b"old"
    assert c1.cmd("GET", "k") == b"new"
    assert c2.cmd("GET", "k") == b"new"


def test_an_own_flush_that_overtakes_a_fill(w):
    """And by one of larder's own clients, which is answered before the push comes."""
    for word in (("FLUSHDB",), ("FLUSHALL",), ("SWAPDB", 0, 1)):
        fake, c1, c2, _ = scene(w, larder={"admin_commands": "allow"})
        gate = fake.hold("GET", "k")
        c1.send_cmd("GET", "k")
        gate.wait()
        assert c2.cmd(*word) == b"OK"
        fake.change("k", "new")
        gate.release()
        assert c1.reply() == b"old"
        assert c1.cmd("GET", "k") == b"new"


# the invalidation link

def test_a_link_that_is_lost_makes_all_suspect(w):
    """
        C1              Redis
        (k = old is kept)
        <-------------- the invalidation link ends; k is changed: nobody can tell
        ..              a new one is armed
        GET k --------> must be asked
    """
    fake, c1, c2, _ = scene(w)
    keep(fake, c1, "GET", "k")
    before = len(fake.subscribed)
    fake.change("k", "new")
    for link in fake.armed():
        link.reset()
    eventually(lambda: len(fake.subscribed) > before and fake.armed())
    keep(fake, c1, "GET", "probe")
    assert c1.cmd("GET", "k") == b"new"
    assert c2.cmd("GET", "k") == b"new"


def test_nothing_is_served_without_a_link(w):
    """From its end on, and until it is armed again, every read is asked."""
    fake, c1, c2, _ = scene(w)
    keep(fake, c1, "GET", "k")
    gate = fake.hold("SUBSCRIBE")
    for link in fake.armed():
        link.reset()
    gate.wait()
    fake.change("k", "new")
    for conn in (c1, c2, c1, c2):
        assert conn.cmd("GET", "k") == b"new"
        assert not is_kept(fake, conn, "GET", "k")
    gate.release()
    assert keep(fake, c1, "GET", "k") == b"new"


def test_a_fill_in_the_air_while_the_link_is_lost(w):
    """
        C1              Redis
        GET k --------> reads "old", the reply hangs
        <-------------- the invalidation link ends; k is changed; a new one is armed
        <-------------- "old": delivered, not kept
        GET k --------> must be asked
    """
    fake, c1, c2, _ = scene(w)
    gate = fake.hold("GET", "k")
    c1.send_cmd("GET", "k")
    gate.wait()
    before = len(fake.subscribed)
    for link in fake.armed():
        link.reset()
    fake.change("k", "new")
    eventually(lambda: len(fake.subscribed) > before and fake.armed())
    keep(fake, c2, "GET", "probe")
    gate.release()
    assert c1.reply() == b"old"
    assert c1.cmd("GET", "k") == b"new"
    assert c2.cmd("GET", "k") == b"new"


def test_a_fill_asked_before_the_link_is_armed(w):
    """
        C1              Redis
                        the invalidation link ends
        GET k --------> reads "old", the reply hangs; k is changed
                        a new link is armed: of that change it tells nothing
        <-------------- "old": delivered, not kept
        GET k --------> must be asked
    """
    fake, c1, c2, _ = scene(w)
    subscribe, read = fake.hold("SUBSCRIBE"), fake.hold("GET", "k")
    for link in fake.armed():
        link.reset()
    subscribe.wait()
    c1.send_cmd("GET", "k")
    read.wait()
    fake.change("k", "new")
    subscribe.release()
    keep(fake, c2, "GET", "probe")
    read.release()
    assert c1.reply() == b"old"
    assert c1.cmd("GET", "k") == b"new"
    assert c2.cmd("GET", "k") == b"new"


def test_a_silent_link_is_not_trusted(w):
    """After coherence_timeout without an answer to PING nothing is served; nothing is dropped: an
    answer on the same link makes it good again."""
    fake, c1, _, _ = scene(w, cache={"coherence_timeout": "300ms"}, other="x")
    keep(fake, c1, "GET", "other")
    links = len(fake.subscribed)
    gate = fake.hold("PING")
    gate.wait()
    assert gate.link in fake.subscribed
    begin = time.monotonic()
    fake.change("k", "new")

    def untrusted():
        sent = time.monotonic()
        fresh = not is_kept(fake, c1, "GET", "other")
        assert fresh or sent - begin < 0.3 + 0.1 * SLOW, "served for longer than the timeout"
        return fresh
    eventually(untrusted)
    gate.release()
    asked = fake.asked("GET", "other")
    eventually(lambda: is_kept(fake, c1, "GET", "other"))
    assert len(fake.subscribed) == links, "it was not the same link"
    assert fake.asked("GET", "other") >= asked


# deadlines

def test_a_value_dies_with_its_key(w):
    """PTTL said 250 ms: so long after larder asked, at the latest, it is not served any more."""
    fake, c1, _, _ = scene(w)
    fake.ttl[b"k"] = 250
    gate = fake.hold("PTTL", "k")
    c1.send_cmd("GET", "k")
    gate.wait()
    dies = time.monotonic() + 0.250
    gate.release()
    assert c1.reply() == b"old"

    def dead():
        sent = time.monotonic()
        asked = not is_kept(fake, c1, "GET", "k")
        assert asked or sent < dies + 0.005 * SLOW, f"served {sent - dies:.3f} s after its death"
        return asked
    eventually(dead)


def test_a_value_that_expires_between_the_questions(w):
    """GET found it, PTTL not any more: what was read is delivered and not kept. And the reverse."""
    fake, c1, _, _ = scene(w)
    for get, pttl, answer in ((b"$3\r\nold\r\n", b":-2\r\n", b"old"),
                              (b"$-1\r\n", b":5000\r\n", None),
                              (b"$-1\r\n", b":-1\r\n", None)):
        one, two = fake.hold("GET", "k"), fake.hold("PTTL", "k")
        c1.send_cmd("GET", "k")
        one.wait().release(get)
        two.wait().release(pttl)
        assert c1.reply() == answer
        assert not is_kept(fake, c1, "GET", "k")
        keep(fake, c1, "GET", "k")
        pushed(fake, c1, "k")


def test_an_absent_key_until_it_is_there(w):
    """A kept "no" ends with any write of the key, and after negative_ttl."""
    fake, c1, c2, c3 = scene(w, policy={"negative_ttl": "1h"})
    assert keep(fake, c1, "GET", "missing") is None
    assert is_kept(fake, c2, "GET", "missing")
    assert c2.cmd("SET", "missing", "here") == b"OK"
    assert c1.cmd("GET", "missing") == b"here"
    assert keep(fake, c1, "GET", "later") is None
    fake.change("later", "here")
    pushed(fake, c3, "later")
    assert c1.cmd("GET", "later") == b"here"


# sessions that must see Redis itself

def test_reads_under_watch(w):
    """
        C1                              Redis
        (k = old is kept)               k is changed: the push is on its way
        WATCH k ----------------------> on a link of its own
        GET k ------------------------> on the same link: from the cache, EXEC would pass wrongly
        MULTI, SET k .., EXEC --------> passes
    """
    fake, c1, c2, _ = scene(w)
    keep(fake, c1, "GET", "k")
    fake.change("k", "new")
    assert c1.cmd("WATCH", "k") == b"OK"
    assert c1.cmd("GET", "k") == b"new"
    assert c2.cmd("GET", "k") == b"old", "the push was not to come yet"
    assert c1.pipeline([("MULTI",), ("GET", "k"), ("EXEC",)]) == [b"OK", b"QUEUED", [b"new"]]
    assert is_kept(fake, c1, "GET", "k")


def test_reads_in_multi(w):
    fake, c1, _, _ = scene(w)
    keep(fake, c1, "GET", "k")
    fake.change("k", "new")
    assert c1.cmd("MULTI") == b"OK"
    assert c1.cmd("GET", "k") == b"QUEUED"
    assert c1.cmd("EXEC") == [b"new"]


# the same question of many

def test_many_ask_once(w):
    """n identical reads in the air are one question, and a write between splits them."""
    fake, c1, c2, _ = scene(w)
    many = [w.conn(c1.sock.getpeername(), proto) for proto in (2, 3) * 8]
    gate = fake.hold("GET", "k")
    c1.send_cmd("GET", "k")
    gate.wait()
    for conn in many:
        conn.send_cmd("GET", "k")
        conn.send_cmd("PING")
    gate.release()
    for conn in many:
        assert conn.replies(2) == [b"old", b"PONG"]
    assert c1.reply() == b"old"
    assert fake.asked("GET", "k") == 1


def test_who_waits_when_the_link_breaks(w):
    """The one who asked may get an error; those who waited are asked for once more."""
    fake, c1, c2, c3 = scene(w)
    gate = fake.hold("GET", "k")
    c1.send_cmd("GET", "k")
    gate.wait()
    c2.send_cmd("GET", "k")
    c3.send_cmd("GET", "k")
    fake.change("k", "new")
    gate.link.reset()
    gate.release()
    answer = c1.reply()
    assert answer == b"new" or answer.startswith(b"UPSTREAM"), answer
    assert c2.reply() == b"new" and c3.reply() == b"new"


def test_mget_keeps_each_value_under_its_own_key(w):
    """
        C1                              Redis
        MGET a b ---------------------> the reply hangs
        MGET a3 b3, .. (C2's) --------> where the bytes of C1's request were is now another's
        <------------------------------ [A B], their ttls: kept under a and b
    """
    fake, c1, c2, _ = scene(w, **{f"{name}{i}": f"value of {name}{i}" for name in "ab"
                                  for i in range(9)})
    for i, request in enumerate((encode("MGET", "a0", "b0"), b"MGET a1 b1\r\n",
                                 b"  mget 'a2'   \"b\\x32\"\r\n")):
        gate = fake.hold("MGET", f"a{i}")
        c1.send(request)
        gate.wait()
        for k in range(3, 9):
            assert c2.cmd("MGET", f"b{k}", f"a{k}") == [b"value of b%d" % k, b"value of a%d" % k]
        gate.release()
        assert c1.reply() == [b"value of a%d" % i, b"value of b%d" % i]
        for name in (f"a{i}", f"b{i}"):
            assert is_kept(fake, c2, "GET", name), f"{name} is kept elsewhere, or not at all"
        for name in (f"a{i}", f"b{i}", "a7", "b7", "a8", "b8"):
            assert c2.cmd("GET", name) == b"value of " + name.encode()
