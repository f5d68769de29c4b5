"""As a service: notifications, sockets handed to it, logs."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile

from program import write
from resp import TIMEOUT, eventually
from servers import LARDER, WITH_PARENT, free_port

LAUNCH = """
import os, sys
fd, count = int(sys.argv[1]), int(sys.argv[2])
for i in range(count):
    os.dup2(fd + i, 3 + i)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[3], sys.argv[3:])
"""


class Notify:
    """A socket as systemd's."""

    def __init__(self, w, abstract=False):
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
    env = {
        **os.environ,
        "NOTIFY_SOCKET": notify.name,
        "WATCHDOG_USEC": "100000",
        "WATCHDOG_PID": "1"}
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
        larder = w.larder(
            redis,
            ini=ini,
            wait=False,
            env={
                **os.environ,
                "LISTEN_FDS": "2",
                "LISTEN_FDNAMES": "larder.socket:larder.socket"},
            wrap=[
                sys.executable,
                "-c",
                LAUNCH,
                "100",
                "2"],
            pass_fds=(
                100,
                101))
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
    path = write(
        w, f"[listener a]\naddress = 127.0.0.1:{free_port()}\n[upstream]\naddress = 127.0.0.1:1\n")
    with open(redis.log_path, "ab") as log:
        process = subprocess.Popen([*WITH_PARENT, LARDER, "-c", path],
                                   stderr=log, stdout=log, env=env)
    try:
        eventually(lambda: re.search(r"^<[3-7]>", redis.log(), re.M))
    finally:
        process.terminate()
        process.wait(3 * TIMEOUT)
