"""An upstream that lies costs its link: clients get an error or a close, never a wrong reply."""
import random
import threading
import time

from fake_server import SILENT, FakeRedis, bulk
from resp import Closed, Conn, Error, encode, eventually
from servers import sanitized, scaled

ONE_CHANCE = True  # tests/system/run

# What a link says to `GET evil`, none of it a reply.
LIES = {
    "array too long": b"*4294967296\r\n",
    "array huge": b"*1073741824\r\n",
    "array negative": b"*-2\r\n",
    "array not a number": b"*x\r\n",
    "map too long": b"%1152921504606846976\r\n",
    "bulk negative": b"$-2\r\n",
    "bulk huge": b"$99999999999999999999\r\n",
    "bulk over 4 GB": b"$4294967297\r\n",
    "bulk without CR LF": b"$4\r\nevilxx",
    "bulk not a number": b"$4x\r\nevil\r\n",
    "integer": b":12x\r\n",
    "integer empty": b":\r\n",
    "unknown type": b"?evil\r\n",
    "letters": b"evil evil evil\r\n",
    "a request": b"GET evil\r\n",
    "zero bytes": b"\x00" * 100,
    "line end alone": b"\r\n",
    "bad boolean": b"#x\r\n",
    "LF only": b"$4\nevil\n",
    "CR in a status": b"+ev\ril\r\n",
    "half an array, bad inside": b"*2\r\n$1\r\na\r\n?\r\n",
}


def fake(w, script, **up):
    server = w.add(FakeRedis(script))
    up = {"command_timeout": "1s", "backoff_min": "1ms", "backoff_max": "20ms", **up}
    return server, w.larder(server, up=up)


def served(conn, key="good"):
    """True when an ordinary GET works (a link may have to be made first)."""
    return conn.cmd("GET", key) == key.encode() + b":value"


def no_reply(conn, sent=b""):
    """What came was an error of larder's, or the close, perhaps behind a piece of the lie."""
    try:
        answer = conn.reply(timeout=10)
    except Closed:
        assert sent.startswith(bytes(conn.data)), f"{bytes(conn.data[:100])!r} and a close"
        return
    assert isinstance(answer, Error) and answer.startswith(b"UPSTREAM"), answer


def lie_test(name, lie):
    def test(w):
        def script(link, argv):
            if argv[0] == b"GET" and argv[1] == b"evil":
                return lie
        server, larder = fake(w, script)
        for proto in (2, 3):
            good, victim = w.conn(larder, proto), w.conn(larder, proto)
            for _ in range(3):
                assert served(good)
                victim.send_cmd("GET", "evil")
                no_reply(victim, lie)
                victim.close()
                # the good one may have been on the same link, and is served by the next
                eventually(lambda: served(good, "other"))
                victim = w.conn(larder, proto)
                assert served(victim, "mine")
    test.__name__ = "test_lie_" + name
    return test


for _name, _lie in LIES.items():
    _title = "test_" + _name.replace(" ", "_").lower()
    globals()[_title] = lie_test(_title, _lie)


def test_two_replies_for_one_command(w):
    """The second is a reply to nothing: the link goes, nobody gets it."""
    def script(link, argv):
        if argv == [b"GET", b"evil"]:
            return b"$1\r\nx\r\n$6\r\nforged\r\n"
    server, larder = fake(w, script)
    for _ in range(10):
        c, d = w.conn(larder), w.conn(larder)
        assert c.cmd("GET", "evil") == b"x"
        eventually(lambda: served(d))
        eventually(lambda: served(c))


def test_reply_to_nothing(w):
    """Unasked, on an idle link, in every shape."""
    server, larder = fake(w, None)
    c = w.conn(larder)
    for junk in (b"+OK\r\n", b"$3\r\nbad\r\n", b"*1\r\n:1\r\n", b"-ERR x\r\n", b"garbage"):
        assert served(c)
        live = [link for link in server.links if not link.closed]
        assert live
        for link in live:
            link.sock.sendall(junk)
        eventually(lambda: all(link.closed for link in live))
        eventually(lambda: served(c))


def test_array_cut_in_the_middle(w):
    for ending in ("cut", "rst", "half_close"):
        def script(link, argv):
            if argv == [b"GET", b"evil"]:
                link.send(b"*3\r\n$1\r\na\r\n$5\r\nhal")
                getattr(link, ending)()
                return SILENT
        server, larder = fake(w, script)
        c, d = w.conn(larder), w.conn(larder)
        assert served(d)
        c.send_cmd("GET", "evil")
        no_reply(c)
        eventually(lambda: served(d))
        assert served(w.conn(larder))


def test_large_reply_cut_in_the_middle(w):
    """Part of it is with the client already: it cannot be told by an error, so it is closed."""
    start = b"$10000000\r\n" + b"x" * 500000

    def script(link, argv):
        if argv == [b"GET", b"evil"]:
            link.send(start)
            link.cut()
    server, larder = fake(w, script)
    c, d = w.conn(larder), w.conn(larder)
    assert served(d)
    c.send_cmd("GET", "evil")
    rest = c.rest()
    assert start.startswith(rest) or rest.startswith(b"-UPSTREAM"), rest[:100]
    eventually(lambda: served(d))


def test_deep_nesting(w):
    """100,000 arrays in each other are RESP: passed on or refused, without recursion."""
    deep = b"*1\r\n" * 100000 + b":1\r\n"

    def script(link, argv):
        if argv == [b"GET", b"evil"]:
            return deep
    server, larder = fake(w, script)
    c = w.conn(larder)
    frame = c.raw("GET", "evil")
    assert frame == deep or frame.startswith(b"-UPSTREAM")
    assert served(c)


def test_status_without_end(w):
    """`+` and then bytes for ever: cut off at a bound, with no memory to speak of."""
    stop = threading.Event()

    def script(link, argv):
        if argv == [b"GET", b"evil"]:
            link.send(b"+")
            for _ in range(1024):
                if stop.is_set():
                    break
                link.send(b"e" * (1 << 18))
            stop.set()
            link.cut()
    server, larder = fake(w, script, command_timeout="20s")
    assert served(w.conn(larder))
    base = larder.peak_kb()
    c = w.conn(larder, timeout=20)
    c.send_cmd("GET", "evil")
    total = b""
    try:
        while True:
            c.fill(time.monotonic() + 20)
            total = bytes(c.data[:10])
            c.data.clear()
    except Closed:
        pass
    stop.set()
    assert larder.alive()
    if not sanitized():
        assert larder.peak_kb() - base < 80 << 10, (larder.peak_kb() - base, total)
    eventually(lambda: served(w.conn(larder)))


def test_lies_about_what_larder_asks_itself(w):
    """Wrong answers to SELECT, MULTI, EXEC, WATCH, INFO, SUBSCRIBE, AUTH: no crash, and the next
    client is served."""
    answers = [
        b"*0\r\n",
        b":1\r\n",
        b"$-1\r\n",
        b"-ERR no\r\n",
        b"*-1\r\n",
        b"%1\r\n+a\r\n+b\r\n",
        b"-\r\n",
        b"+\r\n",
        b">2\r\n+x\r\n:1\r\n",
        b"|1\r\n+a\r\n:1\r\n+OK\r\n",
        b"!3\r\nERR\r\n",
        b"_\r\n",
        b"*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:99\r\n",
        b"$0\r\n\r\n",
        b"~0\r\n"]
    state = {}

    def script(link, argv):
        if state.get("on") and argv[0] not in (b"GET", b"HELLO"):
            return state["answer"]
    server, larder = fake(w, script, command_timeout="300ms", queue_timeout="300ms",
                          connect_timeout="300ms")
    for answer in answers:
        state.update(on=False, answer=answer)
        eventually(lambda: served(w.conn(larder)))
        state["on"] = True
        for commands in (
            [
                ("SELECT", 3), ("GET", "x")], [
                ("MULTI",), ("SET", "k", "v"), ("EXEC",)], [
                ("WATCH", "k"), ("MULTI",), ("EXEC",)], [
                    ("INFO",)], [
                        ("SUBSCRIBE", "ch")], [
                            ("AUTH", "u", "p")], [
                                ("BLPOP", "q", 0)], [
                                    ("WAIT", 1, 10)], [
                                        ("MONITOR",)], [
                                            ("CLIENT", "TRACKING", "on")], [
                                                ("CLIENT", "UNBLOCK", 1)], [
                                                    ("COMMAND",)], [
                                                        ("PSUBSCRIBE", "*"), ("PUNSUBSCRIBE",)], [
                                                            ("HELLO", 3, "AUTH", "u", "p")]):
            c = Conn(larder.address)
            c.send(b"".join(encode(*x) for x in commands))
            try:
                c.frame(timeout=2)
            except AssertionError:
                pass
            c.close()
    state["on"] = False
    eventually(lambda: served(w.conn(larder)))


test_lies_about_what_larder_asks_itself.timeout = 120


def test_lies_at_the_door(w):
    """Links that greet with garbage, or never answer: clients are told within their deadline."""
    for greeting in (
        b"-ERR max number of clients reached\r\n",
        b"garbage\r\n",
        b"HTTP/1.1 400 Bad\r\n\r\n",
        b"-NOAUTH x\r\n",
        b"$-2\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
            b""):
        server = FakeRedis()
        server.greet = lambda link: (link.send(greeting), link.close() if greeting else None)
        server.script = lambda link, argv: SILENT
        larder = w.larder(server,
                          up={"command_timeout": "300ms",
                              "connect_timeout": "200ms",
                              "queue_timeout": "300ms",
                              "backoff_min": "1ms",
                              "backoff_max": "20ms"})
        c = w.conn(larder)
        for _ in range(2):
            answer = c.cmd("GET", "k", timeout=10)
            assert isinstance(answer, Error), answer
        assert c.cmd("MULTI", timeout=10).startswith(b"UPSTREAM")
        c = w.conn(larder)
        if greeting.startswith(b"-NOAUTH"):  # then larder's own answers want a login, too
            assert c.cmd("PING").startswith(b"NOAUTH")
        else:
            assert c.cmd("PING") == b"PONG"
        server.greet, server.script = None, lambda link, argv: None
        eventually(lambda: served(c), timeout=15)
        larder.stop()
        server.stop()


test_lies_at_the_door.timeout = 90


def test_attributes_and_pushes_from_upstream(w):
    """A push nobody asked for is nobody's reply; an attribute belongs to the reply behind it."""
    def script(link, argv):
        if argv == [b"GET", b"attribute"]:
            return b"|1\r\n+popularity\r\n,0.5\r\n" + bulk("attribute:value")
        if argv == [b"GET", b"push"]:
            return b">2\r\n+noise\r\n:1\r\n" + bulk("push:value") + b">1\r\n+late\r\n"
    server, larder = fake(w, script)
    c = w.conn(larder, proto=3)
    for _ in range(5):
        assert served(c, "attribute") and served(c, "push") and served(c)
        assert c.pipeline([("GET", k) for k in ("push", "a", "attribute", "b")]) == [
            b"push:value", b"a:value", b"attribute:value", b"b:value"]


def test_one_byte_at_a_time_from_upstream(w):
    def script(link, argv):
        if argv[0] == b"GET":
            link.babble(bulk(argv[1] + b":value"))
            return SILENT
        if argv[0] == b"LRANGE":
            link.babble(b"*3\r\n$1\r\na\r\n:-12\r\n*2\r\n$-1\r\n$3\r\nb\r\n\r\n")
            return SILENT
    server, larder = fake(w, script, command_timeout="10s")
    for proto in (2, 3):
        c = w.conn(larder, proto)
        for i in range(20):
            assert served(c, "k%d" % i)
            assert c.cmd("LRANGE", "l", 0, -1) == [b"a", -12, [None, b"b\r\n"]]


def test_lies_under_load(w):
    """Twenty clients, one reply in fifty a lie or a cut: every other value belongs to its key."""
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    lies = [x for n, x in LIES.items() if n not in ("array huge",)]

    def script(link, argv):
        if argv[0] == b"GET" and rng.random() < 0.02:
            what = rng.randrange(4)
            if what == 0:
                link.cut()
            if what == 1:
                link.rst()
            return rng.choice(lies)
    server, larder = fake(w, script)
    wrong, good = [], []

    def client(number):
        try:
            c = Conn(larder.address, 2 + number % 2, timeout=20)
            for i in range(scaled(300)):
                keys = ["c%d-%d-%d" % (number, i, j) for j in range(3)]
                c.send(b"".join(encode("GET", k) for k in keys))
                for key in keys:
                    answer = c.reply()
                    if answer == key.encode() + b":value":
                        good.append(1)
                    elif not (isinstance(answer, Error) and answer.startswith(b"UPSTREAM")):
                        wrong.append((key, answer))
        except Closed:
            pass
        except Exception as e:
            wrong.append(repr(e))
    threads = [threading.Thread(target=client, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, f"seed {seed}: {wrong[:3]}"
    assert len(good) > 100, f"seed {seed}: only {len(good)} good replies"


test_lies_under_load.timeout = 60
