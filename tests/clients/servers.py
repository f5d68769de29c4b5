"""The servers under test: a private redis-server, and larder before it.

Suites may ask for a restart in the middle of a test. They do so over a small control port: one line per
connection, such as "restart larder", answered with "ok" once the server answers PING again, or "error ...".
Every process is stopped by its own id.
"""
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from wire import Wire

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))

from sentinel_tls import Guard  # noqa: E402

READY_SECONDS = 20
STOP_SECONDS = 15
MOST_CRASHES = 10
PASSWORD = "between the walls"
DATABASES = 5  # the suites use no others
TENANTS = ("ann", "bob")
OWN_USERS = ("cat", "dan")  # tenants with a user of the upstream's each, who is held to its prefix
TENANT_PREFIX = "larder-clients:tenant-"
USERS = tuple("larder-clients-" + name for name in ("app", "reader", "net", "cli", "node", "io"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, seconds, what):
    """Waits for a condition; the pause only spares the processor."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not after {seconds} s")
        time.sleep(0.005)


POLICIES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "policies.ini")


def near_text():
    return "[policy everything]\nprefix = *\nlocal = yes\n" if os.environ.get("LARDER_NEAR") else ""


def tenants_text():
    """All may run scripts."""
    return "".join(f"[tenant {name}]\nprefix = {TENANT_PREFIX}{name}:\npassword = {name}'s own\n"
                   "scripts = allow\n" + ("" if name in TENANTS else
                                          f"upstream_username = {upstream_user(name)}\n"
                                          f"upstream_password = {name}-upstream\n")
                   for name in TENANTS + OWN_USERS)


def upstream_user(name):
    return "larder-clients-" + name


def upstream_users():
    """As README.md has it; KEYS is for KEYS and DBSIZE in MULTI, SORT is @dangerous."""
    return [word for name in OWN_USERS for word in (
        "--user", upstream_user(name), "on", f">{name}-upstream", f"~{TENANT_PREFIX}{name}:*",
        f"&{TENANT_PREFIX}{name}:*", "+@all", "-@admin", "-@dangerous", "+keys", "+sort")]


class Server:
    """One process that answers PING on a port."""

    def __init__(self, name, command, port, log):
        self.name, self.command, self.port, self.log = name, command, port, log
        self.greeting = b"+PONG\r\n"  # how the answer to PING begins
        self.question, self.answer = b"PUBLISH larder-clients:nobody x\r\n", b":0\r\n"  # of Redis
        self.process = None
        self.running = False  # as far as anybody wants it to

    def launch(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, start_new_session=True)
        self.running = True

    def start(self):
        self.launch()
        until(self.answers, READY_SECONDS, f"{self.name} answers on port {self.port}")

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with status {self.process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as probe:
                probe.sendall(b"PING\r\n")
                return probe.recv(64).startswith(self.greeting)
        except OSError:
            return False

    def reaches_redis(self):
        said = b""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as probe:
                probe.sendall(self.question)
                while len(said) < len(self.answer) and self.answer.startswith(said):
                    piece = probe.recv(64)
                    if not piece:
                        break
                    said += piece
        except OSError:
            return False
        return said == self.answer

    def end(self, how):
        """Sends the signal, waits, returns the exit status."""
        self.running = False
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None

    def dead(self):
        return self.process is None or self.process.poll() is not None


class Servers:
    """Starts, restarts and stops what the suites talk to."""

    def __init__(self, directory, larder, at):
        self.directory, self.at = directory, at
        self.larder_path = larder
        self.direct = at == "redis"
        self.upstream = self.larder = self.sentinel = None
        self.upstream_lines = ""
        # More before the same upstream: two with the policies of policies.ini, one with tenants, one
        # with a namespace.
        self.sidecars = []
        self.trouble = []
        self.crashes = 0
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.control = None
        self.locked_port = self.socket_path = None

    def start(self):
        if self.at and not self.direct:
            return
        self.upstream = self.make_upstream()
        self.upstream.start()
        if self.direct:
            self.larder = self.upstream
            self.socket_path = os.path.join(self.directory, "redis.sock")
        else:
            if self.sentinel:
                self.sentinel.launch()
            self.larder = self.make_larder()
            self.sidecars = [self.make_sidecar(name) for name in ("sidecar", "other")]
            self.sidecars.append(self.make_variant("tenants", tenants_text()))
            self.sidecars.append(self.make_variant(
                "namespace", "[larder]\nnamespace = larder-clients:space:\n"))
            for server in (self.larder, *self.sidecars):
                server.start()
        self.listen()

    def settle(self):
        """Waits until what the last suite did to Redis is over for all that stand before it."""
        for server in () if self.direct or self.larder is None else (self.larder, *self.sidecars):
            until(server.reaches_redis, READY_SECONDS, f"{server.name} reaches Redis")

    def make_upstream(self):
        port = free_port()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                   "--appendonly", "no", "--dir", self.directory,
                   "--unixsocket", os.path.join(self.directory, "redis.sock"), *upstream_users()]
        self.upstream_lines = f"address = 127.0.0.1:{port}\n"
        if os.environ.get("LARDER_SENTINEL") and not self.direct:
            command += self.make_sentinel()
        return Server("redis-server", command, port, os.path.join(self.directory, "redis.log"))

    def make_sentinel(self):
        """What the upstream needs to be found by it over TLS."""
        directory, port = os.path.join(self.directory, "sentinel"), free_port()
        os.mkdir(directory)
        guard = Guard(directory, free_port(), port)
        self.sentinel = Server("sentinel", guard.sentinel_command, port,
                               os.path.join(self.directory, "sentinel.log"))
        self.upstream_lines = guard.upstream
        return guard.redis_options

    def make_larder(self):
        if not os.access(self.larder_path, os.X_OK):
            sys.exit(f"{self.larder_path} is not there: build larder first, or set LARDER")
        port, self.locked_port = free_port(), free_port()
        self.socket_path = os.path.join(self.directory, "larder.sock")
        settings = os.path.join(self.directory, "larder.ini")
        with open(settings, "w", encoding="ascii") as out:
            out.write("[larder]\nshutdown_timeout = 3s\n"
                      f"[listener main]\naddress = 127.0.0.1:{port}\n"
                      f"[listener socket]\naddress = unix:{self.socket_path}\n"
                      f"[listener locked]\naddress = 127.0.0.1:{self.locked_port}\n"
                      f"password = {PASSWORD}\n"
                      f"[upstream]\n{self.upstream_lines}backoff_max = 250ms\n"
                      + near_text())
        return Server("larder", [self.larder_path, "-c", settings], port,
                      os.path.join(self.directory, "larder.log"))

    def make_sidecar(self, name):
        port = free_port()
        settings = os.path.join(self.directory, f"{name}.ini")
        with open(POLICIES, encoding="ascii") as policies, open(settings, "w", encoding="ascii") as out:
            out.write(f"[listener main]\naddress = 127.0.0.1:{port}\n"
                      f"[upstream]\n{self.upstream_lines}" + policies.read())
        return Server(name, [self.larder_path, "-c", settings], port,
                      os.path.join(self.directory, f"{name}.log"))

    def make_variant(self, name, text):
        """One with these settings, that keeps in memory what it may where the first one does."""
        port, settings = free_port(), os.path.join(self.directory, f"{name}.ini")
        with open(settings, "w", encoding="ascii") as out:
            out.write(text + f"[listener main]\naddress = 127.0.0.1:{port}\n"
                      f"[upstream]\n{self.upstream_lines}" + near_text())
        server = Server(name, [self.larder_path, "-c", settings], port,
                        os.path.join(self.directory, f"{name}.log"))
        if name == "tenants":
            server.greeting = b"-NOAUTH"
            server.question = f'AUTH {TENANTS[0]} "{TENANTS[0]}\'s own"\r\n'.encode() + server.question
            server.answer = b"+OK\r\n" + server.answer
        return server

    def environment(self):
        """What the suites need to know."""
        if self.at and not self.direct:
            host, _, port = self.at.rpartition(":")
            return {"LARDER_HOST": host, "LARDER_PORT": port,
                    "UPSTREAM_HOST": host, "UPSTREAM_PORT": port}
        known = {"LARDER_HOST": "127.0.0.1", "LARDER_PORT": str(self.larder.port),
                 "UPSTREAM_HOST": "127.0.0.1", "UPSTREAM_PORT": str(self.upstream.port),
                 "LARDER_SOCKET": self.socket_path,
                 "CONTROL_PORT": str(self.control.getsockname()[1])}
        for server in self.sidecars:  # SIDECAR_PORT, OTHER_PORT, TENANTS_PORT, NAMESPACE_PORT
            known[server.name.upper() + "_PORT"] = str(server.port)
        if self.locked_port:
            known.update(LOCKED_PORT=str(self.locked_port), LOCKED_PASSWORD=PASSWORD)
        return known

    def listen(self):
        self.control = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.serve, daemon=True).start()
        threading.Thread(target=self.watch, daemon=True).start()

    def serve(self):
        while True:
            try:
                asked, _ = self.control.accept()
            except OSError:
                return
            with asked:
                try:
                    line = asked.makefile("r").readline().split()
                    self.obey(*line)
                    asked.sendall(b"ok\n")
                except Exception as error:  # the suite shall read it, whatever it is
                    self.tell(asked, f"error {error}\n")

    @staticmethod
    def tell(asked, text):
        try:
            asked.sendall(text.encode())
        except OSError:
            pass

    def obey(self, verb, name):
        server = {"larder": self.larder, "upstream": self.upstream}[name]
        how = {"restart": signal.SIGTERM, "crash": signal.SIGKILL,
               "stop": signal.SIGTERM, "start": None}[verb]
        with self.lock:
            if how:
                status = server.end(how)
                if how == signal.SIGTERM and status != 0:
                    self.trouble.append(f"{server.name} ended with status {status} on SIGTERM")
            if verb != "stop":
                server.start()

    def watch(self):
        """Starts again what ended by itself, so that the tests that follow still say something."""
        while not self.hopeless() and not self.stopping.wait(0.02):
            with self.lock:
                for server in {self.upstream, self.larder, *self.sidecars}:
                    if server.running and server.dead():
                        self.crashes += 1
                        self.trouble.append(f"{server.name} ended by itself, status {server.process.returncode}")
                        server.launch()

    def hopeless(self):
        return self.crashes >= MOST_CRASHES

    def troubles(self):
        """What went wrong with the servers since the last call."""
        with self.lock:
            trouble, self.trouble = self.trouble, []
        return trouble

    def finish(self):
        """The last test: larder ends well. Somebody else's server is only cleaned."""
        if self.larder is None:
            self.clean()
            return []
        if self.direct:
            return []
        with self.lock:
            ends = {s.name: s.end(signal.SIGTERM) for s in (self.larder, *self.sidecars)}
        wrong = {name: status for name, status in ends.items() if status != 0}
        if not wrong:
            return ["ok larder: ends with status 0 when asked to"]
        self.show_logs(40)
        return [f"FAIL {name}: ended with status {status} on SIGTERM" for name, status in wrong.items()]

    def clean(self):
        """Removes what the suites left in a server that lives on: keys by their prefix, users by name."""
        host, _, port = self.at.rpartition(":")
        with Wire(host, int(port)) as wire:
            for db in range(DATABASES):
                cursor = "0" if wire.ask("SELECT", db).kind == "+" else None
                while cursor is not None:
                    frame = wire.ask("SCAN", cursor, "MATCH", "larder-clients:*", "COUNT", 1000)
                    cursor = frame.value[0].value
                    for name in frame.value[1].value:
                        wire.ask("UNLINK", name.value.encode("latin-1"))
                    cursor = None if cursor == "0" else cursor
            for name in USERS:
                wire.ask("ACL", "DELUSER", name)

    def stop(self):
        self.stopping.set()
        if self.control:
            self.control.close()
        for server in (*self.sidecars, self.larder, self.sentinel, self.upstream):
            if server:
                server.end(signal.SIGTERM)

    def show_logs(self, lines):
        for server in {self.larder, self.upstream, *self.sidecars} - {None}:
            with open(server.log, encoding="utf-8", errors="replace") as log:
                tail = log.readlines()[-(lines if server is not self.upstream else 5):]
            print(f"--- the last lines of {os.path.basename(server.log)}")
            print("".join(tail), end="", flush=True)
