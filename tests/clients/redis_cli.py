"""redis-cli: every mode of it that needs nobody at the keyboard, and one session at a terminal."""
import json
import os
import pty
import select
import subprocess
import sys
import tempfile

from harness import (DIRECT, HOST, LOCKED_PASSWORD, LOCKED_PORT, PORT, SOCKET, UPSTREAM_HOST, UPSTREAM_PORT,
                     Skip, key, run_tests, same, test, until)
from wire import pack

AT = ["-h", HOST, "-p", str(PORT)]
BIG = os.urandom(1 << 20) * 8


def cli(*words, at=None, stdin=b"", status=0, **options):
    """Runs redis-cli to its end; returns what it printed, stripped when it is text."""
    command = ["redis-cli", *(AT if at is None else at), *(str(word) for word in words)]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=20, check=False,
                          env=dict(os.environ, **options))
    assert done.returncode == status, f"{command} ended with {done.returncode}: {done.stderr[:300]!r}"
    return done.stdout


def say(*words, **options):
    return cli(*words, **options).decode().rstrip("\n")


class Running:
    """A redis-cli that does not end by itself; its lines as they come."""

    def __init__(self, *words):
        self.seen = b""
        self.process = subprocess.Popen(["redis-cli", *AT, *words], stdout=subprocess.PIPE,
                                        stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, bufsize=0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def line(self):
        while b"\n" not in self.seen:
            ready, _, _ = select.select([self.process.stdout], [], [], 15)
            assert ready, f"no further line, only {self.seen!r}"
            got = self.process.stdout.read(65536)
            assert got, f"ended after {self.seen!r}"
            self.seen += got
        line, _, self.seen = self.seen.partition(b"\n")
        return line.decode()


@test("one command")
def one_shot():
    same(say("PING"), "PONG")
    same(say("SET", key("a"), "x y"), "OK")
    same(say("GET", key("a")), "x y")
    same(say("--no-raw", "GET", key("none")), "(nil)")
    same(say("RPUSH", key("l"), "a", "b"), "2")
    same(say("--no-raw", "LRANGE", key("l"), 0, -1), '1) "a"\n2) "b"')
    same(say("--csv", "LRANGE", key("l"), 0, -1), '"a","b"')
    same(say("-r", 5, "INCR", key("n")), "1\n2\n3\n4\n5")
    assert say("NOSUCH", "arg").startswith("ERR unknown command 'NOSUCH', with args beginning with: 'arg'")
    assert b"" == cli("-e", "NOSUCH", status=1)
    if SOCKET:
        same(say("GET", key("a"), at=["-s", SOCKET]), "x y")


@test("-3 and --json")
def resp3():
    cli("HSET", key("h"), "f", "v")
    cli("ZADD", key("z"), "1.5", "m")
    same(say("-3", "--no-raw", "HGETALL", key("h")), '1# "f" => "v"')
    same(say("-3", "--no-raw", "ZSCORE", key("z"), "m"), "(double) 1.5")
    same(json.loads(say("--json", "HGETALL", key("h"))), {"f": "v"})
    same(json.loads(say("--json", "HELLO", 3))["proto"], 3)
    same(say("-2", "--no-raw", "HGETALL", key("h")), '1) "f"\n2) "v"')


@test("-n, --user, --pass, -u, REDISCLI_AUTH")
def who():
    name, password = "larder-clients-cli", "pass-of-cli"
    there = ["-h", UPSTREAM_HOST, "-p", str(UPSTREAM_PORT)]
    if say("ACL", "SETUSER", name, "reset", "on", ">" + password, "~*", "&*", "+@all", at=there) != "OK":
        raise Skip("no user can be made")
    cli("-n", 2, "SET", key("db"), "two")
    same(say("-n", 2, "GET", key("db")), "two")
    same(say("GET", key("db")), "")
    login = ["--no-auth-warning", "--user", name, "--pass", password]
    same(say(*login, "ACL", "WHOAMI"), name)
    same(say("-3", *login, "ACL", "WHOAMI"), name)
    same(say("ACL", "WHOAMI", at=["--no-auth-warning", "-u", f"redis://{name}:{password}@{HOST}:{PORT}/2"]), name)
    same(say("--user", name, "-n", 2, "GET", key("db"), REDISCLI_AUTH=password), "two")
    if LOCKED_PORT:
        locked = ["-h", HOST, "-p", str(LOCKED_PORT)]
        same(say("PING", at=locked), "NOAUTH Authentication required.")
        same(say("PING", at=locked, REDISCLI_AUTH=LOCKED_PASSWORD), "PONG")


@test("MULTI, SELECT, HELLO from standard input")
def stdin():
    k = key("m")
    lines = ["MULTI", f"SET {k} 1", f"INCR {k}", "EXEC", "SELECT 1", f"GET {k}", "SELECT 0", f"GET {k}", "HELLO 3",
             f"GET {k}", f"WATCH {k}", f"SET {k} 5", "MULTI", f"SET {k} 6", "EXEC", f"GET {k}", "DISCARD"]
    got = say(stdin="".join(line + "\n" for line in lines).encode()).splitlines()
    same(got[:9], ["OK", "QUEUED", "QUEUED", "OK", "2", "OK", "", "OK", "2"])
    same(got[-8:], ["2", "OK", "OK", "OK", "QUEUED", "", "5", "ERR DISCARD without MULTI"])


@test("-x: 8 MB from standard input")
def big():
    same(cli("-x", "SET", key("big"), stdin=BIG), b"OK\n")
    assert cli("GET", key("big")) == BIG + b"\n", "another value came back"
    dumped = cli("-D", "", "--raw", "DUMP", key("big"))
    same(cli("-X", "dumped", "RESTORE", key("copy"), 0, "dumped", stdin=dumped), b"OK\n")
    assert cli("-3", "GET", key("copy")) == BIG + b"\n"
    cli("UNLINK", key("big"), key("copy"))


@test("--pipe: 50,000 commands")
def pipe():
    data = b"".join(pack("SET", key(i % 500), i) for i in range(50000))
    got = say("--pipe", stdin=data)
    assert got.endswith("errors: 0, replies: 50000"), got
    same(say("GET", key(499)), "49999")
    data = pack("LPUSH", key(1), "x") * 3 + pack("PING") + b"PING\r\n"
    got = cli("--pipe", stdin=data, status=1).decode()
    assert got.rstrip().endswith("errors: 3, replies: 5"), got


@test("--pipe: ten values of 8 MB")
def pipe_big():
    data = b"".join(pack("SET", key(f"big{i}"), BIG) for i in range(10))
    assert say("--pipe", stdin=data).endswith("errors: 0, replies: 10")
    assert cli("GET", key("big9")) == BIG + b"\n"
    cli("UNLINK", *(key(f"big{i}") for i in range(10)))


@test("--scan, --bigkeys, --memkeys")
def scans():
    data = b"".join(pack("SET", key(f"scan:{i}"), "x" * i) for i in range(1000))
    data += pack("RPUSH", key("list"), *range(3000))
    cli("--pipe", stdin=data)
    names = say("--scan", "--pattern", key("scan:*")).splitlines()
    same(sorted(names), sorted(key(f"scan:{i}") for i in range(1000)))
    got = say("--bigkeys")
    assert "Biggest   list found" in got and "3000 items" in got, got
    got = say("--memkeys")
    assert "Biggest   list found" in got, got


@test("--stat")
def stat():
    with Running("--stat", "-i", "0.05") as running:
        lines = [running.line() for _ in range(4)]
    numbers = [line.split() for line in lines if line[:1].isdigit()]
    assert len(numbers) >= 2 and all(len(row) >= 7 for row in numbers), lines


@test("--latency, --latency-history")
def latency():
    got = say("--latency", "-i", "0.2").split()
    assert len(got) == 4 and int(got[3]) >= 1, got
    with Running("--latency-history", "--raw", "-i", "0.1") as running:
        assert len(running.line().split()) == 4


@test("--eval")
def evaluate():
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write("redis.call('SET', KEYS[1], ARGV[1])\nreturn {KEYS[1], redis.call('GET', KEYS[1]), #ARGV}\n")
        script.flush()
        same(say("--eval", script.name, key("e"), ",", "v", "w"), f"{key('e')}\nv\n2")


@test("SUBSCRIBE, PSUBSCRIBE")
def subscribe():
    for words in (["SUBSCRIBE", key("c")], ["-3", "--show-pushes", "yes", "SUBSCRIBE", key("c")],
                  ["PSUBSCRIBE", key("") + "*"]):
        with Running(*words) as running:
            until(lambda: say("PUBLISH", key("c"), "hello") == "1", "the subscriber is there")
            while not running.line().endswith("hello"):
                pass
        until(lambda: say("PUBLISH", key("c"), "hello") == "0", "the subscriber is gone")


@test("MONITOR")
def monitor():
    with Running("MONITOR") as running:
        same(running.line(), "OK")
        cli("SET", key("seen"), "1")
        while f'"SET" "{key("seen")}" "1"' not in running.line():
            pass


@test("BLPOP waits for RPUSH")
def blocking():
    with Running("BLPOP", key("q"), "0") as running:
        until(lambda: "blocked_clients:1" in say("INFO", "clients"), "it waits")
        cli("RPUSH", key("q"), "x")
        same((running.line(), running.line()), (key("q"), "x"))


@test("COMMAND DOCS, COMMAND, INFO, CONFIG GET: large replies")
def large():
    there = ["-h", UPSTREAM_HOST, "-p", str(UPSTREAM_PORT)]
    for words in (["COMMAND", "DOCS"], ["COMMAND"], ["-3", "COMMAND"], ["CONFIG", "GET", "*"],
                  ["COMMAND", "COUNT"]):
        assert cli(*words) == cli(*words, at=there), words
    assert "redis_version:" in say("INFO") and "# Commandstats" in say("INFO", "everything")


@test("--rdb and --replica are refused, not left hanging")
def replication():
    if DIRECT:
        raise Skip("redis-server itself allows them")
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(["redis-cli", *AT, "--rdb", os.path.join(directory, "x")], capture_output=True,
                              timeout=20, check=False)
        assert done.returncode != 0, done
        done = subprocess.run(["redis-cli", *AT, "--replica"], capture_output=True, timeout=20, check=False)
        assert done.returncode != 0, done


@test("at a terminal")
def terminal():
    pid, screen = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "dumb"
        os.environ["HOME"] = "/nonexistent"
        os.execvp("redis-cli", ["redis-cli", *AT])
    try:
        seen = b""
        for typed, wanted in ((None, b"> "), (f"SET {key('t')} hello\n", b"OK"), (f"GET {key('t')}\n", b'"hello"'),
                              ("MULTI\n", b"(TX)> "), ("DISCARD\n", b"OK"), ("SELECT 3\n", b"[3]> "),
                              ("HELLO 3\n", b"proto"), ("QUIT\n", None)):
            if typed:
                os.write(screen, typed.encode())
            seen = b""
            while wanted and wanted not in seen:
                ready, _, _ = select.select([screen], [], [], 15)
                assert ready, f"after {typed!r} only {seen!r}"
                seen += os.read(screen, 65536)
    finally:
        os.close(screen)
        os.kill(pid, 9)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    sys.exit(run_tests("redis-cli"))
