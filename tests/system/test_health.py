"""LARDER HEALTH: larder is well, or there is no answer; and the rest is told apart, by name."""
import re

from fake_server import SILENT, FakeRedis
from near import near_larder
from outage import BREAKER, QUICK
from resp import encode, encode_all, eventually
from sentinels import Watched
from servers import only_plain, scripted


def health(conn):
    """The first line as (status, reason), and of each other one its words, by the first of them."""
    text = conn.ok("LARDER", "HEALTH").decode()
    first, *rest = text.removeprefix("txt:").splitlines()
    status, reason = re.fullmatch(r"status=(\w+) reason=(.*)", first).groups()
    lines = {}
    for line in rest:
        words = re.findall(r"([\w-]+)=(.*?)(?= [\w-]+=|$)", line)
        name = words[0][1] + "'s" if words[0][0] == "certificate" else words[0][0]
        lines[name] = dict(words)
    return status, reason, lines


def test_all_is_well(w):
    redis = w.redis()
    larder = w.larder(redis, up=QUICK)
    for proto in (2, 3):
        c = w.conn(larder, proto)
        eventually(lambda: health(c)[:2] == ("ok", ""))
        lines = health(c)[2]
        assert lines["larder"]["larder"] == "ok" and lines["upstream"]["upstream"] == "ok"
        assert lines["upstream"]["role"] == "master" and lines["upstream"]["breaker"] == "closed"
        assert int(lines["upstream"]["roundtrip-us"]) > 0
    assert redis.cmd("DBSIZE") == 0


def test_one_round_trip_for_many(w):
    """.. who ask at once, or shortly after."""
    fake = w.add(FakeRedis(real_enough({})))
    larder = w.larder(fake, up=QUICK)
    conns = [w.conn(larder) for _ in range(20)]
    for c in conns:
        c.send(encode("LARDER", "HEALTH") * 5)
    for c in conns:
        assert all(a.startswith(b"status=ok") for a in c.replies(5))
    assert fake.count("SET") <= 2, fake.count("SET")
    key = next(r for r in fake.requests() if r[0] == b"SET")
    assert re.fullmatch(rb"larder:health:[0-9a-f]{16}", key[1]) and key[3] == b"PX"
    assert int(key[4]) <= 10000


def real_enough(state):
    """A script that keeps what is set, so that a round trip is well; but see state."""
    scripted()
    values = {}

    def script(link, argv):
        if state.get("silent") and argv[0] != b"HELLO":
            return SILENT
        if argv[0] in state.get("refuse", ()):
            return b"-OOM command not allowed\r\n"
        if argv[0] == b"SET":
            values[argv[1]] = argv[2]
        if argv[0] == b"GET" and argv[1] in values:
            value = b"x" if state.get("lies") else values[argv[1]]
            return b"$%d\r\n%s\r\n" % (len(value), value)
        if argv[0] == b"DEL":
            return b":1\r\n"
        if argv[0] == b"ROLE" and state.get("no role"):
            return b"-NOPERM no\r\n"
    return script


def test_it_answers_but_not_well(w):
    for state, words in (({"refuse": (b"SET",)}, "SET: OOM command not allowed"),
                         ({"lies": True}, "GET: not what was set")):
        larder = w.larder(w.add(FakeRedis(real_enough(state))), up=QUICK)
        status, reason, lines = health(w.conn(larder))
        assert status == "down" and reason.endswith(words), (status, reason)
        assert lines["upstream"]["upstream"] == "refuses" and lines["larder"]["larder"] == "ok"
    larder = w.larder(w.add(FakeRedis(real_enough({"no role": True}))), up=QUICK)
    status, reason, lines = health(w.conn(larder))
    assert status == "ok" and lines["upstream"]["role"] == "", (status, reason)


def test_no_upstream(w):
    redis = w.redis()
    redis.kill()
    larder = w.larder(redis, up={**BREAKER, "command_timeout": "10m"})
    c = w.conn(larder)
    status, reason, lines = health(c)
    assert status == "down" and "Connection refused" in reason, reason
    assert lines["upstream"]["upstream"] == "away" and lines["larder"]["larder"] == "ok"
    eventually(lambda: health(c)[2]["upstream"]["breaker"] != "closed")
    redis.start()
    eventually(lambda: health(c)[0] == "ok")


def test_a_silent_upstream(w):
    """It has a deadline of its own; who asks along with others' commands has the answer in turn."""
    state = {}
    fake = w.add(FakeRedis(real_enough(state)))
    larder = w.larder(fake, up={"command_timeout": "10m"})
    c, other = w.conn(larder), w.conn(larder)
    c.ok("SET", "k", "v")
    state["silent"] = True
    c.send(encode_all([("LARDER", "HEALTH"), ("PING",)]))
    other.send_cmd("LARDER", "HEALTH")
    other.close()
    answer, pong = c.replies(2)
    assert answer.startswith(b"status=down reason=the upstream is away: no reply within 2000 ms")
    assert pong == b"PONG"
    state["silent"] = False


def test_in_a_transaction(w):
    """A session with a link of its own is told what is known, and its order is kept."""
    redis = w.redis()
    larder = w.larder(redis, up=QUICK)
    c = w.conn(larder)
    c.ok("WATCH", "k")
    c.send(encode_all([("LARDER", "HEALTH"), ("GET", "k"), ("UNWATCH",)]))
    answer, value, ok = c.replies(3)
    assert answer.startswith(b"status=") and value is None and ok == b"OK"


def test_a_cache_that_is_not_served(w):
    redis = w.redis()
    larder = near_larder(w, redis, up=QUICK)
    c = w.conn(larder)
    eventually(lambda: health(c)[0] == "ok")
    assert health(c)[2]["cache"]["trust"] == "armed"
    redis.cmd("ACL", "SETUSER", "default", "-client|tracking")
    with open(larder.config, encoding="ascii") as f:
        text = f.read()
    larder.configure(text.replace("[cache]", "[cache]\ncoherence = broadcast"))
    larder.kill()
    larder.start()
    c = w.conn(larder)
    eventually(lambda: health(c)[0] == "degraded")
    status, reason, lines = health(c)
    assert reason.startswith("the near cache is not served"), reason
    assert lines["cache"]["cache"] == "not-served" and lines["upstream"]["upstream"] == "ok"


def test_sentinels(w):
    only_plain("Sentinels without it")
    watched = Watched(w, count=2, replicas=0)
    larder = watched.larder()
    c = w.conn(larder)
    eventually(lambda: health(c)[0] == "ok")
    assert health(c)[2]["sentinels"]["of"] == "2"
    watched.sentinels[1].kill()
    eventually(lambda: health(c)[:2] == ("degraded", "not every Sentinel is heard"))
