"""leases.py - a larder under which one client loads what is missing, and clients that wait for it.

    s = Leases(w)                    a Redis and a larder with `stampede = wait`
    holder = s.hold("k")             has been told that k is missing: it is to load it
    waiting = s.park(("GET", "k"), 5)    five more ask, and are not answered yet
    holder.ok("SET", "k", "v")
    s.all_get(waiting, b"v")
    s.rest()                         nothing is held, nobody waits

lease_wait and lease_ttl are far longer than a test takes: who is answered is answered for another
reason, unless the test moves the clock.
"""
import re

from near import near_ini, need_cache
from program import flat
from resp import Map, Status, encode, eventually, select_in
from servers import read_stats

WAIT, TTL, NEGATIVE = 30, 120, 60  # seconds
POLICY = {"stampede": "wait", "lease_wait": f"{WAIT}s", "lease_ttl": f"{TTL}s",
          "negative_ttl": f"{NEGATIVE}s"}
# What is under way while the clock is moved shall not run into its timeouts.
PATIENT_UP = {"command_timeout": "1d", "connect_timeout": "1h", "queue_timeout": "1h",
              "link_idle_timeout": "1d"}
PUSH_MS = 50  # so late may a push come that says that the key has expired
HASH = ("f", "1", "g", "2")


def reads(key):
    """Every read that may wait."""
    return [("GET", key), ("MGET", key), ("HGET", key, "f"), ("HMGET", key, "f", "none"),
            ("HGETALL", key), ("EXISTS", key)]


def missed(reply):
    """Does that say that the key is missing?"""
    return reply in (None, [], Map(), 0) or (isinstance(reply, list) and set(reply) == {None})


def ready(conns):
    """Those for which something has come."""
    return [c for c in conns if c.data or select_in(c.sock, 0)]


def lease_ini(upstream, larder=None, up=None, cache=None, **policy):
    return near_ini(upstream, larder, up, {"coherence_timeout": "1h", **(cache or {})},
                    {**POLICY, **policy})


class Leases:
    """upstream: a Redis of its own unless one is given; clock: of both; more: sections to add."""

    def __init__(self, w, upstream=None, clock=None, more="", sections=None, **policy):
        need_cache()
        self.w = w
        self.redis = upstream or (clock or w).redis()
        sections = {"up": PATIENT_UP if clock else None, **(sections or {})}
        ini = lease_ini(self.redis, **sections, **policy) + more
        self.larder = (clock or w).larder(self.redis, ini=ini)
        self.settle()

    def settle(self):
        """A larder that has just been started is ready to keep what is read."""
        self.probe = self.w.conn(self.larder)
        eventually(lambda: self.stats()["cache_trust"] == 2)
        self.began = self.counters()

    # what larder says of itself

    def stats(self):
        return read_stats(self.probe.cmd("LARDER", "STATS"))

    def counters(self):
        """Of the leases, without their room's name."""
        found = {k[6:]: v for k, v in self.stats().items() if k.startswith("lease_")}
        assert "held" in found and "waiting" in found, "no lease_held, no lease_waiting"
        return found

    def since(self, name):
        """How much a counter has grown since the beginning."""
        return self.counters()[name] - self.began[name]

    def are(self, held, waiting):
        """So many leases and waiters there are, as soon as what is under way has come."""
        def found():
            now = self.counters()
            return (now["held"], now["waiting"]) == (held, waiting)
        try:
            eventually(found)
        except AssertionError:
            now = self.counters()
            raise AssertionError(f"held, waiting = {now['held']}, {now['waiting']}; "
                                 f"expected {held}, {waiting}") from None

    def rest(self):
        self.are(0, 0)
        assert self.lines() == [], self.lines()

    def lines(self):
        """LARDER LEASES: a line each."""
        text = flat(self.probe.ok("LARDER", "LEASES")).removeprefix("txt:")
        return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]

    def calls(self, word):
        """How often Redis has been asked that."""
        found = re.search(rb"cmdstat_%s:calls=(\d+)" % word.encode(),
                          self.redis.cmd("INFO", "commandstats"))
        return int(found.group(1)) if found else 0

    def changed(self, *command):
        """Changes a key behind larder's back, and waits until larder has been told."""
        before = self.stats()["invalidation_keys"]
        self.redis.cmd(*command)
        eventually(lambda: self.stats()["invalidation_keys"] > before)

    def old(self):
        """All leases are so old that a push ends them: sooner it may be that of the expiry."""
        def ages():
            return [int(n) for n in re.findall(r" age_ms=(\d+)", "\n".join(self.lines()))]
        eventually(lambda: min(ages(), default=PUSH_MS) >= PUSH_MS)

    # clients

    def conn(self, proto=2):
        return self.w.conn(self.larder, proto)

    def hold(self, key, *read, proto=2, conn=None):
        """A client that has been given the nil and the lease."""
        held = self.counters()["held"]
        conn = conn or self.conn(proto)
        reply = conn.cmd(*(read or ("GET", key)))
        assert missed(reply), (read, reply)
        assert self.counters()["held"] == held + 1, f"no lease for {read or key} was given"
        return conn

    def park(self, read, count=1, proto=None):
        """So many clients more that wait for that; RESP2 and RESP3 by turns unless it is said."""
        return self.park_on([self.conn(proto or 2 + i % 2) for i in range(count)], read)

    def park_on(self, conns, read):
        before = self.counters()["waiting"]
        for conn in conns:
            conn.send(encode(*read))
        self.parked(conns, before + len(conns))
        return conns

    def parked(self, conns, waiting=None):
        """They wait, and so many in all: nothing has come for them."""
        waiting = len(conns) if waiting is None else waiting

        def found():
            assert not ready(conns), [c.reply() for c in ready(conns)]
            return self.counters()["waiting"] == waiting
        eventually(found)
        assert not ready(conns)

    def round(self):
        """What larder and Redis had to say to each other before this has been said."""
        for proto in (2, 3):
            conn = self.conn(proto)
            for _ in range(2):
                conn.ok("SETRANGE", "nobody's", 0, "")  # goes up, and changes nothing
            conn.close()

    def turn(self):
        """What has come to larder before this has been read by it."""
        for _ in range(2):
            self.probe.ok("PING")

    @staticmethod
    def all_get(conns, *expected):
        """Each is answered, with one of these."""
        for conn in conns:
            reply = conn.reply()
            assert reply in expected, f"{reply!r}, expected {expected!r}"
            assert not isinstance(reply, Status)

    def all_miss(self, conns):
        for conn in conns:
            reply = conn.reply()
            assert missed(reply), reply

    def one_misses(self, conns):
        """Exactly one is told that the key is missing, the others go on waiting: the new holder
        and the others."""
        def one():
            come = ready(conns)
            assert len(come) <= 1, f"{len(come)} were answered"
            return come
        chosen = eventually(one)[0]
        reply = chosen.reply()
        assert missed(reply), reply
        others = [c for c in conns if c is not chosen]
        self.round()
        self.parked(others)
        return chosen, others

    def at_once(self, conn, *command):
        """The reply of who is not parked, though the key is being loaded."""
        waited = self.counters()["waiting"]
        reply = conn.cmd(*command)
        assert self.counters()["waiting"] == waited
        return reply
