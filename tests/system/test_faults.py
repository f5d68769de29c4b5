"""When links break under work: errors that say what is known, nobody gets another's reply."""
import random
import threading
import time

from fake_server import FakeRedis, bulk
from outage import QUICK, is_upstream, serves_again, timed
from relay import Relay
from resp import SLOW, TIMEOUT, Closed, Conn, Error, encode, eventually
from servers import Redis, free_port, scaled


class Load:
    """Clients that write and read values which begin with their key, until told to stop."""

    def __init__(self, address, clients=8):
        self.stop, self.wrong, self.good, self.errors = False, [], 0, 0
        self.threads = [
            threading.Thread(
                target=self.client,
                args=(
                    address,
                    i)) for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def client(self, address, number):
        rng = random.Random(number)
        try:
            c = Conn(address, 2 + number % 2, timeout=30 * SLOW)
            while not self.stop:
                self.turn(c, rng, number)
            c.close()
        except Exception as e:
            self.wrong.append(f"client {number}: {e!r}"[:400])

    def turn(self, c, rng, number):
        keys = ["c%d:%d" % (number, rng.randrange(50)) for _ in range(rng.choice((1, 3, 10)))]
        shared = "all:%d" % rng.randrange(50)
        c.send(b"".join(encode("SET", k,
                               k + "=" + "v" * rng.choice((5, 500, 30000))) + encode("GET", k)
                        for k in keys) + encode("SET", shared, shared + "=x") + encode("GET",
                                                                                       shared))
        for key in [k for k in keys for _ in (1, 2)] + [shared, shared]:
            answer = c.reply()
            if isinstance(answer, Error):
                self.errors += 1
                # LOADING comes from a Redis that has just been started again
                if not answer.startswith((b"UPSTREAM", b"LOADING")):
                    self.wrong.append((key, answer[:200]))
            elif answer not in (b"OK", None) and not answer.startswith(key.encode() + b"="):
                self.wrong.append((key, answer[:200]))
            else:
                self.good += 1

    def progress(self, count=200):
        """Waits until so many more good answers have come."""
        goal = self.good + count
        eventually(lambda: self.good >= goal or self.wrong, timeout=4 * TIMEOUT)

    def end(self):
        self.stop = True
        for thread in self.threads:
            thread.join()
        assert not self.wrong, self.wrong[:4]


def test_kill_and_restart_under_load(w):
    """kill -9, thrice; no client is closed, none gets another's value, all are served again."""
    redis = w.redis()
    larder = w.larder(redis, up={**QUICK, "command_timeout": "3s"})
    load = Load(larder.address)
    for _ in range(3):
        load.progress()
        redis.kill()
        errors = load.errors
        eventually(lambda: load.errors > errors or load.wrong, timeout=4 * TIMEOUT)
        redis.start()
    load.progress()
    load.end()
    serves_again(w.conn(larder))


test_kill_and_restart_under_load.timeout = 90


def test_links_cut_and_reset_under_load(w):
    redis = w.redis()
    relay = w.add(Relay(redis.address))
    larder = w.larder(relay, up={**QUICK, "command_timeout": "5s"})
    load = Load(larder.address)
    for turn in range(20):
        load.progress(100)
        relay.rst() if turn % 2 else relay.cut()
    load.progress()
    load.end()


test_links_cut_and_reset_under_load.timeout = 90


def test_stopped_for_ten_seconds(w):
    """SIGSTOP: the kernel still accepts, nobody answers. Errors by the deadline, then recovery."""
    redis = w.redis()
    larder = w.larder(redis, up=QUICK)
    conns = [w.conn(larder, 2 + i % 2) for i in range(4)]
    conns[0].ok("SET", "k", "v")
    begin = time.monotonic()
    redis.pause()
    try:
        while time.monotonic() - begin < scaled(10, 3):
            for c in conns:
                assert is_upstream(timed(c, "GET", "k"))
                assert c.cmd("CLIENT", "GETNAME") is None  # larder itself is well
            assert is_upstream(timed(conns[0], "SET", "k", "late"))
            assert is_upstream(timed(conns[1], "MULTI", deadline=1))
    finally:
        redis.resume()
    for c in conns:
        serves_again(c)
        assert c.cmd("GET", "k") in (b"v", b"late")  # a late SET may have been done: it was said so


test_stopped_for_ten_seconds.timeout = 60


def test_half_open(w):
    """The links are there and nothing comes: deadlines, and in the end larder makes new ones."""
    redis = w.redis()
    relay = w.add(Relay(redis.address))
    larder = w.larder(relay, up=QUICK)
    conns = [w.conn(larder, 2 + i % 2) for i in range(4)]
    conns[0].ok("SET", "k", "v")
    relay.half_open()
    for c in conns:
        answer = timed(c, "GET", "k")
        assert answer == b"v" or is_upstream(answer), answer
    for c in conns:
        serves_again(c)
        assert c.cmd("GET", "k") == b"v"


def test_reset_idle_links(w):
    """Found dead when next used: a read must not suffer from it."""
    redis = w.redis()
    relay = w.add(Relay(redis.address))
    larder = w.larder(relay, up={**QUICK, "command_timeout": "5s"})
    c = w.conn(larder)
    for how in (relay.rst, relay.cut):
        for _ in range(5):
            c.ok("SET", "k", "v")
            how()
            eventually(lambda: relay.links() == 0 or True)
            assert c.cmd("GET", "k") == b"v"


def test_write_in_flight_says_so(w):
    """The link broke behind a write: nobody knows whether it was done, and the error says that."""
    for how in ("cut", "rst"):
        sent = []

        def script(link, argv, how=how, sent=sent):
            if argv[0] in (b"SET", b"INCR", b"EVAL", b"NEWCMD"):
                sent.append(argv[0].decode())
                getattr(link, how)()
        fake = w.add(FakeRedis(script))
        larder = w.larder(fake, up={**QUICK, "command_timeout": "2s"})
        c = w.conn(larder)
        for command in (("SET", "k", "v"), ("INCR", "n"), ("EVAL", "return 1", 0), ("NEWCMD", "x")):
            answer = c.cmd(*command)
            assert is_upstream(answer), answer
            assert b"unknown" in answer or b"may have" in answer, answer
            assert sent.count(command[0]) == 1, sent
            assert c.cmd("GET", "good") == b"good:value"


def test_write_past_its_deadline_says_so(w):
    release = threading.Event()

    def script(link, argv):
        if argv[0] == b"SET":
            link.stall(release)
    fake = w.add(FakeRedis(script))
    larder = w.larder(fake, up=QUICK)
    answer = timed(w.conn(larder), "SET", "k", "v")
    release.set()
    assert is_upstream(answer) and (b"unknown" in answer or b"may have" in answer), answer


def test_never_sent_does_not_say_so(w):
    """With no upstream at all a write was certainly not done."""
    larder = w.larder(("127.0.0.1", free_port()), up=QUICK)
    c = w.conn(larder)
    answer = timed(c, "SET", "k", "v")
    assert is_upstream(answer) and b"unknown" not in answer, answer
    assert is_upstream(timed(c, "GET", "k"))
    assert c.cmd("PING") == b"PONG"


def test_late_reply_keeps_its_slot(w):
    """Past its deadline a command is answered by larder; its reply, if it comes, goes to nobody."""
    release = threading.Event()

    def script(link, argv):
        if argv == [b"GET", b"slow"]:
            link.stall(release)
    fake = w.add(FakeRedis(script))
    larder = w.larder(fake, up={**QUICK, "pool_size": 2})
    c, d = w.conn(larder), w.conn(larder)
    assert is_upstream(timed(c, "GET", "slow"))
    c.send(encode("GET", "a") + encode("GET", "b"))
    d.send(encode("GET", "c"))
    release.set()
    for conn, keys in ((c, (b"a", b"b")), (d, (b"c",))):
        for key in keys:
            answer = conn.reply()
            assert answer == key + b":value" or is_upstream(answer), answer
    for i in range(20):
        assert c.cmd("GET", "x%d" % i) == b"x%d:value" % i


def test_client_that_leaves_shifts_nobody(w):
    """Its replies are held upstream while it goes; then they come, and belong to nobody."""
    release, held = threading.Event(), []

    def script(link, argv):
        if argv[0] == b"GET" and argv[1].startswith(b"dead"):
            held.append(1)
            link.stall(release)
    fake = w.add(FakeRedis(script))
    for leave in ("close", "rst"):
        release.clear()
        del held[:]
        larder = w.larder(fake, up={"pool_size": 2, "command_timeout": "20s"})
        dead = [w.conn(larder) for _ in range(6)]
        for i, c in enumerate(dead):
            c.send(b"".join(encode("GET", "dead%d-%d" % (i, j)) for j in range(5)))
        eventually(lambda: held)
        stays = [w.conn(larder) for _ in range(6)]
        for i, c in enumerate(stays):
            c.send(encode("GET", "mine%d" % i) + encode("PING", i) + encode("GET", "again%d" % i))
        for c in dead:
            getattr(c, leave)()
        late = [w.conn(larder) for _ in range(6)]
        for i, c in enumerate(late):
            c.send(encode("GET", "late%d" % i))
        release.set()
        for i, c in enumerate(stays):
            assert c.replies(3) == [b"mine%d:value" % i, b"%d" % i, b"again%d:value" % i]
        for i, c in enumerate(late):
            assert c.reply() == b"late%d:value" % i


def test_only_what_was_in_flight_fails(w):
    """One link of several breaks: sessions on the others notice nothing."""
    broken = []

    def script(link, argv):
        if argv == [b"SET", b"break", b"x"]:
            broken.append(link)
            link.rst()
    fake = w.add(FakeRedis(script))
    larder = w.larder(fake, up={"pool_size": 6, "command_timeout": "5s", "backoff_min": "1ms",
                                "backoff_max": "10ms"})
    conns = [w.conn(larder) for _ in range(12)]
    for c in conns:
        assert c.cmd("GET", "warm") == b"warm:value"
    for c in conns:
        assert is_upstream(c.cmd("SET", "break", "x"))
        for other in conns:
            assert other.cmd("GET", "k") == b"k:value"


def test_transaction_on_a_broken_link(w):
    """In MULTI or under WATCH the state is gone with the link: EXEC must not pretend."""
    redis = w.redis()
    relay = w.add(Relay(redis.address))
    larder = w.larder(relay, up={**QUICK, "command_timeout": "5s"})
    for before in ([("MULTI",), ("INCR", "n")], [("WATCH", "k")],
                   [("WATCH", "k"), ("MULTI",), ("INCR", "n")]):
        c = w.conn(larder)
        assert not any(isinstance(x, Error) for x in c.pipeline(before))
        relay.rst()
        try:
            # a new MULTI under a lost WATCH must not succeed as if nobody had written k
            answers = c.pipeline([("MULTI",), ("INCR", "n"), ("EXEC",)])
            assert isinstance(answers[-1], Error) or answers[-1] is None, answers
            assert any(
                is_upstream(a) or a is None for a in answers) or isinstance(
                answers[0], Error), answers
        except Closed:
            pass  # closing is honest too
    c = w.conn(larder)
    serves_again(c)
    assert c.cmd("GET", "n") is None


def test_subscription_on_a_broken_link(w):
    """A subscriber whose link broke is closed, not left waiting for messages that never come."""
    redis = w.redis()
    relay = w.add(Relay(redis.address))
    larder = w.larder(relay, up=QUICK)
    for proto in (2, 3):
        c = w.conn(larder, proto)
        c.send_cmd("SUBSCRIBE", "ch")
        c.value()
        relay.rst()
        rest = c.rest()
        assert rest == b"" or rest.startswith(b"-UPSTREAM"), rest
    for words in (("MONITOR",), ("CLIENT", "TRACKING", "on", "BCAST")):
        c = w.conn(larder, 3)
        assert c.cmd(*words) == b"OK"
        relay.rst()
        rest = c.rest()
        assert b"UPSTREAM" in rest or rest == b"" or rest.startswith(b"+"), rest


def test_blocked_on_a_broken_link(w):
    """BLPOP whose link breaks gets an error at once: it must not wait for ever."""
    redis = w.redis()
    relay = w.add(Relay(redis.address))
    larder = w.larder(relay, up=QUICK)
    for how in (relay.cut, relay.rst):
        c = w.conn(larder)
        c.send(encode("BLPOP", "q", 0) + encode("PING", "behind"))
        eventually(lambda: redis.blocked() == 1)
        how()
        answer = c.reply()
        assert is_upstream(answer), answer
        assert c.reply() == b"behind"


def test_kill_from_upstream(w):
    """CLIENT KILL by an operator of Redis: larder's links die, larder does not."""
    redis = w.redis()
    larder = w.larder(redis, up={**QUICK, "command_timeout": "5s"})
    c = w.conn(larder)
    for _ in range(10):
        redis.cmd("CLIENT", "KILL", "TYPE", "normal")
        answer = c.cmd("GET", "k")
        assert answer is None or is_upstream(answer)
        serves_again(c)


def test_slow_upstream_holds_nobody_elses_link(w):
    """One slow command: sessions pinned to other links go on, the rest wait and get their own."""
    redis = w.redis()
    larder = w.larder(redis)
    slow = w.conn(larder)
    slow.send_cmd(
        "EVAL",
        "local t=redis.call('TIME') local b=t[1]*1000000+t[2] repeat t=redis.call('TIME') until "
        "t[1]*1000000+t[2]-b>200000 return 'done'",
        0)
    others = [w.conn(larder) for _ in range(20)]
    for i, c in enumerate(others):
        c.send(encode("PING", i) + encode("SET", "k%d" % i, i) + encode("GET", "k%d" % i))
    for i, c in enumerate(others):
        assert c.replies(3) == [b"%d" % i, b"OK", b"%d" % i]
    assert slow.reply() == b"done"


def test_held_reply_stops_no_lent_link(w):
    """One link waits for a reply: what runs on links of its own goes on."""
    release = threading.Event()

    def script(link, argv):
        if argv == [b"GET", b"held"]:
            link.stall(release)
        if argv[0] == b"BLPOP":
            return b"*2\r\n" + bulk(argv[1]) + bulk(argv[1] + b":value")
    fake = w.add(FakeRedis(script))
    larder = w.larder(fake, up={"pool_size": 8, "command_timeout": "20s"})
    c = w.conn(larder)
    c.send_cmd("GET", "held")
    eventually(lambda: fake.count("GET") == 1)
    for i in range(5):
        other = w.conn(larder)
        assert other.cmd("BLPOP", "q%d" % i, 0) == [b"q%d" % i, b"q%d:value" % i]
    c.quiet(0.01)
    release.set()
    assert c.reply() == b"held:value"


def test_redis_started_twice_is_two_servers(w):
    """Scripts and data of the old one are gone: the clients see just that."""
    redis = w.redis()
    larder = w.larder(redis, up={**QUICK, "command_timeout": "5s"})
    c = w.conn(larder)
    c.ok("SET", "k", "v")
    assert isinstance(redis, Redis)
    redis.restart()
    eventually(lambda: c.cmd("GET", "k") is None)
    assert c.cmd("GET", "k") is None
