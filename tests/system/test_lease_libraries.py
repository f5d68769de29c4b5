"""Leases before real clients: redis-py's pools and pipelines, ioredis with and without automatic
pipelining, node-redis, hiredis' asynchronous interface. The programs are tests/clients/leases.py,
leases.js and hiredis_leases.c."""
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile

from leases import Leases
from resp import SLOW
from servers import ROOT, Skip

PYTHON = "/usr/bin/python3"  # where Debian's packages are
CLIENTS = os.path.join(ROOT, "tests", "clients")


def node_modules():
    """Where tests/clients/nodejs.py has installed them, if it has."""
    with open(os.path.join(CLIENTS, "package-lock.json"), "rb") as lock:
        digest = hashlib.sha256(lock.read()).hexdigest()[:16]
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(cache, "larder-clients", digest, "node_modules")


def run(s, argv, *tests, env=None):
    argv = [*argv, str(s.larder.address[1]), *tests]
    done = subprocess.run(argv, env={**os.environ, **(env or {})}, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=100 * SLOW, check=False)
    assert done.returncode == 0 and done.stdout.endswith("ok\n"), done.stdout + done.stderr
    s.rest()


def test_redis_py(w):
    if subprocess.run([PYTHON, "-c", "import redis"], capture_output=True, check=False).returncode:
        raise Skip("python3-redis is not installed")
    argv = [PYTHON, "-B", os.path.join(CLIENTS, "leases.py")]
    s = Leases(w)
    run(s, argv, "get_or_load", "pipelines", "coroutines")
    assert s.since("timed_out") == 0, s.counters()
    # who looks again under the lock may wait for itself, over another connection of its pool
    run(Leases(w, lease_wait="300ms"), argv, "locks")


def test_node_clients(w):
    if not shutil.which("node") or not os.path.isdir(node_modules()):
        raise Skip("node or its packages are not installed (tests/clients/run ioredis-3)")
    s = Leases(w)
    run(s, ["node", os.path.join(CLIENTS, "leases.js")], env={"NODE_PATH": node_modules()})
    assert s.since("timed_out") == 0, s.counters()


def test_hiredis(w):
    cc = shlex.split(os.environ.get("CC", "cc"))
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "hiredis", "libevent"],
                           capture_output=True, text=True, check=False)
    if flags.returncode or not shutil.which(cc[0]):
        raise Skip("a compiler, libhiredis-dev or libevent-dev is not installed")
    with tempfile.TemporaryDirectory(prefix="larder-test-hiredis-") as at:
        binary = os.path.join(at, "hiredis_leases")
        subprocess.run([*cc, "-std=c11", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-o", binary,
                        os.path.join(CLIENTS, "hiredis_leases.c"), *shlex.split(flags.stdout)],
                       check=True, stdin=subprocess.DEVNULL, timeout=100 * SLOW)
        s = Leases(w)
        run(s, [binary])
    assert s.since("timed_out") == 0 and s.since("interrupted") > 0, s.counters()


for test in (test_redis_py, test_node_clients, test_hiredis):
    test.timeout = 100
del test
