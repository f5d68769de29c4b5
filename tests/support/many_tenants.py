"""many_tenants.py - a larder with thousands of tenants, and what it costs beside one with ten."""
import re
import threading
import time

import instructions
from near import rows
from resp import connect, encode, eventually
from tenants import password, session, tenants_ini, tenants_larder

POLICIES = rows("policy all", {"prefix": "session:, user:", "local": "yes"})
FEW = 10
ASKED = 64


def many_larder(w, redis, n):
    return tenants_larder(w, redis, {f"t{i}": {} for i in range(n)}, sections=POLICIES)


def told(redis):
    """How many prefixes the server has been told to report."""
    return int(re.search(rb"tracking_total_prefixes:(\d+)", redis.cmd("INFO", "stats"))[1])


def cpu_s(pid):
    return time.clock_gettime((~pid << 3) | 2)


def rss_kb(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])


class Asking(threading.Thread):
    """One tenant's session that asks for its key again and again: how long did it wait at most?"""

    def __init__(self, conn):
        super().__init__()
        self.conn, self.most_s, self.asked, self.over = conn, 0.0, 0, False

    def run(self):
        while not self.over:
            began = time.monotonic()
            assert self.conn.ok("GET", "session:1") == b"v"
            self.most_s = max(self.most_s, time.monotonic() - began)
            self.asked += 1

    def end(self):
        self.over = True
        self.join()


def reload(larder, redis, n, other):
    """One tenant comes, one goes; returns the CPU time, and what another's session waited."""
    tenants = {f"t{i}": {} for i in range(n + 1) if i != 5}
    larder.configure(tenants_ini(redis, tenants, sections=POLICIES))
    asking = Asking(other)
    asking.start()
    eventually(lambda: asking.asked > 10)
    asking.most_s = 0.0
    before = cpu_s(larder.pid), time.monotonic()
    larder.signal(1)
    eventually(lambda: "settings reloaded" in larder.log_tail(), timeout=60)
    cpu, wall = cpu_s(larder.pid) - before[0], time.monotonic() - before[1]
    asking.end()
    return cpu, wall, asking.most_s


def measure(w, n):
    """name -> figure, of a larder with n tenants."""
    redis = w.redis()
    began = time.monotonic()
    larder = many_larder(w, redis, n)
    got = {"start, ms": (time.monotonic() - began) * 1e3,
           "start, ms of CPU": cpu_s(larder.pid) * 1e3}
    a = session(w, larder, f"t{n - 1}")
    a.ok("SET", "session:1", "v")
    a.ok("GET", "session:1")
    got["memory, MB"] = rss_kb(larder.pid) / 1024
    eventually(lambda: told(redis) > 0)
    got["prefixes told to Redis"] = told(redis)
    cpu, wall, waited = reload(larder, redis, n, a)
    session(w, larder, f"t{n}").ok("PING")
    got.update({"reload, ms of CPU": cpu * 1e3, "reload, ms": wall * 1e3,
                "a hit waits for the reload, ms": waited * 1e3})
    larder.stop()
    w.started.remove(larder)
    if instructions.there():
        got.update(counted(w, redis, n))
    return got


def many_asked(larder, name, *args):
    """A function that asks for it, so many times in one piece, and waits for the answers."""
    sock = connect(larder.address)
    sock.sendall(encode("AUTH", name, password(name)))
    assert sock.recv(100) == b"+OK\r\n"
    asked = encode(*args) * ASKED

    def ask():
        sock.sendall(asked)
        left = ASKED
        while left > 0:
            left -= sock.recv(1 << 16).count(b"$1\r\nv\r\n")

    return ask


def login(larder, name):
    sock = connect(larder.address)

    def ask():
        sock.sendall(encode("AUTH", name, password(name)))
        assert sock.recv(100) == b"+OK\r\n"

    return ask


def counted(w, redis, n):
    larder = w.add(instructions.CountedLarder(redis, tenants_ini(
        redis, {f"t{i}": {} for i in range(n)}, sections=POLICIES)))
    name, got = f"t{n // 2}", {}
    for what, args in (("a hit", ("GET", "session:1")), ("a GET that passes", ("GET", "other:1"))):
        session(w, larder, name).ok("SET", args[1], "v")
        ask = many_asked(larder, name, *args)
        for _ in range(4):
            ask()
        got[f"instructions of {what}, pipelined"] = larder.count(ask) / ASKED
    login(larder, name)()
    got["instructions of a login"] = larder.count(login(larder, name))
    return got


def report(w, n):
    few, many = measure(w, FEW), measure(w, n)
    print(f"{'':36}{FEW:>10} tenants{n:>10} tenants")
    for name, figure in few.items():
        print(f"{name:36}{figure:18.1f}{many[name]:18.1f}")
    each = (many["memory, MB"] - few["memory, MB"]) * 1024 / (n - FEW)
    print(f"{'memory of a tenant, KB':36}{'':18}{each:18.2f}", flush=True)
