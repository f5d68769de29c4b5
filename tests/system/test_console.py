"""LARDER ..: what it shows and counts; which commands are refused."""
from program import flat, run
from resp import Error
from servers import only_plain


def test_larder_console(w):
    only_plain("the upstream has another port")
    pair = w.pair()
    for proto in (2, 3):
        c = w.conn(pair.larder, proto)
        c.ok("CLIENT", "SETNAME", "console-test")
        c.ok("SET", "k", "v")
        for word in ("HELP", "STATS", "CLIENTS", "LINKS", "SETTINGS"):
            reply = c.cmd("LARDER", word)
            assert not isinstance(reply, Error) and reply, (word, reply)
        text = flat(c.cmd("larder", "help"))
        for word in ("STATS", "CLIENTS", "LINKS", "SETTINGS"):
            assert word in text.upper(), (word, text)
        assert "console-test" in flat(c.cmd("LARDER", "CLIENTS"))
        assert str(pair.redis.address[1]) in flat(c.cmd("LARDER", "LINKS"))
        text = flat(c.cmd("LARDER", "SETTINGS"))
        for name in ("max_clients", "command_timeout", "pool_size", "admin_commands", "backlog"):
            assert name in text, name
        for words in (("NOPE",), ()):
            answer = c.cmd("LARDER", *words)
            assert isinstance(answer, Error) and answer.startswith(b"ERR"), answer


def test_settings_hide_secrets(w):
    redis = w.redis("--requirepass", "up-secret")
    redis.password = "up-secret"
    larder = w.larder(redis, up={"password": "up-secret"}, listener={"password": "door-secret"})
    c = w.conn(larder)
    assert isinstance(c.cmd("LARDER", "SETTINGS"), Error)  # not before logging in
    c.ok("AUTH", "door-secret")
    for word in ("SETTINGS", "CLIENTS", "LINKS", "STATS"):
        assert "secret" not in flat(c.cmd("LARDER", word)), word
    assert "secret" not in larder.log()
    assert "secret" not in run("-c", larder.config, "--dump-config")[1]


def test_stats_count(w):
    """The counters move with what happens."""
    redis = w.redis()
    larder = w.larder(redis)
    before = larder.stats()
    c = w.conn(larder)
    for _ in range(50):
        c.ok("SET", "k", "v")
    after = larder.stats()
    assert set(before) == set(after) and len(after) >= 10, sorted(after)
    assert all(v >= 0 for v in after.values()), after
    assert any(after[k] - before[k] >= 50 for k in after), "no counter counts commands"
    assert any(0 < after[k] - before[k] <= 5 for k in after), "no counter counts connections"


REFUSED = """ACL SETUSER x|ACL DELUSER x|ACL LIST|ACL GETUSER default|ACL USERS|ACL LOAD|ACL SAVE|
ACL LOG|BGREWRITEAOF|BGSAVE|SAVE|CLUSTER RESET|CLUSTER FAILOVER|CLUSTER MEET a 1|
CONFIG SET maxmemory 1|
CONFIG RESETSTAT|CONFIG REWRITE|DEBUG SLEEP 0|DEBUG OBJECT k|FAILOVER|MIGRATE h 1 k 0 1|
MODULE LOAD x|MODULE UNLOAD x|PSYNC ? -1|SYNC|REPLCONF x|REPLICAOF NO ONE|SLAVEOF NO ONE|
SHUTDOWN NOSAVE|SWAPDB 0 1|LATENCY RESET|SLOWLOG RESET|shutdown|config set a b|Debug Sleep 0"""
PASSED = """ACL WHOAMI|ACL CAT|ACL GENPASS|CLUSTER INFO|CLUSTER NODES|CLUSTER SLOTS|CLUSTER SHARDS|
CLUSTER MYID|CLUSTER KEYSLOT k|CONFIG GET maxmemory|MODULE LIST|LATENCY LATEST|SLOWLOG GET|
SLOWLOG LEN|LATENCY DOCTOR|MEMORY DOCTOR|OBJECT HELP|FLUSHALL|FLUSHDB|COMMAND COUNT|INFO|ROLE|
LASTSAVE|TIME|DBSIZE|MEMORY USAGE k"""


def listed(text):
    return [line.strip().split() for line in text.replace("\n", "").split("|")]


def test_admin_commands_are_refused(w):
    pair = w.pair()
    c = w.conn(pair.larder)
    c.ok("SET", "k", "v")
    for words in listed(REFUSED):
        answer = c.cmd(*words)
        assert isinstance(
            answer, Error) and answer.startswith(
            (b"NOPERM ", b"ERR ")), (words, answer)
        assert b"admin_commands" in answer, (words, answer)
    for words in listed(REFUSED):
        c.ok("MULTI")
        assert b"admin_commands" in c.cmd(*words), words
        assert c.cmd("EXEC").startswith(b"EXECABORT")
    # no way round by inline, RESP3 or an own link
    c.send(b"config set maxmemory 1\r\n")
    assert b"admin_commands" in c.reply()
    d = w.conn(pair.larder, 3)
    d.ok("CLIENT", "TRACKING", "on")
    for words in listed(REFUSED):
        assert b"admin_commands" in d.cmd(*words), words
    assert c.cmd("GET", "k") == b"v"
    assert pair.redis.cmd("CONFIG", "GET", "maxmemory") == [b"maxmemory", b"0"]


def test_harmless_admin_words_pass(w):
    c = w.conn(w.pair().larder)
    for words in listed(PASSED):
        answer = c.cmd(*words)
        assert not (isinstance(answer, Error) and b"admin_commands" in answer), (words, answer)
