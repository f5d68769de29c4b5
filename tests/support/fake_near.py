"""fake_near.py - a scripted Redis for the races of a near cache.

NearRedis keeps strings, answers PTTL, runs MULTI, and lets larder arm its invalidation link; but it
pushes nothing unless told to, so that what larder does of its own accord is seen alone.

    gate = fake.hold("GET", "k")      the next GET k is run when it comes, its reply kept back
    gate = fake.hold("SET", "k", run=False)   .. not even run before it is let go
    gate.wait()                       it has come
    gate.release()                    its reply goes out (the one given, or what it was)

A link that is held at a gate holds all that comes behind, as a connection does. Sessions in RESP2
and RESP3 never share a link, so a test that needs two takes one of each.
"""
import threading

from fake_server import FakeRedis, bulk
from near import near_larder, need_cache
from resp import TIMEOUT, eventually, to_bytes

CHANNEL = b"__redis__:invalidate"


class Gate:
    def __init__(self, words, run):
        self.words = [to_bytes(word).upper() for word in words]
        self.run = run
        self.arrived, self.opened = threading.Event(), threading.Event()
        self.link, self.reply = None, None

    def fits(self, argv):
        return [word.upper() for word in argv[:len(self.words)]] == self.words

    def wait(self):
        assert self.arrived.wait(TIMEOUT), f"{self.words} was not asked"
        return self

    def release(self, reply=None):
        self.reply = reply
        self.opened.set()


class NearRedis(FakeRedis):
    def __init__(self, **values):
        self.values = {to_bytes(k): to_bytes(v) for k, v in values.items()}
        self.ttl = {}            # ms, of keys that have one
        self.gates = []
        self.queued = {}         # commands by link, in MULTI
        self.subscribed = []     # links
        self.answer_pings = True  # on the invalidation link
        self.mutex = threading.RLock()
        super().__init__(self.handle)

    # what a test does

    def hold(self, *words, run=True):
        gate = Gate(words, run)
        with self.mutex:
            self.gates.append(gate)
        return gate

    def push(self, *keys):
        """Says that these have changed; without any, that everything may have."""
        body = b"*-1\r\n" if not keys else b"*%d\r\n" % len(keys) + b"".join(map(bulk, keys))
        for link in self.armed():
            link.send(b"*3\r\n" + bulk("message") + bulk(CHANNEL) + body)

    def armed(self):
        return [link for link in self.subscribed if not link.closed]

    def change(self, key, value):
        """As another client would; nobody is told."""
        with self.mutex:
            if value is None:
                self.values.pop(to_bytes(key), None)
            else:
                self.values[to_bytes(key)] = to_bytes(value)

    def asked(self, *words):
        """How often a command that begins so has come."""
        words = [to_bytes(word).upper() for word in words]
        return sum([word.upper() for word in argv[:len(words)]] == words
                   for argv in self.requests())

    # what it is

    def handle(self, link, argv):
        with self.mutex:
            gate = next((g for g in self.gates if g.fits(argv)), None)
            if gate:
                self.gates.remove(gate)
            if not gate or gate.run:
                reply = self.perform(link, argv)
        if not gate:
            return reply
        gate.link = link
        gate.arrived.set()
        link.stall(gate.opened)
        if not gate.run:
            with self.mutex:
                reply = self.perform(link, argv)
        return reply if gate.reply is None else gate.reply

    def perform(self, link, argv):
        word = argv[0]
        if word == b"MULTI":
            self.queued[link] = []
            return b"+OK\r\n"
        if word == b"EXEC":
            done = [self.perform_one(link, queued) or link.default(queued[0], queued)
                    for queued in self.queued.pop(link, [])]
            return b"*%d\r\n" % len(done) + b"".join(done)
        if link in self.queued:
            self.queued[link].append(argv)
            return b"+QUEUED\r\n"
        return self.perform_one(link, argv)

    def perform_one(self, link, argv):
        word, key = argv[0], argv[1] if len(argv) > 1 else b""
        if word == b"GET":
            return self.value(link, key)
        if word == b"MGET":
            return b"*%d\r\n" % len(argv[1:]) + b"".join(self.value(link, k) for k in argv[1:])
        if word == b"PTTL":
            return b":%d\r\n" % (self.ttl.get(key, -1) if key in self.values else -2)
        if word == b"SET":
            self.values[key] = argv[2]
        elif word in (b"DEL", b"UNLINK"):
            return b":%d\r\n" % sum(self.values.pop(k, None) is not None for k in argv[1:])
        elif word in (b"FLUSHDB", b"FLUSHALL"):
            self.values.clear()
        elif word == b"HPTTL":
            return b"-ERR unknown command 'HPTTL'\r\n"
        elif word == b"SUBSCRIBE":
            self.subscribed.append(link)
            return b"*3\r\n" + bulk("subscribe") + bulk(key) + b":1\r\n"
        elif word == b"PING" and link in self.subscribed:
            return b"*2\r\n" + bulk("pong") + bulk("") if self.answer_pings else b""
        else:
            return None  # FakeRedis knows more
        return b"+OK\r\n"

    def value(self, link, key):
        if key in self.values:
            return bulk(self.values[key])
        return b"_\r\n" if link.proto == 3 else b"$-1\r\n"


def keep(fake, conn, *command):
    """Asks until the answer comes from larder's cache; returns it."""
    def kept():
        before = fake.asked(*command)
        kept.answer = conn.cmd(*command)
        return fake.asked(*command) == before
    eventually(kept)
    return kept.answer


def is_kept(fake, conn, *command):
    """Asks once: was it answered without Redis?"""
    before = fake.asked(*command)
    conn.cmd(*command)
    return fake.asked(*command) == before


def pushed(fake, conn, *keys):
    """Pushes, and waits until larder has seen it: the probe goes in the same push, or behind it."""
    if keys:
        fake.push(*keys, "probe")
    else:
        fake.push()
    eventually(lambda: not is_kept(fake, conn, "GET", "probe"))


def scene(w, cache=None, policy=None, larder=None, **values):
    """The scripted Redis, a larder before it with its invalidation link armed, and C1, C2, C3."""
    need_cache()
    fake = w.add(NearRedis(**{"k": "old", "probe": "x", **values}))
    near = near_larder(w, fake, up={"pool_size": 4}, larder=larder, cache=cache, policy=policy,
                       arm=False)
    clients = [w.conn(near, proto) for proto in (2, 3, 2)]
    keep(fake, clients[0], "GET", "probe")
    return (fake, *clients)
