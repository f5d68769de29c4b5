"""Leases before real clients: redis-py's pools and pipelines, ioredis with and without automatic
pipelining, node-redis. The programs are tests/clients/leases.py and leases.js."""
import hashlib
import os
import shutil
import subprocess

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


for test in (test_redis_py, test_node_clients):
    test.timeout = 100
del test
