"""sessions.py - sessions that slide: for 30 minutes after each use, for 8 hours at most.

    clock, redis = w.clock(), ..
    side = Sidecar(clock, redis, local="yes")
    s = Strings(3)                  # session:0 .. session:2
    s.create(side)
    s.hit(side)                     # fails unless all three are there
    side.idle(600)                  # ten minutes in which nobody asks for them

A Sidecar is a larder under the test's clock and a connection to it. Renewals that are due are told
to Redis as a duration, not as a moment: were the clock moved while one is under way, it would come
to mean a later one. So idle() goes on in small steps, and after each lets larder and Redis say all
that they have to.
"""
import os
import re
import signal
import time

from resp import TIMEOUT, encode_all, eventually

MINUTE, HOUR = 60, 3600
WINDOW, CAP = 30 * MINUTE, 8 * HOUR
QUARTER = WINDOW // 4
SLACK = 1.5  # seconds: larder and Redis read the clock one after the other, and it stands nowhere

# What is under way while the clock is moved shall not run into its timeouts.
INI = """[listener main]
address = 127.0.0.1:@PORT@
[upstream]
address = %s:%d
command_timeout = 1d
connect_timeout = 1h
queue_timeout = 1h
link_idle_timeout = 1d
[cache]
coherence_timeout = 1h
[policy sessions]
prefix = session:
sliding = 30m
%s
local = %s
local_ttl = 1d
"""


class Sidecar:
    """A larder with that policy; absolute=False: without the cap."""

    def __init__(self, clock, redis, local, absolute=True):
        self.clock, self.redis, self.local = clock, redis, local
        cap = "absolute = 8h" if absolute else ""
        self.larder = clock.larder(redis, ini=INI % (*redis.address, cap, local))
        self.conn = None
        self.connect()

    def connect(self):
        self.conn = self.clock.world.conn(self.larder)
        if self.local == "yes":
            eventually(lambda: self.larder.stats()["cache_trust"] == 2)

    def restart(self):
        """SIGTERM, and another in its place."""
        self.end()
        self.start()

    def end(self):
        self.larder.expect_exit = True
        self.larder.signal(signal.SIGTERM)
        assert self.larder.process.wait(4 * TIMEOUT) == 0

    def start(self):
        self.larder.start()
        self.larder.expect_exit = False  # .. of the new one
        self.connect()

    def settle(self):
        """What was due has been said to Redis: larder's timers run in the turn of the first PING,
        and Redis has read what came before the last."""
        for _ in range(2):
            self.conn.ok("PING")
        self.conn.ok("EXISTS", "nobody's")  # goes up
        self.redis.cmd("PING")

    def idle(self, seconds):
        idle([self], seconds)


def idle(sides, seconds, step=30):
    """So long later, for these larders; none of the sessions was used."""
    clock = sides[0].clock
    while True:
        for side in sides:
            side.settle()
        if seconds <= 0:
            return
        clock.move(min(step, seconds))
        seconds -= step


def exactly(conn, expected, what):
    """Reads so many bytes; they must be these."""
    deadline = time.monotonic() + 4 * TIMEOUT
    while len(conn.data) < len(expected):
        conn.fill(deadline, what)
        if not expected.startswith(bytes(conn.data)):
            same = len(os.path.commonprefix([bytes(conn.data), expected]))
            raise AssertionError(f"{what}: {same} bytes of {len(expected)}, "
                                 f"then {bytes(conn.data[same:same + 80])!r}")
    conn.data.clear()


class Sessions:
    """Some sessions, hit in one pipeline whose reply is known to the byte."""
    per_hit = create_reply = None

    def __init__(self, count=1, first=0):
        self.keys = [f"session:{i}" for i in range(first, first + count)]
        self.created = self.used = (0, 0)  # not before, not after; the Unix time
        self.asked = encode_all([c for key in self.keys for c in self.reads(key)])
        self.answer = self.per_hit * count

    def create(self, side):
        """.. or write anew."""
        before = side.clock.now()
        side.conn.send(encode_all([self.write(key) for key in self.keys]))
        exactly(side.conn, self.create_reply * len(self.keys), "writes")
        self.created = self.used = (before, side.clock.now())

    def hit(self, side):
        before = side.clock.now()
        side.conn.send(self.asked)
        exactly(side.conn, self.answer, f"sessions {before - self.created[1]:.0f} s old, "
                f"used {before - self.used[1]:.0f} s ago")
        self.used = (before, side.clock.now())

    def live(self, redis):
        """How many there are upstream; asked directly, which renews nothing."""
        return redis.cmd("EXISTS", *self.keys)

    def deadlines(self, redis):
        """Their Unix times upstream; of one that is gone -0.002, that never ends -0.001."""
        conn = redis.direct()
        try:
            return [ms / 1000 for ms in conn.pipeline([("PEXPIRETIME", k) for k in self.keys])]
        finally:
            conn.close()

    def promised(self, redis):
        """Does Redis have them end 30 minutes after the last use, each?"""
        low, high = self.used[0] + WINDOW, self.used[1] + WINDOW + SLACK
        return all(low - 0.002 <= at <= high for at in self.deadlines(redis))


class Strings(Sessions):
    per_hit, create_reply = b"$1\r\nv\r\n", b"+OK\r\n"

    @staticmethod
    def write(key):
        return ("SET", key, "v")

    @staticmethod
    def reads(key):
        return [("GET", key)]


class Hashes(Sessions):
    """As .NET's IDistributedCache keeps them: HMGET and EXPIRE at each use."""
    per_hit = b"*3\r\n$2\r\n-1\r\n$11\r\n18000000000\r\n$1\r\nv\r\n:1\r\n"
    create_reply = b":1\r\n"
    script = ("redis.call('HSET', KEYS[1], 'absexp', ARGV[1], 'sldexp', ARGV[2], 'data', ARGV[4]) "
              "if ARGV[3] ~= '-1' then redis.call('EXPIRE', KEYS[1], ARGV[3]) end return 1")

    @classmethod
    def write(cls, key):
        return ("EVAL", cls.script, 1, key, -1, WINDOW * 10_000_000, WINDOW, "v")

    @staticmethod
    def reads(key):
        return [("HMGET", key, "absexp", "sldexp", "data"), ("EXPIRE", key, WINDOW)]


class Renewals:
    """Which sessions were given a deadline upstream, as Redis itself tells: keyspace events, which
    do not count what changed nothing. Internal keys do not count either."""

    def __init__(self, w, redis):
        redis.cmd("CONFIG", "SET", "notify-keyspace-events", "Eg")
        self.conn = w.conn(redis)
        self.conn.ok("SUBSCRIBE", "__keyevent@0__:expire")
        self.marks = 0

    def new(self):
        """Their keys since the last call, one for each time."""
        self.marks += 1
        end = b"\r\nmark %d\r\n" % self.marks
        self.conn.send_cmd("PING", f"mark {self.marks}")
        deadline = time.monotonic() + 4 * TIMEOUT
        while end not in self.conn.data:
            self.conn.fill(deadline, "keyspace events")
        upto = self.conn.data.index(end) + len(end)
        found = re.findall(rb"__:expire\r\n\$\d+\r\n(session:\d+)\r\n", self.conn.data[:upto])
        del self.conn.data[:upto]
        return [key.decode() for key in found]


def calls(redis, *words):
    """How often Redis has been asked these, from scripts too."""
    text = redis.cmd("INFO", "commandstats")
    found = dict(re.findall(rb"cmdstat_(\S+?):calls=(\d+)", text))
    return sum(int(found.get(word.encode(), 0)) for word in words)


def expires(redis):
    return calls(redis, "expire", "pexpire", "expireat", "pexpireat")
