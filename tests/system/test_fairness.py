"""Who says little does not wait for who says much: of what others have asked, larder answers a turn
each (TURN_UNITS in src/base/limits.h) before it looks at who asks for one thing, not all of it.

Counted in commands, not in time: larder is stopped while everybody asks, so that it finds all of it
at once, and the one who asks last asks how many commands there were before its own."""
import socket
import threading
import time

from fake_server import FakeRedis
from near import need_cache, near_larder
from resp import encode, encode_all, eventually
from servers import read_stats

OTHERS = 20
TURN = 256
BEAT = TURN  # QUEUED_UNITS
PENDING, BESIDE = 4096, 64  # HEAVY_PENDING, BESIDE_PENDING


def stage(w):
    need_cache()
    redis = w.redis()
    larder = near_larder(w, redis)
    conn = larder.connect()
    conn.pipeline([("SET", "k:%d" % i, "v%d" % i) for i in range(1000)])
    conn.pipeline([("GET", "k:%d" % i) for i in range(1000)])
    return larder, conn


def value(i):
    v = b"v%d" % i
    return b"$%d\r\n%s\r\n" % (len(v), v)


def commands_before(larder, conn, requests, each=1):
    """How many of the others' commands are served before the one's, which comes last."""
    others = [larder.connect() for _ in range(OTHERS)]
    for other in others:
        other.ok("PING")
    before = read_stats(conn.ok("LARDER", "STATS"))["clients_commands"]
    larder.pause()
    for other in others:
        other.sock.settimeout(60)
        other.send(encode_all(requests))
    conn.send(encode("LARDER", "STATS"))
    larder.resume()
    served = read_stats(conn.value(timeout=60))["clients_commands"] - before
    assert served <= OTHERS * (TURN // each + 2) + BEAT // each, served
    return others


def test_a_pipeline_is_served_in_turns(w):
    larder, conn = stage(w)
    others = commands_before(larder, conn, [("GET", "k:%d" % (i % 1000)) for i in range(3000)])
    for other in others:
        for i in range(3000):
            got = other.frame(timeout=60)
            assert got == value(i % 1000), (i, got)
        other.ok("PING")


def test_a_pipeline_of_requests_for_the_upstream_is_served_in_turns(w):
    larder, conn = stage(w)
    others = commands_before(larder, conn, [("PUBLISH", "nobody", i) for i in range(2000)], 2)
    for other in others:
        for i in range(2000):
            assert other.frame(timeout=60) == b":0\r\n", i


def test_what_waits_for_the_upstream_is_little(w):
    """Each of those who have much to say had thousands of requests in front of everybody else's."""
    redis = w.redis()
    larder = w.larder(redis)
    conn = larder.connect()
    others = [larder.connect() for _ in range(OTHERS)]
    for other in others:
        other.sock.settimeout(60)
        other.ok("GET", "k")

    def stats():
        return read_stats(conn.ok("LARDER", "STATS"))

    def asked(askers):
        """How many requests they have in front of Redis, which does not answer, if all ask."""
        before = stats()
        for other in askers:
            other.send(encode_all([("SET", "k", i) for i in range(2 * PENDING)]))
        eventually(lambda: stats()["clients_paused_pending"] >=
                   before["clients_paused_pending"] + len(askers))
        return stats()["clients_commands"] - before["clients_commands"]

    def answered(askers):
        for other in askers:
            for _ in range(2 * PENDING):
                assert other.frame(timeout=60) == b"+OK\r\n"

    redis.pause()
    assert asked(others) <= OTHERS * TURN + PENDING + TURN
    redis.resume()
    answered(others)
    # They are not counted for good: one alone has all of it.
    redis.pause()
    assert PENDING <= asked(others[:1]) <= PENDING + TURN
    redis.resume()
    answered(others[:1])


def due_on(conn, aside):
    """How many replies are due on the link aside, or all others; None: there is none."""
    links = [dict(field.split("=", 1) for field in line.split() if "=" in field)
             for line in conn.ok("LARDER", "LINKS").decode().splitlines()]
    due = [int(link["waiting"]) for link in links if link.get("aside") == str(int(aside))]
    return sum(due) if due else None


def test_less_of_it_beside_who_asks_for_little(w):
    """Redis executes all that it finds on a link before it looks at the next: as much as it does in
    a round trip is there, of all who ask for much together, while others ask as well."""
    go = threading.Event()
    stalls = threading.Event()

    def script(link, argv):
        if argv[0] == b"SET" and argv[1] == b"much" and stalls.is_set():
            link.stall(go)
        return None

    larder = w.larder(w.add(FakeRedis(script)))
    little, probe = larder.connect(), larder.connect()
    much = [larder.connect() for _ in range(3)]

    def ask(conn, count):
        conn.send(encode_all([("SET", "much", i) for i in range(count)]))

    def answered(conn, count):
        for i in range(count):
            assert conn.frame(timeout=60) == b"+OK\r\n", i

    def aside():
        for conn in much:
            ask(conn, 1000)
        for conn in much:
            answered(conn, 1000)
        return due_on(probe, True) is not None

    eventually(aside)
    for conn in much:
        ask(conn, 1000)  # they are there already
        answered(conn, 1000)
    most = max(BESIDE, larder.stats()["upstream_trip_us"])
    assert due_on(probe, True) == 0 and most < 2000
    stalls.set()
    little.ok("SET", "little", 1)
    for conn in much:
        ask(conn, 5000)
    seen = set()
    for _ in range(40):
        little.ok("SET", "little", 1)
        time.sleep(0.005)
        seen.add(due_on(probe, True))
    # Nobody is answered, so that those that were held back are let on in the end.
    assert most < max(seen) <= len(much) * most, (seen, most)
    go.set()
    for conn in much:
        answered(conn, 5000)


def test_they_take_turns_whoever_does_not_read(w):
    """What stays unanswered because its client does not read keeps nobody, nor does who goes."""
    redis = w.redis()
    redis.cmd("SET", "big", "x" * 100000)
    larder = w.larder(redis)
    little, gone = larder.connect(), larder.connect()
    deaf = [larder.connect() for _ in range(8)]
    much = [larder.connect() for _ in range(8)]
    over = threading.Event()

    def asks_little():
        while not over.is_set():
            little.ok("GET", "big")

    thread = threading.Thread(target=asks_little)
    thread.start()
    try:
        for conn in deaf:
            conn.send(encode_all([("GET", "big")] * 1000))
        gone.send(encode_all([("BLPOP", "nobody's", 0)] + [("GET", "k")] * 2000))
        for conn in much:
            conn.sock.settimeout(60)
            conn.send(encode_all([("INCR", "count")] * 5000))
        gone.close()
        for conn in much:
            said = [int(conn.frame(timeout=60)[1:]) for _ in range(5000)]
            assert said == sorted(said)
    finally:
        over.set()
        thread.join()
    assert redis.cmd("GET", "count") == b"40000"


def test_who_comes_later_has_a_turn(w):
    """Two that never stop asking do not keep all of it for themselves."""
    over = threading.Event()

    def script(link, argv):
        if argv[0] == b"SET" and argv[1] == b"much":
            time.sleep(0.0001)  # there is always more asked than answered
        return None

    larder = w.larder(w.add(FakeRedis(script)))
    little = larder.connect()
    streams = [larder.connect() for _ in range(2)]
    asked = encode_all([("SET", "much", "x")] * 500)

    def stream(conn):
        for _ in range(4):
            conn.send(asked)
        while not over.is_set():
            conn.send(asked)
            for _ in range(500):
                assert conn.frame(timeout=60) == b"+OK\r\n"

    threads = [threading.Thread(target=stream, args=(conn,)) for conn in streams]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.3)
        late = [larder.connect() for _ in range(3)]
        for conn in late:
            conn.send(encode_all([("SET", "late", "x")] * 1000))
        for _ in range(10):
            little.ok("SET", "little", 1)
        for conn in late:
            for i in range(1000):
                assert conn.frame(timeout=10) == b"+OK\r\n", i
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_who_has_been_silent_asks_for_little(w):
    """A burst of long ago does not make one wait behind those who have bursts now."""
    redis = w.redis()
    larder = w.larder(redis)
    once, much, probe = larder.connect(), larder.connect(), larder.connect()

    def burst(conn):
        conn.send(encode_all([("GET", "k")] * 3000))
        for _ in range(3000):
            assert conn.frame(timeout=60) == b"$-1\r\n"
        return due_on(probe, True) is not None

    eventually(lambda: burst(once))
    time.sleep(1.2)  # LIGHT_AGAIN_MS
    burst(much)
    burst(much)
    redis.pause()
    much.send(encode_all([("GET", "k")] * (2 * PENDING)))
    eventually(lambda: due_on(probe, True) >= BESIDE)
    assert due_on(probe, False) == 0
    once.send(encode("GET", "k"))
    eventually(lambda: due_on(probe, False) == 1)
    redis.resume()
    assert once.frame(timeout=60) == b"$-1\r\n"


def test_who_waits_in_the_line_is_told_in_time(w):
    """Redis answers nobody, so that nobody makes room: the deadline counts for all of them."""
    redis = w.redis()
    larder = w.larder(redis, up={"command_timeout": "1s"})
    others = [larder.connect() for _ in range(OTHERS)]
    for other in others:
        for _ in range(2):  # the second finds those who have much to say where they shall be
            other.send(encode_all([("GET", "k")] * 3000))
            for _ in range(3000):
                assert other.frame(timeout=60) == b"$-1\r\n"
    redis.pause()
    for other in others:
        other.send(encode_all([("GET", "k")] * (2 * PENDING)))
    for other in others:
        assert other.frame(timeout=5).startswith(b"-UPSTREAM"), "and not a value, or nothing"
    redis.resume()


def test_who_blocks_has_nothing_of_it(w):
    """Nobody waits for room that those have who will not be answered for long."""
    redis = w.redis()
    larder = w.larder(redis, larder={"max_clients": 1000})
    conn, much = larder.connect(), larder.connect()
    conn.ok("SET", "k", "v")
    blocked = [larder.connect() for _ in range(2 * BESIDE)]
    for other in blocked:
        other.send(encode_all([("GET", "k")] * 500 + [("BLPOP", "nobody's", 0)]))
        for _ in range(500):
            assert other.frame(timeout=60) == b"$1\r\nv\r\n"
    eventually(lambda: larder.stats()["clients_clients_blocked"] == len(blocked))
    before = larder.stats()["clients_stuck_pending"]
    for _ in range(20):
        conn.ok("GET", "k")
        much.send(encode_all([("GET", "k")] * 2000))
        for _ in range(2000):
            assert much.frame(timeout=60) == b"$1\r\nv\r\n"
    assert larder.stats()["clients_stuck_pending"] - before < 20


def test_requests_for_many_keys_count_for_as_many(w):
    larder, conn = stage(w)
    keys = ["k:%d" % i for i in range(500)]
    others = commands_before(larder, conn, [("MGET", *keys)] * 20, 64)
    expected = b"*500\r\n" + b"".join(value(i) for i in range(500))
    for other in others:
        for _ in range(20):
            assert other.frame(timeout=60) == expected


def test_large_values_count_for_their_bytes(w):
    larder, conn = stage(w)
    conn.ok("SET", "large", "x" * 64000)
    conn.ok("GET", "large")
    others = commands_before(larder, conn, [("GET", "large")] * 50, 32)
    for other in others:
        for _ in range(50):
            assert len(other.frame(timeout=60)) == 64000 + 10


def test_what_waits_for_its_turn_is_served_when_the_client_has_said_all(w):
    """Nothing is lost when the end of input comes while requests wait for their turn."""
    larder, conn = stage(w)
    asked = [("GET", "k:%d" % (i % 1000)) for i in range(4000)]
    asked[1999] = ("SET", "half", "way")
    for _ in range(3):
        other = larder.connect()
        larder.pause()
        other.send(encode_all(asked))
        other.sock.shutdown(socket.SHUT_WR)
        larder.resume()
        expected = b"".join(b"+OK\r\n" if i == 1999 else value(i % 1000) for i in range(4000))
        assert other.rest(timeout=60) == expected
    assert conn.ok("GET", "half") == b"way"


def test_who_asks_for_much_has_a_link_of_its_own(w):
    """Redis reads from every connection in turn: a thousand requests on another's are not in front."""
    asked = []  # (number of the link, who asked)

    def script(link, argv):
        if argv[0] == b"SET":
            asked.append((link.number, argv[1]))
        return None

    larder = w.larder(w.add(FakeRedis(script)))
    little, much = larder.connect(), larder.connect()
    much.sock.settimeout(60)

    def ask(count):
        """Of whom the links are that they have asked on meanwhile."""
        del asked[:]
        much.send(encode_all([("SET", "much", i) for i in range(count)]))
        for _ in range(20):
            little.ok("SET", "little", "x")
        for _ in range(count):
            assert much.frame(timeout=60) == b"+OK\r\n"
        return [{number for number, who in asked if who == name} for name in (b"little", b"much")]

    def apart():
        littles, muchs = ask(3000)
        assert len(littles) == 1
        return muchs - littles

    eventually(apart)
    aside = apart()
    shared = [number for number, who in asked if who == b"much" and number not in aside]
    assert len(aside) == 1 and len(shared) <= 2 * TURN, (aside, len(shared))
    # Who does not any more comes back.
    for i in range(3):
        littles, muchs = ask(1)
    assert littles == muchs, (littles, muchs)


def test_who_moves_to_it_has_been_answered(w):
    """What is asked there must not overtake what the same client has asked before."""
    held, go = threading.Event(), threading.Event()
    links, asked = {}, []  # of whom the links are, and what was asked since they are held

    def script(link, argv):
        if argv[0] != b"SET":
            return None
        links.setdefault(argv[1], set()).add(link.number)
        if held.is_set():
            asked.append((link.number, int(argv[2])))
            link.stall(go)
        return None

    larder = w.larder(w.add(FakeRedis(script)))
    little, much = larder.connect(), larder.connect()
    much.sock.settimeout(60)

    def apart():
        links.clear()
        much.send(encode_all([("SET", "much", i) for i in range(3000)]))
        little.ok("SET", "little", "x")
        for _ in range(3000):
            much.frame(timeout=60)
        return links[b"much"] - links[b"little"]

    eventually(apart)
    # It has become one who asks for little, and begins where everybody does.
    much.ok("SET", "much", 0)
    held.set()
    much.send(encode_all([("SET", "much", i) for i in range(3000)]))
    eventually(lambda: asked)
    for _ in range(50):
        little.ok("LARDER", "STATS")
    assert asked == [(asked[0][0], 0)], asked
    go.set()
    for _ in range(3000):
        assert much.frame(timeout=60) == b"+OK\r\n"
    assert [n for _, n in asked] == list(range(3000))
    assert len({link for link, _ in asked}) == 2
