"""What is larger than a buffer streams through: no value is ever whole in larder."""
import random
import threading
import time

from compare import same
from resp import Conn, Error, encode, eventually
from servers import sanitized, scaled

MB = 1 << 20
SIZE = scaled(256) * MB
TILE = random.Random(1).randbytes(1500007)
ROOM_KB = 4 << 10  # what larder's memory may grow by while a value of any size passes


def pattern(at, size):
    """A long tile over and over, its length no round number: a lost or doubled piece shows."""
    at %= len(TILE)
    text = TILE[at:at + size]
    while len(text) < size:
        text += TILE[:size - len(text)]
    return text


def send_pattern(sock, total):
    for at in range(0, total, MB):
        sock.sendall(pattern(at, MB))


def read_pattern(conn, total):
    """Reads `$total`, the bytes, CR LF, comparing as it goes; keeps pace."""
    head = b"$%d\r\n" % total
    while len(conn.data) < len(head):
        conn.fill(time.monotonic() + 60)
    assert conn.data.startswith(head), bytes(conn.data[:60])
    at = len(conn.data) - len(head)
    assert conn.data[len(head):] == pattern(0, at)
    conn.data.clear()
    room_for = bytearray(MB)
    view = memoryview(room_for)
    conn.sock.settimeout(30)
    while at < total:
        got = conn.sock.recv_into(view, min(MB, total - at))
        assert got, f"closed at {at}"
        assert bytes(view[:got]) == pattern(at, got), f"wrong bytes near {at}"
        at += got
    while len(conn.data) < 2:
        conn.fill(time.monotonic() + 20)
    assert conn.data[:2] == b"\r\n"
    del conn.data[:2]


def room(larder, base):
    if not sanitized():
        grown = larder.peak_kb() - base
        assert grown < ROOM_KB, f"larder's peak grew by {grown} kB"


def warmed(w, **settings):
    """A larder of its own that has seen traffic of every kind, so that its base is honest."""
    redis = w.redis()
    larder = w.larder(redis, up={"command_timeout": "60s"}, **settings)
    c = w.conn(larder, timeout=60)
    c.ok("SET", "k", b"x" * 900000)
    c.ok("GET", "k")
    c.pipeline([("MULTI",), ("GET", "k"), ("EXEC",)])
    c.ok("SET", "k", b"x" * 3 * MB)
    c.ok("GET", "k")
    return redis, larder, c


def test_set_of_256_mb(w):
    redis, larder, c = warmed(w)
    base = larder.peak_kb()
    c.sock.settimeout(60)
    c.sock.sendall(encode("SET", "first", "1") + b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n" % SIZE)
    send_pattern(c.sock, SIZE)
    c.sock.sendall(
        b"\r\n" +
        encode(
            "GET",
            "first") +
        encode(
            "PING",
            "behind") +
        encode(
            "STRLEN",
            "big"))
    assert c.replies(5) == [b"OK", b"OK", b"1", b"behind", SIZE]
    room(larder, base)
    direct = w.conn(redis, timeout=60)
    assert direct.cmd("GETRANGE", "big", SIZE // 2, SIZE // 2 + 31) == pattern(SIZE // 2, 32)


test_set_of_256_mb.timeout = 90


def fill_directly(redis, size, key="big"):
    """The pattern, without its passing through larder."""
    c = redis.direct(timeout=60)
    c.sock.settimeout(60)
    c.sock.sendall(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n" % (len(key), key.encode(), size))
    send_pattern(c.sock, size)
    c.sock.sendall(b"\r\n")
    assert c.reply() == b"OK"
    c.close()


def test_get_of_256_mb(w):
    redis, larder, c = warmed(w)
    fill_directly(redis, SIZE)
    base = larder.peak_kb()
    for proto in (2, 3):
        c.ok("HELLO", proto)
        c.send(encode("PING", "before") + encode("GET", "big") + encode("PING", "behind"))
        assert c.reply() == b"before"
        read_pattern(c, SIZE)
        assert c.reply() == b"behind"
    room(larder, base)


test_get_of_256_mb.timeout = 90


def test_slow_reader_with_more_asked(w):
    """A client slower than Redis that has asked for more behind a value larger than
    client_buffer_max: it reads, so it is not closed."""
    redis = w.redis()
    larder = w.larder(redis, larder={"client_buffer_max": "8mb"}, up={"command_timeout": "60s"})
    redis.cmd("SETRANGE", "big", 64 * MB - 1, "x")
    c = w.conn(larder, timeout=20)
    c.send(encode("GET", "big") + encode("PING") + encode("STRLEN", "big"))
    for _ in range(300):
        c.data += c.sock.recv(1000)
        redis.cmd("PING")
    assert len(c.reply()) == 64 * MB
    assert c.replies(2) == [b"PONG", 64 * MB]


def test_get_of_512_mb(w):
    """The largest value Redis has."""
    redis, larder, c = warmed(w)
    size = 512 * MB if not sanitized() else 64 * MB
    redis.cmd("SETRANGE", "big", size - 1, "x")
    base = larder.peak_kb()
    c.send(encode("GET", "big") + encode("PING"))
    head = b"$%d\r\n" % size
    while len(c.data) < len(head):
        c.fill(time.monotonic() + 60)
    assert c.data.startswith(head)
    left = len(head) + size + 2 - len(c.data)
    c.data.clear()
    view = memoryview(bytearray(MB))
    c.sock.settimeout(30)
    while left:
        left -= c.sock.recv_into(view, min(left, MB))
    assert c.reply() == b"PONG"
    room(larder, base)


test_get_of_512_mb.timeout = 90


def test_bulk_of_512_mb_and_one(w):
    def scenario(s):
        c = s.open()
        c.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (512 * MB + 1))
        c.frame()
        c.eof()
    same(w, scenario, protos=(2,))


def test_large_aggregates(w):
    """Many small elements that are large together, and large ones in a transaction."""
    def scenario(s):
        c = s.open(timeout=30)
        c.cmd(
            "EVAL",
            "for i=1,2000 do redis.call('RPUSH',KEYS[1],string.rep('x',2000)..i) end",
            1,
            "l")
        c.raw("LRANGE", "l", 0, -1)
        c.cmd(
            "EVAL",
            "for i=1,30 do redis.call('HSET',KEYS[1],i,string.rep('y',300000)) end",
            1,
            "h")
        c.raw("HGETALL", "h")
        c.send(encode("MULTI") + encode("HGETALL", "h") +
               encode("LRANGE", "l", 0, -1) + encode("EXEC") + encode("PING"))
        for _ in range(5):
            c.raw_reply()
    same(w, scenario)


def test_large_mset_and_del(w):
    """A request that is large by its number of arguments."""
    c = w.conn(w.pair().larder, timeout=30)
    count = scaled(300000)
    c.send(encode("MSET", *(x for i in range(count) for x in ("key%07d" % i, i))) + encode("PING"))
    assert c.replies(2) == [b"OK", b"PONG"]
    c.send(encode("DEL", *("key%07d" % i for i in range(count))) + encode("DBSIZE"))
    assert c.replies(2) == [count, 0]


def test_slow_reader_stalls_nobody(w):
    """One takes its 64 MB a byte now and then; others are served all the while."""
    redis, larder, c = warmed(w)
    fill_directly(redis, 64 * MB)
    slow = w.conn(larder)
    slow.send_cmd("GET", "big")
    eventually(lambda: slow.sock.recv(1) == b"$")
    others = [w.conn(larder, 2 + i % 2) for i in range(12)]
    for turn in range(50):
        for i, other in enumerate(others):
            assert other.pipeline([("SET", "k%d" %
                                    i, "%d:%d" %
                                    (i, turn)), ("GET", "k%d" %
                                                 i)])[1] == (b"%d:%d" %
                                                             (i, turn))
        slow.sock.recv(1)
    for i in range(6):
        fresh = w.conn(larder)
        assert fresh.cmd("GET", "k1") == b"1:49"
    slow.close()
    assert c.cmd("STRLEN", "big") == 64 * MB


def test_slow_reader_gets_everything(w):
    """Slow, then fast: not a byte is missing."""
    redis, larder, c = warmed(w)
    fill_directly(redis, 32 * MB)
    c.send(encode("GET", "big") + encode("PING"))
    for _ in range(2000):
        c.data += c.sock.recv(7)
    read_pattern(c, 32 * MB)
    assert c.reply() == b"PONG"


def test_slow_writer_of_a_large_value_stalls_nobody(w):
    redis, larder, c = warmed(w)
    writer = w.conn(larder)
    writer.send(b"*3\r\n$3\r\nSET\r\n$4\r\nslow\r\n$%d\r\n" % (4 * MB) + b"s" * (2 * MB))
    others = [w.conn(larder, 2 + i % 2) for i in range(12)]
    for turn in range(30):
        for i, other in enumerate(others):
            assert other.cmd("ECHO", turn) == b"%d" % turn
            assert other.cmd("INCR", "n%d" % i) == turn + 1
        writer.send(b"s" * 100)
    writer.send(b"s" * (2 * MB - 3000) + b"\r\n")
    assert writer.reply() == b"OK"
    assert writer.cmd("STRLEN", "slow") == 4 * MB


def test_many_large_values_at_once(w):
    """Twelve clients, 8 MB each way, on a pool of four."""
    redis = w.redis()
    larder = w.larder(redis, up={"pool_size": 4, "queue_timeout": "60s", "command_timeout": "60s"})
    failures = []

    def client(number):
        try:
            c = Conn(larder.address, 2 + number % 2, timeout=60)
            value = (b"%07d\n" % number) * (8 * MB // 8)
            for _ in range(scaled(4)):
                assert c.cmd("SET", "big%d" % number, value) == b"OK"
                assert c.cmd("GET", "big%d" % number) == value
                assert c.cmd("ECHO", number) == b"%d" % number
            c.close()
        except Exception as e:
            failures.append(f"client {number}: {e!r}"[:300])
    threads = [threading.Thread(target=client, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


test_many_large_values_at_once.timeout = 90


def test_client_that_leaves_within_a_large_reply(w):
    """The rest of it goes nowhere; the link is drained or closed, and nobody gets it."""
    redis, larder, c = warmed(w)
    fill_directly(redis, 32 * MB)
    for i in range(6):
        gone = w.conn(larder)
        gone.send(encode("GET", "big") + encode("GET", "big"))
        gone.sock.recv(100000)
        gone.rst() if i % 2 else gone.close()
        for j in range(6):
            other = w.conn(larder)
            assert other.cmd("ECHO", j) == b"%d" % j and other.cmd("SET", "k", j) == b"OK"
            assert other.cmd("GET", "k") == b"%d" % j
            other.close()


def test_errors_of_large_requests(w):
    """A large SET to the wrong type, an unknown command with 3 MB: Redis' error, and on it goes."""
    def scenario(s):
        c = s.open(timeout=20)
        big = b"x" * (3 * MB)
        c.cmd("RPUSH", "l", "x")
        c.cmd("APPEND", "l", big)
        c.cmd("NOPE", big)
        c.cmd("GET", big)
        c.cmd("SET", "k", big, "NX", "XX")
        c.cmd("SET", big)
        c.cmd("ECHO", big)
        c.cmd("PING", big)
        c.cmd("PUBLISH", "ch", big)
        c.cmd("EVAL", "return #ARGV[1]", 0, big)
        c.cmd("PING")
    same(w, scenario)


def test_large_requests_that_larder_must_read_itself(w):
    """Names and channels over 1 MB: larder streams such requests and cannot look into them. An
    error for each, and the session goes on."""
    c = w.conn(w.pair().larder, timeout=20)
    big = b"x" * (2 * MB)
    for words in (("SELECT", big), ("CLIENT", "SETNAME", big), ("SUBSCRIBE", big), (big, "x"),
                  ("AUTH", big),
                  ("WATCH", big), ("HELLO", 3, "SETNAME", big), ("CLIENT", "KILL", big),
                  ("CLIENT", big)):
        answer = c.cmd(*words)
        assert isinstance(answer, Error), (words[:2], answer[:100])
        assert c.pipeline([("PING", "on"), ("SET", "k", "v"), ("GET", "k")]) == [b"on", b"OK", b"v"]


def test_large_blocking_and_subscribed(w):
    """Large requests of the kinds that want a link of another sort."""
    def scenario(s):
        c, other = s.open(timeout=20), s.open(timeout=20)
        big = b"x" * (3 * MB)
        c.cmd("RPUSH", "q", big)
        c.cmd("BLPOP", b"k" * (2 * MB), "q", 1)
        c.cmd("WATCH", b"k" * (MB // 2))
        c.cmd("MULTI")
        c.cmd("SET", "k", big)
        c.cmd("EXEC")
        c.cmd("STRLEN", "k")
        c.send_cmd("SUBSCRIBE", "ch")
        c.frame()
        other.cmd("PUBLISH", "ch", big)
        c.frame()
    same(w, scenario)


def test_max_request(w):
    """larder's own bounds on a request and on one argument."""
    redis = w.redis()
    larder = w.larder(redis, larder={"max_request": "2mb", "max_bulk": "1mb"})
    c = w.conn(larder)
    assert c.cmd("SET", "k", b"x" * MB) == b"OK"
    assert c.cmd("GET", "k") == b"x" * MB
    c.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (MB + 1))
    assert c.reply().startswith(b"ERR Protocol error: invalid bulk length")
    c.eof()
    c = w.conn(larder)
    c.send(b"*6\r\n$4\r\nMSET\r\n" + (b"$%d\r\n%s\r\n" %
                                      (MB - 10, b"x" * (MB - 10))) * 2 + b"$900000\r\n")
    answer = c.reply()
    assert isinstance(answer, Error) and answer.startswith(b"ERR"), answer
    c.eof()
    assert w.conn(larder).cmd("STRLEN", "k") == MB
