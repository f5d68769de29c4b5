"""Each client gets its replies in the order of its requests, however they are answered."""
import random
import signal
import socket
import threading

from fake_server import SILENT, FakeRedis
from resp import TIMEOUT, Conn, encode, encode_all, eventually
from servers import scaled

ONE_CHANCE = True  # tests/system/run


def bulk(value):
    value = value if isinstance(value, bytes) else str(value).encode()
    return b"$%d\r\n%s\r\n" % (len(value), value)


class Model:
    """What one client says and what Redis must answer, in a key space of its own."""

    def __init__(self, rng, name, proto, number):
        self.rng, self.name, self.proto, self.number = rng, name, proto, number
        self.db, self.data, self.sent = 0, {}, 0
        self.null = b"_\r\n" if proto == 3 else b"$-1\r\n"

    def key(self):
        return "%s:%d" % (self.name, self.rng.randrange(6))

    def step(self):
        """A list of (command, reply)."""
        self.sent += 1
        kind = self.rng.choice(
            ("ping",
             "echo",
             "id",
             "get",
             "set",
             "get",
             "set",
             "incr",
             "select",
             "badselect",
             "error",
             "tx",
             "blpop",
             "arity",
             "script",
             "mget",
             "name",
             "discard",
             "big"))
        return getattr(self, "do_" + kind)()

    def at(self, key):
        return (self.db, key)

    def do_ping(self):
        return [(("PING", self.tag()), bulk(self.tag()))]

    def do_echo(self):
        return [(("ECHO", self.tag()), bulk(self.tag()))]

    def do_id(self):
        return [(("CLIENT", "ID"), b":%d\r\n" % self.number)]

    def do_name(self):
        return [(("CLIENT", "SETNAME", self.tag()), b"+OK\r\n"),
                (("CLIENT", "GETNAME"), bulk(self.tag()))]

    def do_arity(self):
        return [(("GET",), b"-ERR wrong number of arguments for 'get' command\r\n")]

    def do_error(self):
        word = "NOPE%d" % self.sent
        return [((word,),
                 b"-ERR unknown command '%s', with args beginning with: \r\n" % word.encode())]

    def tag(self):
        return "%s-%d" % (self.name, self.sent)

    def do_get(self):
        key = self.key()
        value = self.data.get(self.at(key))
        return [(("GET", key), self.null if value is None else bulk(value))]

    def do_mget(self):
        keys = [self.key() for _ in range(3)]
        values = [self.data.get(self.at(k)) for k in keys]
        return [(("MGET", *keys), b"*3\r\n" + b"".join(self.null if v is None else bulk(v)
                 for v in values))]

    def do_set(self):
        key = self.key()
        self.data[self.at(key)] = "%s=%s" % (key, self.tag())
        return [(("SET", key, self.data[self.at(key)]), b"+OK\r\n")]

    def do_big(self):
        key = self.key()
        self.data[self.at(key)] = key + "x" * self.rng.choice((100, 20000, 70000, 200000))
        return [(("SET", key, self.data[self.at(key)]), b"+OK\r\n"),
                (("GET", key), bulk(self.data[self.at(key)]))]

    def do_incr(self):
        key = self.name + ":n"
        self.data[self.at(key)] = int(self.data.get(self.at(key), 0)) + 1
        return [(("INCR", key), b":%d\r\n" % self.data[self.at(key)])]

    def do_select(self):
        self.db = self.rng.randrange(16)
        return [(("SELECT", self.db), b"+OK\r\n")]

    def do_badselect(self):
        return [(("SELECT", 16), b"-ERR DB index is out of range\r\n")]

    def do_script(self):
        return [(("EVAL", "return ARGV[1]", 0, self.tag()), bulk(self.tag()))]

    def do_tx(self):
        inner = self.do_set() + self.do_get() + self.do_incr()
        if self.rng.random() < 0.5:
            inner += self.do_select() + self.do_set()
        steps = [(("MULTI",), b"+OK\r\n")] + [(command, b"+QUEUED\r\n") for command, _ in inner]
        return steps + [(("EXEC",), b"*%d\r\n" % len(inner) + b"".join(r for _, r in inner))]

    def do_discard(self):
        return [(("MULTI",), b"+OK\r\n"), (("SET", self.key(), "never"), b"+QUEUED\r\n"),
                (("PING",), b"+QUEUED\r\n"), (("DISCARD",), b"+OK\r\n")]

    def do_blpop(self):
        key = self.name + ":q"
        return [(("RPUSH", key, self.tag()), b":1\r\n"),
                (("BLPOP", key, 0), b"*2\r\n" + bulk(key) + bulk(self.tag()))]


def converse(address, seed, name, rounds, failures):
    """Random pipelines in random pieces; every reply must be the model's."""
    rng = random.Random(seed)
    at = "start"
    try:
        proto = rng.choice((2, 3))
        c = Conn(address, proto, timeout=20)
        model = Model(rng, name, proto, c.cmd("CLIENT", "ID"))
        for turn in range(rounds):
            steps = []
            for _ in range(rng.choice((1, 2, 5, 20, 60))):
                steps += model.step()
            data = encode_all(command for command, _ in steps)
            if rng.random() < 0.3:
                c.send_slowly(data, max(1, len(data) // rng.randrange(2, 8)))
            else:
                c.send(data)
            for i, (command, expected) in enumerate(steps):
                at = f"turn {turn}, {str(command)[:100]}"
                got = c.frame()
                if got != expected:
                    before = [s[0] for s in steps[max(0, i - 5):i]]
                    raise AssertionError(f"got {got[:200]!r}, expected {expected[:200]!r}; before: "
                                         f"{str(before)[:500]}")
        c.close()
    except Exception as e:
        failures.append(f"client {name}, seed {seed}, {at}: {e!r}")


def run(address, clients, rounds):
    seed = random.randrange(1 << 32)
    failures = []
    threads = [
        threading.Thread(
            target=converse,
            args=(
                address,
                seed +
                i,
                "c%d" %
                i,
                rounds,
                failures)) for i in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, "\n".join(failures[:4])


def test_random_pipelines_of_one_client(w):
    run(w.pair().larder.address, 1, scaled(60))


def test_random_pipelines_of_many_clients(w):
    """Sixteen at once on a pool of eight."""
    redis = w.redis()
    larder = w.larder(redis, up={"pool_size": 8, "queue_timeout": "60s"})
    run(larder.address, 16, scaled(40))


test_random_pipelines_of_many_clients.timeout = 90


def test_local_answers_wait_their_turn(w):
    """PING behind a slow command: not before its reply."""
    c = w.conn(w.pair(admin=True).larder)
    c.send(encode("DEBUG", "SLEEP", "0.05") + encode("PING", 1) + encode("GET", "k") +
           encode("ECHO", 2) + encode("CLIENT", "GETNAME") + encode("PING", 3))
    assert c.replies(6) == [b"OK", b"1", None, b"2", None, b"3"]


def test_more_than_max_pending(w):
    """A pipeline deeper than max_pending is not refused: the rest waits in the socket."""
    redis = w.redis()
    larder = w.larder(redis, larder={"max_pending": 10})
    c = w.conn(larder, timeout=20)
    count = scaled(5000)
    c.send(b"".join(encode("INCR", "n") + encode("PING", i) for i in range(count)))
    for i in range(count):
        assert c.reply() == i + 1
        assert c.reply() == b"%d" % i


def is_stopped(server):
    with open(f"/proc/{server.pid}/stat") as f:
        return f.read().rsplit(") ", 1)[1].startswith("T")


def test_half_closed_when_the_link_comes_up(w):
    """What a client waits for, and the client's end, are seen in the same turn."""
    asked, may_answer, answered = threading.Event(), threading.Event(), threading.Event()

    def script(link, argv):
        if argv[0] != b"HELLO":
            return None
        asked.set()
        link.stall(may_answer)
        link.send(b"-ERR unknown command 'HELLO'\r\n")
        answered.set()
        return SILENT

    larder = w.larder(w.add(FakeRedis(script)))
    c = w.conn(larder)
    c.send(encode("GET", "a") + encode("GET", "b"))
    assert asked.wait(TIMEOUT)
    larder.signal(signal.SIGSTOP)
    eventually(lambda: is_stopped(larder))
    may_answer.set()
    assert answered.wait(TIMEOUT)
    c.sock.shutdown(socket.SHUT_WR)
    larder.signal(signal.SIGCONT)
    assert c.replies(2) == [b"a:value", b"b:value"]
    c.eof()


def test_half_closed_client_gets_its_replies(w):
    """Like `printf .. | nc -N`: FIN behind the requests, as Redis treats it."""
    pair = w.pair()
    for server in (pair.redis, pair.larder):
        c = w.conn(server)
        c.send(encode_all([("SET", "k", "v"), ("GET", "k"), ("PING",)]))
        c.sock.shutdown(socket.SHUT_WR)
        assert c.replies(3) == [b"OK", b"v", b"PONG"]
        c.eof()


def test_replies_to_the_dead_go_to_nobody(w):
    """Clients leave with hundreds of replies due; those that stay get only their own."""
    pair = w.pair()
    stays = [w.conn(pair.larder, 2 + i % 2) for i in range(4)]
    for turn in range(scaled(60)):
        dead = w.conn(pair.larder)
        dead.send(
            b"".join(
                encode(
                    "SET",
                    "dead",
                    "dead") +
                encode(
                    "GET",
                    "dead") for _ in range(200)))
        for i, c in enumerate(stays):
            c.send(
                encode(
                    "ECHO",
                    "%d-%d" %
                    (i,
                     turn)) +
                encode(
                    "SET",
                    "k%d" %
                    i,
                    "%d:%d" %
                    (i,
                     turn)) +
                encode(
                    "GET",
                    "k%d" %
                    i))
        dead.rst() if turn % 2 else dead.close()
        for i, c in enumerate(stays):
            assert c.replies(3) == [b"%d-%d" % (i, turn), b"OK", b"%d:%d" % (i, turn)]
