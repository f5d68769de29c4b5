"""The program: its options, signals, notifications, sockets handed to it, logs."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

from fake_server import FakeRedis
from resp import TIMEOUT, Closed, Conn, Error, encode, eventually
from servers import LARDER, WITH_PARENT, Skip, free_port

LAUNCH = """
import os, sys
fd, count = int(sys.argv[1]), int(sys.argv[2])
for i in range(count):
    os.dup2(fd + i, 3 + i)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[3], sys.argv[3:])
"""


def run(*args, env=None):
    """larder with these arguments until it ends: (exit code, stdout, stderr)."""
    if "LARDER_AT" in os.environ:
        raise Skip("needs larder's binary, and LARDER_AT is set")
    done = subprocess.run([LARDER, *args], capture_output=True, timeout=3 * TIMEOUT, check=False,
                          stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def write(w, text, name="larder.ini"):
    """A file in a directory that is removed with the test."""
    import tempfile
    directory = tempfile.TemporaryDirectory(prefix="larder-test-ini-")
    w.add(type("Removed", (), {"stop": lambda self: directory.cleanup() or []})())
    path = os.path.join(directory.name, name)
    with open(path, "w") as f:
        f.write(text)
    return path


# options

def test_version_and_help(w):
    for option in ("--version", "--help"):
        code, out, err = run(option)
        assert code == 0 and out and not err, (option, code, out, err)
    out = run("--version")[1]
    assert re.search(r"larder \d+\.\d+", out) and "libevent" in out, out
    out = run("--help")[1]
    for option in ("-c", "--check-config", "--dump-config", "--version", "--healthcheck"):
        assert option in out, option


def test_wrong_options(w):
    for args in (["--nope"], ["-c"], ["-z"], ["stray"], ["-c", "/nonexistent/larder.ini"]):
        code, out, err = run(*args)
        assert code not in (0, -6, -11) and err, (args, code, out, err)


def test_check_config(w):
    path = write(w, "[larder]\nmax_clients = 7\n[upstream]\naddress = 127.0.0.1:1\n")
    assert run("-c", path, "--check-config")[0] == 0
    bad = ("[larder]\nmax_clients = many\nmax_clients = 5\nnope = 1\n\n[upstream]\naddress = here\n"
           "command_timeout = 5 parsecs\n[nonsense]\nx = 1\n[listener a]\naddress = 127.0.0.1:99999\n")
    path = write(w, bad)
    code, out, err = run("-c", path, "--check-config")
    assert code == 78, code
    for line in (2, 4, 7, 8, 9, 12):
        assert f"{path}:{line}: " in out + err, f"line {line} is not in:\n{out}{err}"


def test_start_with_a_bad_config(w):
    code, out, err = run("-c", write(w, "[larder]\nmax_clients = many\n"))
    assert code == 78 and ":2: " in err, (code, out, err)


def test_dump_config(w):
    text = ("[larder]\nmax_clients = 7\nclient_buffer_max = 1mb\n[upstream]\naddress = 127.0.0.1:1\n"
            "password = very-secret\n[listener b]\naddress = 127.0.0.1:2\npassword = also-secret\n")
    code, out, err = run("-c", write(w, text), "--dump-config")
    assert code == 0, err
    assert "secret" not in out + err and "********" in out
    assert re.search(r"^max_clients\s*=\s*7$", out, re.M) and "[listener b]" in out, out
    assert run("-c", write(w, out), "--dump-config")[1] == out, "the dump does not load to the same"


def test_config_from_the_environment_and_conf_d(w):
    path = write(w, "[larder]\nmax_clients = ${COUNT}\nmax_pending = ${MISSING:-77}\n")
    os.mkdir(os.path.join(os.path.dirname(path), "conf.d"))
    with open(os.path.join(os.path.dirname(path), "conf.d", "10-up.ini"), "w") as f:
        f.write("[upstream]\naddress = 127.0.0.1:1234\npassword_file = ${CREDENTIALS_DIRECTORY}/secret\n")
    with open(os.path.join(os.path.dirname(path), "secret"), "w") as f:
        f.write("from-a-file\n")
    env = {"COUNT": "321", "CREDENTIALS_DIRECTORY": os.path.dirname(path)}
    code, out, err = run("-c", path, "--dump-config", env=env)
    assert code == 0, err
    for line in ("max_clients = 321", "max_pending = 77", "127.0.0.1:1234", "********"):
        assert line in out, (line, out)
    del env["COUNT"]
    assert run("-c", path, "--check-config", env=env)[0] == 78  # no default for it


def test_healthcheck(w):
    redis = w.redis()
    larder = w.larder(redis)
    assert run("-c", larder.config, "--healthcheck")[0] == 0
    larder.expect_exit = True
    larder.signal(signal.SIGTERM)
    larder.process.wait(3 * TIMEOUT)
    code, out, err = run("-c", larder.config, "--healthcheck")
    assert code not in (0, -6, -11), (code, out, err)


def test_port_taken(w):
    """Says so and ends; does not serve half."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        code, out, err = run("-c", write(w, f"[listener a]\naddress = 127.0.0.1:{port}\n"))
        assert code not in (0, -6, -11) and str(port) in err, (code, err)


# listeners

def test_several_listeners(w):
    redis = w.redis()
    ports = [free_port(), free_port()]
    larder = w.larder(redis, ini=f"""
[listener one]
address = 127.0.0.1:@PORT@
[listener two]
address = 127.0.0.1:{ports[0]}
password = door
[listener three]
address = unix:@DIR@/l.sock
mode = 0600
[listener four]
address = [::1]:{ports[1]}
[upstream]
address = 127.0.0.1:{redis.port}
""" if has_ipv6() else f"""
[listener one]
address = 127.0.0.1:@PORT@
[listener two]
address = 127.0.0.1:{ports[0]}
password = door
[listener three]
address = unix:@DIR@/l.sock
mode = 0600
[upstream]
address = 127.0.0.1:{redis.port}
""")
    path = os.path.join(larder.dir, "l.sock")
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert w.conn(larder).cmd("SET", "k", "v") == b"OK"
    unix = w.conn(path)
    assert unix.cmd("GET", "k") == b"v" and unix.cmd("HELLO", 3).get(b"proto") == 3
    door = w.conn(("127.0.0.1", ports[0]))
    assert door.cmd("GET", "k").startswith(b"NOAUTH")
    assert door.cmd("AUTH", "door") == b"OK" and door.cmd("GET", "k") == b"v"
    assert unix.cmd("CLIENT", "LIST").count(b"\n") == 3
    if has_ipv6():
        with socket.create_connection(("::1", ports[1]), TIMEOUT) as six:
            six.sendall(b"GET k\r\n")
            assert six.recv(100) == b"$1\r\nv\r\n"


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


def test_unix_socket_left_behind(w):
    """A socket file that nobody listens on is replaced; one that is in use is not."""
    redis = w.redis()
    ini = f"[listener a]\naddress = 127.0.0.1:@PORT@\n[listener b]\naddress = unix:@DIR@/l.sock\n" \
          f"[upstream]\naddress = 127.0.0.1:{redis.port}\n"
    larder = w.larder(redis, ini=ini)
    path = os.path.join(larder.dir, "l.sock")
    larder.kill()
    assert os.path.exists(path)
    larder.expect_exit = False
    larder.start()
    assert w.conn(path).cmd("PING") == b"PONG"
    code, _, err = run("-c", write(w, f"[listener a]\naddress = unix:{path}\n"))
    assert code not in (0, -6, -11) and err
    assert w.conn(path).cmd("PING") == b"PONG"
    larder.expect_exit = True
    larder.signal(signal.SIGTERM)
    assert larder.process.wait(3 * TIMEOUT) == 0
    assert not os.path.exists(path), "the socket file stays behind"


def test_upstream_over_a_unix_socket(w):
    redis = w.redis(unix=True)
    larder = w.larder(redis.unix)
    before = redis.connections()
    for proto in (2, 3):
        c = w.conn(larder, proto)
        assert c.cmd("SET", "k", "v") == b"OK" and c.cmd("GET", "k") == b"v"
        assert c.pipeline([("MULTI",), ("GET", "k"), ("EXEC",)])[2] == [b"v"]
    assert b"unix" in redis.cmd("CLIENT", "LIST") or b":0 " in redis.cmd("CLIENT", "LIST"), before
    redis.restart()
    c = w.conn(larder)
    eventually(lambda: c.cmd("SET", "k", "again") == b"OK")


# signals

def held_fake(w):
    """A fake upstream that holds the replies of `GET held` until the event is set."""
    release = threading.Event()

    def script(link, argv):
        if argv == [b"GET", b"held"]:
            link.stall(release)
    return w.add(FakeRedis(script)), release


def refused(address):
    try:
        c = Conn(address, timeout=1)
        c.eof(timeout=1)
        c.close()
        return True
    except (ConnectionRefusedError, Closed, ConnectionResetError):
        return True
    except AssertionError:
        return False


def test_sigterm_drains(w):
    """No new clients; what is in flight is finished; then exit 0."""
    fake, release = held_fake(w)
    larder = w.larder(fake, larder={"shutdown_timeout": "30s"}, up={"command_timeout": "30s"})
    c, idle = w.conn(larder), w.conn(larder)
    idle.ok("PING")
    c.send(encode("GET", "held") + encode("PING", "behind"))
    eventually(lambda: fake.count("GET") == 1)
    larder.expect_exit = True
    larder.signal(signal.SIGTERM)
    eventually(lambda: refused(larder.address))
    assert larder.alive()
    release.set()
    assert c.reply() == b"held:value"
    rest = c.rest()
    assert rest in (b"", b"$6\r\nbehind\r\n"), rest
    assert larder.process.wait(3 * TIMEOUT) == 0
    idle.eof()


def test_sigterm_has_a_deadline(w):
    fake, release = held_fake(w)
    larder = w.larder(fake, larder={"shutdown_timeout": "300ms"}, up={"command_timeout": "60s"})
    c = w.conn(larder)
    c.send(encode("GET", "held"))
    eventually(lambda: fake.count("GET") == 1)
    larder.expect_exit = True
    larder.signal(signal.SIGTERM)
    assert larder.process.wait(3 * TIMEOUT) == 0
    c.rest()
    release.set()


def test_second_sigterm_is_now(w):
    for number in (signal.SIGTERM, signal.SIGINT):
        fake, release = held_fake(w)
        larder = w.larder(fake, larder={"shutdown_timeout": "10m"}, up={"command_timeout": "10m"})
        c = w.conn(larder)
        c.send(encode("GET", "held"))
        eventually(lambda: fake.count("GET") == 1)
        larder.expect_exit = True
        larder.signal(number)
        eventually(lambda: "drains" in larder.log())
        larder.signal(number)
        larder.process.wait(3 * TIMEOUT)
        release.set()


def test_sigterm_with_blocked_and_subscribed_clients(w):
    """They would wait for ever: the drain does not wait for them."""
    redis = w.redis()
    larder = w.larder(redis, larder={"shutdown_timeout": "5m"})
    blocked, subscribed, transaction = (w.conn(larder) for _ in range(3))
    blocked.send_cmd("BLPOP", "q", 0)
    subscribed.send_cmd("SUBSCRIBE", "ch")
    subscribed.value()
    transaction.ok("MULTI")
    eventually(lambda: redis.blocked() == 1)
    larder.expect_exit = True
    larder.signal(signal.SIGTERM)
    assert larder.process.wait(3 * TIMEOUT) == 0
    eventually(lambda: redis.blocked() == 0)


def setting(server, name):
    """A value as LARDER SETTINGS shows it."""
    text = flat(server.cmd("LARDER", "SETTINGS"))
    found = re.search(rf"\b{name}\b\W+(\S+)", text)
    assert found, f"{name} is not in LARDER SETTINGS: {text[:500]}"
    return found.group(1).strip("',)]")


def flat(reply):
    """A reply of any shape as text."""
    if isinstance(reply, bytes):
        return reply.decode()
    if isinstance(reply, (list, tuple)):
        return "\n".join(" ".join(flat(y) for y in x) if isinstance(x, (list, tuple)) else flat(x)
                         for x in reply)
    return str(reply)


def test_sighup_reloads(w):
    redis = w.redis()
    larder = w.larder(redis, larder={"max_clients": 100, "admin_commands": "deny"})
    c = w.conn(larder)
    assert b"admin_commands" in c.cmd("DEBUG", "SLEEP", 0)
    larder.configure(larder={"max_clients": 3, "admin_commands": "allow"})
    larder.signal(signal.SIGHUP)
    eventually(lambda: setting(larder, "max_clients") == "3")
    assert c.cmd("DEBUG", "SLEEP", 0) == b"OK"
    assert c.cmd("SET", "k", "v") == b"OK"


def test_sighup_with_an_error_changes_nothing(w):
    redis = w.redis()
    larder = w.larder(redis, larder={"max_clients": 100})
    c = w.conn(larder)
    larder.configure(larder={"max_clients": 55, "max_pending": "lots"})
    lines = len(larder.log().splitlines())
    larder.signal(signal.SIGHUP)
    eventually(lambda: ":3: " in larder.log() and len(larder.log().splitlines()) > lines)
    assert setting(larder, "max_clients") == "100"
    assert c.cmd("SET", "k", "v") == b"OK"
    larder.configure(larder={"max_clients": 56})
    larder.signal(signal.SIGHUP)
    eventually(lambda: setting(larder, "max_clients") == "56")


def test_sighup_with_what_needs_a_restart(w):
    """A moved listener cannot be taken over: it is said in the log, and larder serves as before."""
    redis = w.redis()
    larder = w.larder(redis)
    larder.configure(listener={"address": "127.0.0.1:%d" % free_port()})
    larder.signal(signal.SIGHUP)
    eventually(lambda: "restart" in larder.log())
    assert w.conn(larder).cmd("SET", "k", "v") == b"OK"


def test_sighup_under_load(w):
    redis = w.redis()
    larder = w.larder(redis)
    c = w.conn(larder)
    for i in range(30):
        larder.configure(larder={"max_clients": 100 + i})
        larder.signal(signal.SIGHUP)
        c.send(encode("SET", "k", i) + encode("GET", "k"))
        assert c.replies(2) == [b"OK", b"%d" % i]
    eventually(lambda: setting(larder, "max_clients") == "129")


def test_sigusr2_dumps_state(w):
    redis = w.redis()
    larder = w.larder(redis)
    c = w.conn(larder)
    c.ok("CLIENT", "SETNAME", "look-for-me")
    c.ok("SET", "secret-key", "secret-value")
    before = len(larder.log())
    larder.signal(signal.SIGUSR2)
    eventually(lambda: "client" in larder.log()[before:])
    assert "secret" not in larder.log()


def test_ignored_signals(w):
    larder = w.larder(w.redis())
    for number in (signal.SIGPIPE,):
        larder.signal(number)
    assert w.conn(larder).cmd("PING") == b"PONG"


# systemd

class Notify:
    """A socket as systemd's."""

    def __init__(self, w, abstract=False):
        import tempfile
        self.dir = tempfile.TemporaryDirectory(prefix="larder-test-notify-")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = os.path.join(self.dir.name, "notify")
        self.name = "@" + path if abstract else path
        self.sock.bind("\0" + path if abstract else path)
        self.sock.settimeout(TIMEOUT)
        self.seen = []
        w.add(self)

    def stop(self):
        self.sock.close()
        self.dir.cleanup()
        return []

    def wait(self, word):
        """Datagrams until one has the word as a line; returns it."""
        while True:
            text = self.sock.recv(4096).decode()
            self.seen.append(text)
            if word in text.splitlines():
                return text


def test_notify(w):
    for abstract in (False, True):
        notify = Notify(w, abstract)
        env = {**os.environ, "NOTIFY_SOCKET": notify.name, "WATCHDOG_USEC": "200000"}
        env.pop("WATCHDOG_PID", None)
        larder = w.larder(w.redis(), env=env)
        notify.wait("READY=1")
        for _ in range(3):
            notify.wait("WATCHDOG=1")
        larder.signal(signal.SIGHUP)
        assert "MONOTONIC_USEC=" in notify.wait("RELOADING=1")
        notify.wait("READY=1")
        larder.expect_exit = True
        larder.signal(signal.SIGTERM)
        notify.wait("STOPPING=1")
        assert larder.process.wait(3 * TIMEOUT) == 0


def test_ready_without_an_upstream(w):
    """A sidecar starts before its Redis does."""
    notify = Notify(w)
    w.larder(("127.0.0.1", free_port()), env={**os.environ, "NOTIFY_SOCKET": notify.name})
    notify.wait("READY=1")


def test_watchdog_of_another_process(w):
    """WATCHDOG_PID that is not ours means nothing to us."""
    notify = Notify(w)
    env = {**os.environ, "NOTIFY_SOCKET": notify.name, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}
    redis = w.redis()
    w.larder(redis, env=env)
    notify.wait("READY=1")
    redis.cmd("BLPOP", "no-such-list", 0.4)
    notify.sock.setblocking(False)
    try:
        while True:
            assert "WATCHDOG=1" not in notify.sock.recv(4096).decode()
    except BlockingIOError:
        pass


def test_socket_activation(w):
    """Descriptors from 3 on are listeners already: TCP and Unix; a restart refuses nobody."""
    redis = w.redis()
    tcp = socket.socket()
    tcp.bind(("127.0.0.1", free_port()))
    tcp.listen(100)
    path = os.path.join(redis.dir, "activated.sock")
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(path)
    unix.listen(100)
    # two adjacent descriptors, high enough not to be in the way
    os.dup2(tcp.fileno(), 100)
    os.dup2(unix.fileno(), 101)
    port = tcp.getsockname()[1]
    early = w.conn(("127.0.0.1", port))
    early.send(b"PING\r\n")
    larder = None
    try:
        ini = (f"[listener a]\naddress = 127.0.0.1:{port}\n[listener b]\naddress = unix:{path}\n"
               f"[upstream]\naddress = 127.0.0.1:{redis.port}\n")
        larder = w.larder(redis, ini=ini, wait=False,
                          env={**os.environ, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "larder.socket:larder.socket"},
                          wrap=[sys.executable, "-c", LAUNCH, "100", "2"], pass_fds=(100, 101))
    finally:
        os.close(100)
        os.close(101)
    assert early.reply(timeout=3 * TIMEOUT) == b"PONG"
    assert w.conn(path).cmd("SET", "k", "v") == b"OK"
    assert w.conn(("127.0.0.1", port)).cmd("GET", "k") == b"v"
    larder.expect_exit = True
    larder.signal(signal.SIGTERM)
    assert larder.process.wait(3 * TIMEOUT) == 0
    # the sockets are systemd's: they still listen, and the file is still there
    assert os.path.exists(path)
    with socket.create_connection(("127.0.0.1", port), TIMEOUT):
        pass
    tcp.close()
    unix.close()


# logs

def logged(w, form, env=None):
    redis = w.redis()
    larder = w.larder(redis, larder={"log_format": form, "log_level": "info"}, env=env,
                      up={"command_timeout": "200ms"})
    c = w.conn(larder)
    c.ok("SET", "unusual-key", "unusual-value")
    c.cmd("NOPE", "unusual-argument")
    c.cmd("AUTH", "unusual-user", "unusual-password")
    c.send(b"*x\r\n")
    c.rest()
    redis.kill()
    larder.cmd("GET", "unusual-key")
    redis.start()
    larder.expect_exit = True
    larder.signal(signal.SIGTERM)
    larder.process.wait(3 * TIMEOUT)
    log = larder.log()
    assert "unusual" not in log, "keys, values or names of clients are in the log"
    assert log.strip()
    return log.splitlines()


def test_log_text(w):
    for line in logged(w, "text"):
        assert re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", line), line


def test_log_json(w):
    for line in logged(w, "json"):
        entry = json.loads(line)
        assert isinstance(entry, dict) and {"time", "level"} <= set(entry), line


def test_log_journal(w):
    for line in logged(w, "journal"):
        assert re.match(r"<[3-7]>\S", line), line


def test_log_auto_under_systemd(w):
    """$JOURNAL_STREAM that names stderr means prefixes; another file, or none, means text."""
    larder = w.larder(w.redis(), env={**os.environ, "JOURNAL_STREAM": "1:1"})
    assert not larder.log().startswith("<")
    redis = w.redis()
    stat = os.stat(redis.log_path)
    env = {**os.environ, "JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}
    path = write(w, f"[listener a]\naddress = 127.0.0.1:{free_port()}\n[upstream]\naddress = 127.0.0.1:1\n")
    with open(redis.log_path, "ab") as log:
        process = subprocess.Popen([*WITH_PARENT, LARDER, "-c", path], stderr=log, stdout=log, env=env)
    try:
        eventually(lambda: re.search(r"^<[3-7]>", redis.log(), re.M))
    finally:
        process.terminate()
        process.wait(3 * TIMEOUT)


# the console

def test_larder_console(w):
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


REFUSED = """ACL SETUSER x|ACL DELUSER x|ACL LIST|ACL GETUSER default|ACL USERS|ACL LOAD|ACL SAVE|ACL LOG|
BGREWRITEAOF|BGSAVE|SAVE|CLUSTER RESET|CLUSTER FAILOVER|CLUSTER MEET a 1|CONFIG SET maxmemory 1|
CONFIG RESETSTAT|CONFIG REWRITE|DEBUG SLEEP 0|DEBUG OBJECT k|FAILOVER|MIGRATE h 1 k 0 1|MODULE LOAD x|
MODULE UNLOAD x|PSYNC ? -1|SYNC|REPLCONF x|REPLICAOF NO ONE|SLAVEOF NO ONE|SHUTDOWN NOSAVE|SWAPDB 0 1|
LATENCY RESET|SLOWLOG RESET|shutdown|config set a b|Debug Sleep 0"""
PASSED = """ACL WHOAMI|ACL CAT|ACL GENPASS|CLUSTER INFO|CLUSTER NODES|CLUSTER SLOTS|CLUSTER SHARDS|CLUSTER MYID|
CLUSTER KEYSLOT k|CONFIG GET maxmemory|MODULE LIST|LATENCY LATEST|SLOWLOG GET|SLOWLOG LEN|LATENCY DOCTOR|
MEMORY DOCTOR|OBJECT HELP|FLUSHALL|FLUSHDB|COMMAND COUNT|INFO|ROLE|LASTSAVE|TIME|DBSIZE|MEMORY USAGE k"""


def listed(text):
    return [line.strip().split() for line in text.replace("\n", "").split("|")]


def test_admin_commands_are_refused(w):
    pair = w.pair()
    c = w.conn(pair.larder)
    c.ok("SET", "k", "v")
    for words in listed(REFUSED):
        answer = c.cmd(*words)
        assert isinstance(answer, Error) and answer.startswith((b"NOPERM ", b"ERR ")), (words, answer)
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
