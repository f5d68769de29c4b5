"""TLS to the upstream and on listeners: against the real redis-server and its clients, with
certificates of every kind that should not be trusted, and the traps that OpenSSL sets."""
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

from certificates import Authority, Certificate, redis_options
from outage import QUICK, is_upstream, serves_again
from program import run, write
from relay import Relay
from resp import TIMEOUT, TLS, encode, encode_all, eventually, over_tls
from servers import free_port, sanitized

BIG = os.urandom(1 << 20) * 10
LOW = "DEFAULT@SECLEVEL=0"  # what OpenSSL needs to speak versions that it thinks too old


class Far:
    """A redis-server with a port for TLS, and what makes a larder trust it."""

    def __init__(self, w, *options, ca=None, own=None):
        self.ca = ca or Authority(w)
        self.own = own or self.ca.issue("server")
        self.port = free_port()
        self.redis = w.redis(*redis_options(self.port, self.ca, self.own, *options), tls=False)
        self.up = {"address": f"localhost:{self.port}", "tls": "yes", "tls_ca": self.ca.cert}

    def larder(self, w, **more):
        return w.larder(None, up={**self.up, **more.pop("up", {})}, **more)


def tls_listener(own, **more):
    return {"tls_cert": own.cert, "tls_key": own.key, **more}


def speak(larder, context):
    """From now on, connections to it speak TLS."""
    TLS[larder.address] = context
    return larder


def near(w, ca=None, own=None, up=None, **listener):
    """A Redis, and a larder before it that speaks TLS to its clients."""
    ca = ca or Authority(w)
    own = own or ca.issue("larder")
    redis = w.redis(tls=False)
    larder = w.larder(redis, listener=tls_listener(own, **listener), up=up, wait=False)
    eventually(lambda: "listens" in larder.log())
    speak(larder, ca.context())
    return redis, larder, ca, own


def trouble(larder):
    return re.search(r"trouble=(.*)", larder.cmd("LARDER", "LINKS").decode()).group(1)


def handshake(larder, context, name="localhost"):
    """A client's handshake and one command, outside of Conn; may raise ssl.SSLError."""
    with socket.create_connection(larder.address, timeout=TIMEOUT) as raw:
        with context.wrap_socket(raw, server_hostname=name) as sock:
            sock.sendall(encode("ECHO", "x"))
            got = sock.recv(100)
            return got, sock.getpeercert(), sock.version()


def refusal(larder, context):
    try:
        return handshake(larder, context)[0]
    except (ssl.SSLError, ConnectionError) as e:
        return e


# towards the upstream


def everything(w, larder):
    """What a connection can do."""
    a, b = w.conn(larder), w.conn(larder, 3)
    assert a.cmd("SET", "k", "v") == b"OK" and b.cmd("GET", "k") == b"v"
    assert a.pipeline([("INCR", "n")] * 5000) == list(range(1, 5001))
    assert a.pipeline([("MULTI",), ("INCR", "n"), ("GET", "k"), ("EXEC",)])[-1] == [5001, b"v"]
    b.send_cmd("SUBSCRIBE", "ch")
    b.value()
    assert a.cmd("PUBLISH", "ch", "hello") == 1
    assert b.value() == [b"message", b"ch", b"hello"]
    c = w.conn(larder)
    c.send_cmd("BLPOP", "list", 0)
    eventually(lambda: b"blocked_clients:1" in a.cmd("INFO", "clients"))
    assert a.cmd("RPUSH", "list", "x") == 1 and c.reply() == [b"list", b"x"]
    assert a.cmd("SET", "big", BIG, timeout=20) == b"OK"
    assert a.cmd("GET", "big", timeout=20) == BIG
    assert a.cmd("STRLEN", "big") == len(BIG)
    many = [("SET", f"k{i}", bytes([i % 256]) * (i * 37 % 30000)) for i in range(300)]
    assert a.pipeline(many) == [b"OK"] * 300
    assert a.pipeline([("GET", f"k{i}") for i in range(300)]) == [m[2] for m in many]


def upstream(w, version, *options):
    far = Far(w, *options)
    larder = far.larder(w)
    everything(w, larder)
    text = larder.cmd("LARDER", "LINKS")
    assert b"tls=" + version in text, text
    stats = larder.stats()
    assert stats["tls_upstream_handshakes"] >= 3 and stats["tls_upstream_failures"] == 0, stats


def test_upstream(w):
    upstream(w, b"TLSv1.3")


def test_upstream_tls_1_2(w):
    upstream(w, b"TLSv1.2", "--tls-protocols", "TLSv1.2")


def test_upstream_with_a_client_certificate(w):
    ca = Authority(w)
    own = ca.issue("larder", names=None)
    upstreams = [Far(w, "--tls-auth-clients", "yes", ca=ca),
                 Far(w, "--tls-auth-clients", "yes", "--tls-protocols", "TLSv1.2", ca=ca)]
    for far in upstreams:
        larder = far.larder(w, up={"tls_cert": own.cert, "tls_key": own.key})
        serves_again(w.conn(larder))
        left = larder.stats()["tls_own_seconds_left"]
        assert 29 * 86400 < left <= 30 * 86400, left


def test_whom_to_trust(w):
    """What pleases, by name and number."""
    ca = Authority(w)
    named = Far(w, ca=ca, own=ca.issue("named", names="DNS:redis.example,DNS:*.cache.example"))
    for name in ("redis.example", "a.cache.example", "REDIS.example"):
        serves_again(w.conn(named.larder(w, up={"tls_server_name": name})))
    numbered = Far(w, ca=ca, own=ca.issue("numbered", names="IP:127.0.0.1,IP:10.0.0.1"))
    by_number = {"address": f"127.0.0.1:{numbered.port}"}
    serves_again(w.conn(numbered.larder(w, up=by_number)))
    serves_again(w.conn(numbered.larder(w, up={"tls_server_name": "10.0.0.1"})))
    alone = Far(w, ca=ca, own=ca.self_signed("alone"))
    serves_again(w.conn(alone.larder(w, up={"tls_ca": alone.own.cert})))
    larder = alone.larder(w, up={"tls_verify": "no"})
    serves_again(w.conn(larder))
    assert "tls_verify = no" in larder.log()


def untrusted(w, far, sentence, up=None, why="UPSTREAM"):
    larder = far.larder(w, up={**QUICK, **(up or {})})
    c = w.conn(larder)
    answer = c.cmd("GET", "k", timeout=20)
    assert is_upstream(answer), (sentence, answer)
    found = eventually(lambda: trouble(larder))
    assert re.search(sentence, found), (sentence, found)
    assert re.search(sentence, larder.log()), sentence
    return larder


def test_wrong_certificates(w):
    """Each is told by its sentence; and no command has gone there."""
    ca, other = Authority(w), Authority(w, "Other CA")
    at = r"^TLS: "
    for own, up, sentence in (
            (ca.issue("old", days=-1), {}, at + r"its certificate has expired, 20\d\d-\d\d-\d\d "),
            (other.issue("foreign"), {}, at + "its certificate is of an unknown authority, "
                                              "Other.CA, which is not in tls_ca"),
            (ca.self_signed("alone"), {}, at + "its certificate is self-signed, and not in tls_ca"),
            (ca.issue("named", names="DNS:a.example"), {},
             at + "its certificate is for a.example and not for localhost "),
            (ca.issue("half", names="DNS:redis*.cache.example"),
             {"tls_server_name": "redis1.cache.example"},
             at + r"its certificate is for redis\*.cache.example and not for redis1"),
            (ca.issue("unnumbered", names="DNS:localhost"), {"address": "127.0.0.1:%d"},
             at + "its certificate is for localhost and not for 127.0.0.1 "),
            (ca.issue("renamed"), {"tls_server_name": "other.example"},
             at + "its certificate is for localhost and not for other.example "),
            (ca.issue("own"), {"tls_ca": ""},
             at + "its certificate is of an unknown authority, Test.CA, which is not in the "
                  "system's store")):
        far = Far(w, ca=ca, own=own)
        up = {**up, **({"address": up["address"] % far.port} if "address" in up else {})}
        larder = untrusted(w, far, sentence.replace("^", "(?m)(?:^|: )"), up)
        assert far.redis.info("stats", "total_commands_processed") in ("1", "2", "3")
        stats = larder.stats()
        assert stats["tls_upstream_failures"] > 0 and stats["tls_upstream_handshakes"] == 0, stats


def test_old_protocols_are_refused(w):
    far = Far(w, "--tls-protocols", "TLSv1 TLSv1.1", "--tls-ciphers", LOW)
    untrusted(w, far, "TLS: its protocol is too old: it speaks no TLS newer than 1.1")


def test_what_is_not_tls(w):
    """A plain port, one that says nothing, one that closes, none at all; and TLS taken for plain."""
    far = Far(w)
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    silent.listen(16)
    shut = w.add(Relay(far.redis.address))
    shut.refuse("close")
    liar = w.add(Babbler(b"-ERR I speak plain\r\n"))
    for port, sentence in (
            (liar.address[1], "TLS: what answers there speaks plain text: is it a port for TLS"),
            (silent.getsockname()[1], "no end of the TLS handshake within connect_timeout"),
            (shut.address[1], "TLS: .* during the handshake"),
            (free_port(), "Connection refused")):
        untrusted(w, far, sentence, {"address": f"localhost:{port}", "tls_ca": far.ca.cert})
    silent.close()
    larder = w.larder(None, up={**QUICK, "address": f"localhost:{far.port}"})
    assert is_upstream(w.conn(larder).cmd("GET", "k", timeout=20))


class Babbler:
    """Answers whatever it is sent with the same bytes, and closes."""

    def __init__(self, words):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.address = self.listener.getsockname()
        self.words = words
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        while True:
            try:
                conn = self.listener.accept()[0]
                conn.recv(1 << 16)
                conn.sendall(self.words)
                conn.close()
            except OSError:
                return

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        return []


def test_the_upstream_wants_a_certificate(w):
    ca, other = Authority(w), Authority(w, "Other CA")
    foreign = other.issue("foreign")
    for version, none, wrong in (
            ("TLSv1.3", "TLS: it asks for a client certificate: set tls_cert and tls_key",
             "TLS: it does not know the authority of larder's certificate"),
            ("TLSv1.2", "TLS: it refuses the handshake: perhaps it asks for a client certificate",
             "TLS: it does not know the authority of larder's certificate")):
        far = Far(w, "--tls-auth-clients", "yes", "--tls-protocols", version, ca=ca)
        untrusted(w, far, none)
        untrusted(w, far, wrong, {"tls_cert": foreign.cert, "tls_key": foreign.key})
        old = ca.issue("old" + version, days=-1)
        larder = untrusted(w, far, "TLS: it says that larder's certificate .tls_cert. has expired",
                           {"tls_cert": old.cert, "tls_key": old.key})
        assert "tls_cert has expired" in larder.log()


class Doorman:
    """Takes TLS connections and notes the name that is asked for."""

    def __init__(self, own):
        self.names = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own.cert, own.key)
        context.sni_callback = lambda sock, name, _: self.names.append(name)
        self.listener = context.wrap_socket(socket.create_server(("127.0.0.1", 0)),
                                            server_side=True)
        self.address = self.listener.getsockname()
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        while True:
            try:
                self.listener.accept()[0].close()
            except OSError:
                if self.listener.fileno() < 0:
                    return

    def stop(self):
        self.listener.close()
        return []


def test_whom_is_asked_for(w):
    """The name goes with the handshake (SNI), as far as it is a name."""
    ca = Authority(w)
    for host, more, name in (("localhost", {}, "localhost"), ("127.0.0.1", {}, None),
                             ("127.0.0.1", {"tls_server_name": "a.example"}, "a.example"),
                             ("localhost", {"tls_server_name": "127.0.0.1"}, None)):
        doorman = w.add(Doorman(ca.issue("doorman")))
        larder = w.larder(None, up={**QUICK, "address": f"{host}:{doorman.address[1]}",
                                    "tls": "yes", "tls_ca": ca.cert, **more})
        w.conn(larder).send_cmd("GET", "k")
        eventually(lambda: doorman.names)
        assert set(doorman.names) == {name}, (host, more, doorman.names)


def test_resumption(w):
    """A TLS session is resumed by the next links, of either version."""
    for version in ("TLSv1.3", "TLSv1.2"):
        far = Far(w, "--tls-protocols", version)
        larder = far.larder(w)
        for _ in range(10):
            c = w.conn(larder)
            c.send_cmd("SUBSCRIBE", "ch")
            c.value()
        stats = larder.stats()
        assert stats["tls_upstream_resumed"] >= 9, (version, stats)
        far.redis.restart()  # nobody knows the sessions there now
        serves_again(w.conn(larder))


def test_no_resumption_where_there_is_none(w):
    far = Far(w, "--tls-session-caching", "no")
    everything(w, far.larder(w))


def test_kill_and_stop(w):
    """Redis dies and hangs: answers by the deadline, then service as before."""
    far = Far(w)
    larder = far.larder(w, up=QUICK)
    conns = [w.conn(larder) for _ in range(20)]
    for round_ in range(3):
        for c in conns:
            c.send(encode("SET", "k", round_) + encode("GET", "k"))
        far.redis.kill()
        for c in conns:
            for answer in c.replies(2):
                assert answer in (b"OK", b"%d" % round_) or is_upstream(answer), answer
        far.redis.start()
        for c in conns:
            serves_again(c)
    far.redis.pause()
    for c in conns:
        c.send_cmd("GET", "k")
    assert all(is_upstream(c.reply(timeout=20)) for c in conns)
    far.redis.resume()
    for c in conns:
        serves_again(c)


def test_a_stalled_network(w):
    """Writes that the socket does not take are repeated as OpenSSL wants it: nothing is lost."""
    far = Far(w)
    relay = w.add(Relay(("127.0.0.1", far.port)))
    larder = far.larder(w, up={"address": f"localhost:{relay.address[1]}"})
    conns = [w.conn(larder, timeout=20) for _ in range(8)]
    for c in conns:
        assert c.cmd("SET", "k", "v") == b"OK"
    value = os.urandom(50000)
    for round_ in range(4):
        relay.stall()
        sent = 0
        for i in range(40):  # beyond what sockets hold; and small ones behind large ones
            for n, c in enumerate(conns):
                c.send(encode("SET", f"{n}:{i}", value) + encode("GET", f"{n}:{i}")
                       + encode("PING"))
                sent += 1
            if i == 20 and round_ % 2:
                relay.resume()
                relay.stall()
        relay.resume()
        for c in conns:
            assert c.replies(120) == [b"OK", value, b"PONG"] * 40
    assert larder.stats()["upstream_links_lost"] == 0


def ask_one_by_one(larder, conns, key):
    """Each has been heard before the next asks, so that each could have a record of its own."""
    heard = larder.stats()["clients_bytes_in"]
    for c in conns:
        request = encode("GET", key)
        c.send(request)
        heard += len(request)
    eventually(lambda: larder.stats()["clients_bytes_in"] >= heard)


def test_records_are_gathered(w):
    """While hundreds wait for Redis, what others ask waits here, to leave in one record: it leaves
    when Redis answers, and if Redis never does, it is answered here in time."""
    far = Far(w)
    relay = w.add(Relay(("127.0.0.1", far.port)))
    larder = far.larder(w, up={**QUICK, "command_timeout": "4s", "pool_size": 2,
                               "address": f"localhost:{relay.address[1]}"})
    conns = [w.conn(larder, timeout=30) for _ in range(400)]
    assert conns[0].cmd("SET", "k", "v") == b"OK"
    for stalled in (relay.stall, far.redis.pause):
        stalled()
        for i in range(0, 300, 20):
            ask_one_by_one(larder, conns[i:i + 20], "k")
        sent = larder.stats()["upstream_bytes_out"]
        ask_one_by_one(larder, conns[300:], "k")
        assert larder.stats()["upstream_bytes_out"] == sent, (stalled, larder.cmd("LARDER", "LINKS"))
        if stalled == relay.stall:
            relay.resume()
            assert [c.reply() for c in conns] == [b"v"] * 400
        else:
            assert all(is_upstream(c.reply()) for c in conns)
            far.redis.resume()
    serves_again(conns[0])
    assert larder.stats()["upstream_bytes_out"] > sent


def test_cut_in_the_midst(w):
    """An end without goodbye is an end: errors, no garbage, new links."""
    far = Far(w)
    relay = w.add(Relay(("127.0.0.1", far.port)))
    larder = far.larder(w, up={**QUICK, "address": f"localhost:{relay.address[1]}"})
    c = w.conn(larder)
    assert c.cmd("SET", "big", BIG, timeout=20) == b"OK"
    for cut in (relay.cut, relay.rst):
        serves_again(c)
        relay.stall()
        c.send_cmd("APPEND", "log", "x")
        eventually(lambda: larder.stats()["upstream_replies"])
        cut()
        relay.resume()
        assert is_upstream(c.reply(timeout=20))
        serves_again(c)
    assert "TLS:" not in larder.log()


# on listeners


def test_listener(w):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        redis, larder, ca, _ = near(w)
        context = ca.context()
        context.minimum_version = context.maximum_version = version
        speak(larder, context)
        everything(w, larder)
        stats = larder.stats()
        assert stats["tls_client_handshakes"] >= 3 and stats["tls_client_failures"] == 0, stats
        assert 29 * 86400 < stats["tls_listener_seconds_left"] <= 30 * 86400
        assert "tls_own_seconds_left" not in stats and "tls_upstream_seconds_left" not in stats
        del redis


def test_both_sides(w):
    """TLS in and TLS out."""
    far = Far(w)
    own = far.ca.issue("larder")
    larder = far.larder(w, listener=tls_listener(own), wait=False)
    eventually(lambda: "listens" in larder.log())
    speak(larder, far.ca.context())
    everything(w, larder)


def test_redis_cli(w):
    _, larder, ca, own = near(w)
    for more in ([], ["-3"]):
        done = subprocess.run(["redis-cli", "-h", "localhost", "-p", str(larder.address[1]),
                               "--tls", "--cacert", ca.cert, *more],
                              input=b"SET k v\nGET k\nMULTI\nINCR n\nEXEC\n", capture_output=True,
                              timeout=20, check=False)
        assert done.stdout.startswith(b"OK\nv\nOK\nQUEUED\n"), done
    wrong = subprocess.run(["redis-cli", "-h", "localhost", "-p", str(larder.address[1]), "--tls",
                            "--cacert", Authority(w).cert, "PING"], capture_output=True, timeout=20,
                           check=False)
    assert wrong.returncode != 0, wrong
    # The client has hung up with an alert, or a reset.
    eventually(lambda: "reason=tls, TLS: it does not know the authority" in larder.log())
    bench = subprocess.run(["redis-benchmark", "-h", "localhost", "-p", str(larder.address[1]),
                            "--tls", "--cacert", ca.cert, "-n", "5000", "-c", "20", "-P", "10",
                            "-d", "3000", "-t", "set,get", "-q"], capture_output=True, timeout=60,
                           check=False)
    assert bench.returncode == 0 and bench.stdout.count(b"requests per second") == 2, bench
    del own


def test_redis_py(w):
    try:
        import redis as redis_py  # pylint: disable=import-outside-toplevel
    except ImportError:
        return
    ca = Authority(w)
    visitor = ca.issue("visitor", names=None)
    _, larder, _, _ = near(w, ca=ca, tls_client_ca=ca.cert)
    client = redis_py.Redis(host="localhost", port=larder.address[1], ssl=True,
                            ssl_ca_certs=ca.cert, ssl_certfile=visitor.cert,
                            ssl_keyfile=visitor.key, ssl_check_hostname=True)
    assert client.set("k", BIG) and client.get("k") == BIG
    with client.pipeline() as pipe:
        for i in range(1000):
            pipe.incr("n")
        assert pipe.execute() == list(range(1, 1001))
    listener = client.pubsub()
    listener.subscribe("ch")
    assert eventually(listener.get_message)["type"] == "subscribe"
    client.publish("ch", "x")
    assert eventually(listener.get_message)["data"] == b"x"
    listener.close()
    client.close()


def test_clients_that_are_refused(w):
    ca, other = Authority(w), Authority(w, "Other CA")
    redis, larder, _, _ = near(w, ca=ca, tls_client_ca=ca.cert)
    visitor = ca.issue("visitor", names=None)
    speak(larder, ca.context(visitor))
    assert larder.cmd("SET", "k", "v") == b"OK"

    def refused(what, sentence):
        before = larder.log().count(sentence)
        got = what()
        assert not isinstance(got, bytes) or b"x" not in got, (sentence, got)
        eventually(lambda: larder.log().count("reason=tls, TLS: " + sentence) > before)

    def plain():
        with socket.create_connection(larder.address, timeout=TIMEOUT) as c:
            c.sendall(encode("ECHO", "x"))
            return c.recv(100)

    def http():
        with socket.create_connection(larder.address, timeout=TIMEOUT) as c:
            c.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
            return c.recv(100)

    old = ca.context(visitor)
    old.set_ciphers(LOW)
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    refused(plain, "it speaks plain text, and this port is for TLS")
    refused(http, "it speaks plain text, and this port is for TLS")
    refused(lambda: refusal(larder, ca.context()),
            "it shows no client certificate, and tls_client_ca asks for one")
    refused(lambda: refusal(larder, ca.context(other.issue("foreign"))),
            "its certificate is of an unknown authority, Other?CA, which is not in tls_client_ca")
    refused(lambda: refusal(larder, ca.context(ca.issue("late", days=-1))),
            "its certificate has expired, 20")
    refused(lambda: refusal(larder, ca.context(ca.self_signed("alone"))),
            "its certificate is self-signed, and not in tls_client_ca")
    refused(lambda: refusal(larder, old),
            "its protocol is too old: it speaks no TLS newer than 1.1")
    refused(lambda: refusal(larder, other.context(visitor)),
            "it does not know the authority of the listener's certificate (tls_cert)")

    def hangs_up():
        socket.create_connection(larder.address, timeout=TIMEOUT).close()

    refused(hangs_up, "it closed the connection during the handshake")
    stats = larder.stats()
    assert stats["tls_client_failures"] == 9 and stats["clients_closed_tls"] == 9, stats
    assert larder.cmd("GET", "k") == b"v"
    del redis


def test_a_handshake_that_does_not_end(w):
    """Is closed after ten seconds, however the client keeps busy; others are served meanwhile."""
    clock = w.clock()
    redis = clock.redis(tls=False)
    ca = Authority(w)
    larder = clock.larder(redis, listener=tls_listener(ca.issue("larder")), wait=False)
    eventually(lambda: "listens" in larder.log())
    speak(larder, ca.context())
    silent = socket.create_connection(larder.address)
    begun = socket.create_connection(larder.address)
    begun.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(20))
    c = w.conn(larder)
    assert c.cmd("SET", "k", "v") == b"OK"
    clock.move(6)
    begun.sendall(bytes(10))
    assert c.cmd("GET", "k") == b"v"
    assert larder.stats()["clients_closed_tls"] == 0
    clock.move(6)
    for sock in (silent, begun):
        sock.settimeout(TIMEOUT)
        assert sock.recv(100) in (b"",)
        sock.close()
    eventually(lambda: larder.stats()["clients_closed_tls"] == 2)
    assert "the handshake has not ended in time" in larder.log()
    assert c.cmd("GET", "k") == b"v"


def test_bytes_that_epoll_does_not_tell_of(w):
    """What came in one record behind a command that waits: it is in larder, the socket is silent."""
    _, larder, _, _ = near(w)
    for commands in (200, 60000):
        c, other = w.conn(larder, timeout=20), w.conn(larder)
        ping = [("ECHO", i) for i in range(commands)]
        sender = threading.Thread(target=c.send, args=(
            encode("BLPOP", "q", 0) + encode_all(ping) + encode("BLPOP", "q", 0)
            + encode_all(ping),))
        sender.start()
        for _ in range(2):
            eventually(lambda: b"blocked_clients:1" in other.cmd("INFO", "clients"))
            other.cmd("RPUSH", "q", "x")
            assert c.reply() == [b"q", b"x"]
            assert c.replies(commands) == [b"%d" % i for i in range(commands)]
        sender.join()
    # In the same read as the end of the handshake.
    for _ in range(20):
        assert handshake(larder, TLS[larder.address])[0] == b"$1\r\nx\r\n"


def test_a_byte_a_record(w):
    """Many records in one read, and commands that are cut by them."""
    _, larder, _, _ = near(w)
    c = w.conn(larder)
    c.send_slowly(encode("SET", "k", "value") + encode("GET", "k") * 20)
    assert c.replies(21) == [b"OK"] + [b"value"] * 20


def test_a_slow_reader(w):
    """Replies that the socket does not take are repeated as OpenSSL wants it: nothing is lost."""
    _, larder, _, _ = near(w)
    value = os.urandom(300000)
    c = w.conn(larder, timeout=20)
    assert c.cmd("SET", "v", value) == b"OK"
    for count, size in ((60, 300000), (30000, 10)):
        c.cmd("SET", "v", value[:size])
        sender = threading.Thread(target=c.send, args=(encode("GET", "v") * count,))
        sender.start()
        eventually(lambda: larder.stats()["clients_commands"])
        time.sleep(0.3)  # larder has filled whatever sockets hold; there is nothing to wait for
        assert c.replies(count) == [value[:size]] * count
        sender.join()
    assert larder.stats()["clients_closed_broken"] == 0


def test_half_closed(w):
    """What was asked before the end is answered, whether that end is TLS's or TCP's."""
    _, larder, ca, _ = near(w)
    for end in ("tcp", "tls"):
        with socket.create_connection(larder.address, timeout=TIMEOUT) as raw:
            sock = over_tls(raw, ca.context())
            sock.sendall(encode("SET", "k", end) + encode("GET", "k"))
            if end == "tcp":
                sock.shutdown(socket.SHUT_WR)
                got = b""
                while len(got) < 14:
                    piece = sock.recv(100)
                    assert piece, got
                    got += piece
                assert got == b"+OK\r\n$3\r\ntcp\r\n", got
            else:
                # python cannot read on behind its own goodbye, but the write has been executed
                try:
                    sock.unwrap()
                except (ssl.SSLError, OSError):
                    pass
        eventually(lambda: larder.cmd("GET", "k") == end.encode())


def test_a_client_resumes(w):
    """Sessions are resumed, with and without client certificates."""
    ca = Authority(w)
    visitor = ca.issue("visitor", names=None)
    for more, own in (({}, None), ({"tls_client_ca": ca.cert}, visitor)):
        _, larder, _, _ = near(w, ca=ca, **more)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ca.context(own)
            context.maximum_version = version
            session = None
            for turn in range(2):
                with socket.create_connection(larder.address, timeout=TIMEOUT) as raw:
                    with context.wrap_socket(raw, server_hostname="localhost",
                                             session=session) as sock:
                        sock.sendall(encode("PING"))
                        assert sock.recv(100) == b"+PONG\r\n"
                        session = sock.session
                        assert sock.session_reused == (turn == 1), (more, version)
        assert larder_stats(larder, ca.context(own))["tls_client_resumed"] == 2


def larder_stats(larder, context):
    speak(larder, context)
    return larder.stats()


def test_too_many_clients(w):
    ca = Authority(w)
    redis = w.redis(tls=False)
    larder = w.larder(redis, larder={"max_clients": 2}, wait=False,
                      listener=tls_listener(ca.issue("larder")))
    eventually(lambda: "listens" in larder.log())
    speak(larder, ca.context())
    conns = [w.conn(larder) for _ in range(2)]
    assert isinstance(refusal(larder, ca.context()), (ssl.SSLError, ConnectionError))
    assert all(c.cmd("PING") == b"PONG" for c in conns)


# reload


def fingerprint(larder, context):
    return handshake(larder, context)[1]["serialNumber"]


def test_sighup_with_new_certificates(w):
    """New connections see the new ones; those that are open go on."""
    redis, larder, ca, own = near(w)
    c = w.conn(larder)
    assert c.cmd("SET", "k", "v") == b"OK"
    first = fingerprint(larder, ca.context())
    for i in range(3):
        renewed = ca.issue(f"renewed{i}", days=60)
        own.replace(renewed)
        assert fingerprint(larder, ca.context()) == first, "read without being told to"
        larder.signal(signal.SIGHUP)
        eventually(lambda: fingerprint(larder, ca.context()) != first)
        first = fingerprint(larder, ca.context())
        assert c.cmd("GET", "k") == b"v"
    assert c.cmd("LARDER", "STATS")
    assert larder.stats()["tls_listener_seconds_left"] > 59 * 86400
    del redis


def test_sighup_with_bad_certificates(w):
    """The old ones stay in force, and the log says why."""
    redis, larder, ca, own = near(w)
    c = w.conn(larder)
    first = fingerprint(larder, ca.context())
    good = ca.issue("good")
    for cert, key, sentence in (
            (b"nonsense", None, "tls_cert: .* there is no certificate .PEM. in it"),
            (None, b"nonsense", "tls_key: .* there is no private key .PEM. in it"),
            (open(good.cert, "rb").read(), None, "tls_key: .* it does not belong to tls_cert"),
            ("gone", None, "tls_cert: .*No such file")):
        before = open(own.cert, "rb").read(), open(own.key, "rb").read()
        lines = len(larder.log())
        if cert == "gone":
            os.unlink(own.cert)
        elif cert:
            open(own.cert, "wb").write(cert)
        if key:
            open(own.key, "wb").write(key)
        larder.signal(signal.SIGHUP)
        eventually(lambda: re.search(sentence, larder.log()[lines:]))
        assert "the old ones stay in force" in larder.log()[lines:]
        assert fingerprint(larder, ca.context()) == first
        assert c.cmd("SET", "k", "v") == b"OK"
        open(own.cert, "wb").write(before[0])
        open(own.key, "wb").write(before[1])
    own.replace(good)
    larder.signal(signal.SIGHUP)
    eventually(lambda: fingerprint(larder, ca.context()) != first)
    del redis


def test_sighup_towards_the_upstream(w):
    """Another authority, another certificate of larder's own: for links that are opened later."""
    ca, other = Authority(w), Authority(w, "Other CA")
    trusted = Certificate(os.path.join(ca.dir, "trusted"))
    trusted.replace(ca)
    far = Far(w, ca=ca)
    larder = far.larder(w, up={**QUICK, "tls_ca": trusted.cert})
    c = w.conn(larder)
    serves_again(c)
    opened = larder.stats()["upstream_links_opened"]
    trusted.replace(other)
    larder.signal(signal.SIGHUP)
    eventually(lambda: "settings reloaded" in larder.log())
    assert c.cmd("GET", "alive") == b"yes"
    assert larder.stats()["upstream_links_opened"] == opened
    far.redis.restart()
    eventually(lambda: "unknown authority" in trouble(larder))
    assert is_upstream(c.cmd("GET", "alive", timeout=20))
    trusted.replace(ca)
    larder.signal(signal.SIGHUP)
    serves_again(c)


def test_a_listener_turns_to_tls(w):
    redis = w.redis(tls=False)
    ca = Authority(w)
    larder = w.larder(redis)
    c = w.conn(larder)
    larder.configure(listener=tls_listener(ca.issue("larder")))
    larder.signal(signal.SIGHUP)
    eventually(lambda: "settings reloaded" in larder.log())
    eventually(lambda: isinstance(refusal(larder, ca.context()), bytes))
    assert c.cmd("SET", "k", "v") == b"OK"
    speak(larder, ca.context())
    assert w.conn(larder).cmd("GET", "k") == b"v"


def test_expiry_is_told(w):
    redis, larder, ca, own = near(w, own=None)
    for days, words in ((5, "expires in [45] days"), (-1, "has expired")):
        own.replace(ca.issue(f"short{days}", days=days))
        larder.signal(signal.SIGHUP)
        eventually(lambda: re.search(r"\[listener main\] tls_cert " + words, larder.log()))
    speak(larder, ca.context(check=False))
    assert larder.stats()["tls_listener_seconds_left"] == 0
    del redis


# settings


def test_check_config(w):
    ca = Authority(w)
    own, other = ca.issue("own"), ca.issue("other")
    locked = Certificate(os.path.join(ca.dir, "locked"))
    subprocess.run(["openssl", "pkey", "-in", own.key, "-aes256", "-passout", "pass:secret", "-out",
                    locked.key], check=True, capture_output=True)
    good = f"[listener a]\ntls_cert = {own.cert}\ntls_key = {own.key}\ntls_client_ca = {ca.cert}\n"
    assert run("-c", write(w, good), "--check-config")[0] == 0
    for text, sentences in (
            (f"[listener a]\ntls_cert = {own.cert}\n", [r":2: tls_cert needs tls_key"]),
            (f"[listener a]\n\ntls_key = {own.key}\n", [r":3: tls_key needs tls_cert"]),
            (f"[listener a]\ntls_client_ca = {ca.cert}\n", [r":2: tls_client_ca needs tls_cert"]),
            (good + "address = unix:/tmp/x\n", [r":2: tls_cert = \S+ is not possible with address"]),
            ("[upstream]\naddress = unix:/tmp/x\ntls = yes\n", [r":3: tls = yes is not possible"]),
            (f"[upstream]\ntls_ca = {ca.cert}\n", [r":2: tls_ca needs tls = yes"]),
            ("[upstream]\ntls = yes\ntls_ca = /nowhere\n", [r":3: tls_ca: .*No such file"]),
            ("[upstream]\ntls = maybe\n", [r":2: tls: "]),
            (f"[upstream]\ntls = yes\ntls_ca = {own.key}\n",
             [r"\[upstream\] tls_ca: .*no certificate"]),
            (f"[listener a]\ntls_cert = {own.cert}\ntls_key = {other.key}\n",
             [r"\[listener a\] tls_key: \S+: it does not belong to tls_cert"]),
            (f"[listener a]\ntls_cert = {own.cert}\ntls_key = {locked.key}\n",
             [r"\[listener a\] tls_key: \S+: it has a password"]),
            (f"[listener a]\ntls_cert = {own.key}\ntls_key = {own.key}\n[upstream]\ntls = yes\n"
             f"tls_ca = {own.key}\n",
             [r"\[listener a\] tls_cert: \S+: there is no certificate", r"\[upstream\] tls_ca"])):
        code, out, err = run("-c", write(w, text), "--check-config")
        assert code == 78, (text, code, out, err)
        for sentence in sentences:
            assert re.search(sentence, err), (sentence, err)
        assert run("-c", write(w, text))[0] == 78, text
    assert run("-c", write(w, f"[upstream]\ntls = no\ntls_ca = {ca.cert}\n"), "-t")[0] == 0


def test_files_beside_the_settings(w):
    ca = Authority(w)
    own = ca.issue("own")
    path = write(w, "[listener a]\ntls_cert = own.crt\ntls_key = own.key\n")
    beside = Certificate(os.path.join(os.path.dirname(path), "own"))
    beside.replace(own)
    assert run("-c", path, "--check-config")[0] == 0
    out = run("-c", path, "--dump-config")[1]
    assert f"tls_cert = {beside.cert}\n" in out and "PRIVATE" not in out, out


def test_healthcheck(w):
    ca = Authority(w)
    for more in ({}, {"tls_client_ca": ca.cert}):
        redis, larder, _, _ = near(w, ca=ca, **more)
        code, out, err = run("-c", larder.config, "--healthcheck")
        assert code == 0, (more, out, err)
        larder.kill()
        assert run("-c", larder.config, "--healthcheck")[0] == 1
        del redis


def test_idle_connections_keep_little(w):
    if sanitized():
        return
    _, larder, ca, _ = near(w)
    conns = [w.conn(larder) for _ in range(20)]
    before = larder.rss_kb()
    conns += [w.conn(larder) for _ in range(300)]
    for c in conns:  # whose records fill the buffers
        assert c.cmd("SET", "k", bytes(16000)) == b"OK"
        assert len(c.cmd("GET", "k")) == 16000
    grown = (larder.rss_kb() - before) / 300
    assert grown < 30, f"{grown:.0f} kB a connection"
    del ca


test_wrong_certificates.timeout = 60
test_records_are_gathered.timeout = 60
test_a_stalled_network.timeout = 60
test_check_config.timeout = 60
