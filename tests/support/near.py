"""near.py - larders with a near cache, for the tests that judge it.

The binary under test may not have one: then knows_cache() is False and need_cache() skips the test.
"""
import functools
import os
import re
import subprocess
import tempfile

from resp import eventually
from servers import LARDER, NEAR, Larder, Skip, make_ini, read_stats

TRUST = 3.0  # seconds: coherence_timeout's default
SECTIONS = "[cache]\nmax_memory = 256mb\n\n[policy all]\nprefix = *\nlocal = yes\n"


@functools.lru_cache(maxsize=None)
def knows_cache():
    """Does this larder know the sections of the near cache? PLAIN=1: it shall do without."""
    if os.environ.get("PLAIN") == "1":
        return False
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as f:
        f.write(SECTIONS)
        f.flush()
        try:
            return subprocess.run([LARDER, "--check-config", "-c", f.name], check=False,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, timeout=60).returncode == 0
        except OSError:
            return False


def need_cache():
    if "LARDER_AT" in os.environ:
        raise Skip("needs a larder of its own, and LARDER_AT is set")
    if not knows_cache():
        raise Skip("this larder has no near cache")


def rows(section, values):
    return f"[{section}]\n" + "".join(f"{k} = {v}\n" for k, v in values.items()) + "\n"


def near_ini(upstream, larder=None, up=None, cache=None, policy=None):
    """The text of a larder.ini in which every key is kept; @PORT@ is the listener's."""
    text = make_ini(("127.0.0.1", 0), upstream, larder, {"address": "127.0.0.1:@PORT@"}, up)
    if not knows_cache():
        return text
    cache = {"max_memory": "256mb", **(cache or {})}
    policy = {"prefix": "*", "local": "yes", **(policy or {})}
    text = text.replace(NEAR, "")  # LARDER_NEAR's own policy for every key
    return text + rows("cache", cache) + rows("policy all", policy)


def near_larder(w, upstream, arm=True, **sections):
    """Started, and (where there is a cache, and unless arm is False) keeping what is read."""
    larder = w.add(Larder(upstream, ini=near_ini(upstream, **sections)))
    if knows_cache() and arm:
        armed(larder)
    return larder


def armed(larder):
    """Waits until a key that was read comes from the cache: until Redis counts no GET for it."""
    conn = larder.connect()

    def gets():
        found = re.search(rb"cmdstat_get:calls=(\d+)", conn.ok("INFO", "commandstats"))
        return int(found.group(1)) if found else 0

    def kept():
        before = gets()
        conn.ok("GET", "armed?")
        return gets() == before
    try:
        conn.ok("SET", "armed?", "yes")
        eventually(kept)
        conn.ok("DEL", "armed?")
    finally:
        conn.close()


def near_stat(conn, name):
    """A counter of the near cache, over all policies, out of LARDER STATS; None: not counted."""
    stats = read_stats(conn.cmd("LARDER", "STATS"))
    found = [n for known, n in stats.items() if re.search(rf"(\b|_){name}\b", known)]
    return sum(found) if found else None
