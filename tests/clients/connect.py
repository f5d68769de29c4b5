"""What clients that cannot run here send when they connect, byte by byte, as seen in their sources.

Each client is a list of steps; a step is what leaves in one segment, before any reply is read. The same is
sent to the upstream itself, and every reply must be the same there and here, save where CALM says that
two connections to one server differ. After the last step an ECHO shows that no reply is left over.
"""
import sys

from harness import (DIRECT, HOST, LOCKED_PASSWORD, LOCKED_PORT, PORT, UPSTREAM_HOST, UPSTREAM_PORT,
                     Skip, key, run_tests, same, test)
from wire import Wire, pack

USER, PASSWORD = "larder-clients-net", "s3cret of the net"
NAME = "web01(SE.Redis-v3.1.0)"


def step(*lines):
    """Commands that leave together; no argument here contains a space unless it is given as a tuple."""
    return [line if isinstance(line, tuple) else tuple(line.split()) for line in lines]


def stack_exchange(hello, auth, tail):
    return [step(*auth, *hello, f"CLIENT SETNAME {NAME}", "CLIENT SETINFO lib-name SE.Redis",
                 "CLIENT SETINFO lib-ver 3.1.0", "CLIENT ID", "CONFIG GET timeout",
                 "CONFIG GET replica-read-only", "CONFIG GET databases", "SENTINEL MASTERS",
                 "INFO replication", "INFO server", "CLUSTER NODES", "GET __Booksleeve_TieBreak",
                 ("ECHO", b"\x8f\x01\r\n\xfftracer\0")), *tail]


MAINTENANCE = "CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type external-ip"
LOGIN = ("AUTH", USER, PASSWORD)
HELLO_LOGIN = ("HELLO", 3, "AUTH", USER, PASSWORD)
CLIENTS = {
    "StackExchange.Redis 3.1": stack_exchange(["HELLO 3"], [], [
        step("SUBSCRIBE __Booksleeve_MasterChanged"), step("PING"), step("SELECT 2", "GET nothing"),
        step("INFO replication", ("ECHO", "heartbeat")), step("QUIT")]),
    "StackExchange.Redis 3.1, user": stack_exchange(["HELLO 3"], [LOGIN], [step("QUIT")]),
    "StackExchange.Redis 2.2, interactive": [step(
        LOGIN, f"CLIENT SETNAME {NAME}", "CONFIG GET timeout", "CONFIG GET slave-read-only",
        "CONFIG GET databases", "INFO replication", "INFO server", "CLUSTER NODES",
        "GET __Booksleeve_TieBreak", ("ECHO", b"\0\1\2tracer")), step("SELECT 1", "PING"), step("QUIT")],
    "StackExchange.Redis 2.2, subscription": [step(
        LOGIN, f"CLIENT SETNAME {NAME}", "PING", "SUBSCRIBE __Booksleeve_MasterChanged"), step("PING"),
        step("UNSUBSCRIBE __Booksleeve_MasterChanged"), step("QUIT")],
    "go-redis 9.22": [step("hello 3"), step("select 2", "readonly", "client setname app"),
                      step(MAINTENANCE.lower()),
                      step("client setinfo LIB-NAME go-redis(,go1.25)", "client setinfo LIB-VER 9.22.0")],
    "go-redis 9.22, user": [step(("hello", 3, "auth", USER, PASSWORD, "setname", "app")), step("select 2")],
    "go-redis 9.22, wrong password": [step(("hello", 3, "auth", USER, "wrong")), step(("auth", USER, "wrong"))],
    "Jedis 7.5": [step("HELLO 3"), step("CLIENT SETNAME app", "CLIENT SETINFO lib-name jedis",
                                        "CLIENT SETINFO lib-ver 7.5.0"), step("SELECT 3")],
    "Jedis 7.5, user": [step(HELLO_LOGIN), step("CLIENT SETINFO lib-name jedis(x)",
                                                 "CLIENT SETINFO lib-ver 7.5.0")],
    "Jedis 7.5, fallback": [step("HELLO 4"), step(LOGIN), step("HELLO 2")],
    "Lettuce 7.7": [step(("HELLO", 3, "AUTH", USER, PASSWORD, "SETNAME", "app")), step("SELECT 1", "READONLY"),
                    step("CLIENT SETINFO lib-name Lettuce", "CLIENT SETINFO lib-ver 7.7.0"), step(MAINTENANCE)],
    "Lettuce 7.7, RESP2": [step("PING"), step("CLIENT SETINFO lib-name Lettuce", "CLIENT SETINFO lib-ver 7.7.0")],
    "redis-rs 1.6": [step(LOGIN, "SELECT 4", "CLIENT SETINFO LIB-NAME redis-rs", "CLIENT SETINFO LIB-VER 1.6.0")],
    "redis-rs 1.6, RESP3": [step(HELLO_LOGIN, "CLIENT SETINFO LIB-NAME redis-rs", "CLIENT SETINFO LIB-VER 1.6.0")],
    "redis-rs 1.6, cache": [step("HELLO 3", "CLIENT TRACKING ON OPTIN", "CLIENT SETINFO LIB-NAME redis-rs"),
                            step("CLIENT CACHING YES", "GET nothing")],
    "redis-py 6, RESP3": [step(HELLO_LOGIN), step("CLIENT SETNAME app"), step("CLIENT SETINFO LIB-NAME redis-py"),
                          step("CLIENT SETINFO LIB-VER 6.4.0"), step("SELECT 2")],
    "phpredis 5.3": [step(LOGIN), step("SELECT 2"), step("GET nothing"), step("SELECT 2"), step("SELECT 2")],
    "ruby-redis 4.8": [step(("auth", "default", "no password is set")), step("select 2"),
                       step("client setname app")],
    "node-redis 6.3": [step("HELLO 3", "CLIENT SETINFO LIB-VER 6.3.1", "CLIENT SETINFO LIB-NAME node-redis",
                            MAINTENANCE)],
    "ioredis 6": [step(LOGIN, "select 2", "client setname app", "client SETINFO LIB-VER 6.0.0",
                       "client SETINFO LIB-NAME ioredis"), step("info")],
    "refusals": [step("HELLO 3 SETNAME", "HELLO x", "HELLO 3 AUTH a", "AUTH a b c", "SELECT 99", "SELECT x",
                      "CLIENT", "CLIENT NOSUCH", ("CLIENT", "SETNAME", "a b"), "CLIENT TRACKING", "HELLO 2"),
                 step("PING", "PING a", "PING a b", "ECHO", "QUIT")],
}


def make_user():
    with Wire(UPSTREAM_HOST, UPSTREAM_PORT) as direct:
        made = direct.ask("ACL", "SETUSER", USER, "reset", "on", ">" + PASSWORD, "~*", "&*", "+@all")
    if made.kind == "-":
        raise Skip(f"no user can be made: {made}")


def calm(command, frame):
    """What of a reply must be the same on any connection to the same server."""
    words = [str(word).upper() for word in command]
    if frame.kind == "-":
        return frame.raw
    if words[0] == "HELLO":
        return frame.kind, {name: value for name, value in plain(frame) if name != "id"}
    if words[:2] == ["CLIENT", "ID"]:
        return frame.kind, int(frame.value) > 0
    if words[0] == "INFO":
        names = {line.partition(":")[0] for line in frame.value.splitlines() if not line.startswith("#")}
        return frame.kind, names if len(words) > 1 else {"redis_version", "loading", "role"} <= names
    return frame.raw


def plain(frame):
    members = [member.raw if member.kind in "*~%" else member.value for member in frame.value]
    return list(zip(members[::2], members[1::2]))


def replay(host, port, steps, cut):
    """Returns every reply, calmed; cut: every byte is a segment of its own."""
    seen = []
    with Wire(host, port) as wire:
        for commands in steps:
            data = b"".join(pack(*command) for command in commands)
            if cut:
                for i in range(len(data)):
                    wire.send(data[i:i + 1])
            else:
                wire.send(data)
            seen += [(command, calm(command, wire.read())) for command in commands]
        if steps[-1][-1] == ("QUIT",):
            assert wire.at_end(), "not closed after QUIT"
        else:
            same(wire.ask("ECHO", "the last").raw, b"$8\r\nthe last\r\n")
    return seen


def compare(steps):
    make_user()
    wanted = replay(UPSTREAM_HOST, UPSTREAM_PORT, steps, False)
    for cut in (False, True):
        for (command, got), (_, reply) in zip(replay(HOST, PORT, steps, cut), wanted):
            assert got == reply, f"{command} (cut: {cut}): got {got!r:.300}, the upstream says {reply!r:.300}"


for client_name, client_steps in CLIENTS.items():
    test(client_name)(lambda steps=client_steps: compare(steps))


@test("500 connections that all log in at once")
def many():
    make_user()
    batch = stack_exchange(["HELLO 3"], [LOGIN], [])[0]
    wires = [Wire(HOST, PORT) for _ in range(500)]
    for number, wire in enumerate(wires):
        wire.send(b"".join(pack(*command) for command in batch) + pack("ECHO", number))
    for number, wire in enumerate(wires):
        kinds = [wire.read().kind for _ in batch]
        same((kinds[0], kinds[1], kinds[-1]), ("+", "%", "$"))
        same(wire.read().value, str(number))
    for wire in wires:
        wire.close()


@test("a connection in use for everything, as StackExchange.Redis 3 has it")
def one_for_all():
    with Wire(HOST, PORT) as wire, Wire(HOST, PORT) as other:
        same(wire.ask("HELLO", 3).kind, "%")
        channel = key("channel")
        same(wire.ask("SUBSCRIBE", channel).raw, b">3\r\n" + pack("subscribe", channel)[4:] + b":1\r\n")
        replies = wire.batch([("SET", key("a"), i) if i % 2 else ("INCR", key("b")) for i in range(1000)])
        same([r.raw for r in replies], [b"+OK\r\n" if i % 2 else b":%d\r\n" % (i // 2 + 1) for i in range(1000)])
        same(other.ask("PUBLISH", channel, "news").value, "1")
        wire.send(pack("ECHO", "x") * 3)
        frames = [wire.read() for _ in range(4)]
        same(sorted(frame.kind for frame in frames), ["$", "$", "$", ">"])
        same(wire.ask("UNSUBSCRIBE", channel).kind, ">")
        same(wire.batch([("MULTI",), ("INCR", key("b")), ("EXEC",), ("GET", key("b"))])[3].value, "501")
        same(wire.ask("BLPOP", key("none"), "0.01").raw, b"_\r\n")


@test("tracking: a client that asks for it gets its pushes")
def tracking():
    with Wire(HOST, PORT) as wire, Wire(HOST, PORT) as other:
        wire.batch([("HELLO", 3), ("CLIENT", "TRACKING", "ON"), ("GET", key("t"))])
        same(other.ask("SET", key("t"), 1).value, "OK")
        push = wire.read()
        same((push.kind, push.value[0].value, push.value[1].value[0].value), (">", "invalidate", key("t")))
        flags = [flag.value for flag in wire.ask("CLIENT", "TRACKINGINFO").value[1].value]
        same(flags, ["on"])


@test("tracking with REDIRECT: the pushes arrive, or it is refused")
def tracking_redirected():
    with Wire(HOST, PORT) as data, Wire(HOST, PORT) as ear, Wire(HOST, PORT) as other:
        number = ear.ask("CLIENT", "ID").value
        same(ear.ask("SUBSCRIBE", "__redis__:invalidate").kind, "*")
        if data.ask("CLIENT", "TRACKING", "ON", "REDIRECT", number).kind == "-":
            assert not DIRECT
            return
        data.ask("GET", key("t"))
        other.ask("SET", key("t"), 2)
        same(ear.read().value[2].value[0].value, key("t"))


@test("a listener with a password: AUTH, HELLO AUTH, and what comes before")
def locked():
    if not LOCKED_PORT:
        raise Skip("only larder has a second listener")
    with Wire(HOST, LOCKED_PORT) as wire:
        same(wire.ask("GET", "a").raw, b"-NOAUTH Authentication required.\r\n")
        same(wire.ask("HELLO", 3).raw[:7], b"-NOAUTH")
        same(wire.ask("AUTH", "wrong").raw[:10], b"-WRONGPASS")
        same(wire.ask("HELLO", 3, "AUTH", "default", "wrong").raw[:10], b"-WRONGPASS")
        same(wire.ask("AUTH", LOCKED_PASSWORD).raw, b"+OK\r\n")
        same(wire.ask("GET", key("none")).raw, b"$-1\r\n")
    with Wire(HOST, LOCKED_PORT) as wire:
        hello = ("HELLO", 3, "AUTH", "default", LOCKED_PASSWORD, "SETNAME", "app")
        map_of_server, name = wire.batch([hello, ("CLIENT", "GETNAME")])
        same((map_of_server.kind, name.value), ("%", "app"))
    with Wire(HOST, LOCKED_PORT) as wire:
        wire.send(b"*1\r\n$16385\r\n")
        same(wire.read().raw, b"-ERR Protocol error: unauthenticated bulk length\r\n")
        assert wire.at_end()


@test("inline commands, as from telnet")
def inline():
    with Wire(HOST, PORT) as wire:
        name = key("i").encode()
        wire.send(b'PING\r\nset "' + name + b'" "a\\x41\\n"\nGET ' + name + b"\r\n\r\nPING\n")
        same([wire.read().raw for _ in range(4)], [b"+PONG\r\n", b"+OK\r\n", b"$3\r\naA\n\r\n", b"+PONG\r\n"])
        wire.send(b'SET "x\r\n')
        same(wire.read().raw, b"-ERR Protocol error: unbalanced quotes in request\r\n")
        assert wire.at_end()


@test("CLIENT REPLY OFF, SKIP, ON")
def reply_off():
    with Wire(HOST, PORT) as wire:
        wire.send(pack("CLIENT", "REPLY", "OFF") + pack("SET", key("r"), 1) + pack("PING") +
                  pack("CLIENT", "REPLY", "ON") + pack("CLIENT", "REPLY", "SKIP") + pack("INCR", key("r")) +
                  pack("GET", key("r")))
        same([wire.read().raw for _ in range(2)], [b"+OK\r\n", b"$1\r\n2\r\n"])


@test("RESET and QUIT in the middle of a pipeline")
def reset():
    with Wire(HOST, PORT) as wire:
        frames = wire.batch([("HELLO", 3), ("SELECT", 3), ("CLIENT", "SETNAME", "x"), ("MULTI",),
                             ("SET", key("x"), 1), ("RESET",), ("CLIENT", "GETNAME"), ("GET", key("x")), ("QUIT",)])
        same([frame.raw for frame in frames[3:]],
             [b"+OK\r\n", b"+QUEUED\r\n", b"+RESET\r\n", b"$-1\r\n", b"$-1\r\n", b"+OK\r\n"])
        assert wire.at_end()
    with Wire(HOST, PORT) as wire:
        wire.send(pack("SET", key("q"), 1) + pack("QUIT") + pack("SET", key("q"), 2))
        same([wire.read().raw for _ in range(2)], [b"+OK\r\n", b"+OK\r\n"])
        assert wire.at_end()
    with Wire(HOST, PORT) as wire:
        same(wire.ask("GET", key("q")).value, "1")


@test("QUIT that comes in pieces, and behind other commands")
def quit_in_pieces():
    request = pack("GET", key("none")) + pack("QUIT")
    for cut in range(1, len(request)):
        with Wire(HOST, PORT) as wire:
            wire.send(request[:cut])
            with Wire(HOST, PORT) as other:  # by its reply the first piece has been read
                same(other.ask("PING").value, "PONG")
            wire.send(request[cut:])
            same([wire.read().raw for _ in range(2)], [b"$-1\r\n", b"+OK\r\n"])
            assert wire.at_end()


@test("transactions of 40 connections at once: whole or not at all")
def whole_or_not():
    wires = [Wire(HOST, PORT) for _ in range(40)]
    for _ in range(5):
        for wire in wires:
            wire.send(pack("MULTI") + pack("INCR", key("a")) + pack("INCR", key("b")) + pack("EXEC"))
        for wire in wires:
            frames = [wire.read() for _ in range(4)]
            same([frame.kind for frame in frames], ["+", "+", "+", "*"])
            same(frames[3].value[0].value, frames[3].value[1].value)
    same(wires[0].ask("GET", key("a")).value, "200")
    # While each of 15 holds a transaction open the others may be refused, but must not half run.
    for wire in wires[:15]:
        wire.send(pack("WATCH", key("a")) + pack("GET", key("a")))
    for wire in wires[15:]:
        wire.send(pack("MULTI") + pack("INCR", key("a")) + pack("INCR", key("c")) + pack("EXEC"))
    for wire in wires[15:]:
        kinds = [wire.read().kind for _ in range(4)]
        assert kinds in (["+", "+", "+", "*"], ["-", "-", "-", "-"], ["-", "+", "+", "-"]), kinds
    same(wires[20].ask("GET", key("a")).value != "200", wires[20].ask("GET", key("c")).value is not None)
    for wire in wires:
        wire.close()


@test("a refused command of an administrator")
def refused():
    if DIRECT:
        raise Skip("only larder refuses")
    with Wire(HOST, PORT) as wire:
        for words in (("SHUTDOWN",), ("CONFIG", "SET", "maxmemory", "1"), ("DEBUG", "SLEEP", "0"), ("SAVE",),
                      ("SYNC",), ("PSYNC", "?", "-1"), ("ACL", "SETUSER", "x"), ("REPLICAOF", "NO", "ONE")):
            got = wire.ask(*words)
            same(got.kind, "-")
            assert "unknown command" not in got.value, got
        same(wire.ask("PING").raw, b"+PONG\r\n")


if __name__ == "__main__":
    sys.exit(run_tests("connect"))
