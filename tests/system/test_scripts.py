"""EVAL, SCRIPT, FUNCTION: passed, and a server that is busy is told of as Redis does."""
import hashlib

from compare import same, same_commands
from resp import Error, encode, eventually
from servers import Pair, scaled

LOOP = "while true do end"
WRITE_LOOP = "redis.call('SET', KEYS[1], 'x') while true do end"


def test_evalsha_after_load(w):
    def scenario(s):
        c, other = s.open(), s.open()
        sha = hashlib.sha1(b"return {KEYS[1], ARGV[1]}").hexdigest()
        c.cmd("EVALSHA", sha, 1, "k", "a")
        c.cmd("SCRIPT", "LOAD", "return {KEYS[1], ARGV[1]}")
        c.cmd("EVALSHA", sha, 1, "k", "a")
        other.cmd("EVALSHA", sha.upper(), 1, "k2", "b")
        other.cmd("SCRIPT", "EXISTS", sha, "0" * 40)
        other.cmd("SCRIPT", "FLUSH")
        c.cmd("EVALSHA", sha, 1, "k", "a")
        c.cmd("EVAL", "return {KEYS[1], ARGV[1]}", 1, "k", "a")
        other.cmd("EVALSHA", sha, 1, "k", "a")
    same(w, scenario)


def test_script_load_and_evalsha_in_one_segment(w):
    """They may take different links; their order may not change."""
    pair = w.pair()
    for i in range(scaled(30)):
        c = w.conn(pair.larder)
        text = "return %d" % i
        sha = hashlib.sha1(text.encode()).hexdigest()
        c.send(
            encode(
                "SCRIPT",
                "LOAD",
                text) +
            encode(
                "EVALSHA",
                sha,
                0) +
            encode(
                "SCRIPT",
                "FLUSH") +
            encode(
                "EVALSHA",
                sha,
                0) +
            encode("PING"))
        got = c.replies(5)
        assert got[0] == sha.encode() and got[1] == i and got[3].startswith(b"NOSCRIPT"), got
        assert got[4] == b"PONG"
        c.close()


def test_script_debug(w):
    """Not in a pipeline, Redis says; so not in the table of commands."""
    same_commands(w, [("SCRIPT", "DEBUG", "maybe"), ("SCRIPT", "DEBUG", "no"), ("SCRIPT", "DEBUG"),
                      ("PING",)])


def test_large_script(w):
    """BullMQ's are 40 kB; here 300 kB."""
    same(w, lambda s: s.open().cmd("EVAL", "--" + "x" * 300000 + "\nreturn ARGV[1]", 0, "fine"))


def test_script_selects_its_own_db(w):
    """SELECT inside a script does not move the session, nor the others on its link."""
    def scenario(s):
        c, other = s.open(), s.open()
        c.cmd("SET", "k", "zero")
        c.cmd("EVAL",
              "redis.call('SELECT', 5) redis.call('SET', 'k', 'five') "
              "return redis.call('GET', 'k')",
              0)
        c.cmd("GET", "k")
        other.cmd("GET", "k")
        c.cmd("SELECT", 5)
        c.cmd("GET", "k")
    same(w, scenario)


def busy_pair(w):
    redis = w.redis("--busy-reply-threshold", "50")
    return Pair(redis, w.larder(redis, up={"command_timeout": "2s"}))


def told_busy(w, pair):
    """Who comes anew is told BUSY. (What waits behind the script on the same link gets its answer
    when the script ends, or an error at its deadline.)"""
    c = w.conn(pair.larder)
    return (c.cmd("GET", "k") or b"").startswith(b"BUSY")


def busy(w, pair, kill, word):
    """Runs until somebody kills it; everyone else is told BUSY, and then served."""
    c, other = (w.conn(pair.larder) for _ in range(2))
    c.send_cmd(*kill)
    eventually(lambda: told_busy(w, pair), timeout=15)
    assert other.cmd(word, "KILL") == b"OK"
    assert c.reply().startswith((b"ERR", b"UPSTREAM"))
    eventually(lambda: not isinstance(other.cmd("SET", "k", "v"), Error))
    assert w.conn(pair.larder).cmd("GET", "k") == b"v"
    assert other.cmd(word, "KILL").startswith(b"NOTBUSY")


def test_script_kill(w):
    """SCRIPT KILL must reach Redis although the shared link waits for the script."""
    pair = busy_pair(w)
    busy(w, pair, ("EVAL", LOOP, 0), "SCRIPT")
    busy(w, pair, ("EVAL", LOOP, 1, "k"), "SCRIPT")


def test_function_kill(w):
    pair = busy_pair(w)
    c = w.conn(pair.larder)
    c.ok("FUNCTION", "LOAD",
         "#!lua name=l\nredis.register_function('loop', function() %s end)" % LOOP)
    busy(w, pair, ("FCALL", "loop", 0), "FUNCTION")


def test_unkillable(w):
    """A script that has written cannot be killed; the words of Redis reach the client."""
    pair = busy_pair(w)
    c, other = w.conn(pair.larder), w.conn(pair.larder)
    c.send_cmd("EVAL", WRITE_LOOP, 1, "k")
    eventually(lambda: told_busy(w, pair), timeout=15)
    assert other.cmd("SCRIPT", "KILL").startswith(b"UNKILLABLE")
    assert b"admin_commands" in other.cmd("SHUTDOWN", "NOSAVE")
    pair.redis.kill()
    # the script was under way: what became of it nobody knows
    answer = c.reply()
    assert answer.startswith(b"UPSTREAM"), answer


def test_functions(w):
    def scenario(s):
        c, other = s.open(), s.open()
        code = ("#!lua name=%s\nredis.register_function('%s', function(k, a) "
                "return {k[1] or 'none', a[1] or 'none'} end)")
        c.cmd("FUNCTION", "LOAD", code % ("one", "f1"))
        other.cmd("FCALL", "f1", 1, "k", "a")
        other.cmd("FUNCTION", "LOAD", "REPLACE", code % ("one", "f2"))
        c.cmd("FCALL", "f1", 0)
        c.cmd("FCALL", "f2", 0)
        dump = c.cmd("FUNCTION", "DUMP")
        c.cmd("FUNCTION", "FLUSH", "SYNC")
        c.cmd("FCALL", "f2", 0)
        c.cmd("FUNCTION", "RESTORE", dump)
        c.cmd("FCALL", "f2", 0)
        c.cmd("FUNCTION", "DELETE", "one")
    same(w, scenario)
