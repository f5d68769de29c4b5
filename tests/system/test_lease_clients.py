"""Leases and what clients do: those that send before they have their reply never stand in each
other's way, and no pattern of locks loses more than lease_wait."""
import queue
import threading
import time

from leases import WAIT, Leases, missed
from resp import SLOW, TIMEOUT, encode, encode_all, eventually

NO_PARK = 60  # seconds without waiting, for who has sent while it waited


# one connection that sends ahead

def test_get_and_set_in_one_packet(w):
    s = Leases(w)
    for proto in (2, 3):
        key = f"a{proto}"
        c = s.conn(proto)
        assert c.pipeline([("GET", key), ("SET", key, "v")]) == [None, b"OK"]
        s.rest()
        s.probe.ok("DEL", key)
        s.round()
        holder = s.conn(proto)
        eventually(lambda: holder.cmd("GET", key) is None and s.counters()["held"] == 1)
        begin = time.monotonic()
        assert c.pipeline([("GET", key), ("SET", key, "mine")]) == [None, b"OK"]
        assert time.monotonic() - begin < TIMEOUT < WAIT
        assert c.cmd("GET", key) == b"mine"
        s.rest()


def test_set_behind_a_get_that_waits(w):
    """The same in two packets: the second lets the first go."""
    s = Leases(w)
    for proto in (2, 3):
        key = f"a{proto}"
        holder = s.hold(key)
        c = s.park(("GET", key), proto=proto)[0]
        c.send_cmd("SET", key, "mine")
        assert c.replies(2) in ([None, b"OK"], [b"mine", b"OK"])
        s.rest()
        assert holder.cmd("GET", key) == b"mine"
    assert s.since("interrupted") == 2 and s.since("timed_out") == 0


def test_any_later_byte_lets_it_go(w):
    s = Leases(w)
    holder = s.hold("k")
    for number, later in enumerate((b"*", b"*1\r\n$4\r\nPI", encode("PING"), b"\r\n", b"PING\r\n",
                                    encode("GET", "k"), encode("GET", "other"))):
        c = s.park(("GET", "k"), proto=2 + number % 2)[0]
        c.send(later)
        assert c.reply() is None, later
        s.are(1, 0) if b"other" not in later else c.close()
    assert s.since("interrupted") == 7
    s.are(1, 0)
    holder.ok("SET", "k", "v")
    s.rest()


def test_who_sent_ahead_waits_no_more_for_a_minute(w):
    clock = w.clock()
    s = Leases(w, clock=clock, lease_ttl="10m")
    holder = s.hold("k")
    for proto in (2, 3):
        c = s.park(("GET", "k"), proto=proto)[0]
        c.send_cmd("PING")
        assert c.replies(2) == [None, b"PONG"]
        assert s.counters()["no_park"] > 0
        for _ in range(3):
            assert s.at_once(c, "GET", "k") is None
            assert missed(s.at_once(c, "HGETALL", "k"))
            clock.move((NO_PARK - 2) / 3)
        assert s.at_once(c, "GET", "k") is None
        clock.move(3)
        s.park_on([c], ("GET", "k"))
        s.park(("GET", "k"), 2)  # others wait all the time
        clock.move(WAIT + 1)
        assert c.reply() is None
    holder.ok("SET", "k", "v")
    s.rest()


def test_answers_stay_in_order(w):
    """Many commands behind a read that waits, in pieces of any size."""
    s = Leases(w)
    s.hold("k")
    commands = [("SET", "x", "0")] + [("INCR", "x")] * 50 + [("GET", "k"), ("ECHO", "end")]
    expected = [b"OK", *range(1, 51), None, b"end"]
    for proto in (2, 3):
        for piece in (1, 3, 40, 10_000):
            c = s.park(("GET", "k"), proto=proto)[0]
            c.send_slowly(encode_all(commands), piece)
            assert c.replies(len(commands) + 1) == [None, *expected], piece
    s.are(1, 0)


def test_a_multiplexed_process(w):
    """One connection for all its threads: many ask, each loads, nobody hangs."""
    s = Leases(w)
    for proto in (2, 3):
        c, keys = s.conn(proto), [f"m{proto}:{n}" for n in range(20)]
        asked = keys * 5
        for key in asked:
            c.send(encode("GET", key))
        replies = c.replies(len(asked))
        assert set(replies) == {None}
        for key in asked:
            c.send(encode("SET", key, key))
        assert c.replies(len(asked)) == [b"OK"] * len(asked)
        s.rest()
        assert c.pipeline([("GET", key) for key in keys]) == [key.encode() for key in keys]


def test_two_multiplexed_processes_crosswise(w):
    """Each holds what the other one asks for."""
    s = Leases(w)
    one, two = s.hold("a"), s.hold("b", proto=3)
    begin = time.monotonic()
    one.send_cmd("GET", "b")
    two.send_cmd("GET", "a")
    assert one.reply() is None and two.reply() is None
    assert time.monotonic() - begin < TIMEOUT
    one.ok("SET", "a", "1")
    two.ok("SET", "b", "2")
    assert one.cmd("GET", "b") == b"2" and two.cmd("GET", "a") == b"1"
    s.rest()
    assert s.since("timed_out") == s.since("interrupted") == 0


def test_two_pools_crosswise(w):
    """Through pools larder cannot see who holds what: at most lease_wait is lost."""
    s = Leases(w, lease_wait="300ms")
    s.hold("a")
    s.hold("b")
    begin = time.monotonic()
    one, two = s.conn(), s.conn()
    one.send_cmd("GET", "b")
    two.send_cmd("GET", "a")
    assert one.reply() is None and two.reply() is None
    assert time.monotonic() - begin < 0.3 + 2 * SLOW
    one.ok("SET", "a", "1")
    two.ok("SET", "b", "2")
    s.rest()
    assert s.since("timed_out") == 2


# pools, and locks

class Pool:
    """Connections that are taken for one command each."""

    def __init__(self, s, size):
        self.free = queue.LifoQueue()
        for number in range(size):
            self.free.put(s.conn(2 + number % 2))

    def cmd(self, *command):
        conn = self.free.get(timeout=4 * TIMEOUT)
        try:
            return conn.cmd(*command, timeout=4 * TIMEOUT)
        finally:
            self.free.put(conn)


def at_once(count, body):
    """body(number) in so many threads; what went wrong in them is raised."""
    wrong = []

    def guarded(number):
        try:
            body(number)
        except BaseException as e:  # shown by the thread that asked for it
            wrong.append(e)
    threads = [threading.Thread(target=guarded, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]


def test_checked_locked_checked_again(w):
    """GET: nil. SET lock NX. GET again, over another connection: it waits for itself."""
    s = Leases(w, lease_wait="300ms")
    first, lock, again, store = (s.conn(2 + n % 2) for n in range(4))
    assert first.cmd("GET", "k") is None
    assert lock.cmd("SET", "lock:k", "me", "NX", "EX", 10) == b"OK"
    begin = time.monotonic()
    assert again.cmd("GET", "k") is None
    lost = time.monotonic() - begin
    assert lost < 0.3 + 2 * SLOW
    waiting = s.conn()
    waiting.send_cmd("GET", "k")
    assert store.cmd("SET", "k", "v", "EX", 60) == b"OK"
    assert waiting.reply() == b"v"
    assert lock.cmd("DEL", "lock:k") == 1
    s.rest()
    assert s.since("timed_out") == 1


def test_checked_locked_checked_again_by_a_crowd(w):
    s = Leases(w, lease_wait="300ms")
    pool, loads, took = Pool(s, 24), [], []

    def get(number):
        begin = time.monotonic()
        value = pool.cmd("GET", "k")
        while value is None:
            if pool.cmd("SET", "lock:k", number, "NX", "EX", 60) == b"OK":
                value = pool.cmd("GET", "k")
                if value is None:
                    loads.append(number)
                    pool.cmd("SET", "k", "v")
                    value = b"v"
                pool.cmd("DEL", "lock:k")
            else:
                value = pool.cmd("GET", "k")
        assert value == b"v"
        took.append(time.monotonic() - begin)
    at_once(12, get)
    assert len(loads) == 1, loads
    # each may have waited for the others' locks and for itself
    assert max(took) < 3 * 0.3 + 3 * SLOW, took
    s.rest()


def test_a_pool_that_loads_over_any_connection(w):
    """Threads with one pool and many keys. The connection over which one of them was told to load
    is another one's a moment later."""
    s = Leases(w)
    pool, loads = Pool(s, 16), []

    def body(number):
        for n in range(30):
            key = f"p{(n * 7 + number) % 30}"
            value = pool.cmd("GET", key)
            if value is None:
                loads.append(key)
                pool.cmd("SET", key, key)
            assert value in (None, key.encode())
    at_once(8, body)
    assert len(set(loads)) == 30
    s.rest()
    assert s.since("timed_out") == s.since("interrupted") == 0, s.counters()


def test_a_pool_smaller_than_its_threads(w):
    """Those who wait have taken all of its connections: the holder cannot store before one of
    them has been let go."""
    s = Leases(w, lease_wait="300ms")
    pool, loads, took = Pool(s, 4), [], []

    def get(number):
        begin = time.monotonic()
        if pool.cmd("GET", "k") is None:
            loads.append(number)
            pool.cmd("SET", "k", "v")
        took.append(time.monotonic() - begin)
    at_once(12, get)
    assert max(took) < 3 * 0.3 + 3 * SLOW, took
    assert loads
    s.rest()
