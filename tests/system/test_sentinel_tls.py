"""Sentinels that speak TLS and nothing else, before servers that do: found, followed, refused with a
sentence that says why."""
import re
import signal

from certificates import Authority, Certificate
from outage import is_upstream, serves_again, timed
from program import run, write
from resp import eventually
from sentinels import NAME, FakeSentinel, Secure, Watched, up_of, wait_for_log


def links(larder):
    return larder.cmd("LARDER", "LINKS").decode()


def test_found_and_followed(w):
    """All three, and the replicas, over TLS; and on to the next master."""
    s = Watched(w, secure=Secure(w)).ready()
    larder = s.near_larder()
    c = w.conn(larder)
    assert c.cmd("SET", "k", "v") == b"OK"
    s.follows(larder, s.master)
    eventually(lambda: larder.stats()["sentinel_watching"] == 3)
    assert c.cmd("GET", "k") == b"v"
    old = s.master
    s.failover()
    new = s.promoted(old)
    s.follows(larder, new)
    serves_again(c)
    assert new.cmd("GET", "alive") == b"yes"
    text = links(larder)
    assert "tls=TLSv1.3" in text and "tls= " not in text, text
    stats = larder.stats()
    assert stats["tls_sentinel_handshakes"] >= 6 and stats["tls_sentinel_failures"] == 0, stats
    assert stats["sentinel_switches"] == 1 and stats["tls_upstream_failures"] == 0, stats
    for name in ("upstream", "sentinel"):
        left = stats[f"tls_{name}_seconds_left"]
        assert 29 * 86400 < left <= 30 * 86400, (name, left)
test_found_and_followed.timeout = 300


def test_resumption(w):
    """A Sentinel is asked again and again, each time on a new connection: without certificates."""
    s = Watched(w, count=1, replicas=0, secure=Secure(w))
    larder = s.larder()
    serves_again(w.conn(larder))
    eventually(lambda: larder.stats()["tls_sentinel_resumed"] >= 2)
    eventually(lambda: larder.stats()["tls_upstream_resumed"] >= 1)


def test_names(w):
    """The certificates are for names: those that the settings call the Sentinels by, and those that
    the Sentinels call the master by. By its number the master is nobody."""
    ca = Authority(w)
    named = ca.issue("named", names="DNS:localhost")
    secure = Secure(w, ca=ca, redis=named)
    for lines, fine in ((("sentinel resolve-hostnames yes", "sentinel announce-hostnames yes"), True),
                        ((), False)):
        s = Watched(w, count=1, replicas=0, host="localhost" if fine else "127.0.0.1", lines=lines,
                    secure=secure)
        up = up_of(("localhost", s.sentinels[0].address[1]), **secure.up())
        larder = w.larder(None, up={**up, "command_timeout": "500ms"})
        if fine:
            assert w.conn(larder).cmd("SET", "k", "v") == b"OK"
            continue
        answer = timed(w.conn(larder), "GET", "k")
        sentence = "TLS: its certificate is for localhost and not for 127.0.0.1 (tls_server_name"
        assert is_upstream(answer) and sentence.encode() in answer, answer
        assert sentence in larder.log() and sentence in links(larder)
        larder = w.larder(None, up={**up, "tls_server_name": "localhost"})
        assert w.conn(larder).cmd("SET", "k", "v") == b"OK"


def refused(w, s, sentence, **up):
    """What a client is told, the log and LARDER LINKS say, each of them, why."""
    larder = s.larder(up={"command_timeout": "500ms", **up})
    c = w.conn(larder)
    eventually(lambda: re.search(sentence, links(larder)))
    eventually(lambda: re.search(sentence.encode(), timed(c, "GET", "k")))
    assert re.search("sentinel: .* does not answer, .*" + sentence, larder.log()), larder.log()
    assert larder.stats()["tls_upstream_handshakes"] == 0
    return larder


def test_wrong_certificates(w):
    ca, other = Authority(w), Authority(w, "Other CA")
    good = ca.issue("good")
    for own, sentence, up in (
            (ca.issue("old", days=-1), r"TLS: its certificate has expired, 20\d\d-\d\d-\d\d ", {}),
            (other.issue("foreign"), "TLS: its certificate is of an unknown authority, Other.CA, "
                                     "which is not in tls_ca", {}),
            (ca.self_signed("alone"), "TLS: its certificate is self-signed, and not in tls_ca", {}),
            (ca.issue("named", names="DNS:a.example"),
             "TLS: its certificate is for a.example and not for 127.0.0.1 ", {}),
            (ca.issue("renamed"), "TLS: its certificate is for localhost and not for b.example ",
             {"tls_server_name": "b.example"})):
        secure = Secure(w, ca=ca, redis=good, sentinel=own)
        larder = refused(w, Watched(w, count=1, replicas=0, secure=secure), sentence, **up)
        stats = larder.stats()
        assert stats["tls_sentinel_failures"] > 0 and stats["tls_sentinel_handshakes"] == 0, stats


def test_downgrade(w):
    """One that speaks no TLS newer than 1.1 is refused."""
    secure = Secure(w, more=("--tls-protocols", "TLSv1 TLSv1.1", "--tls-ciphers",
                             "DEFAULT@SECLEVEL=0"))
    secure.context.minimum_version = 0x301
    secure.context.set_ciphers("DEFAULT@SECLEVEL=0")
    refused(w, Watched(w, count=1, replicas=0, secure=secure),
            "TLS: its protocol is too old: it speaks no TLS newer than 1.1")


def test_client_certificates(w):
    secure = Secure(w, more=("--tls-auth-clients", "yes"))
    s = Watched(w, count=1, replicas=0, secure=secure)
    refused(w, s, "TLS: it asks for a client certificate: set tls_cert and tls_key")
    own = secure.ca.issue("larder", names=None)
    larder = s.larder(up={"tls_cert": own.cert, "tls_key": own.key})
    assert w.conn(larder).cmd("SET", "k", "v") == b"OK"


def test_the_masters_certificate(w):
    """Good Sentinels, and a master that is not who they say."""
    ca = Authority(w)
    secure = Secure(w, ca=ca, redis=ca.issue("named", names="DNS:a.example"), sentinel=ca.issue("s"))
    s = Watched(w, count=1, replicas=0, secure=secure)
    larder = s.larder(up={"command_timeout": "500ms"})
    sentence = "TLS: its certificate is for a.example and not for 127.0.0.1 "
    answer = timed(w.conn(larder), "GET", "k")
    assert is_upstream(answer) and sentence.encode() in answer, answer
    assert sentence in links(larder) and sentence in larder.log()
    stats = larder.stats()
    assert stats["tls_upstream_failures"] > 0 and stats["tls_sentinel_failures"] == 0, stats


def test_plain_ones(w):
    """TLS to Sentinels that speak none; and to either side alone."""
    plain, secure = Watched(w, count=1, replicas=0), Secure(w)
    larder = plain.larder(up={**secure.up(), "command_timeout": "500ms"})
    eventually(lambda: re.search("TLS: what answers there speaks plain|end of the TLS handshake|"
                                 "closed the connection", links(larder)))
    assert larder.stats()["tls_sentinel_handshakes"] == 0
    larder = plain.larder(up={**secure.up(), "tls": "no", "sentinel_tls": "no"})
    assert w.conn(larder).cmd("SET", "k", "v") == b"OK"
    both = Watched(w, count=1, replicas=0, secure=secure)
    said = FakeSentinel(w, both.port_of(both.master))  # plain, and names a port for TLS
    larder = w.larder(None, up=up_of(said, **secure.up(), sentinel_tls="no"))
    serves_again(w.conn(larder))
    assert "tls=TLSv1" in links(larder) and "tls_sentinel_handshakes" in larder.stats()
    s = Watched(w, count=1, replicas=0)
    door = w.add(type(both.sentinels[0])("127.0.0.1", s.master.port, 1, secure=secure))
    door.lines.remove('tls-replication "yes"')
    door.start()
    larder = w.larder(None, up=up_of(door, tls_ca=secure.ca.cert, sentinel_tls="yes"))
    serves_again(w.conn(larder))
    stats = larder.stats()
    assert stats["tls_sentinel_handshakes"] > 0 and stats["tls_upstream_handshakes"] == 0, stats


def test_sighup(w):
    """Authorities that are read anew are those for Sentinels, too: for what is connected later."""
    secure, other = Secure(w), Authority(w, "Other CA")
    trusted = Certificate(secure.ca.cert + ".trusted")
    trusted.replace(secure.ca)
    s = Watched(w, count=1, replicas=0, secure=secure)
    larder = s.larder(up={"tls_ca": trusted.cert})
    c = w.conn(larder)
    serves_again(c)
    eventually(lambda: larder.stats()["sentinel_watching"] == 1)
    trusted.replace(other)
    larder.signal(signal.SIGHUP)
    wait_for_log(larder, "does not answer, master=mymaster: TLS: its certificate is of an unknown")
    assert c.cmd("GET", "alive") == b"yes"
    trusted.replace(secure.ca)
    larder.signal(signal.SIGHUP)
    wait_for_log(larder, "answers again")
    serves_again(c)


def test_check_config(w):
    head = f"[upstream]\nmaster = {NAME}\nsentinels = a:1, unix:/tmp/x\n"
    for text, sentence in (
            (head + "tls = yes\n", r":3: sentinels: TLS is not possible with unix:/tmp/x"),
            (head + "sentinel_tls = yes\n", r":3: sentinels: TLS is not possible"),
            ("[upstream]\nsentinel_tls = yes\n", r":2: sentinel_tls needs sentinels"),
            (head + "sentinel_tls = on\n", r":4: sentinel_tls: "),
            (f"[upstream]\nmaster = m\nsentinels = a:1\ntls_ca = {__file__}\n",
             r":4: tls_ca needs tls = yes")):
        code, _, err = run("-c", write(w, text), "--check-config")
        assert code == 78 and re.search(sentence, err), (text, code, err)
    for more in ("tls = yes\nsentinel_tls = no\n", ""):
        assert run("-c", write(w, head + more), "--check-config")[0] == 0


test_wrong_certificates.timeout = 120
test_downgrade.timeout = 60
