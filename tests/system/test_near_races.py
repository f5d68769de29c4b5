"""The near cache: what must not go wrong when several things are under way at once.

Most of these tests stand before a scripted server that executes a few commands on a dictionary and
holds up, on one connection, what a test wants held up: `Gate`. The near cache is set to
coherence = ttl, so that nothing comes to its help that a real server's pushes would make good some
milliseconds later. Connections in RESP2 and in RESP3 are on different links, and share what GET
says.
"""
import signal
import threading
import time

from fake_server import FakeRedis, bulk
from resp import Error, encode, encode_all, eventually
from servers import SLOW, sanitized

ONE_CHANCE = True  # tests/system/run

INI = """
[larder]
{larder}
[listener main]
address = 127.0.0.1:@PORT@
[upstream]
address = {address}
{up}
[cache]
coherence = {coherence}
[policy kept]
prefix = {prefix}
local = yes
{policy}
"""


def lines(settings):
    return "\n".join(f"{k} = {v}" for k, v in (settings or {}).items())


def near_ini(upstream, coherence="ttl", prefix="*", larder=None, up=None, policy=None):
    return INI.format(address="%s:%d" % upstream.address, coherence=coherence, prefix=prefix,
                      larder=lines(larder), up=lines(up), policy=lines(policy))


def near(w, upstream, **settings):
    """A larder that keeps what has the prefix: every key, unless told otherwise."""
    return w.larder(upstream, ini=near_ini(upstream, **settings))


class Gate:
    """Holds up the first request that begins with these words, and so its connection: before it is
    executed, or (late) before its reply is sent."""

    def __init__(self, words, late):
        self.words, self.late = words, late
        self.reached, self.opened = threading.Event(), threading.Event()

    def wait(self):
        assert self.reached.wait(5 * SLOW), f"{self.words} was not asked"

    def open(self):
        self.opened.set()


class Store:
    """The script of a fake server: a dictionary of strings."""

    def __init__(self, **data):
        self.data = {k.encode(): v.encode() for k, v in data.items()}
        self.gates = []
        self.queued = {}  # of a connection in MULTI
        self.other = None  # (link, argv) -> reply or None, asked first

    def gate(self, *words, late=False):
        gate = Gate([word.encode() for word in words], late)
        self.gates.append(gate)
        return gate

    def __call__(self, link, argv):
        gate = next((g for g in self.gates
                     if argv[:len(g.words)] == g.words and not g.reached.is_set()), None)
        if gate and not gate.late:
            gate.reached.set()
            link.stall(gate.opened)
        reply = self.other(link, argv) if self.other else None
        if reply is None:
            reply = self.execute(link, argv)
        if gate and gate.late:
            gate.reached.set()
            link.stall(gate.opened)
        return reply

    def execute(self, link, argv):
        word, queue = argv[0], self.queued.get(link)
        if word == b"MULTI":
            if queue is not None:
                return b"-ERR MULTI calls can not be nested\r\n"
            self.queued[link] = []
            return b"+OK\r\n"
        if word == b"EXEC" and queue is not None:
            del self.queued[link]
            return b"*%d\r\n" % len(queue) + b"".join(self.run(link, q) for q in queue)
        if queue is not None:
            queue.append(argv)
            return b"+QUEUED\r\n"
        return self.run(link, argv)

    def run(self, link, argv):
        word, key = argv[0], argv[1] if len(argv) > 1 else b""
        if word == b"GET":
            return self.value(link, key)
        if word == b"MGET":
            return b"*%d\r\n" % (len(argv) - 1) + b"".join(self.value(link, k) for k in argv[1:])
        if word in (b"SET", b"MODULE.SET"):
            self.data[key] = argv[2]
            return b"+OK\r\n"
        if word == b"PTTL":
            return b":-1\r\n" if key in self.data else b":-2\r\n"
        if word == b"STRLEN":
            return b":%d\r\n" % len(self.data.get(key, b""))
        return None

    def value(self, link, key):
        if key in self.data:
            return bulk(self.data[key])
        return b"_\r\n" if link.proto == 3 else b"$-1\r\n"


def fake(w, store):
    return w.add(FakeRedis(store))


def served(larder, conn, word):
    """Larder has looked at the last command of this connection, which is `word`."""
    mine = b"addr=%s " % conn.name().encode()

    def looked():
        rows = larder.cmd("CLIENT", "LIST").splitlines()
        return [r for r in rows if mine in r and b" cmd=%s " % word.encode() in r]
    eventually(looked)


# ---- MGET

def test_mget_keeps_under_its_own_keys(w):
    """MGET's values are kept for the keys that it named. (They were kept under bytes of the read
    buffer, whatever stood there when the reply came.)"""
    server = fake(w, Store(k1="one", k2="two"))
    larder = near(w, server)
    c = w.conn(larder)
    assert c.cmd("MGET", "k1", "k2", "k3") == [b"one", b"two", None]
    assert [c.cmd("GET", k) for k in ("k1", "k2", "k3")] == [b"one", b"two", None]
    assert c.cmd("MGET", "k3", "k2") == [None, b"two"]
    c.send(b"MGET k4 k1\r\n")  # inline: its words stand in yet another buffer
    assert c.reply() == [None, b"one"]
    assert c.cmd("GET", "k4") is None
    assert server.count("GET") == 0 and server.count("MGET") == 2


def old_mget_joined(w, keys, prefix, first=()):
    """C1 MGET keys   --> executed: old  ........................ reply held up
       C2 SET c new      --> executed, +OK, C2 has its reply
       C3 MGET keys         the same question: must not be answered with C1's old reply"""
    store = Store(a="a", b="b", c="old")
    server = fake(w, store)
    larder = near(w, server, prefix=prefix)
    c1, c2, c3 = w.conn(larder), w.conn(larder, 3), w.conn(larder)
    for key in first:
        c1.cmd("GET", key)
    gate = store.gate("MGET", late=True)
    c1.send(encode("MGET", *keys))
    gate.wait()
    c2.ok("SET", "c", "new")
    c3.send(encode("MGET", *keys))
    served(larder, c3, "mget")
    gate.open()
    assert c1.reply() == [b"old" if k == "c" else k.encode() for k in keys]
    assert c3.reply() == [b"new" if k == "c" else k.encode() for k in keys]


def test_mget_joins_nothing_older_than_a_write(w):
    old_mget_joined(w, ("b", "c"), "*")


def test_mget_joins_nothing_older_than_a_write_of_its_first_key(w):
    old_mget_joined(w, ("c", "b"), "*")


def test_mget_joins_nothing_older_than_a_write_of_a_key_that_is_not_kept(w):
    """No policy is for c: writes of it hold nothing."""
    old_mget_joined(w, ("b", "c"), "b")
    old_mget_joined(w, ("c", "b"), "b")


def test_mget_joins_nothing_older_than_a_write_of_what_was_on_the_shelf(w):
    """c was on the shelf when C1 asked, so C1's question is about b only."""
    old_mget_joined(w, ("b", "c"), "*", first=("c",))
    old_mget_joined(w, ("c", "b"), "*", first=("c",))


def test_mget_joins_nothing_asked_under_a_hold(w):
    """C1 SET c new    --> held up
       C2 MGET b c     --> executed: old  ................ reply held up
       C1                  executed, +OK, C1 has its reply
       C3 MGET b c         must not be answered with C2's old reply"""
    store = Store(b="b", c="old")
    server = fake(w, store)
    larder = near(w, server)
    c1, c2, c3 = w.conn(larder, 3), w.conn(larder), w.conn(larder)
    write, read = store.gate("SET"), store.gate("MGET", late=True)
    c1.send(encode("SET", "c", "new"))
    write.wait()
    c2.send(encode("MGET", "b", "c"))
    read.wait()
    write.open()
    assert c1.reply() == b"OK"
    c3.send(encode("MGET", "b", "c"))
    served(larder, c3, "mget")
    read.open()
    assert c2.reply() == [b"b", b"old"]
    assert c3.reply() == [b"b", b"new"]


def test_mget_of_liars(w):
    """Fewer or more values than were asked for, or none: nothing of another reply (the times to
    live behind it) is given out or kept as a value, and the connection goes on."""
    store = Store(a="a", b="b")
    server = fake(w, store)
    larder = near(w, server)
    c = w.conn(larder)
    for lie in (b"*1\r\n$1\r\na\r\n", b"*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n", b"*0\r\n",
                b"*-1\r\n", b":5\r\n", b"-ERR lies\r\n", b"*1\r\n" + bulk(b"x" * 300_000),
                b"-ERR " + b"x" * 300_000 + b"\r\n",
                b"*3\r\n$1\r\na\r\n" + bulk(b"x" * 300_000) + b"$1\r\nc\r\n"):
        store.other = lambda link, argv, lie=lie: lie if argv[0] == b"MGET" else None
        assert c.raw("MGET", "a", "b") == lie
        assert c.cmd("GET", "a") == b"a" and c.cmd("GET", "b") == b"b"
        c.ok("SET", "a", "a")
        c.ok("SET", "b", "b")


# ---- writes in transactions

def test_nested_multi_forgets_nothing(w):
    """A MULTI within MULTI is an error, and changes nothing: EXEC runs what was queued before it.

       C1 MULTI, SET k new (queued), MULTI (error)            EXEC --> executed, C1 has its reply
       C2                                          GET k: old       GET k: new"""
    redis = w.redis()
    larder = near(w, redis)
    for own in (False, True):
        c1, c2 = w.conn(larder), w.conn(larder)
        redis.cmd("SET", "k", "old")
        if own:
            c1.ok("CLIENT", "TRACKING", "ON")
        c1.ok("MULTI")
        assert c1.cmd("SET", "k", "new") == b"QUEUED"
        assert isinstance(c1.cmd("MULTI"), Error)
        assert c2.cmd("GET", "k") == b"old"
        assert c1.cmd("EXEC") == [b"OK"]
        assert c2.cmd("GET", "k") == b"new", f"own link: {own}"
        c2.cmd("DEL", "k")


def queued_unseen(w, begin, write, value):
    """C1 [begin] MULTI --> held up; write (k := value) is looked at before MULTI is answered, so it
                           must not be taken for one that runs at once: EXEC changes k
       C1 has +OK, +QUEUED
       C2 GET k: old, kept
       C1 EXEC --> executed, C1 has its reply
       C2 GET k: value"""
    store = Store(k="old")
    server = fake(w, store)
    larder = near(w, server)
    c1, c2 = w.conn(larder), w.conn(larder)
    c1.ok(*begin)
    gate = store.gate("MULTI")
    c1.send(encode("MULTI") + encode(*write))
    gate.wait()
    for _ in range(5):
        c2.cmd("ECHO", "another turn of the loop")
    gate.open()
    assert c1.replies(2) == [b"OK", b"QUEUED"]
    assert c2.cmd("GET", "k") == b"old"
    assert c1.cmd("EXEC") == [b"OK"]
    assert c2.cmd("GET", "k") == value


def test_large_write_behind_a_multi_that_is_unanswered(w):
    """.. a request that is streamed, under WATCH."""
    large = b"n" * (2 << 20)
    queued_unseen(w, ("WATCH", "x"), ("SET", "k", large), large)
    queued_unseen(w, ("CLIENT", "TRACKING", "ON"), ("SET", "k", large), large)


def test_unknown_write_behind_a_multi_that_is_unanswered(w):
    """.. a command that larder does not know, on a link of the session's own."""
    queued_unseen(w, ("WATCH", "x"), ("MODULE.SET", "k", "new"), b"new")
    queued_unseen(w, ("CLIENT", "TRACKING", "ON"), ("MODULE.SET", "k", "new"), b"new")


# ---- writes that were under way when their keys began to be kept

def reload(larder, upstream, **settings):
    before = larder.log().count("settings reloaded")
    larder.configure(near_ini(upstream, **settings))
    larder.signal(signal.SIGHUP)
    eventually(lambda: larder.log().count("settings reloaded") > before)


def test_write_under_way_when_its_key_begins_to_be_kept(w):
    """C1 SET k new    --> held up: no policy is for k, so nothing is held
       reload: k is kept
       C2 GET k: old
       C1                  executed, C1 has its reply
       C2 GET k: new"""
    store = Store(k="old")
    server = fake(w, store)
    larder = near(w, server, prefix="other")
    for muted in (False, True):
        store.data[b"k"] = b"old"
        reload(larder, server, prefix="other")
        c1, c2 = w.conn(larder, 3), w.conn(larder)
        gate = store.gate("SET")
        c1.send((encode("CLIENT", "REPLY", "OFF") if muted else b"") + encode("SET", "k", "new"))
        gate.wait()
        reload(larder, server)
        assert c2.cmd("GET", "k") == b"old"
        gate.open()
        if muted:
            eventually(lambda: store.data[b"k"] == b"new")
            c1.send(encode("CLIENT", "REPLY", "ON"))
        assert c1.reply() == b"OK"
        assert c2.cmd("GET", "k") == b"new", f"muted: {muted}"
        assert c2.cmd("GET", "k") == b"new"
    asked = server.count("GET")
    assert c2.cmd("GET", "k") == b"new" and server.count("GET") == asked  # it is kept


def test_write_queued_when_its_key_begins_to_be_kept(w):
    """C1 MULTI, SET k new (queued)        EXEC --> executed, C1 has its reply
       reload: k is kept
       C2                         GET k: old    GET k: new"""
    store = Store(k="old")
    server = fake(w, store)
    larder = near(w, server, prefix="other")
    c1, c2 = w.conn(larder), w.conn(larder)
    c1.ok("MULTI")
    assert c1.cmd("SET", "k", "new") == b"QUEUED"
    reload(larder, server)
    assert c2.cmd("GET", "k") == b"old"
    assert c1.cmd("EXEC") == [b"OK"]
    assert c2.cmd("GET", "k") == b"new"


def test_blocked_while_keys_begin_to_be_kept(w):
    """Who blocks may do so for ever: that must not keep anything from being kept."""
    redis = w.redis()
    larder = near(w, redis, prefix="other")
    c1, c2 = w.conn(larder), w.conn(larder)
    redis.cmd("SET", "k", "v")
    c1.send(encode("BLPOP", "list", 0))
    eventually(redis.blocked)
    reload(larder, redis)
    assert c2.cmd("GET", "k") == b"v"
    redis.cmd("SET", "k", "not seen, for no pushes come")
    assert c2.cmd("GET", "k") == b"v"
    c2.cmd("RPUSH", "list", "x")
    assert c1.reply() == [b"list", b"x"]


# ---- questions that others join

def test_asked_again_in_each_protocol(w):
    """C1 (RESP3) GET k --> held up, then its link is cut
       C2 (RESP3), C3 (RESP2) had joined: asked again for all, each told in its own protocol"""
    store = Store()
    server = fake(w, store)
    larder = near(w, server)
    for one, other in ((3, 2), (2, 3)):
        key = f"none{one}"
        c1, c2, c3 = w.conn(larder, one), w.conn(larder, one), w.conn(larder, other)
        c1.cmd("GET", "warm")
        gate = store.gate("GET", key)
        for c in (c1, c2, c3):
            c.send(encode("GET", key))
            served(larder, c, "get")
            gate.wait()
        link = next(l for l in server.links if l.requests and l.requests[-1] == [
            b"GET", key.encode()])
        link.close()
        gate.open()
        null = {2: b"$-1\r\n", 3: b"_\r\n"}
        assert c1.raw_reply() == null[one]
        assert c2.raw_reply() == null[one]
        assert c3.raw_reply() == null[other]


def test_slow_leader_holds_up_nobody(w):
    """C1 GET k (32 MB), and does not read; C2 GET k, asked meanwhile, has its answer all the same,
    whether it has joined or came later. (The link waited for C1, and C2 with it.)"""
    redis = w.redis()
    size = 32 << 20
    redis.cmd("SETRANGE", "k", size - 1, "x")
    larder = near(w, redis, larder={"client_buffer_max": "256mb"}, policy={"max_value": "64mb"},
                  up={"command_timeout": "30s"})
    c1, c2, c3 = (w.conn(larder, timeout=20) for _ in range(3))
    for joins in (True, False):
        if joins:
            redis.pause()
        c1.send(encode("GET", "k"))
        if joins:
            served(larder, c1, "get")
            c2.send(encode("GET", "k"))
            served(larder, c2, "get")
            redis.resume()
            assert len(c2.reply()) == size
        else:
            assert c1.sock.recv(10)
        assert len(c3.cmd("GET", "k")) == size
        c1.close()
        c1 = w.conn(larder, timeout=20)
        c3.cmd("PERSIST", "k")  # off the shelf


def test_slow_reader_with_more_asked(w):
    """A client slower than Redis that has asked for more behind a value larger than
    client_buffer_max: it reads, so it is not closed. (Each of its questions was taken for somebody
    else's, who must not be kept waiting.)"""
    redis = w.redis()
    larder = near(w, redis, larder={"client_buffer_max": "8mb"}, up={"command_timeout": "60s"})
    size = 64 << 20
    redis.cmd("SETRANGE", "big", size - 1, "x")
    c = w.conn(larder, timeout=20)
    c.send(encode_all([("GET", "big"), ("PING",), ("STRLEN", "big"), ("MGET", "big", "x"),
                       ("TTL", "big")]))
    for _ in range(300):
        c.data += c.sock.recv(1000)
        redis.cmd("PING")
    assert len(c.reply()) == size
    assert c.replies(2) == [b"PONG", size]
    values = c.reply()
    assert [v and len(v) for v in values] == [size, None]
    assert c.reply() == -1


def test_nobody_joins_behind_a_large_reply(w):
    """C1 GET big, GET k, MGET k x, reads slowly: its link waits for it. C2 GET k and MGET k x do
    not join what stands behind big: they have their answers at once, and C1's link goes on
    waiting. (C1 was closed, for the link no longer waited and all of big came.)"""
    redis = w.redis()
    larder = near(w, redis, larder={"client_buffer_max": "8mb"}, up={"command_timeout": "60s"})
    size = 64 << 20
    redis.cmd("SETRANGE", "big", size - 1, "x")
    redis.cmd("SET", "k", "v")
    c1, c2 = w.conn(larder, timeout=20), w.conn(larder, timeout=20)
    c1.send(encode_all([("GET", "big"), ("GET", "k"), ("MGET", "k", "x")]))
    while len(c1.data) < 100:
        c1.fill(time.monotonic() + 20)
    assert c2.cmd("GET", "k") == b"v"
    assert c2.cmd("MGET", "k", "x") == [b"v", None]
    for _ in range(300):
        c1.data += c1.sock.recv(1000)
        redis.cmd("PING")
    assert len(c1.reply()) == size
    assert c1.replies(2) == [b"v", [b"v", None]]


# ---- hashes

def test_field_times_that_may_not_be_asked(w):
    """The upstream knows HPTTL, but refuses it to this user: that says nothing about whether fields
    expire, so nothing of a hash is kept."""
    store = Store()
    server = fake(w, store)
    answers = {b"HGET": b"$1\r\nv\r\n", b"PTTL": b":-1\r\n",
               b"HPTTL": b"-NOPERM this user has no permissions to run the 'hpttl' command\r\n"}
    store.other = lambda link, argv: answers.get(argv[0])
    larder = near(w, server)
    c = w.conn(larder)
    for _ in range(3):
        assert c.cmd("HGET", "h", "f") == b"v"
    assert server.count("HGET") == 3
    answers[b"HPTTL"] = b"-ERR unknown command 'HPTTL', with args beginning with: 'h' \r\n"
    for _ in range(3):
        assert c.cmd("HGET", "h", "f") == b"v"
    assert server.count("HGET") == 4


# ---- memory

def test_one_value_asked_for_many_times(w):
    """MGET k k k ..: of a small request and one kept value comes an answer of any size. It must not
    be put together in memory before the client has taken anything of it."""
    redis = w.redis()
    value, times = b"v" * 1_000_000, 300
    redis.cmd("SET", "k", value)
    larder = near(w, redis, larder={"client_buffer_max": "32mb"})
    c = w.conn(larder, timeout=20)
    assert c.cmd("GET", "k") == value
    larder.reset_peak()
    base = larder.peak_kb()
    c.send(encode("MGET", *["k"] * times))
    while len(c.data) < 10:
        c.fill(time.monotonic() + 20)
    for _ in range(20):
        redis.cmd("PING")
        larder.cmd("PING")
    grown = larder.peak_kb() - base
    if not sanitized():
        assert grown < 100_000, f"{grown} kB"
    values = c.reply()
    assert len(values) == times and set(values) == {value}


def test_many_who_join_for_a_large_value(w):
    """Who joined has the answer as soon as it is there: nothing of it is kept for those who take it
    at once, however many they are."""
    store = Store(k="v" * 1_000_000)
    server = fake(w, store)
    larder = near(w, server)
    conns = [w.conn(larder, timeout=20) for _ in range(100)]
    gate = store.gate("GET", "k")
    for c in conns:
        c.send(encode("GET", "k"))
    served(larder, conns[-1], "get")
    base = larder.peak_kb()
    takers = [threading.Thread(target=c.reply) for c in conns]
    for t in takers:
        t.start()
    gate.open()
    for t in takers:
        t.join()
    assert server.count("GET") == 1
    grown = larder.peak_kb() - base
    if not sanitized():
        assert grown < 50_000, f"{grown} kB"


def test_hits_cut_at_every_byte(w):
    """A pipeline of hits, misses, absent keys and other commands in pieces: once what a scan had seen
    of a GET's first bytes was still in force for the request behind it."""
    redis = w.redis()
    larder = w.larder(ini=near_ini(redis))
    c = w.conn(larder)
    for i in range(4):
        c.ok("SET", "cut:%d" % i, "v%d" % i)
        assert c.cmd("GET", "cut:%d" % i) == b"v%d" % i
    assert c.cmd("GET", "cut:none") is None
    said = encode_all([("GET", "cut:0"), ("get", "cut:1"), ("GET", "cut:none"), ("PING",),
                       ("Get", "cut:2"), ("STRLEN", "cut:3"), ("GET", "cut:3")])
    want = [b"v0", b"v1", None, b"PONG", b"v2", 2, b"v3"]
    for cut in range(1, len(said)):
        c.send(said[:cut])
        if cut % 3 == 0:
            other = w.conn(larder)
            assert other.cmd("PING") == b"PONG"  # larder has seen the first piece
            other.close()
        c.send(said[cut:])
        assert [c.reply() for _ in want] == want, cut


def test_a_pipeline_of_hits_is_no_offence(w):
    """client_buffer_max is for who does not read. A reader who asks for much that is kept, in one
    segment, was closed: hits were put together past it before the first byte was sent."""
    redis = w.redis()
    larder = w.larder(ini=near_ini(redis, larder={"client_buffer_max": "64kb"}))
    c = w.conn(larder, timeout=20)
    c.ok("SET", "k", b"x" * 4000)
    assert c.cmd("GET", "k") == b"x" * 4000
    count = 4000
    for batch in range(3):
        c.send(encode("GET", "k") * count)
        for i in range(count):
            assert c.reply() == b"x" * 4000, (batch, i)
    assert c.cmd("PING") == b"PONG"


def test_hits_stand_behind_a_confirmation(w):
    """SUBSCRIBE is answered by Redis, on another connection; what is kept must not come first."""
    redis = w.redis()
    larder = w.larder(ini=near_ini(redis))
    c = w.conn(larder, proto=3)
    c.ok("SET", "k", "v")
    assert c.cmd("GET", "k") == b"v"
    for word, left in (("SUBSCRIBE", 1), ("UNSUBSCRIBE", 0)):
        c.send(encode(word, "ch") + encode("GET", "k"))
        assert c.value() == [word.lower().encode(), b"ch", left]
        assert c.value() == b"v"
