"""Hostile and damaged requests: larder does what Redis does, or is stricter and says why."""
import random
import socket

from compare import same, same_bytes
from resp import Closed, Conn, Error, NoReply, encode, encode_all
from servers import sanitized, scaled

PING = b"*1\r\n$4\r\nPING\r\n"


def each(w, inputs, **more):
    pair = w.pair()
    for data in inputs:
        same_bytes(w, data, pair=pair, **more)


def test_ignored_headers(w):
    each(w, [b"*-1\r\n", b"*0\r\n", b"*-10\r\n", b"\r\n", b"\r\n\r\n \r\n", b"*0\r\n*-1\r\n" + PING,
             b"\n", b"   \r\n\t\r\n", b"*-0\r\n", b"*-9223372036854775808\r\n"])


def test_bad_multibulk_lengths(w):
    each(w,
         [b"*3000000000\r\n",
          b"*99999999999999999999\r\n",
          b"*abc\r\n",
          b"*+1\r\n",
          b"*01\r\n",
          b"* 1\r\n",
          b"*\r\n",
          b"*1 \r\n",
          b"*1\x00\r\n",
          b"*1.0\r\n",
          b"*-\r\n",
          b"*--1\r\n",
          b"*2147483648\r\n",
          b"*9223372036854775808\r\n",
          b"*0x10\r\n"])


def test_bad_bulk_lengths(w):
    each(w,
         [b"*1\r\n$%s\r\n" % x for x in (b"-1",
                                         b"-10",
                                         b"2000000000",
                                         b"536870913",
                                         b"04",
                                         b"",
                                         b"18446744073709551615",
                                         b"+4",
                                         b" 4",
                                         b"4 ",
                                         b"abc",
                                         b"4294967296",
                                         b"-9223372036854775808",
                                         b"9223372036854775808",
                                         b"-0",
                                         b"00")])
    each(w, [b"*2\r\n$3\r\nGET\r\n$-1\r\n", b"*2\r\n$3\r\nGET\r\n$536870913\r\nxyz"])


def test_expected_dollar(w):
    each(w,
         [b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\nfooz\r\n",
          b"*1\r\n:5\r\n",
          b"*1\r\n*1\r\n$4\r\nPING\r\n",
          b"*1\r\n~1\r\n",
          b"*1\r\n\r\n",
          b"*1\r\n\x00\r\n",
          b"*1\r\n\xff\r\n",
          b"*2\r\n$4\r\nPING\r\n+x\r\n",
          b"*1\r\n'\r\n",
          b"*1\r\n\n$4\r\nPING\r\n"])


def test_line_ends(w):
    each(w,
         [b"*1\n$4\r\nPING\r\n",
          b"*1\r\n$4\nPING\r\n",
          b"*1\n$4\nPING\n",
          b"PING\n",
          b"PING\r",
          b"PING\rPING\r\n",
          b"PI\x00NG\r\n",
          b"PING \r\n",
          b" PING\r\n",
          b"\tPING\tx\r\n",
          b"PING\x0bx\r\n"])


def test_wrong_bytes_in_place_of_a_line_end(w):
    """Redis does not look at the two bytes behind a bulk, nor at the one behind a CR. larder is
    stricter: a wrong one means that a length was wrong, and what follows would be read as a command
    (smuggling through a client's bug)."""
    pair = w.pair()
    for data in (
        b"*1\r*$4\r\nPING\r\n",
        b"*1\r\n$4\r*PING\r\n",
        b"*1\r\n$4\r\nPINGxx",
        b"*1\r\n$3\r\nPING\r\n",
            b"*2\r\n$4\r\nECHO\r\n$1\r\nab\r\n\r\n"):
        c = w.conn(pair.larder)
        c.send(PING + data + PING)
        rest = c.rest()
        assert rest.startswith(b"+PONG\r\n-ERR Protocol error: ") and rest.count(b"\r\n") == 2, rest


def test_too_big_lines(w):
    each(w, [b"x" * 70000, b"*" + b"1" * 70000, b"*1\r\n$" + b"1" * 70000, PING + b"y" * 200000,
             b"*1\r\n" + b"$" * 70000], marked=False)
    each(w, [b"GET " + b"k" * 65000 + b"\r\n"])


def test_inline_quotes(w):
    each(w,
         [b'"a"b\r\n',
          b'ECHO "unbalanced\r\n',
          b"ECHO 'unbalanced\r\n",
          b'ECHO "a\\\r\n',
          b'ECHO "x\\x4"\r\n',
          b'ECHO "ax\\xff"\r\n',
          b'ECHO "\\xzz"\r\n',
          b"ECHO 'it\\'s'\r\n",
          b'ECHO "\\n\\r\\t\\b\\a\\\\ \\q"\r\n',
          b"ECHO 'a'b\r\n",
          b'ECHO a"b c"d\r\n',
          b'ECHO ""\r\n',
          b"ECHO ''\r\n",
          b'"" x\r\n',
          b'""\r\n',
          b"'PING'\r\n",
          b'"PI"NG\r\n',
          b'ECHO "\\x00\\x0d\\x0a"\r\n',
          b'ECHO "\r\n"\r\n',
          b"ECHO 'a\\nb'\r\n",
          b"ECHO \\x41\r\n",
          b'ECHO a"b"\r\n',
          b"SET k 'v w'\nGET k\n"])


def test_http_is_cut_off(w):
    """Cross-protocol attacks: a browser that is made to POST."""
    each(w, [b"POST / HTTP/1.1\r\nHost: x\r\n\r\nSET k v\r\n", b"Host: x\r\nSET k v\r\n",
             b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"host: x\r\n", encode("POST", "/"),
             encode("Host:", "x"), PING + b"post /\r\n" + PING, b"POST\r\n", b"Host:\r\n"])
    assert w.pair().larder.cmd("GET", "k") is None


def test_after_a_protocol_error_nothing(w):
    """What came before it is served, what comes behind it is not."""
    pair = w.pair()
    for bad in (b"*x\r\n", b"*1\r\n$x\r\n", b'"\r\n', b"*1\r\nx\r\n"):
        same_bytes(
            w,
            encode(
                "SET",
                "k",
                "before") +
            encode(
                "GET",
                "k") +
            bad +
            encode(
                "SET",
                "k",
                "after"),
            pair=pair)
        assert pair.redis.cmd("GET", "k") == b"before"
    same_bytes(w, b"MULTI\r\nSET k x\r\n*x\r\n", pair=pair)
    same_bytes(w, b"SUBSCRIBE ch\r\n*x\r\n", pair=pair)
    same_bytes(w, encode("BLPOP", "q", "0.05") + b"*x\r\n", pair=pair)


def test_announced_is_not_allocated(w):
    """A header is a claim: a million arguments or 400 MB announced cost nothing until they come."""
    redis = w.redis()
    larder = w.larder(redis)
    assert larder.cmd("GET", "k") is None
    base = larder.rss_kb()
    conns = []
    for data in (b"*1000000\r\n", b"*1000000\r\n$3\r\n", b"*2\r\n$4\r\nECHO\r\n$400000000\r\nxyz",
                 b"*1048576\r\n" + b"$1\r\nx\r\n" * 10):
        for _ in range(100):
            c = w.conn(larder)
            c.send(data)
            conns.append(c)
    assert larder.cmd("SET", "k", "v") == b"OK"
    if not sanitized():
        grown = larder.rss_kb() - base
        assert grown < 8 << 10, f"{grown} kB for 400 idle claims"
    for c in conns:
        c.close()


def test_many_arguments(w):
    def scenario(s):
        c = s.open(timeout=20)
        c.cmd("DEL", *["k"] * 20000)
        c.cmd("MGET", *range(20000))
        c.cmd("NOPE", *["x"] * 20000)
        c.cmd("MSET", *range(200000))
        c.cmd("GET", 199998)
        c.cmd("MSET", *range(20001))
    same(w, scenario)


def test_unknown_commands_with_hostile_arguments(w):
    """In the error line CR LF become blanks, arguments are cut: no reply can be forged."""
    same_bytes(w, encode_all([
        ("FOO\r\n+OK\r\n",), ("FOO", "\r\n$3\r\nbad\r\n"), (b"\xff\xfe\x00", b"\xff"),
        ("F" * 200, "a" * 200),
        ["FOO"] + ["a" * 30] * 60, ("FOO", "'quoted'", '"'), ("\r\n",), ("",),
        ("CLIENT", "\r\n:1\r\n"),
        ("CLIENT", ""), ("XGROUP", b"\xff\r\n", "k"), ("EVAL", "return redis.error_reply("
                                                       "ARGV[1])", 0, "ERR a\r\n+b"),
                                                       ("EVAL", "return {err='x\\r\\n:1\\r\\n'}",
                                                        0),
        ("EVAL", "return {ok='x\\r\\n:1\\r\\n'}", 0), ("SET", "k", "v", "\r\nx"),
        ("HELLO", "2", "\r\n+OK"),
        ("CLIENT", "KILL", "\r\n"), ("SELECT", "\r\n:1"), ("PING",)]))


def test_arity(w):
    same_bytes(w,
               encode_all([("MSET", "a"), ("MSET", "a", 1, "b"), ("MGET",), ("HSET", "h", "f"),
                           ("DEL",),
                              ("EVAL", "return 1"), ("ZADD", "z", 1), ("XADD", "s", "*", "a"),
                              ("CLIENT",),
                              ("BLPOP",), ("SUBSCRIBE",), ("WATCH",), ("MULTI", "x"), ("SELECT",),
                              ("ECHO",),
                              ("QUIT", "x", "y", "z")]))


def test_large_bulk_announced_then_gone(w):
    """The client that dies within a request of 300 MB: nothing is written, the link is clean."""
    pair = w.pair()
    for leave in ("close", "rst"):
        for sent in (0, 100, 70000, 3 << 20):
            c = w.conn(pair.larder)
            c.send(b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$300000000\r\n" + b"x" * sent)
            getattr(c, leave)()
            assert pair.larder.cmd("SET", "k", "v%d" % sent) == b"OK"
            assert pair.larder.cmd("GET", "k") == b"v%d" % sent
            assert pair.larder.cmd("EXISTS", "half") == 0


def test_broken_in_the_middle_of_a_large_request(w):
    """Streamed in part when it turns out not to be RESP: an error, and nothing is written."""
    pair = w.pair()
    big = b"x" * (3 << 20)
    for bad in (b"$x\r\n", b"fooz\r\n", b"$-1\r\n"):
        c = w.conn(pair.larder, timeout=10)
        c.send(b"*4\r\n$4\r\nMSET\r\n$4\r\nhalf\r\n$%d\r\n%s\r\n" % (len(big), big) + bad)
        rest = c.rest()
        assert rest.startswith(b"-ERR Protocol error"), rest[:100]
        assert pair.larder.cmd("EXISTS", "half") == 0
        assert pair.larder.cmd("PING") == b"PONG"


def test_bulk_over_512_mb(w):
    """Refused at its header, as Redis does; also behind arguments that were fine."""
    each(w, [b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870913\r\nx", b"*1\r\n$536870913\r\n"])


def test_random_bytes(w):
    """From many connections; others are served meanwhile and afterwards."""
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    pair = w.pair()
    good = w.conn(pair.larder)
    for i in range(scaled(300)):
        c = w.conn(pair.larder)
        try:
            c.send(rng.choice((b"", b"*", b"*3\r\n$3\r\n", PING)) +
                   rng.randbytes(rng.randrange(1, 3000)))
        except Closed:
            pass
        assert good.cmd("ECHO", i) == b"%d" % i, f"seed {seed}"
        c.rst() if i % 3 == 0 else c.close()
    assert good.cmd("SET", "k", "v") == b"OK", f"seed {seed}"


def test_damaged_traffic(w):
    """Valid traffic with a few bytes changed: the same as Redis where it answers at all. Only words
    that cannot do harm or wait are in it."""
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    pair = w.pair()
    traffic = encode_all([("SET", "key", "value"), ("GET", "key"), ("MGET", "key", "b", "c"),
                          ("ECHO", "hello"),
                          ("HSET", "h", "f", "v"), ("HGETALL", "h"), ("PING",), ("SELECT", "3"),
                          ("GET", "key")])
    for i in range(scaled(300)):
        data = bytearray(traffic)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.choice(b"\r\n*$0123456789xX-\x00\xff")
        c = Conn(pair.larder.address)
        try:
            c.send(bytes(data) + PING)
            c.sock.shutdown(socket.SHUT_WR)
            c.rest()
        except (Closed, NoReply, OSError):
            pass
        c.close()
        assert pair.larder.cmd("ECHO", i) == b"%d" % i, f"seed {seed}, round {i}: {bytes(data)!r}"


def test_pipelines(w):
    """3,000 PINGs, 10,000 GETs of 5 kB, 20 MB of replies before the first read: all in order."""
    pair = w.pair()
    c = w.conn(pair.larder, timeout=30)
    c.send(b"".join(encode("PING", i) for i in range(3000)))
    assert c.replies(3000) == [b"%d" % i for i in range(3000)]
    for i in range(10):
        c.ok("SET", "k%d" % i, b"k%d:" % i + b"v" * 5000)
    count = scaled(10000)
    c.send(b"".join(encode("GET", "k%d" % (i % 10)) for i in range(count)))
    for i in range(count):
        value = c.reply()
        assert value.startswith(b"k%d:" % (i % 10)) and len(value) == 5003
    c.ok("SET", "big", b"b" * (1 << 20))
    c.send(b"".join(encode("GET", "big") + encode("ECHO", i) for i in range(20)))
    for i in range(20):
        assert len(c.reply()) == 1 << 20
        assert c.reply() == b"%d" % i


def test_replication_words(w):
    """SYNC and PSYNC would turn the connection into a replica's: refused by default."""
    c = w.conn(w.pair().larder)
    for words in (("SYNC",), ("PSYNC", "?", -1), ("REPLCONF", "listening-port", 1), ("FAILOVER",),
                  ("REPLICAOF", "127.0.0.1", 1), ("CLUSTER", "FAILOVER")):
        answer = c.cmd(*words)
        assert isinstance(answer, Error) and b"admin_commands" in answer, (words, answer)
    assert c.cmd("PING") == b"PONG"


def test_connect_and_say_nothing(w):
    """2,000 idle and 3,000 short connections: others are served."""
    pair = w.pair()
    idle = [Conn(pair.larder.address) for _ in range(scaled(2000))]
    good = w.conn(pair.larder)
    for i in range(scaled(3000)):
        c = Conn(pair.larder.address)
        if i % 2:
            c.send(PING[:i % len(PING)])
        c.rst() if i % 4 < 2 else c.close()
        if i % 100 == 0:
            assert good.cmd("INCR", "n") == i // 100 + 1
    for c in idle:
        assert c.open()
        c.close()
