"""clock.py - a clock that a test moves, with redis-server and larder under it.

    clock = w.clock()
    redis = clock.redis()
    larder = clock.larder(redis, ini=..)
    clock.move(3600)                # an hour later for both, at once

Both are started with tests/support/preload_clock.c, which `make system` builds: it adds the number
in a shared file to every clock that they read. Their timers see a move within 10 ms of real time,
so what hangs on a timer is to be waited for with eventually(); what is looked up when a command
comes, as an expiry is in Redis, has moved when move() returns. The time of the test itself, and so
the timeouts of its connections, is not moved.

A move is as if everything had stood still for so long: what is under way at that moment runs into
its timeouts.
"""
import ctypes
import glob
import mmap
import os
import shutil
import tempfile
import time

BUILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build")


def preload(larder):
    """The built shim: beside the larder under test, else the youngest that this tree has."""
    beside = os.path.dirname(os.path.abspath(larder))
    for place in (os.path.join(beside, "release"), beside):
        path = os.path.join(place, "preload_clock.so")
        if os.path.exists(path):
            return path
    found = glob.glob(os.path.join(BUILD, "*", "preload_clock.so"))
    assert found, "preload_clock.so is missing: make build/release/preload_clock.so"
    return os.path.abspath(max(found, key=os.path.getmtime))


class Clock:
    """Starts at the real time. Of one test; removed with it."""

    def __init__(self, world, larder):
        self.world = world
        self.dir = tempfile.mkdtemp(prefix="larder-test-clock-")
        path = os.path.join(self.dir, "moved_by")
        with open(path, "wb") as f:
            f.write(bytes(8))
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 8)
        self.moved_by = ctypes.c_int64.from_buffer(self.map)  # written in one piece
        # A larder with ASan's library would want that one to be the first.
        asan = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        self.env = {**os.environ, "LD_PRELOAD": preload(larder), "LARDER_CLOCK": path,
                    "ASAN_OPTIONS": asan.lstrip(":")}

    def move(self, seconds):
        """Forwards; never back. Fractions are fine."""
        assert seconds >= 0
        self.moved_by.value += round(seconds * 1e9)

    def now(self):
        """The Unix time under it, in seconds."""
        return time.time() + self.moved_by.value / 1e9

    def redis(self, *options, **more):
        return self.world.redis(*options, env=self.env, **more)

    def larder(self, upstream=None, **more):
        return self.world.larder(upstream, env=self.env, **more)

    def stop(self):
        self.moved_by = None  # before the map that it looks into
        self.map.close()
        shutil.rmtree(self.dir, ignore_errors=True)
        return []
