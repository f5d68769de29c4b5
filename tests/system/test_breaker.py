"""The breaker: after failures in a row commands are answered at once, until a PING is answered."""
import re
import threading

from fake_server import SILENT, FakeRedis
from outage import BREAKER, is_upstream, serves_again
from relay import Relay
from resp import Error, encode, eventually
from servers import scripted

# no command may wait so long that the test could end: what is answered was answered at once
PATIENT = {**BREAKER, "command_timeout": "10m", "queue_timeout": "10m"}


def breaker(larder):
    """Its line in LARDER LINKS, as a dict."""
    text = larder.cmd("LARDER", "LINKS").decode()
    return dict(re.findall(r"(\S+)=(\S+)", next(line for line in text.splitlines()
                                                if line.startswith("breaker="))))


def opens(larder):
    eventually(lambda: breaker(larder)["breaker"] != "closed")


def closes(larder):
    eventually(lambda: breaker(larder)["breaker"] == "closed")


def at_once(conn, *words):
    """Answered by the breaker, whatever the deadlines are."""
    answer = conn.cmd(*words)
    assert is_upstream(answer) and b"breaker open for " in answer, (words, answer)
    assert answer.endswith(b"; the command was not executed"), answer


def test_refused_connections(w):
    """An upstream that is not there: who waits is told when it opens, and nobody waits after."""
    redis = w.redis()
    redis.kill()
    larder = w.larder(redis, up=PATIENT)
    early = [w.conn(larder) for _ in range(3)]
    early[0].send(encode("SET", "k", "v") + encode("GET", "k"))
    early[1].send(encode("BLPOP", "k", 0))
    early[2].send(encode("MULTI") + encode("INCR", "n") + encode("EXEC"))
    opens(larder)
    assert all(is_upstream(a) for a in early[0].replies(2)) and is_upstream(early[1].reply())
    assert is_upstream(early[2].reply())
    for proto in (2, 3):
        c = w.conn(larder)
        if proto == 3:
            at_once(c, "HELLO", 3)
            c = w.conn(larder)
        for words in (("GET", "k"), ("SET", "k", "v"), ("BLPOP", "k", 0), ("WATCH", "k"),
                      ("SUBSCRIBE", "ch"), ("EVAL", "return 1", 0), ("NOSUCH", "x")):
            at_once(c, *words)
        assert c.cmd("PING") == b"PONG"
    assert larder.stats()["clients_refused_away"] >= 14
    redis.start()
    serves_again(w.conn(larder))
    closes(larder)
    assert redis.cmd("EXISTS", "k", "n") == 0  # nothing of it was sent later


def test_a_stopped_server(w):
    """Connections stay, replies do not come: the same. It comes back by itself, and so do those who
    listen and block."""
    redis = w.redis()
    larder = w.larder(redis, up={**BREAKER, "command_timeout": "300ms"})
    listener, blocked, c = (w.conn(larder, timeout=30) for _ in range(3))
    listener.send_cmd("SUBSCRIBE", "ch")
    assert listener.value() == [b"subscribe", b"ch", 1]
    blocked.send_cmd("BLPOP", "list", 0)
    eventually(lambda: redis.blocked() == 1)
    c.ok("SET", "k", "v")
    redis.pause()
    answers = c.pipeline([("GET", f"k{i}") for i in range(5)])
    assert all(is_upstream(a) and b"no reply" in a for a in answers), answers
    for words in (("GET", "k"), ("SET", "k", "late"), ("LPUSH", "list", "late")):
        at_once(c, *words)
    redis.resume()
    serves_again(c)
    closes(larder)
    assert c.cmd("GET", "k") == b"v"
    c.ok("PUBLISH", "ch", "m")
    assert listener.value() == [b"message", b"ch", b"m"]
    c.ok("LPUSH", "list", "x")
    assert blocked.reply() == [b"list", b"x"]


def test_black_hole(w):
    """Connections come up and nothing passes: connecting has its own deadline."""
    redis = w.redis()
    relay = w.add(Relay(redis.address))
    larder = w.larder(relay, up={**PATIENT, "connect_timeout": "100ms"})
    c = w.conn(larder)
    c.ok("SET", "k", "v")
    relay.mode = "stall"
    relay.cut()
    at_once_soon(c)
    relay.mode = "forward"
    relay.cut()
    serves_again(c)


def at_once_soon(c):
    def told():
        answer = c.cmd("GET", "k", timeout=20)
        return isinstance(answer, Error) and b"breaker open" in answer
    eventually(told)


def test_probes_are_pings(w):
    """While it is open, a new connection hears larder's own words only, the last of them PING; one
    connection at a time, and none of a client's commands, however many they say."""
    state = {"good": True}

    def script(link, argv):
        if not state["good"] and argv[0] not in (b"HELLO", b"SELECT"):
            return SILENT
    scripted()
    fake = w.add(FakeRedis(script))
    larder = w.larder(fake, up={**BREAKER, "command_timeout": "100ms", "connect_timeout": "100ms"})
    c = w.conn(larder)
    c.ok("SET", "k", "v")
    state["good"] = False
    assert all(is_upstream(a) for a in c.pipeline([("GET", "k")] * 5))
    known = len(fake.links)
    eventually(lambda: is_upstream(c.cmd("SET", "k", "w")) and len(fake.links) > known + 3)
    at_once(c, "SET", "k", "w")
    state["good"] = True
    eventually(lambda: c.cmd("GET", "k") == b"k:value")
    for link in fake.links[known:known + 3]:
        assert [r[0] for r in link.requests] == [b"HELLO", b"PING"], link.requests
    assert not any(r[:1] == [b"SET"] and r[2] == b"w" for r in fake.requests())
    stats = larder.stats()
    assert stats["upstream_breaker_opened"] == 1 and stats["upstream_breaker_probes"] >= 3
    assert stats["upstream_breaker"] == 0


def test_loading(w):
    """-LOADING is handed on; when it goes on the breaker opens, and PING must be answered well."""
    state = {"loading": True}

    def script(link, argv):
        if state["loading"] and argv[0] not in (b"HELLO", b"AUTH", b"CLIENT"):
            return b"-LOADING Redis is loading the dataset in memory\r\n"
    scripted()
    fake = w.add(FakeRedis(script))
    larder = w.larder(fake, up=PATIENT)
    c = w.conn(larder)
    for _ in range(5):
        assert c.cmd("GET", "k").startswith(b"LOADING")
    at_once(c, "GET", "k")
    eventually(lambda: larder.stats()["upstream_breaker_probes"] >= 2)
    at_once(c, "GET", "k")
    state["loading"] = False
    eventually(lambda: c.cmd("GET", "k") == b"k:value")


def test_sessions_with_state(w):
    """A transaction cannot go on elsewhere: it is told so, and must begin anew."""
    redis = w.redis()
    larder = w.larder(redis, up={**BREAKER, "command_timeout": "300ms"})
    c, in_multi, watching, own = (w.conn(larder) for _ in range(4))
    c.ok("SET", "k", "v")
    in_multi.ok("MULTI")
    in_multi.ok("SET", "t", 1)
    watching.ok("WATCH", "t")
    redis.pause()
    assert all(is_upstream(a) for a in c.pipeline([("GET", f"k{i}") for i in range(5)]))
    opens(larder)
    for conn, words in ((in_multi, ("EXEC",)), (watching, ("GET", "t"))):
        at_once(conn, *words)
        conn.eof()
    at_once(own, "MULTI")
    redis.resume()
    serves_again(own)
    assert redis.cmd("EXISTS", "t") == 0
    assert own.pipeline([("MULTI",), ("SET", "t", 2), ("EXEC",)]) == [b"OK", b"QUEUED", [b"OK"]]


def test_many_links_break_once(w):
    """What breaks together is one failure: a restart of Redis alone does not open the breaker."""
    redis = w.redis()
    relay = w.add(Relay(redis.address))
    larder = w.larder(relay, up=PATIENT)
    blocked = [w.conn(larder) for _ in range(30)]
    for c in blocked:
        c.send_cmd("BLPOP", "list", 0)
    eventually(lambda: redis.blocked() == 30)
    relay.rst()
    for c in blocked:
        assert is_upstream(c.reply())
        serves_again(c)
    assert larder.stats()["upstream_breaker_opened"] == 0


def storm(larder, conns, stop):
    while not stop.is_set():
        for c in conns:
            c.send_cmd("GET", "k")
        for c in conns:
            c.reply(timeout=20)


def test_no_storm_while_it_is_killed_again_and_again(w):
    """20 kills under load: connects stay few, and it serves after each."""
    redis = w.redis()
    larder = w.larder(redis, up={"backoff_min": "20ms", "breaker_open": "400ms"})
    conns, stop = [w.conn(larder) for _ in range(20)], threading.Event()
    load = threading.Thread(target=storm, args=(larder, conns, stop), daemon=True)
    load.start()
    control = w.conn(larder)
    try:
        for _ in range(20):
            redis.kill()
            opens(larder)
            redis.start()
            serves_again(control)
    finally:
        stop.set()
        load.join(20)
    stats = larder.stats()
    assert stats["upstream_breaker_opened"] >= 20
    # 5 that fail until it opens, probes, and what the load then opens: some ten an outage
    assert stats["upstream_connects"] < 20 * 25, stats["upstream_connects"]


test_no_storm_while_it_is_killed_again_and_again.timeout = 90


def test_never_if_so_set(w):
    redis = w.redis()
    redis.kill()
    larder = w.larder(redis, up={**BREAKER, "breaker_failures": "0"})
    c = w.conn(larder)
    for _ in range(2):
        answer = c.cmd("GET", "k")
        assert is_upstream(answer) and b"breaker" not in answer, answer
    assert breaker(larder)["breaker"] == "closed"
