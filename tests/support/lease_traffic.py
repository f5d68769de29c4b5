"""lease_traffic.py - hours of an application's traffic before two sidecars with leases, under
random deaths, with the clock moved on all the time.

An App asks for a key; told that it is missing it loads it for a while and stores it. Some delete,
some write of their own accord, some send ahead while they wait. Each value is the number of its
write, so that a read tells which write it saw. In each step of Traffic the clock moves, something
may die, and all that comes is read and judged:

    a value is given that a write had replaced before it was asked for: old
    a request is still without its answer when it should have come long ago: unanswered

Writes are told to other sidecars by Redis' push, which takes a moment: LAG of real time. The end of
all is peace: everybody is answered, and nothing is held or waited for.
"""
import random
import selectors
import time

from coherence import Torment
from leases import Leases
from resp import SLOW, TIMEOUT, Error, Scanner, connect, encode, eventually, parse

KEYS = [f"key:{n}" for n in range(5)]
LAG = 1.0 * SLOW
LATE = TIMEOUT  # real seconds after which an answer that is due is missed
LEASE_WAIT, LEASE_TTL, NEGATIVE = 20, 60, 15  # seconds of the moved clock
READS = ("GET", "GET", "GET", "MGET")
TOLD = ("granted", "promoted", "lapsed", "loaded", "voided", "timed_out", "interrupted")


class Write:
    """A number given to a key, or a DEL; real times."""

    def __init__(self, number, key, side):
        self.number, self.key, self.side = number, key, side
        self.sent, self.acked = time.monotonic(), None


class Asked:
    """A request that has no answer yet."""

    def __init__(self, traffic, word, key, write=None):
        self.word, self.key, self.write = word, key, write
        self.real, self.moved = time.monotonic(), traffic.clock.now()


class App:
    """One client of a side; what: rests, waits, loads. due: when it goes on, by the moved clock."""

    def __init__(self, traffic, side):
        self.traffic, self.side, self.random = traffic, side, traffic.random
        self.sock = None
        self.begin()

    def begin(self):
        """A new process in the place of the one that died."""
        self.end()
        self.sock = connect(self.side.larder.address)
        self.sock.setblocking(False)
        self.traffic.selector.register(self.sock, selectors.EVENT_READ, self)
        self.data, self.scanner, self.asked = bytearray(), Scanner(), []
        self.rest()

    def end(self, reset=False):
        if self.sock is not None:
            self.traffic.selector.unregister(self.sock)
            if reset:
                self.sock.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER: an RST
            self.sock.close()
            self.sock = None
        self.asked, self.what = [], "dead"

    def rest(self):
        self.what, self.due = "rests", self.traffic.clock.now() + self.random.uniform(0, 8)

    def ask(self, word, *words, write=None):
        data = encode(word, *words)
        self.asked.append(Asked(self.traffic, word, words[0] if words else None, write))
        try:
            assert self.sock.send(data) == len(data)
        except OSError:
            pass  # it will be told so
        self.what = "waits"

    def put(self, key):
        write = self.traffic.write(key, self.side)
        self.ask("SET", key, write.number, "PX", self.random.randrange(1000, 60_000), write=write)

    def go_on(self):
        """One thing more, when it is time for it."""
        if self.what == "waits" and self.random.random() < 0.004:
            self.ask("PING")
        if self.what not in ("rests", "loads") or self.due > self.traffic.clock.now():
            return
        chance = self.random.random()
        if self.what == "loads":
            if chance < 0.05:
                self.ask("LARDER", "MISS", self.key)
            else:
                self.put(self.key)
        elif self.traffic.peace:
            return
        elif chance < 0.03:
            key = self.random.choice(KEYS)
            self.ask("DEL", key, write=self.traffic.write(key, self.side))
        elif chance < 0.05:
            self.put(self.random.choice(KEYS))
        else:
            self.ask(self.random.choice(READS), self.random.choice(KEYS))

    def come(self):
        """Reads what is there."""
        try:
            got = self.sock.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            got = b""
        if not got:
            self.end()  # its side died, or it was killed: what it asked is nobody's to answer
            return
        self.data += got
        while self.data:
            size = self.scanner.scan(self.data)
            if size is None:
                return
            frame = bytes(self.data[:size])
            del self.data[:size]
            assert self.asked, f"{frame!r} came to one who had asked nothing"
            self.told(self.asked.pop(0), parse(frame))

    def told(self, asked, reply):
        if isinstance(reply, Error):
            self.traffic.errors += 1
        elif asked.write:
            asked.write.acked = time.monotonic()
        elif asked.word in READS:
            value = reply[0] if isinstance(reply, list) else reply
            if value is None:
                self.key, self.what = asked.key, "loads"
                self.due = self.traffic.clock.now() + self.random.choice((0, 0.3, 2, 2, 9, 100))
                return
            self.traffic.judge(asked, int(value), self.side)
        if not self.asked and self.what != "loads":
            self.rest()


class Traffic:
    def __init__(self, w, seed, apps=12, **policy):
        self.w, self.seed, self.random, self.clock = w, seed, random.Random(seed), w.clock()
        self.redis = self.clock.redis("--appendonly", "yes", "--appendfsync", "no",
                                      "--auto-aof-rewrite-percentage", "0")
        up = {"pool_size": 4, "backoff_min": "5ms", "backoff_max": "50ms"}
        self.sides = [self.side(up, policy) for _ in "ab"]
        self.selector = w.add(Selector())
        self.writes, self.history = {}, {key: [] for key in KEYS}
        self.peace, self.began = False, self.clock.now()
        self.steps = self.errors = self.reads = 0
        self.away = False  # Redis is
        self.told, self.done = dict.fromkeys(TOLD, 0), {}
        self.torment = Torment(self.redis, [], seed)
        self.apps = [App(self, side) for side in self.sides for _ in range(apps)]

    def side(self, up, policy):
        policy = {"lease_wait": f"{LEASE_WAIT}s", "lease_ttl": f"{LEASE_TTL}s",
                  "negative_ttl": f"{NEGATIVE}s", "local_ttl": "1d", **policy}
        return Leases(self.w, self.redis, self.clock, **policy,
                      sections={"up": {"command_timeout": "1d", "connect_timeout": "1h",
                                       "queue_timeout": "1h", "link_idle_timeout": "1d", **up}})

    # what is written and read

    def write(self, key, side):
        write = Write(len(self.writes) + 1, key, side)
        self.writes[write.number] = write
        self.history[key].append(write)
        return write

    def judge(self, asked, number, side):
        """Was that value replaced by a write that was done before the read was sent?"""
        self.reads += 1
        seen = self.writes[number]
        assert seen.key == asked.key, f"{asked.key} was answered with a value of {seen.key}"
        if seen.acked is None:
            return  # its reply was lost: it may have been executed at any time
        for write in self.history[asked.key]:
            lag = 0 if write.side is side else LAG
            if write.acked and write.sent > seen.acked and write.acked + lag < asked.real:
                raise AssertionError(
                    f"old: {asked.key} is {number}, replaced by {write.number} "
                    f"{asked.real - write.acked:.3f} s before it was asked for")

    # deaths

    def client_dies(self):
        """Rather one who is to load, or who waits."""
        apps = [a for a in self.apps if a.what in ("loads", "waits")] or self.apps
        app = self.random.choice(apps)
        app.end(reset=self.random.random() < 0.5)

    def client_is_killed(self):
        app = self.random.choice(self.apps)
        if app.sock:
            app.side.probe.cmd("CLIENT", "KILL", "%s:%d" % app.sock.getsockname())

    def link_dies(self):
        self.torment.kill_one()

    def links_die(self):
        self.torment.kill_links()

    def invalidation_link_dies(self):
        self.torment.kill_pubsub()

    def redis_restarts(self):
        self.redis.restart()

    def redis_is_away(self):
        """For a while in which the others go on."""
        self.away = True
        self.redis.kill()
        for _ in range(4):
            self.go_on(self.random.uniform(0, 3))
        self.redis.start()
        self.away = False

    def sidecar_dies(self):
        """kill -9; another in its place. Its clients come again."""
        side = self.random.choice(self.sides)
        self.sum_up(side)
        side.larder.kill()
        side.larder.start()
        side.larder.expect_exit = False
        side.settle()

    DEEDS = (["client_dies"] * 30 + ["client_is_killed"] * 6 + ["link_dies"] * 3 + ["links_die"] * 2
             + ["invalidation_link_dies"] * 3 + ["redis_restarts", "redis_is_away", "sidecar_dies"])

    def disturb(self):
        deed = self.random.choice(self.DEEDS)
        self.done[deed] = self.done.get(deed, 0) + 1
        getattr(self, deed)()
        self.compare_waiting()

    # time

    def run(self, steps):
        for _ in range(steps):
            if self.random.random() < 0.2:
                self.disturb()
            self.go_on(self.how_long())

    def how_long(self):
        chance = self.random.random()
        if chance < 0.6:
            return self.random.uniform(0, 1)
        return self.random.uniform(1, 8) if chance < 0.9 else self.random.uniform(30, 600)

    def go_on(self, seconds):
        self.steps += 1
        for app in self.apps:
            if app.what == "dead":
                app.begin()
        self.read(0.003)
        self.clock.move(seconds)
        for app in self.apps:
            app.go_on()
        self.read(0.012)
        self.all_answered()

    def read(self, quiet):
        """What comes, until nothing has for so long; timers see a move within 10 ms."""
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            come = self.selector.select(quiet)
            if not come:
                return
            for key, _ in come:
                if key.data.sock is key.fileobj:
                    key.data.come()

    def all_answered(self):
        """Whoever asked longer ago than lease_wait: if not yet, then while the clock stands still.
        It is moved on only twice, as larder may have read their request after a move."""
        due = self.clock.now() - LEASE_WAIT - 1
        late = [x for app in self.apps for x in app.asked if x.moved < due]
        begin, moves = time.monotonic(), 0
        while late and not self.away:
            self.read(0.003)
            if time.monotonic() - begin > (0.3, 0.7, 2)[moves] * LATE / 2 and moves < 2:
                self.clock.move(LEASE_WAIT + 1)
                moves += 1
            late = [x for x in late if any(x in app.asked for app in self.apps)]
            if late and time.monotonic() > begin + LATE:
                raise AssertionError(
                    f"unanswered: {late[0].word} {late[0].key}, {len(late)} in all; the leases: "
                    f"{[side.lines() for side in self.sides]}")

    def compare_waiting(self):
        """Nobody waits who has not asked, or has left."""
        for side in self.sides:
            def fine(side=side):
                self.read(0.003)
                asking = sum(a.side is side and bool(a.asked) for a in self.apps)
                return side.counters()["waiting"] <= asking
            eventually(fine)

    # the end

    def make_peace(self):
        """All that is under way comes to its end; then nothing is left."""
        self.peace = True
        deadline = time.monotonic() + 4 * TIMEOUT
        while any(a.asked or a.what == "loads" for a in self.apps):
            assert time.monotonic() < deadline, [(a.what, len(a.asked)) for a in self.apps]
            self.go_on(1)
        for app in self.apps[::2]:
            app.end()
        for side in self.sides:
            self.sum_up(side)
        self.clock.move(LEASE_TTL + NEGATIVE + 1)
        for side in self.sides:
            side.rest()
        eventually(lambda: self.redis.cmd("KEYS", "larder:*") == [])

    def sum_up(self, side):
        for name in TOLD:
            self.told[name] += side.since(name)

    def tell(self):
        return (f"seed {self.seed}, step {self.steps}, "
                f"{(self.clock.now() - self.began) / 3600:.1f} h, "
                f"{self.reads} values read, {len(self.writes)} writes, {self.errors} errors, "
                f"leases {self.told}, deaths {self.done}")


class Selector(selectors.DefaultSelector):
    """Closed with the test, and the sockets in it."""

    def stop(self):
        for key in list(self.get_map().values()):
            key.fileobj.close()
        self.close()
        return []
