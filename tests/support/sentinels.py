"""sentinels.py - a master, its replicas, and real Sentinels that watch them.

    s = Watched(w)                 # three Sentinels, two replicas, ready to fail over
    larder = s.larder(up={..})     # whose upstream they name
    s.failover()                   # or s.master.kill(), s.master.pause()
    s.promoted(old)                # waits until the Sentinels agree on another master

Every server is on a free port of 127.0.0.1 and ends with the test.
"""
import os
import time

from certificates import Authority, redis_options
from fake_server import SILENT, FakeRedis, bulk
from near import near_ini
from relay import Relay
from resp import SLOW, TIMEOUT, TLS, Closed, Conn, Error, NoReply, connect, encode, eventually
from servers import Larder, Server, free_port

NAME = "mymaster"
DOWN_AFTER_MS = int(500 * SLOW)
# A Sentinel that has followed to another master has that long for its handshake there: else it takes
# it to be down as well.
DOWN_AFTER_TLS_MS = 4 * DOWN_AFTER_MS
# An election may have to be held again, and a Sentinel that finds that the machine stood still for
# two seconds does nothing for thirty (its TILT mode).
LONG = 30 * TIMEOUT
QUICK = {"connect_timeout": "500ms", "backoff_min": "5ms", "backoff_max": "50ms"}


class Sentinel(Server):
    """A redis-server --sentinel; `lines` are added to its configuration. secure: it speaks TLS and
    nothing else, also to the servers that it watches."""

    def __init__(self, host, port, quorum, lines=(), user_lines=(), secure=None):
        super().__init__("sentinel")
        self.monitor = (host, port, quorum)
        self.lines, self.user_lines = list(lines), list(user_lines)
        self.address = ("127.0.0.1", free_port())
        self.lines.append(f"port {0 if secure else self.address[1]}")
        self.down_after_ms = DOWN_AFTER_TLS_MS if secure else DOWN_AFTER_MS
        if secure:
            self.lines += secure.lines(self.address[1])
            TLS[self.address] = secure.context
        self.password = None

    def start(self):
        config = os.path.join(self.dir, "sentinel.conf")
        if not os.path.exists(config):
            host, port, quorum = self.monitor
            with open(config, "w") as f:
                f.write("\n".join([
                    "bind 127.0.0.1", f"dir {self.dir}",
                    *self.lines, f"sentinel monitor {NAME} {host} {port} {quorum}",
                    f"sentinel down-after-milliseconds {NAME} {self.down_after_ms}",
                    f"sentinel failover-timeout {NAME} 4000",
                    f"sentinel parallel-syncs {NAME} 2", *self.user_lines]) + "\n")
        self.expect_exit = False
        self.spawn(["redis-server", config, "--sentinel"])
        eventually(self.serves, timeout=4 * TIMEOUT)
        return self

    def serves(self):
        try:
            sock = connect(self.address)
            sock.sendall(encode("PING"))
            return bool(sock.recv(100)) and self.alive()
        except OSError:
            return False

    def cmd(self, *args):
        conn = Conn(self.address)
        try:
            if self.password:
                conn.ok("AUTH", *self.password)
            return conn.cmd(*args)
        finally:
            conn.close()

    def says(self):
        """The port of the master."""
        answer = self.cmd("SENTINEL", "get-master-addr-by-name", NAME)
        return int(answer[1]) if isinstance(answer, list) else None

    def fields(self):
        flat = self.cmd("SENTINEL", "MASTER", NAME)
        return {} if isinstance(flat, Error) else dict(zip(flat[::2], flat[1::2]))

    def ready(self, replicas, others):
        """It knows the replicas, which follow the master, and the other Sentinels."""
        f = self.fields()
        if int(f.get(b"num-slaves", 0)) < replicas or \
                int(f.get(b"num-other-sentinels", 0)) < others or f[b"flags"] != b"master":
            return False
        for flat in self.cmd("SENTINEL", "REPLICAS", NAME):
            one = dict(zip(flat[::2], flat[1::2]))
            if one[b"flags"] != b"slave" or one[b"master-link-status"] != b"ok":
                return False
        return True

    def stop(self):
        if self.alive():
            self.process.kill()
        if self.process is not None:
            self.process.wait()
        self.remove()
        return []


class Secure:
    """Certificates for Sentinels and what they watch: an authority, what Redis shows, and what the
    Sentinels show."""

    def __init__(self, w, ca=None, redis=None, sentinel=None, more=()):
        self.ca = ca or Authority(w)
        self.redis = redis or self.ca.issue("redis")
        self.sentinel = sentinel or self.redis
        self.more = list(more)
        self.own = self.ca.issue("client")
        self.context = self.ca.context(own=self.own, check=False)

    def options(self, port):
        return redis_options(port, self.ca, self.redis, "--tls-replication", "yes")

    def lines(self, port):
        """TLS towards the others goes with a certificate of the authority, whatever it shows."""
        options = redis_options(port, self.ca, self.sentinel, "--tls-replication", "yes",
                                "--tls-client-cert-file", self.own.cert,
                                "--tls-client-key-file", self.own.key, *self.more)
        return [f'{name[2:]} "{value}"' for name, value in zip(options[::2], options[1::2])]

    def up(self):
        return {"tls": "yes", "tls_ca": self.ca.cert}


class Watched:
    """secure: the Sentinels, the replicas and larder reach every server over TLS alone.
    relay: they reach the master through it alone, so that it can be cut off."""

    def __init__(self, w, count=3, replicas=2, options=(), lines=(), user_lines=(), start=True,
                 host="127.0.0.1", secure=None, relay=False):
        self.w, self.asked, self.secure = w, False, secure
        self.ports = {}  # where the Sentinels see a server -> it
        self.master = self.server(options)
        if relay:
            self.relay = w.add(Relay(("127.0.0.1", self.port_of(self.master))))
            self.ports[self.relay.address[1]] = self.ports.pop(self.port_of(self.master))
        port = str(self.port_of(self.master))
        self.replicas = [self.server([*options, "--replicaof", "127.0.0.1", port,
                                      "--repl-diskless-sync-delay", "0"])
                         for _ in range(replicas)]
        self.sentinels = [w.add(Sentinel(host, port, count // 2 + 1, lines, user_lines, secure))
                          for _ in range(count)]
        if start:
            for one in self.sentinels:
                one.start()

    def ready(self):
        """.. to fail over."""
        for one in self.sentinels:
            eventually(lambda one=one: one.ready(len(self.replicas), len(self.sentinels) - 1),
                       timeout=LONG, every=0.05)
        return self

    def server(self, options):
        port = free_port() if self.secure else None
        redis = self.w.redis(*options, *(self.secure.options(port) if port else []), tls=False)
        self.ports[port or redis.port] = redis
        return redis

    def port_of(self, redis):
        """.. as the Sentinels name it."""
        return next(port for port, server in self.ports.items() if server is redis)

    def up(self, **more):
        return {**up_of(*self.sentinels), **(self.secure.up() if self.secure else {}), **more}

    def larder(self, **more):
        return self.w.add(Larder(None, up=self.up(**more.pop("up", {})), **more))

    def near_larder(self, up=None, **more):
        """One that keeps every key that is read."""
        return self.w.add(Larder(None, ini=near_ini(None, up=self.up(**(up or {})), **more)))

    def follows(self, larder, redis, timeout=LONG):
        """Waits until its upstream is that server."""
        follows(larder, self.port_of(redis), timeout)

    def promoted(self, old=None):
        """The new master, as soon as a Sentinel names it and it says so itself."""
        old = old or self.master

        begin = time.monotonic()

        def agreed():
            nonlocal begin
            for one in self.sentinels:
                try:
                    port = one.says() if one.alive() else None
                    found = self.ports.get(port)
                    if found not in (None, old) and found.cmd("ROLE")[0] == b"master":
                        return found
                except (OSError, Closed, NoReply):
                    continue
            if self.asked and time.monotonic() - begin > 3 * TIMEOUT:
                begin = time.monotonic()  # one that was given up for TILT is not begun again
                self.sentinels[0].cmd("SENTINEL", "FAILOVER", NAME)
            return None
        new = eventually(agreed, timeout=LONG, every=0.02)
        self.asked = False
        return new

    def failover(self):
        """Asks for one until a Sentinel agrees."""
        self.asked = True
        eventually(lambda: self.sentinels[0].cmd("SENTINEL", "FAILOVER", NAME) == b"OK",
                   timeout=LONG, every=0.2)


class FakeSentinel:
    """Says what it is told to say: where (a port or a pair; None: unknown), epoch, or `reply` as it
    is; knows=False: SENTINEL MASTER is refused."""

    def __init__(self, w, where=None, epoch=0):
        self.where, self.epoch, self.reply, self.knows = where, epoch, None, True
        self.silent, self.password, self.watchers, self.logins = False, None, [], []
        self.fake = w.add(FakeRedis(self.script))
        self.address = self.fake.address

    def place(self):
        host, port = self.where if isinstance(self.where, tuple) else ("127.0.0.1", self.where)
        return host.encode(), str(port).encode()

    def script(self, link, argv):
        if argv[0] == b"AUTH":
            self.logins.append(argv[1:])
            link.logged_in = argv[1:] == self.password
            return b"+OK\r\n" if link.logged_in else b"-WRONGPASS invalid username-password\r\n"
        if self.silent:
            return SILENT
        if self.password and not getattr(link, "logged_in", False):
            return b"-NOAUTH Authentication required.\r\n"
        if argv[0] == b"SUBSCRIBE":
            self.watchers.append(link)
            return b"*3\r\n" + bulk(b"subscribe") + bulk(argv[1]) + b":1\r\n"
        if argv[0] == b"PING":
            return b"*2\r\n" + bulk(b"pong") + bulk(b"")
        if argv[0] != b"SENTINEL":
            return b"-ERR unknown command\r\n"
        if self.reply is not None:
            return self.reply
        if argv[1] == b"get-master-addr-by-name":
            if self.where is None or argv[2] != NAME.encode():
                return b"*-1\r\n"
            return b"*2\r\n" + b"".join(bulk(x) for x in self.place())
        if not self.knows:
            return b"-NOPERM no permissions\r\n"
        if self.where is None:
            return b"-ERR No such master with that name\r\n"
        return b"*4\r\n" + b"".join(bulk(x) for x in (b"name", NAME.encode(), b"config-epoch",
                                                      b"%d" % self.epoch))

    def announce(self, name=NAME):
        host, port = self.place()
        text = b"%s 127.0.0.1 1 %s %s" % (name.encode(), host, port)
        for link in list(self.watchers):
            try:
                link.send(b"*3\r\n" + bulk(b"message") + bulk(b"+switch-master") + bulk(text))
            except Exception:  # one that larder has closed meanwhile
                self.watchers.remove(link)


def up_of(*sentinels, **more):
    """The settings of an upstream that these name."""
    return {"sentinels": ", ".join("%s:%d" % getattr(s, "address", s) for s in sentinels),
            "master": NAME, **QUICK, **more}


def upstream_of(larder):
    """Where it says that its upstream is: what stands in LARDER LINKS."""
    for line in larder.cmd("LARDER", "LINKS").decode().splitlines():
        if "upstream=" in line:
            return line.split("upstream=", 1)[1].split(" ", 1)[0]
    raise AssertionError("no upstream in LARDER LINKS")


def follows(larder, redis, timeout=LONG):
    """Waits until its upstream is that server, or the one at that port."""
    port = getattr(redis, "port", redis)
    eventually(lambda: upstream_of(larder) == "127.0.0.1:%d" % port, timeout=timeout)


def wait_for_log(server, text, timeout=2 * TIMEOUT):
    eventually(lambda: text in server.log(), timeout=timeout)
