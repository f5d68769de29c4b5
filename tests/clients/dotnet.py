"""What Microsoft.Extensions.Caching.StackExchangeRedis sends for IDistributedCache and HybridCache.

StackExchange.Redis puts all callers of a process on one connection, so the commands of several calls
follow each other there; the classes below keep that shape. A cache entry is a hash: absexp and sldexp in
ticks of 100 ns (or -1), data the bytes.
"""
import hashlib
import os
import sys

from harness import HOST, PORT, key, run_tests, same, test
from wire import Wire, pack

BIG = os.urandom(1 << 20) * 8
HOUR = 3600
TICKS = 10_000_000
OLD_SET = """
                redis.call('HSET', KEYS[1], 'absexp', ARGV[1], 'sldexp', ARGV[2], 'data', ARGV[4])
                if ARGV[3] ~= '-1' then
                  redis.call('EXPIRE', KEYS[1], ARGV[3])
                end
                return 1"""


class Cache:
    """The cache of one process: one connection, RESP3 or RESP2."""

    def __init__(self, protocol):
        self.wire = Wire(HOST, PORT)
        self.protocol = protocol
        self.nil = {2: b"$-1\r\n", 3: b"_\r\n"}[protocol]
        if protocol == 3:
            same(self.wire.ask("HELLO", 3).kind, "%")

    def set(self, name, data, sliding=None):
        """.NET 8 and later: two commands in one go, no transaction."""
        stored, expire = self.wire.batch([
            ("HMSET", name, "absexp", -1, "sldexp", sliding * TICKS if sliding else -1, "data", data),
            ("EXPIRE", name, sliding or HOUR)])
        same((stored.raw, expire.raw), (b"+OK\r\n", b":1\r\n"))

    def get(self, name):
        """HMGET, then EXPIRE when the entry slides."""
        frame = self.wire.ask("HMGET", name, "absexp", "sldexp", "data")
        absolute, sliding, data = [member.value for member in frame.value]
        if absolute is not None and sliding != "-1":
            same(self.wire.ask("EXPIRE", name, int(sliding) // TICKS).raw, b":1\r\n")
        return data

    def try_get(self, name):
        """IBufferDistributedCache: HMGET and HGET in one go."""
        meta, data = self.wire.batch([("HMGET", name, "absexp", "sldexp"), ("HGET", name, "data")])
        if data.value is not None and meta.value[1].value != "-1":
            same(self.wire.ask("PEXPIRE", name, 1000 * (int(meta.value[1].value) // TICKS) + 1).raw, b":1\r\n")
        return data.value

    def remove(self, name):
        return self.wire.ask("UNLINK", name).raw

    def close(self):
        same(self.wire.ask("QUIT").raw, b"+OK\r\n")
        self.wire.close()


def both(name):
    """Registers a test once per protocol."""
    def register(function):
        for protocol in (3, 2):
            def run(protocol=protocol):
                cache, other = Cache(protocol), Cache(protocol)
                function(cache, other)
                cache.close()
                other.close()
            test(f"{name}, RESP{protocol}")(run)
        return function
    return register


def text(data):
    return data.decode("latin-1")


@both("set, get, refresh, remove")
def entries(cache, other):
    name = key("entry")
    same(cache.get(name), None)
    same(cache.try_get(name), None)
    cache.set(name, b"\0one\r\n")
    same(other.get(name), "\0one\r\n")
    other.set(name, b"two")  # what one process writes, the other reads at once
    same(cache.get(name), "two")
    same(cache.try_get(name), "two")
    ttl = int(other.wire.ask("TTL", name).value)
    assert HOUR - 60 < ttl <= HOUR, ttl
    same(cache.remove(name), b":1\r\n")
    same((cache.get(name), other.get(name), other.try_get(name)), (None, None, None))
    same(cache.remove(name), b":0\r\n")


@both("sliding expiration: every hit renews")
def sliding(cache, other):
    name = key("sliding")
    cache.set(name, b"x", sliding=1200)
    for _ in range(50):
        same(other.wire.ask("EXPIRE", name, 100).raw, b":1\r\n")
        same(cache.get(name), "x")
        assert 100 < int(other.wire.ask("TTL", name).value) <= 1200
        same(other.try_get(name), "x")


@both("an entry of 8 MB")
def big(cache, other):
    name = key("big")
    cache.set(name, BIG)
    assert other.get(name) == text(BIG) and other.try_get(name) == text(BIG)
    same(cache.remove(name), b":1\r\n")


@both("calls of 200 requests on one connection")
def multiplexed(cache, other):
    names = [key(f"m{i}") for i in range(200)]
    batch, wanted = b"", 0
    for i, name in enumerate(names):
        batch += pack("HMSET", name, "absexp", -1, "sldexp", -1, "data", f"value {i}")
        batch += pack("EXPIRE", name, HOUR)
        batch += pack("HMGET", name, "absexp", "sldexp", "data")
        batch += pack("HGET", names[i - 1], "data")
        wanted += 4
    cache.wire.send(batch)
    frames = [cache.wire.read() for _ in range(wanted)]
    for i in range(200):
        stored, expire, meta, before = frames[4 * i:4 * i + 4]
        same((stored.value, expire.value), ("OK", "1"))
        same([member.value for member in meta.value], ["-1", "-1", f"value {i}"])
        same(before.value, f"value {i - 1}" if i else None)
    same(other.wire.ask("UNLINK", *names).value, "200")


@both(".NET 7 and before: SCRIPT LOAD, EVALSHA")
def old_set(cache, other):
    name, digest = key("old"), hashlib.sha1(OLD_SET.encode()).hexdigest()
    missing = cache.wire.ask("EVALSHA", "0" * 40, 1, name, -1, -1, HOUR, "x")
    same(missing.raw, b"-NOSCRIPT No matching script. Please use EVAL.\r\n")
    same(cache.wire.ask("SCRIPT", "LOAD", OLD_SET).value, digest)
    for process in (cache, other):
        same(process.wire.ask("EVALSHA", digest, 1, name, -1, 20 * TICKS, HOUR, "payload").raw, b":1\r\n")
        same(other.get(name), "payload")
    assert 0 < int(cache.wire.ask("TTL", name).value) <= 20


@both("a Get that is a script, the output cache, tags")
def newer(cache, other):
    name, tag = key("__MSOCV_page"), key("__MSOCT_tag")
    script = "local v = redis.call('HMGET', KEYS[1], 'absexp', 'sldexp', 'data') " \
             "if v[3] then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end return v"
    cache.set(key("e"), b"x")
    same([m.value for m in cache.wire.ask("EVAL", script, 1, key("e"), 5000).value], ["-1", "-1", "x"])
    same(cache.wire.batch([("SET", name, "page", "PX", 60000), ("ZADD", tag, "GT", 5, name)])[1].value, "1")
    same(other.wire.ask("GET", name).value, "page")
    scanned = other.wire.ask("ZSCAN", tag, 0)
    same([member.value for member in scanned.value[1].value], [name, "5"])
    same([f.value for f in other.wire.batch([("ZREM", tag, name), ("DEL", name)])], ["1", "1"])
    same(cache.wire.ask("GET", name).raw, cache.nil)


if __name__ == "__main__":
    sys.exit(run_tests("dotnet"))
