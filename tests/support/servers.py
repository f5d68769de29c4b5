"""servers.py - the servers a test needs: started in private directories on free ports of 127.0.0.1,
stopped by their own pid, their logs kept for the report of a failure.

    LARDER       the binary under test (build/larder)
    LARDER_AT    host:port of a larder that runs already; then UPSTREAM_AT is the Redis behind it
                 (the same address when unset: Redis against itself). Tests that need a larder of
                 their own are skipped.
    LARDER_SLOW  multiplies every timeout: for sanitizers and slow machines
    LARDER_NEAR  larder keeps every key in its near cache, which no test may notice
    LARDER_POLICY  every key is under a policy that gives, cuts and renews expiries: what no test may
                 notice but by looking at a TTL, or by counting what Redis is sent
    LARDER_TLS   every larder speaks TLS to its Redis, which no test may notice; "both": and to its
                 clients
    LARDER_SENTINEL  every larder finds its Redis by a Sentinel, over TLS where LARDER_TLS is set

A World is what one test function is given. It starts things and afterwards stops what it started.
Servers die with the process that started them (setpriv --pdeathsig), so a killed test leaves none.
"""
import atexit
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from certificates import Authority, redis_options
from clock import Clock
from resp import SLOW, TIMEOUT, TLS, Conn, Error, connect, encode, eventually

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LARDER = os.environ.get("LARDER") or os.path.join(ROOT, "build", "larder")
WITH_PARENT = ["setpriv", "--pdeathsig", "KILL"]
SANITIZER_WORDS = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "MemorySanitizer")
NOISE = ("overcommit", "client: connected", "client: closed", "reason=gone")
CRASH_WORDS = SANITIZER_WORDS + ("check failed", "CHECK failed", "Segmentation fault")


class Skip(Exception):
    """The test cannot run here; its text says why."""


def raise_file_limit():
    """Soft limit to the hard one, for tests with thousands of connections; returns it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY:
        hard = 1 << 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def sanitized():
    """Is the larder under test built with a sanitizer? Then memory and CPU say nothing."""
    try:
        with open(LARDER, "rb") as f:
            binary = f.read()
    except OSError:
        return False
    return b"__asan_init" in binary or b"__ubsan_handle" in binary or b"__tsan_init" in binary


def scaled(count, least=1):
    """Fewer rounds where everything is slow."""
    return count if SLOW <= 1 and not sanitized() else max(least, count // 10)


def free_port():
    """Below the ephemeral ports, so that no outgoing connection takes it meanwhile."""
    while True:
        port = random.SystemRandom().randrange(10000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def is_old(program):
    """Is that a Redis 6, see tests/support/get-servers?"""
    return "/redis-6/" in program or "/redis-6.2/" in program


def split_address(text):
    host, port = text.rsplit(":", 1)
    return (host, int(port))


class Server:
    """A child process with a directory and a log."""

    def __init__(self, name):
        self.name = name
        self.dir = tempfile.mkdtemp(prefix=f"larder-test-{name}-")
        self.log_path = os.path.join(self.dir, "log")
        self.process = None
        self.expect_exit = False  # a test that ends it itself says so
        self.stopped = False
        self.last_log = ""

    def spawn(self, argv, env=None, pass_fds=(), limits=()):
        command = WITH_PARENT + (["prlimit", *limits] if limits else []) + list(argv)
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        cwd=self.dir, env=env, pass_fds=pass_fds)
        log.close()

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """kill -9, and gone."""
        self.expect_exit = True
        if self.alive():
            self.process.kill()
        self.process.wait()

    def pause(self):
        self.signal(signal.SIGSTOP)
        eventually(lambda: self.state() == "T")

    def resume(self):
        self.signal(signal.SIGCONT)

    def state(self):
        with open(f"/proc/{self.pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0]

    def log(self):
        try:
            with open(self.log_path, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return self.last_log  # stopped and removed already

    def log_tail(self, lines=40):
        text = [line for line in self.log().splitlines()
                if not any(noise in line for noise in NOISE)]
        return "\n".join(f"    {self.name}| {line}" for line in text[-lines:])

    # what /proc knows

    def status(self, field):
        """A field of /proc/PID/status in kB."""
        with open(f"/proc/{self.pid}/status") as f:
            for line in f:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
        raise AssertionError(f"no {field}")

    def rss_kb(self):
        return self.status("VmRSS")

    def peak_kb(self):
        return self.status("VmHWM")

    def reset_peak(self):
        with open(f"/proc/{self.pid}/clear_refs", "w") as f:
            f.write("5")

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def open_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def remove(self):
        self.last_log = self.log()
        shutil.rmtree(self.dir, ignore_errors=True)


class Redis(Server):
    """A private redis-server without persistence, or what program names instead."""

    def __init__(self, options=(), unix=False, acl=None, program="redis-server", env=None,
                 tls=True):
        super().__init__("redis")
        self.program = program
        self.env = env
        self.options = list(options)
        if not is_old(program):
            self.options += ["--enable-debug-command", "yes"]
        if acl:
            path = os.path.join(self.dir, "users.acl")
            with open(path, "w") as f:
                f.write("\n".join(acl) + "\n")
            self.options += ["--aclfile", path]
        self.unix = os.path.join(self.dir, "redis.sock") if unix else None
        self.password = None
        self.port = self.guard = None
        self.tls_address = None
        if os.environ.get("LARDER_TLS") and program == "redis-server" and tls:
            self.tls_address = ("127.0.0.1", free_port())
            self.options += redis_options(self.tls_address[1], authority(), authority().server)
        self.start()

    def start(self):
        """Starts it, after kill() on the same port."""
        for _ in range(20):
            port = self.port or free_port()
            extra = ["--unixsocket", self.unix] if self.unix else []
            self.spawn([self.program, "--bind", "127.0.0.1", "--port", str(port), "--save", "",
                        "--appendonly", "no", "--daemonize", "no", "--dir", self.dir,
                        *extra, *self.options], env=self.env)
            self.address = ("127.0.0.1", port)
            if self.serves():
                self.port = port
                return
            if self.alive():  # whoever it is that does not answer there
                self.process.kill()
            self.process.wait()
        raise AssertionError("redis-server does not start:\n" + self.log_tail())

    def serves(self):
        deadline = time.monotonic() + TIMEOUT
        while self.alive() and time.monotonic() < deadline:
            try:
                sock = connect(self.address)
                sock.sendall(encode("PING"))
                if sock.recv(100):
                    # of this process, not of another that had the port before
                    return self.alive()
            except OSError:
                time.sleep(0.005)
        return False

    def restart(self):
        self.kill()
        self.start()

    def log_tail(self, lines=8):
        return super().log_tail(lines)

    def direct(self, proto=2, **more):
        return Conn(self.address, proto, **more)

    def cmd(self, *args):
        """One command on a connection of its own."""
        conn = self.direct()
        try:
            if self.password:
                conn.ok("AUTH", self.password)
            return conn.cmd(*args)
        finally:
            conn.close()

    def info(self, section, field):
        text = self.cmd("INFO", section).decode()
        for line in text.splitlines():
            if line.startswith(field + ":"):
                return line.split(":", 1)[1]
        raise AssertionError(f"no {field} in INFO {section}")

    def blocked(self):
        return int(self.info("clients", "blocked_clients"))

    def connections(self):
        """How many connections it has been given so far, without the one that asks."""
        return int(self.info("stats", "total_connections_received")) - 1

    def wipe(self):
        conn = self.direct()
        if self.password:
            conn.ok("AUTH", self.password)
        for command in (("FLUSHALL",), ("SCRIPT", "FLUSH"), ("FUNCTION", "FLUSH")):
            if command[0] != "FUNCTION" or not is_old(self.program):
                conn.ok(*command)
        conn.close()

    def sentinel(self):
        """A Sentinel that knows it, started when it is first asked for."""
        from sentinels import Secure, Sentinel  # they stand on this file
        if self.guard is None:
            secure = Secure(None, authority(), authority().server) if self.tls_address else None
            port = (self.tls_address or self.address)[1]
            self.guard = Sentinel("127.0.0.1", port, 1, secure=secure).start()
        return self.guard

    def stop(self):
        if self.guard is not None:
            self.guard.stop()
        if self.alive():
            self.process.kill()  # nothing to save; also when stopped by SIGSTOP
        self.process.wait()
        self.remove()
        return []


class Larder(Server):
    """A larder with a configuration of its own."""

    def __init__(self, upstream=None, larder=None, listener=None, up=None, ini=None, **start):
        super().__init__("larder")
        self.config = os.path.join(self.dir, "larder.ini")
        self.address = ("127.0.0.1", free_port())
        self.upstream = upstream
        self.sections = (larder, listener, up)
        self.start_options = start
        self.configure(ini)
        self.start()

    def configure(self, ini=None, **changes):
        """Writes the file; changes: larder=, listener=, up= replace the section."""
        larder, listener, up = self.sections
        TLS.pop(self.address, None)
        if os.environ.get("LARDER_TLS") == "both" and ini is None:
            own = authority().server
            listener = {"tls_cert": own.cert, "tls_key": own.key, **(listener or {})}
            TLS[self.address] = authority().context()
        larder = changes.get("larder", larder)
        listener = changes.get("listener", listener)
        up = changes.get("up", up)
        self.sections = (larder, listener, up)
        if ini is None:
            ini = make_ini(self.address, self.upstream, larder, listener, up)
            ini += policy_for_all()
        with open(self.config, "w") as f:
            f.write(ini.replace("@PORT@", str(self.address[1])).replace("@DIR@", self.dir))

    def start(self):
        wait = self.start_options.pop("wait", True)
        wrap = self.start_options.pop("wrap", [])
        self.spawn([*wrap, LARDER, "-c", self.config], **self.start_options)
        if wait and not self.serves():
            tail = self.log_tail()
            if self.alive():
                self.process.kill()
            code = self.process.wait()
            self.remove()
            raise AssertionError(f"larder does not start (exit {code}):\n{tail}")

    def serves(self):
        deadline = time.monotonic() + 2 * TIMEOUT
        while self.alive() and time.monotonic() < deadline:
            try:
                sock = connect(self.address)
                sock.sendall(encode("PING"))
                if sock.recv(100):
                    return self.alive()
            except OSError:
                pass
            time.sleep(0.005)
        return False

    def connect(self, proto=2, **more):
        return Conn(self.address, proto, **more)

    def cmd(self, *args):
        conn = self.connect()
        try:
            return conn.cmd(*args)
        finally:
            conn.close()

    def stats(self):
        """LARDER STATS as a dict of name -> int."""
        return read_stats(self.cmd("LARDER", "STATS"))

    def problems(self):
        """What its log says that no larder should ever say."""
        log = self.log()
        found = [f"larder's log has {word!r}" for word in CRASH_WORDS if word in log]
        if not self.expect_exit and not self.alive():
            found.append(f"larder ended by itself, exit {self.process.poll()}")
        return found

    def stop(self):
        if self.stopped:
            return []
        self.stopped = True
        found = self.problems()
        if self.alive():
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            try:
                code = self.process.wait(3 * TIMEOUT)
                if code != 0 and not self.expect_exit:
                    found.append(f"larder's exit code after SIGTERM is {code}")
            except subprocess.TimeoutExpired:
                found.append("larder does not end after SIGTERM")
                self.process.kill()
                self.process.wait()
            found += [p for p in self.problems() if "log has" in p and p not in found]
        self.remove()
        return found


# What LARDER_NEAR=1 and LARDER_POLICY=1 add to every configuration that the tests do not write whole.
NEAR = "[policy everything]\nprefix = *\nlocal = yes\n"
EXPIRY = "ttl = 1d\nmax_ttl = 2d\nsliding = 1d\n"


def policy_for_all():
    near, expiry = os.environ.get("LARDER_NEAR"), os.environ.get("LARDER_POLICY")
    if not near and not expiry:
        return ""
    text = NEAR if near else "[policy everything]\nprefix = *\n"
    return text + (EXPIRY if expiry else "")


NEAR_LINKS = 1 if os.environ.get("LARDER_NEAR") else 0  # the invalidation link, lent for long


def alone_with_redis():
    """For tests that count all of Redis' own clients: the invalidation link is one of them."""
    if os.environ.get("LARDER_NEAR"):
        raise Skip("LARDER_NEAR: Redis has a client more, the invalidation link")


def only_plain(why):
    """For tests that TLS cannot be hidden from."""
    if os.environ.get("LARDER_TLS"):
        raise Skip("LARDER_TLS: " + why)


def scripted():
    """For tests that script every reply, or count what is asked: larder must ask nothing besides."""
    if os.environ.get("LARDER_NEAR") or os.environ.get("LARDER_POLICY"):
        raise Skip("LARDER_NEAR, LARDER_POLICY: larder asks a scripted server for more")


def make_ini(address, upstream, larder=None, listener=None, up=None):
    up, listener = dict(up or {}), dict(listener or {})
    if upstream is not None:
        where = upstream if isinstance(upstream, (tuple, str)) else upstream.address
        if getattr(upstream, "tls_address", None) and "address" not in up:
            where = upstream.tls_address
            up = {"tls": "yes", "tls_ca": authority().cert, **up}
        if os.environ.get("LARDER_SENTINEL") and isinstance(upstream, Redis) and "address" not in up:
            return make_ini(address, None, larder, listener,
                            {"sentinels": "%s:%d" % upstream.sentinel().address,
                             "master": "mymaster", **up})
        up.setdefault("address", "unix:" + where if isinstance(where, str) else "%s:%d" % where)
    listener.setdefault("address", "%s:%d" % address)
    text = ""
    for name, rows in (("larder", larder or {}), ("listener main", listener), ("upstream", up)):
        text += f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in rows.items()) + "\n"
    return text


def read_stats(reply):
    """Counters from the reply of LARDER STATS, whether pairs or lines."""
    assert not isinstance(reply, Error), f"LARDER STATS: {reply!r}"
    if isinstance(reply, bytes):
        text = reply.decode().replace("txt:", "",
                                      1) if reply.startswith(b"txt:") else reply.decode()
        pairs = [line.replace(":", " ", 1).split()[:2] for line in text.splitlines()
                 if line and not line.startswith("#")]
    else:
        flat = [x for pair in reply for x in pair] if reply and isinstance(
            reply[0], (tuple, list)) else list(reply)
        pairs = [(flat[i].decode(), flat[i + 1]) for i in range(0, len(flat) - 1, 2)]
    stats = {}
    for pair in pairs:
        try:
            stats[pair[0]] = int(pair[1])
        except (ValueError, IndexError, TypeError):
            continue
    return stats


class Elsewhere:
    """A server that runs already (LARDER_AT)."""

    def __init__(self, address):
        self.address = address
        self.password = None

    connect = Larder.connect
    direct = Redis.direct
    cmd = Redis.cmd
    stats = Larder.stats
    info = Redis.info
    blocked = Redis.blocked
    connections = Redis.connections
    wipe = Redis.wipe
    program = "redis-server"

    def alive(self):
        return True

    def problems(self):
        return []

    def log_tail(self):
        return ""


class Pair:
    """A Redis and a larder in front of it."""

    def __init__(self, redis, larder):
        self.redis, self.larder = redis, larder


def authority():
    """Of LARDER_TLS; one for all."""
    if "authority" not in SHARED_FILES:
        SHARED_FILES["authority"] = Authority()
        SHARED_FILES["authority"].server = SHARED_FILES["authority"].issue("server")
        atexit.register(SHARED_FILES["authority"].stop)
    return SHARED_FILES["authority"]


SHARED_FILES = {}
SHARED = {}  # pairs that the tests of one process share: the worker's, not a test's


class World:
    """What one test may use; end() stops what it started and tells what was wrong."""

    def __init__(self):
        self.started, self.conns, self.used = [], [], []
        self.program = "redis-server"  # of the servers that redis() starts

    def add(self, thing):
        self.started.append(thing)
        return thing

    def redis(self, *options, **more):
        return self.add(Redis(options, **{"program": self.program, **more}))

    def larder(self, upstream=None, **more):
        if "LARDER_AT" in os.environ:
            raise Skip("needs a larder of its own, and LARDER_AT is set")
        return self.add(Larder(upstream, **more))

    def clock(self):
        """A clock to move, and under it what clock.redis() and clock.larder() start."""
        return self.add(Clock(self, LARDER))

    def pair(self, admin=False):
        """A pair shared with other tests, wiped. Leave its settings as they are."""
        if "LARDER_AT" in os.environ:
            at = os.environ["LARDER_AT"]
            pair = Pair(Elsewhere(split_address(os.environ.get("UPSTREAM_AT", at))),
                        Elsewhere(split_address(at)))
        else:
            pair = SHARED.get(admin) or self.new_pair(admin)
        self.used.append(pair)
        pair.redis.wipe()
        return pair

    @staticmethod
    def new_pair(admin):
        redis = Redis()
        try:
            larder = Larder(redis, larder={"admin_commands": "allow" if admin else "deny"})
        except AssertionError:
            redis.stop()
            raise
        SHARED[admin] = Pair(redis, larder)
        return SHARED[admin]

    def conn(self, server, proto=2, **more):
        """A connection that is closed when the test ends; server: ours or an address."""
        address = server if isinstance(server, (tuple, str)) else server.address
        conn = Conn(address, proto, **more)
        self.conns.append(conn)
        return conn

    def logs(self):
        pairs = {id(p): p for p in self.used}.values()
        things = self.started + [s for p in pairs for s in (p.redis, p.larder)]
        return "\n".join(filter(None, (t.log_tail() for t in things if hasattr(t, "log_tail"))))

    def end(self):
        for conn in self.conns:
            conn.close()
        found = []
        for thing in sorted(reversed(self.started), key=lambda t: not isinstance(t, Larder)):
            found += thing.stop() or []
        for pair in {id(p): p for p in self.used}.values():
            found += pair.larder.problems()
        return found


def drop_shared():
    """Stops the shared pairs: after a failure, and at the end. Tells what was wrong."""
    found = []
    for pair in SHARED.values():
        found += pair.larder.stop() + pair.redis.stop()
    SHARED.clear()
    return found
