"""What Sentinels may answer, right and wrong, late and not at all: scripted Sentinels before real
servers."""
from near import near_ini
from outage import is_upstream, timed
from resp import SLOW, Closed, Error, eventually
from sentinels import FakeSentinel, follows, up_of, upstream_of, wait_for_log
from servers import free_port, make_ini

DEAD = {"command_timeout": "500ms", "queue_timeout": "500ms"}


def two(w, *options, sentinels=1, **up):
    """Two masters that know nothing of each other, Sentinels that name the first, and a larder."""
    first, second = w.redis(*options), w.redis(*options)
    said = [FakeSentinel(w, first.port, epoch=1) for _ in range(sentinels)]
    larder = w.larder(None, up=up_of(*said, **up))
    follows(larder, first)
    eventually(lambda: larder.stats()["sentinel_watching"] == sentinels)
    return first, second, said, larder


def test_found_and_shown(w):
    first, _, said, larder = two(w, sentinels=2)
    c = w.conn(larder)
    c.ok("SET", "k", "v")
    assert first.cmd("GET", "k") == b"v"
    links = c.cmd("LARDER", "LINKS").decode()
    assert "master=mymaster address=127.0.0.1:%d said-by=127.0.0.1:" % first.port in links
    for s in said:
        eventually(lambda s=s: "sentinel=127.0.0.1:%d answers watched=yes says=127.0.0.1:%d epoch=1"
                   % (s.address[1], first.port) in c.cmd("LARDER", "LINKS").decode())
    stats = larder.stats()
    assert stats["sentinel_answers"] >= 2 and stats["sentinel_switches"] == 0
    assert stats["sentinel_failures"] == stats["sentinel_unknown"] == 0
    settings = c.cmd("LARDER", "SETTINGS").decode()
    assert "[upstream] sentinels = " in settings and "[upstream] address" not in settings


def test_announced(w):
    """One Sentinel announces: the new master is used at once, though the others name the old one,
    which says that it is the master, too."""
    first, second, said, larder = two(w, sentinels=3)
    c, reader, blocked = w.conn(larder), w.conn(larder), w.conn(larder)
    c.ok("SET", "k", "old")
    blocked.send_cmd("BLPOP", "list", 0)
    eventually(lambda: first.blocked() == 1)
    second.cmd("SET", "k", "new")
    said[1].where, said[1].epoch = second.port, 2
    said[1].announce()
    follows(larder, second)
    for _ in range(20):
        assert reader.cmd("GET", "k") == b"new"
    assert is_upstream(blocked.reply())
    said[0].announce()  # a round in which the others answer as before
    eventually(lambda: larder.stats()["sentinel_stale"] >= 2)
    assert upstream_of(larder).endswith(":%d" % second.port)
    assert larder.stats()["sentinel_switches"] == 1
    # Nothing is left there: whoever asks is the only client.
    eventually(lambda: first.cmd("CLIENT", "LIST").count(b"id=") == 1)
    # What is announced of other masters is not listened to.
    before = larder.stats()["sentinel_announcements"]
    said[0].announce("another")
    said[0].announce()
    eventually(lambda: larder.stats()["sentinel_announcements"] == before + 1)


def test_found_without_announcement(w):
    """The Sentinels are asked again every so often."""
    _, second, said, larder = two(w)
    said[0].where, said[0].epoch = second.port, 2
    follows(larder, second)


def test_in_flight(w):
    """What is unanswered at the switch is answered with an error that says so."""
    first, second, said, larder = two(w)
    waiting = [w.conn(larder) for _ in range(5)]
    waiting[0].ok("SET", "k", "v")
    first.pause()
    for c in waiting:
        c.send_cmd("INCR", "n")
    said[0].where, said[0].epoch = second.port, 2
    said[0].announce()
    for c in waiting:
        assert c.reply() == Error(
            b"UPSTREAM connection to upstream lost before the reply; it is unknown whether the "
            b"command was executed")
        assert c.cmd("INCR", "m") > 0
    first.resume()
    assert second.cmd("GET", "m") == b"5"


def near(w, coherence):
    """A near cache that has k, and the other server has another k."""
    first, second = w.redis(), w.redis()
    said = FakeSentinel(w, first.port, epoch=1)
    larder = w.larder(None, ini=near_ini(None, up=up_of(said), cache={"coherence": coherence}))
    follows(larder, first)
    second.cmd("SET", "k", "new")
    c = w.conn(larder)
    c.ok("SET", "k", "old")

    def hit():
        before = larder.stats()["cache_hits"]
        assert c.cmd("GET", "k") == b"old"
        return larder.stats()["cache_hits"] > before
    eventually(hit)
    eventually(lambda: larder.stats()["sentinel_watching"] == 1)
    said.where, said.epoch = second.port, 2
    said.announce()
    follows(larder, second)
    for _ in range(10):
        assert c.cmd("GET", "k") == b"new"
    second.cmd("SET", "k", "newer")
    if coherence == "broadcast":
        eventually(lambda: c.cmd("GET", "k") == b"newer")


def test_near_cache_with_pushes(w):
    near(w, "broadcast")


def test_near_cache_without_pushes(w):
    near(w, "ttl")


def test_demoted(w):
    """Its master was made a replica behind the Sentinels' back: the write's own error is handed on,
    its links are dropped, and nothing is asked there until there is a master."""
    first, second, said, larder = two(w, **DEAD)
    c = w.conn(larder)
    c.ok("SET", "k", "v")
    # Until questions are so rare that the next one by itself is far away.
    eventually(lambda: larder.stats()["sentinel_rounds"] >= 6, timeout=60 * SLOW)
    # A round that is just then under way finds out before the write does: then once more.
    for _ in range(5):
        first.cmd("REPLICAOF", "127.0.0.1", str(second.port))
        answer = c.cmd("SET", "k", "w")
        if answer.startswith(b"READONLY "):
            break
        assert is_upstream(answer), answer
        first.cmd("REPLICAOF", "NO", "ONE")
        eventually(lambda: c.cmd("SET", "k", "v", timeout=20) == b"OK")
    assert answer.startswith(b"READONLY "), answer
    refused = larder.stats()["sentinel_checks_refused"]
    eventually(lambda: larder.stats()["sentinel_checks_refused"] > refused
               or is_upstream(c.cmd("GET", "k")), timeout=2 * SLOW)
    answer = timed(c, "GET", "k")
    assert is_upstream(answer) and b"the master as 127.0.0.1:" in answer, answer
    # .. and perhaps for how long the breaker has been open
    assert b" says, is none" in answer and answer.endswith(b"the command was not executed"), answer
    said[0].where, said[0].epoch = second.port, 2
    eventually(lambda: c.cmd("SET", "k", "x", timeout=20) == b"OK")
    assert second.cmd("GET", "k") == b"x"
test_demoted.timeout = 90


def test_replica_is_no_master(w):
    """Named before it is promoted: passed over until it is."""
    first, second, said, larder = two(w)
    second.cmd("REPLICAOF", "127.0.0.1", str(first.port))
    said[0].where, said[0].epoch = second.port, 2
    said[0].announce()
    eventually(lambda: larder.stats()["sentinel_checks_refused"] > 0)
    c = w.conn(larder)
    assert c.cmd("SET", "k", "v") == b"OK"  # the old one serves on
    assert first.cmd("GET", "k") == b"v"
    second.cmd("REPLICAOF", "NO", "ONE")
    follows(larder, second)


def test_restarted_as_replica(w):
    """The server at the address of the master comes back as a replica: no link to it is used, even
    by who did not ask the Sentinels."""
    first, second, said, larder = two(w)
    c = w.conn(larder)
    c.ok("SET", "k", "v")
    second.cmd("SET", "k", "w")
    first.kill()
    first.options += ["--replicaof", "127.0.0.1", str(second.port)]
    first.start()
    eventually(lambda: larder.stats()["sentinel_checks_refused"] > 0)
    c.send_cmd("GET", "k")
    said[0].where, said[0].epoch = second.port, 2
    while isinstance(value := c.reply(timeout=20), Error):
        c.send_cmd("GET", "k")
    assert value == b"w"


def test_no_role_allowed(w):
    """ROLE forbidden: INFO tells. Both forbidden: the Sentinels are taken at their word."""
    for extra, told in (("-role", True), ("-role -info", False)):
        redis = w.redis(acl=["user default on nopass ~* &* +@all", "user u on >p ~* &* +@all " +
                             extra])
        said = FakeSentinel(w, redis.port)
        larder = w.larder(None, up=up_of(said, username="u", password="p"))
        c = w.conn(larder)
        assert c.cmd("SET", "k", "v") == b"OK"
        assert ("does not tell its role" in larder.log()) != told


def test_unknown_name(w):
    """No Sentinel knows the master: clients and the log are told which, and why."""
    redis = w.redis()
    said = [FakeSentinel(w, redis.port) for _ in range(2)]
    larder = w.larder(None, up=up_of(*said, **DEAD, master="nomaster"))
    wait_for_log(larder, "knows no such master, master=nomaster")
    c = w.conn(larder)
    answer = timed(c, "GET", "k")
    assert answer.startswith(b"UPSTREAM master nomaster not reached: Sentinel 127.0.0.1:"), answer
    assert b"knows no such master" in answer, answer
    assert answer.endswith(b"; the command was not executed"), answer
    assert c.cmd("PING") == b"PONG"
    stats = larder.stats()
    assert stats["sentinel_unknown"] >= 2 and stats["upstream_connects"] == 0
    # said once, not with each round
    eventually(lambda: larder.stats()["sentinel_rounds"] >= 6)
    assert larder.log().count("knows no such master, master=") == 2


def test_one_knows(w):
    """Some know no such master, some are dead, some hang: one that answers is enough."""
    redis = w.redis()
    hangs, unknown, good = FakeSentinel(w), FakeSentinel(w), FakeSentinel(w, redis.port)
    hangs.silent = True
    larder = w.larder(None, up=up_of(("127.0.0.1", free_port()), hangs, unknown, good))
    assert w.conn(larder).cmd("SET", "k", "v") == b"OK"
    first = "\n".join(line for line in w.conn(larder).cmd("LARDER", "LINKS").decode().splitlines()
                      if line.startswith("sentinel=")).splitlines()[0]
    assert first.startswith("sentinel=127.0.0.1:%d answers" % good.address[1])
    wait_for_log(larder, "does not answer, master=mymaster: Connection refused")
    wait_for_log(larder, "does not answer, master=mymaster: no answer in time")


def test_none_answers(w):
    """Without any Sentinel the master is kept, also after its links were lost, as long as it says
    that it is one."""
    first, _, said, larder = two(w, **DEAD)
    c = w.conn(larder)
    c.ok("SET", "k", "v")
    said[0].silent = True
    rounds = larder.stats()["sentinel_rounds"]
    first.cmd("CLIENT", "KILL", "TYPE", "normal")
    eventually(lambda: c.cmd("GET", "k", timeout=20) == b"v")
    first.cmd("CLIENT", "KILL", "TYPE", "normal")
    eventually(lambda: c.cmd("GET", "k", timeout=20) == b"v")
    assert larder.stats()["sentinel_rounds"] > rounds
    assert larder.log().count("does not answer, master=mymaster") == 1
    first.kill()
    eventually(lambda: is_upstream(c.cmd("GET", "k", timeout=20)))
    first.start()
    eventually(lambda: c.cmd("SET", "k", "w", timeout=20) == b"OK")
    said[0].silent = False
    wait_for_log(larder, "answers again, master=mymaster")


def test_set_up_anew(w):
    """Sentinels that were set up anew count their epochs from 0: believed once the master that is
    known does not answer."""
    first, second, said, larder = two(w)
    said[0].epoch = 9
    said[0].announce()
    c = w.conn(larder)
    eventually(lambda: b" epoch=9 switches" in c.cmd("LARDER", "LINKS"))
    said[0].where, said[0].epoch = second.port, 0
    said[0].announce()
    eventually(lambda: larder.stats()["sentinel_stale"] > 0)
    c.ok("SET", "k", "v")
    assert first.cmd("GET", "k") == b"v"
    first.kill()
    follows(larder, second)
test_set_up_anew.timeout = 90


def test_without_epochs(w):
    """Who may not say SENTINEL MASTER is followed all the same."""
    first, second = w.redis(), w.redis()
    said = FakeSentinel(w, first.port)
    said.knows = False
    larder = w.larder(None, up=up_of(said))
    follows(larder, first)
    eventually(lambda: larder.stats()["sentinel_watching"] == 1)
    said.where = second.port
    said.announce()
    follows(larder, second)


def test_passwords(w):
    """AUTH with and without a user; a wrong password is told."""
    redis = w.redis()
    for user, login in (("", [b"p"]), ("u", [b"u", b"p"])):
        said = FakeSentinel(w, redis.port)
        said.password = login
        up = {"sentinel_password": "p"}
        if user:
            up["sentinel_username"] = user
        larder = w.larder(None, up=up_of(said, **up))
        assert w.conn(larder).cmd("SET", "k", "v") == b"OK"
        eventually(lambda larder=larder: larder.stats()["sentinel_watching"] == 1)
        assert set(map(tuple, said.logins)) == {tuple(login)}
        assert "********" in larder.cmd("LARDER", "SETTINGS").decode()
    for up, why in (({"sentinel_password": "q"}, "AUTH: WRONGPASS"), ({}, "NOAUTH")):
        larder = w.larder(None, up=up_of(said, **DEAD, **up))
        wait_for_log(larder, "refuses, master=mymaster: " + why)
        answer = timed(w.conn(larder), "GET", "k")
        assert is_upstream(answer) and why.encode() in answer, answer


def test_nonsense(w):
    """Whatever is at that port: no crash, no spin, and the one that answers is heard."""
    redis = w.redis()
    good = FakeSentinel(w, redis.port)
    for reply in (b"+OK\r\n", b"*2\r\n$1\r\na\r\n$1\r\n0\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n",
                  b"*1000000\r\n", b"$300000\r\n" + b"x" * 299999, b":1\r\n" * 100,
                  b"*2\r\n$9\r\n127.0.0.1\r\n$1\r\n1\r\n"):
        bad = FakeSentinel(w, redis.port)
        bad.reply = reply
        larder = w.larder(None, up=up_of(bad, good))
        assert w.conn(larder).cmd("SET", "k", "v") == b"OK"
        eventually(lambda larder=larder: larder.stats()["sentinel_rounds"] >= 2)
        assert larder.stats()["sentinel_rounds"] < 50
        assert larder.stop() == []


def test_a_redis_in_the_list(w):
    """A data server instead of a Sentinel: told, and no master found."""
    redis = w.redis()
    larder = w.larder(None, up=up_of(redis, **DEAD))
    wait_for_log(larder, "refuses, master=mymaster: ERR unknown command 'SENTINEL'")
    assert is_upstream(timed(w.conn(larder), "GET", "k"))


def test_one_that_closes(w):
    """A Sentinel that closes each subscription is not asked in a loop."""
    redis = w.redis()

    def hang_up(link, argv):
        if argv[0] == b"SUBSCRIBE":
            link.send(FakeSentinel.script(said, link, argv))
            link.cut()
        return FakeSentinel.script(said, link, argv)
    said = FakeSentinel(w, redis.port)
    said.fake.script = hang_up
    larder = w.larder(None, up=up_of(said))
    assert w.conn(larder).cmd("SET", "k", "v") == b"OK"
    eventually(lambda: len(said.watchers) >= 3)
    assert larder.stats()["sentinel_rounds"] <= 3 * len(said.watchers)


def test_settings(w):
    """One of address and sentinels; a change needs a restart."""
    _, second, said, larder = two(w)
    larder.configure(up=up_of(("127.0.0.1", second.port), master="other"))
    larder.signal(1)
    wait_for_log(larder, "upstream sentinels")
    wait_for_log(larder, "upstream master")
    assert w.conn(larder).cmd("PING") == b"PONG"
    larder.configure(up=up_of(*said, pool_size=7))
    larder.signal(1)
    wait_for_log(larder, "settings reloaded")
    assert w.conn(larder).cmd("SET", "k", "v") == b"OK"
    assert "address" not in make_ini(("a", 1), None, up=up_of(*said)).split("[upstream]")[1]


def test_gone_with_larder(w):
    """SIGTERM while a Sentinel hangs."""
    said = FakeSentinel(w, 1)
    said.silent = True
    larder = w.larder(None, up=up_of(said))
    eventually(lambda: larder.stats()["sentinel_rounds"] >= 1)
    assert larder.stop() == []
    try:
        w.conn(larder).cmd("PING")
        raise AssertionError("it answers")
    except (Closed, OSError):
        pass
