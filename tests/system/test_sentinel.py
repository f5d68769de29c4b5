"""An upstream behind three real Sentinels: found, and followed when the master becomes another, in
a planned failover, when it is killed, and when it stops, or is cut off, and comes back as the master
it was."""
from failover import Load
from outage import is_upstream, timed
from resp import SLOW, Closed, NoReply, eventually
from sentinels import NAME, Secure, Watched, follows, up_of, wait_for_log
from servers import free_port, scaled

CLIENTS = 200


def under_load(w, strike, back=None, **watched):
    """200 clients, a near cache of all keys; strike(s) takes the master away, back(s, old) brings it
    again."""
    s = Watched(w, options=("--min-replicas-to-write", "0"), **watched).ready()
    larder = s.near_larder(up={"command_timeout": "3s", "queue_timeout": "3s"})
    s.follows(larder, s.master)
    eventually(lambda: larder.stats()["sentinel_watching"] == 3)
    load = Load(larder, scaled(CLIENTS, 20), deadline=3 + 2 * SLOW)
    load.listen(s.sentinels)
    load.doubt, old = True, s.master
    strike(s)
    new = s.promoted(old)
    conn = new.direct()
    kept = dict(zip(load.clients, conn.pipeline([("GET", one.key) for one in load.clients])))
    conn.close()
    s.follows(larder, new)
    load.judge(new)
    load.all_write()
    new.cmd("SET", "probe", "after")
    if back is not None:
        back(s, old)
        eventually(lambda: role(old) == b"slave" or not newcomer(larder), timeout=60 * SLOW)
        enough = load.comparisons + 5 * len(load.clients)
        eventually(lambda: load.wrong or load.comparisons >= enough, timeout=60 * SLOW)
    eventually(lambda: load.wrong or len(load.flowing) == len(load.clients), timeout=60 * SLOW)
    load.end()
    c = w.conn(larder)
    for one in load.clients:
        value = int(c.cmd("GET", one.key))
        # What it had at its promotion, or a later write: nothing acknowledged of its is lost.
        assert value >= int(kept[one] or 0), one.key
        assert value == one.acked or (one.errors and value > one.acked), (value, one.acked)
    assert larder.stats()["sentinel_switches"] == 1
    if old.alive():
        eventually(lambda: not strangers(old))
    flow = max(load.flowing.values()) - load.announced_at
    print(f"all write {flow:.3f} s after +switch-master, longest answer {load.longest:.3f} s")
    assert flow < SLOW, f"writes flow {flow:.2f} s after +switch-master"


def newcomer(larder):
    """One that connects now reads what the new master has; true: it does."""
    conn = larder.connect()
    answer = conn.cmd("GET", "probe", timeout=20 * SLOW)
    conn.close()
    assert answer == b"after", answer
    return True


def asked(redis, *words):
    """Its answer; None where Sentinel has cut the connection meanwhile, as it does to who is made a
    replica."""
    try:
        return redis.cmd(*words)
    except (Closed, OSError):
        return None


def role(redis):
    answer = asked(redis, "ROLE")
    return answer and answer[0]


def strangers(redis):
    """Its clients that are neither Sentinels, nor replicas, nor who asks: they were larder's."""
    clients = asked(redis, "CLIENT", "LIST")
    return clients is None or [line for line in clients.splitlines() if b" name= " in line and
                               b" flags=N " in line and b"cmd=client|list" not in line]


def test_discovery(w):
    s = Watched(w)
    larder = s.larder()
    c = w.conn(larder)
    assert c.cmd("SET", "k", "v") == b"OK"
    assert s.master.cmd("GET", "k") == b"v"
    follows(larder, s.master)
    eventually(lambda: larder.stats()["sentinel_watching"] == 3)
    assert larder.stats()["sentinel_failures"] == 0
test_discovery.timeout = 300


def test_failover_under_load(w):
    under_load(w, lambda s: s.failover())
test_failover_under_load.timeout = 300


def test_kill_under_load(w):
    """kill -9; and when it is back, on its port and a master for a while, nobody goes there."""
    def back(_, old):
        old.start()
    under_load(w, lambda s: s.master.kill(), back)
test_kill_under_load.timeout = 300


def test_stop_under_load(w):
    """SIGSTOP: the connections to it stay open, and when it goes on it is still the master, and
    says so."""
    def back(_, old):
        old.resume()
    under_load(w, lambda s: s.master.pause(), back)
test_stop_under_load.timeout = 300


def test_cut_under_load(w):
    """Not a byte comes from it or gets there, for larder, the replicas and the Sentinels; it writes
    on alone, nobody knows what, and when the network is back it is a master of yesterday."""
    def back(s, old):
        assert role(old) == b"master"
        old.cmd("MSET", "probe", "stale",
                *[x for i in range(scaled(CLIENTS, 20)) for x in (f"key:{i}", "stale")])
        s.relay.resume()
    under_load(w, lambda s: s.relay.stall(), back, relay=True)
test_cut_under_load.timeout = 300


def test_kill_under_load_with_tls(w):
    def back(_, old):
        old.start()
    under_load(w, lambda s: s.master.kill(), back, secure=Secure(w))
test_kill_under_load_with_tls.timeout = 300


def test_old_master_that_answers(w):
    """After a planned failover the old master serves as if nothing had happened, for 10 s."""
    s = Watched(w).ready()
    larder = s.near_larder()
    follows(larder, s.master)
    c, sub = w.conn(larder), w.conn(larder)
    c.ok("SET", "k", "before")
    assert sub.cmd("SUBSCRIBE", "ch")[0] == b"subscribe"
    eventually(lambda: larder.stats()["cache_hits"] > 0 if c.ok("GET", "k") else False)
    old = s.master
    s.failover()
    new = s.promoted(old)
    follows(larder, new)
    new.cmd("SET", "k", "after")
    if role(old) == b"master":
        old.cmd("SET", "k", "stale")
    for _ in range(50):
        assert c.ok("GET", "k") == b"after"
    assert is_gone(sub)
test_old_master_that_answers.timeout = 300


def is_gone(conn):
    """Its connection was closed: whoever subscribed must do so again."""
    try:
        conn.rest()
    except (Closed, OSError):
        pass
    except NoReply:
        return False
    return True


def test_twice(w):
    """There and on: a second failover while the first is hardly over."""
    s = Watched(w).ready()
    larder = s.larder()
    c = w.conn(larder)
    old = s.master
    for i in range(2):
        assert c.cmd("SET", "k", i, timeout=20) == b"OK"
        s.failover()
        old = s.promoted(old)
        follows(larder, old)
        eventually(lambda: c.cmd("SET", "k", "x", timeout=20) == b"OK")
    assert larder.stats()["sentinel_switches"] == 2
test_twice.timeout = 300


def test_dead_sentinels(w):
    """Two of those in the list are gone: the one that is left is enough, also to switch."""
    s = Watched(w).ready()
    up = s.up()
    up["sentinels"] = "127.0.0.1:%d, %s, 127.0.0.1:%d" % (free_port(), up["sentinels"], free_port())
    larder = w.larder(None, up=up)
    c = w.conn(larder)
    assert c.cmd("SET", "k", "v") == b"OK"
    assert larder.log().count("does not answer") == 2
    s.sentinels[1].kill()
    old = s.master
    s.failover()
    follows(larder, s.promoted(old))
    assert c.cmd("SET", "k", "w", timeout=20) == b"OK"
test_dead_sentinels.timeout = 300


def test_wrong_name(w):
    s = Watched(w, count=1, replicas=0)
    larder = s.larder(up={"master": "nomaster", "command_timeout": "500ms"})
    wait_for_log(larder, "knows no such master, master=nomaster")
    answer = timed(w.conn(larder), "GET", "k")
    assert is_upstream(answer) and b"knows no such master" in answer, answer


def test_password(w):
    """requirepass, and a user of Sentinel's own ACL that may say no more than larder says."""
    lines = ("requirepass geheim", "user larder on >pw resetchannels &+switch-master -@all +auth +ping +subscribe"
             " +sentinel|get-master-addr-by-name +sentinel|master")
    s = Watched(w, count=1, replicas=0, user_lines=lines)
    for up in ({"sentinel_password": "geheim"},
               {"sentinel_username": "larder", "sentinel_password": "pw"}):
        larder = s.larder(up=up)
        assert w.conn(larder).cmd("SET", "k", "v") == b"OK"
        eventually(lambda larder=larder: larder.stats()["sentinel_watching"] == 1)
    for up, why in (({"sentinel_password": "wrong"}, b"AUTH: WRONGPASS"), ({}, b"NOAUTH")):
        larder = s.larder(up={**up, "command_timeout": "500ms"})
        answer = timed(w.conn(larder), "GET", "k")
        assert is_upstream(answer) and b"refuses: " + why in answer, answer


def test_upstream_password(w):
    """The master has one, too: it is said to it, not to the Sentinels."""
    s = Watched(w, count=1, replicas=0, options=("--requirepass", "up"),
                lines=(), user_lines=(f"sentinel auth-pass {NAME} up",))
    larder = s.larder(up={"password": "up"})
    assert w.conn(larder).cmd("SET", "k", "v") == b"OK"
    assert "does not tell its role" not in larder.log()


def test_started_later(w):
    """larder before its Sentinels: it says what is wrong, waits, and serves when they are there."""
    s = Watched(w, replicas=0, start=False)
    larder = s.larder(up={"command_timeout": "500ms"})
    c = w.conn(larder)
    answer = timed(c, "GET", "k")
    assert is_upstream(answer) and b"does not answer: Connection refused" in answer, answer
    s.sentinels[0].start()
    eventually(lambda: c.cmd("SET", "k", "v", timeout=20) == b"OK")
    for one in s.sentinels[1:]:
        one.start()
    eventually(lambda: larder.stats()["sentinel_watching"] == 3, timeout=60 * SLOW)
test_started_later.timeout = 300


def test_names(w):
    """Sentinels found by name, and names in their answers."""
    s = Watched(w, count=1, replicas=0, host="localhost",
                lines=("sentinel resolve-hostnames yes", "sentinel announce-hostnames yes"))
    assert s.sentinels[0].cmd("SENTINEL", "get-master-addr-by-name", NAME)[0] == b"localhost"
    larder = w.larder(None, up=up_of(("localhost", s.sentinels[0].address[1])))
    assert w.conn(larder).cmd("SET", "k", "v") == b"OK"
    links = larder.cmd("LARDER", "LINKS").decode()
    assert "upstream=localhost:%d " % s.master.port in links
    eventually(lambda: larder.stats()["sentinel_rounds"] >= 3)
    assert larder.stats()["sentinel_switches"] == 0


def test_all_sentinels_gone(w):
    """The master is served on; one line in the log for each, not one for each question."""
    s = Watched(w, replicas=0)
    larder = s.larder()
    c = w.conn(larder)
    assert c.cmd("SET", "k", "v") == b"OK"
    eventually(lambda: larder.stats()["sentinel_watching"] == 3)
    for one in s.sentinels:
        one.kill()
    eventually(lambda: larder.stats()["sentinel_failures"] >= 6, timeout=30 * SLOW)
    s.master.cmd("CLIENT", "KILL", "TYPE", "normal")
    eventually(lambda: c.cmd("GET", "k", timeout=20) == b"v")
    assert larder.log().count("does not answer") == 3
    for one in s.sentinels:
        one.start()
    eventually(lambda: larder.log().count("answers again") == 3, timeout=60 * SLOW)
test_all_sentinels_gone.timeout = 300
