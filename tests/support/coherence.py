"""coherence.py - two larders and a Redis, what torments them, and the program that judges them.

check(w, mode, ..) starts the servers, then build/coherence (tests/coherence/), and all the time it
runs does what Torment does, until it asks for peace. Returns its output; a failure raises.
"""
import os
import random
import re
import subprocess
import threading

from near import TRUST, knows_cache, near_larder, near_stat
from relay import Relay
from resp import SLOW, Closed, NoReply
from servers import LARDER, ROOT, WITH_PARENT, Skip

OPTIONS = ("--appendonly", "yes", "--appendfsync", "no", "--auto-aof-rewrite-percentage", "0")
UP = {"pool_size": 4, "command_timeout": "700ms", "queue_timeout": "700ms",
      "connect_timeout": "500ms", "backoff_min": "5ms", "backoff_max": "50ms"}

# Redis also counts the reads before and after those that are judged: some for each key. When the
# machine stood still meanwhile, they are the most.
FEW_READS = 10000


def program():
    for path in (os.environ.get("COHERENCE"), os.path.join(os.path.dirname(LARDER), "coherence"),
                 os.path.join(ROOT, "build", "coherence")):
        if path and os.access(path, os.X_OK):
            return path
    raise Skip("build/coherence is missing: make coherence")


class Torment:
    """Does one of its deeds every so often until there shall be peace; then all is well again."""

    def __init__(self, redis, deeds, seed, pause=(0.05, 0.7)):
        self.redis, self.deeds, self.pause = redis, deeds, pause
        self.random = random.Random(seed)
        self.peace, self.done = None, {}

    def until(self, peace):
        """In the thread that started the servers: with it they would end."""
        self.peace = peace
        while not peace.wait(self.random.uniform(*self.pause)):
            deed = self.random.choice(self.deeds)
            getattr(self, deed)()
            self.done[deed] = self.done.get(deed, 0) + 1

    def told(self):
        return ", ".join(f"{n} {name}" for name, n in sorted(self.done.items())) or "nothing"

    def ask(self, *command):
        try:
            return self.redis.cmd(*command)
        except (Closed, NoReply, OSError):
            return None

    def kill_normal(self):
        """Every ordinary connection, also those of the program that judges."""
        self.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def kill_pubsub(self):
        """Invalidation links over RESP2."""
        self.ask("CLIENT", "KILL", "TYPE", "pubsub")

    def kill_one(self):
        """One link of a larder, of whatever kind."""
        links = self.links()
        if links:
            self.ask("CLIENT", "KILL", "ID", self.random.choice(links))

    def kill_links(self):
        """All links of the larders, and nobody else's."""
        for number in self.links():
            self.ask("CLIENT", "KILL", "ID", number)

    def links(self):
        """Ids of the connections that are not the judge's: larder's have a name or a library."""
        listed = self.ask("CLIENT", "LIST") or b""
        found = [dict(x.split(b"=", 1) for x in line.split() if b"=" in x)
                 for line in listed.splitlines()]
        return [x[b"id"] for x in found if not x.get(b"name", b"").startswith(b"judge")
                and x.get(b"cmd") != b"client|list"]

    def freeze(self):
        self.redis.pause()
        self.peace.wait(self.random.choice((0.02, 0.1, 0.3, 1.2)) * min(SLOW, 2))
        self.redis.resume()

    def restart(self):
        """Its data come back from the append-only file: what was acknowledged is there."""
        self.redis.restart()


class Judge:
    """The program that runs; what it prints is read in a thread."""

    def __init__(self, words):
        self.peace = threading.Event()  # it has asked for it, or it has ended
        self.lines = []
        self.process = subprocess.Popen([*WITH_PARENT, program(), *words], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            if line == "peace?\n":
                self.peace.set()
            else:
                self.lines.append(line)
        self.peace.set()

    def grant(self):
        try:
            self.process.stdin.write("peace\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass

    def end(self):
        code = self.process.wait()
        self.thread.join()
        return code, "".join(self.lines)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        return []


def judge(w, words, torment=None):
    """Runs the program; returns what it printed, and what was done to the servers meanwhile."""
    one = w.add(Judge(words))
    if torment:
        torment.until(one.peace)
    one.peace.wait()
    one.grant()
    code, text = one.end()
    text += f"{words[0]}: meanwhile {torment.told() if torment else 'nothing'}\n"
    assert code == 0, f"coherence {' '.join(words)}: exit code {code}\n{text}"
    return text


def hits_of(w, larders, text):
    """Adds how often the caches answered; a judgement of a cache that never did is none."""
    if not knows_cache():
        return text + "hits: there is no cache\n"
    hits = [near_stat(w.conn(larder), "hits") for larder in larders]
    assert 0 not in hits, f"a larder never answered from its cache: {hits}\n{text}"
    return text + "hits: A %s B %s\n" % tuple(hits)


# So long that many waits end well: where most are in vain nobody waits for a while.
LEASES = {"stampede": "wait", "lease_ttl": "2s", "lease_wait": "500ms"}
FLEET = {**LEASES, "scope": "fleet"}


def parked_of(larders, text):
    """Adds how often reads waited for a load; as with the hits."""
    parked = [larder.stats()["lease_parked"] for larder in larders]
    assert 0 not in parked, f"no read of a larder has waited: {parked}\n{text}"
    return text + "parked: A %s B %s\n" % tuple(parked)


def share_of(redis, text):
    """Adds which part of the reads did not reach Redis, which was not restarted meanwhile."""
    if not knows_cache():
        return text + "hits: there is no cache\n"
    found = re.search(r"reads (?:A|sent before it) (\d+)\D+(\d+)", text)
    stats = redis.cmd("INFO", "commandstats").decode()
    asked = sum(int(n) for n in re.findall(r"cmdstat_h?get:calls=(\d+)", stats))
    reads = int(found.group(1)) + int(found.group(2))
    if reads < FEW_READS:
        return text + f"hits: {reads} reads are too few to tell\n"
    share = 1 - asked / reads
    text += f"hits: {100 * share:.1f} %\n"
    assert share > 0.05, f"the caches did not answer\n{text}"
    return text


def arguments(mode, redis, a, b, **more):
    ports = {"a": a.address[1], "b": b.address[1], "direct": redis.address[1]}
    return [mode, *(f"{k}={v}" for k, v in {**ports, **more}.items())]


def hot(w, seconds, seed, policy=None, given_ms=0):
    redis = w.redis(*OPTIONS)
    a, b = (near_larder(w, redis, larder={"admin_commands": "allow"}, up=UP, policy=policy)
            for _ in "ab")
    deeds = ["kill_normal", "kill_normal", "kill_pubsub", "kill_pubsub", "kill_pubsub", "kill_one",
             "kill_one", "freeze", "freeze", "restart"]
    text = judge(w, arguments("hot", redis, a, b, seconds=seconds, seed=seed,
                              given_ms=given_ms, settle_ms=int(150 * min(SLOW, 2)), age_ms=int(3000 + 400 * SLOW)),
                 Torment(redis, deeds, seed, (0.1 * SLOW, 0.9 * SLOW)))
    if policy and policy.get("stampede") == "wait" and knows_cache():
        text = parked_of((a, b), text)
    return hits_of(w, (a, b), text)


def spread(w, seconds, seed, age_ms=100, more=(), policy=None):
    redis = w.redis()
    a, b = (near_larder(w, redis, up=UP, policy=policy) for _ in "ab")
    text = judge(w, arguments("spread", redis, a, b, seconds=seconds, seed=seed,
                              age_ms=int(age_ms * SLOW), **dict(more)),
                 Torment(redis, ["kill_pubsub", "kill_one", "kill_links"], seed, (0.2, 1.0)))
    return share_of(redis, text)


class Stall(Torment):
    """The invalidation links fall silent, all others do not."""

    def __init__(self, relay, seed, pause):
        super().__init__(None, ["hold"], seed, pause)
        self.relay = relay

    def hold(self):
        held = self.relay.hold(b"bcast")
        assert held == 2 or not knows_cache(), f"{held} invalidation links"
        self.peace.wait(1.7 * TRUST)
        self.relay.release()


def stalled(w, seconds, seed):
    """A push that does not come: the cache is trusted for TRUST seconds and no longer."""
    redis = w.redis()
    relay = w.add(Relay(redis.address))
    a, b = near_larder(w, relay, up=UP), near_larder(w, relay, up=UP)
    text = judge(w, arguments("spread", redis, a, b, seconds=seconds, seed=seed, readers=4,
                              age_ms=int(TRUST * 1000 + 250 * SLOW), stale_ppm=1000000),
                 Stall(relay, seed, (0.5, 1.5)))
    return share_of(redis, text.replace("spread:", "stalled:"))


def deadline(w, seed, keys=60000):
    redis = w.redis()
    a, b = near_larder(w, redis, up=UP), near_larder(w, redis, up=UP)
    text = judge(w, arguments("deadline", redis, a, b, keys=keys, seed=seed,
                              late_us=int(5000 * SLOW), ahead_ms=int(4000 * SLOW)))
    return hits_of(w, (a, b), text)
