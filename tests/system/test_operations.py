"""The program: its options, its listeners, its signals."""
import os
import re
import signal
import socket
import threading

from fake_server import FakeRedis
from program import run, setting, write
from resp import TIMEOUT, Closed, Conn, encode, eventually
from servers import free_port, scaled

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
           "command_timeout = 5 parsecs\n[nonsense]\nx = 1\n[listener a]\n"
           "address = 127.0.0.1:99999\n")
    path = write(w, bad)
    code, out, err = run("-c", path, "--check-config")
    assert code == 78, code
    for line in (2, 4, 7, 8, 9, 12):
        assert f"{path}:{line}: " in out + err, f"line {line} is not in:\n{out}{err}"


def test_start_with_a_bad_config(w):
    code, out, err = run("-c", write(w, "[larder]\nmax_clients = many\n"))
    assert code == 78 and ":2: " in err, (code, out, err)


def test_dump_config(w):
    text = ("[larder]\nmax_clients = 7\nclient_buffer_max = 1mb\n[upstream]\n"
            "address = 127.0.0.1:1\n"
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
        f.write(
            "[upstream]\naddress = 127.0.0.1:1234\n"
                "password_file = ${CREDENTIALS_DIRECTORY}/secret\n")
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


def test_sighup_says_why_not(w):
    """Whatever is logged. Once the reasons were information, which log_level = error left out."""
    redis = w.redis()
    larder = w.larder(redis, larder={"log_level": "error"})
    larder.configure(larder={"log_level": "error", "max_clients": "many"})
    larder.signal(signal.SIGHUP)
    eventually(lambda: re.search(r"reload: .*larder\.ini:\d+: .*max_clients", larder.log()))
    larder.configure(larder={"log_level": "error"}, up={"database": 3})
    larder.signal(signal.SIGHUP)
    eventually(lambda: "reload: upstream database" in larder.log())


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


def test_sighup_keeps_nobody_waiting(w):
    """The settings are read from what may take its time: here from a pipe that nobody writes to."""
    redis = w.redis()
    larder = w.larder(redis, larder={"max_clients": 100})
    c = w.conn(larder)

    def write(most):
        larder.configure(larder={"max_clients": most})  # waits for who reads

    os.unlink(larder.config)
    os.mkfifo(larder.config)
    for _ in range(3):
        larder.signal(signal.SIGHUP)
        assert c.cmd("SET", "k", "v") == b"OK" and c.cmd("GET", "k") == b"v"
        assert setting(larder, "max_clients") == "100"
    write(101)
    eventually(lambda: setting(larder, "max_clients") == "101")
    write(102)  # of those that came meanwhile
    eventually(lambda: setting(larder, "max_clients") == "102")
    larder.signal(signal.SIGHUP)
    assert c.cmd("GET", "k") == b"v"
    larder.expect_exit = True
    larder.signal(signal.SIGTERM)
    assert larder.process.wait(TIMEOUT) == 0


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


def test_sigusr2_dumps_everybody(w):
    """Once the log's limit on floods cut the state of many clients after 200 lines."""
    larder = w.larder(w.redis())
    ids = [w.conn(larder).cmd("CLIENT", "ID") for _ in range(scaled(400, 250))]
    larder.signal(signal.SIGUSR2)
    eventually(lambda: f"state: id={ids[-1]} " in larder.log())
    log = larder.log()
    missing = [i for i in ids if log.count(f"state: id={i} ") != 1]
    assert not missing, missing
    assert f"state: clients_clients:{len(ids)}\n" in log and "state: upstream=" in log
    assert "left out" not in log


def test_ignored_signals(w):
    larder = w.larder(w.redis())
    for number in (signal.SIGPIPE,):
        larder.signal(number)
    assert w.conn(larder).cmd("PING") == b"PONG"
