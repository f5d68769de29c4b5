"""redis-benchmark: all its tests, shallow and deep, few and many clients. No rate is judged here."""
import csv
import io
import re
import subprocess
import sys

from harness import HOST, PORT, SOCKET, UPSTREAM_HOST, UPSTREAM_PORT, key, run_tests, same, test

# What redis-benchmark 7.0 runs when nothing is chosen, as its reports name them.
ALL = {"PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "LPUSH", "RPUSH", "LPOP", "RPOP", "SADD", "HSET", "SPOP",
       "ZADD", "ZPOPMIN", "LPUSH (needed to benchmark LRANGE)", "LRANGE_100 (first 100 elements)",
       "LRANGE_300 (first 300 elements)", "LRANGE_500 (first 500 elements)", "LRANGE_600 (first 600 elements)",
       "MSET (10 keys)"}
LEFT = ["counter:__rand_int__", "mylist", "myset", "myhash", "myzset", "key:__rand_int__"]


def bench(*words, at=None):
    """Runs it to its end; returns the names of the tests it reports."""
    command = ["redis-benchmark", *(at or ["-h", HOST, "-p", str(PORT)]), "--csv", *(str(word) for word in words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{command}: {done.returncode}: {done.stdout[-300:]} {done.stderr[-300:]}"
    said = done.stdout + done.stderr
    assert not re.search(r"error|ERR |WRONGTYPE|refused", said, re.I), said
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert rows and all(float(row["rps"]) > 0 for row in rows), done.stdout
    return {row["test"] for row in rows}


def clean():
    subprocess.run(["redis-cli", "-h", UPSTREAM_HOST, "-p", str(UPSTREAM_PORT), "UNLINK", *LEFT],
                   capture_output=True, timeout=20, check=True)


for depth, clients, requests in ((1, 50, 1000), (16, 50, 2000), (64, 50, 4000)):
    @test(f"all tests, pipeline {depth}, {clients} clients")
    def everything(depth=depth, clients=clients, requests=requests):
        same(bench("-n", requests, "-P", depth, "-c", clients), ALL)
        clean()


@test("pipeline 1, 16 and 64, 200 clients")
def many_clients():
    chosen = "ping_mbulk,set,get,lpush,lpop,mset"
    for depth in (1, 16, 64):
        same(len(bench("-n", 4000, "-c", 200, "-P", depth, "-t", chosen)), 6)
    clean()


@test("random keys")
def random_keys():
    chosen = "set,get,incr,lpush,sadd,hset,zadd"
    same(len(bench("-n", 5000, "-r", 1000, "-P", 16, "-t", chosen)), 7)
    subprocess.run(["redis-cli", "-h", UPSTREAM_HOST, "-p", str(UPSTREAM_PORT), "EVAL",
                    "for _, p in ipairs({'key:0*', 'counter:0*'}) do for _, k in ipairs(redis.call('KEYS', p)) do "
                    "redis.call('UNLINK', k) end end", "0"], capture_output=True, timeout=20, check=True)
    clean()


@test("RESP3")
def resp3():
    same(bench("-3", "-n", 2000, "-P", 16), ALL)
    clean()


@test("two threads")
def threads():
    same(len(bench("--threads", 2, "-n", 10000, "-P", 16, "-t", "set,get")), 2)
    clean()


@test("a connection per request")
def reconnect():
    same(len(bench("-k", 0, "-n", 2000, "-t", "set,get")), 2)
    clean()


@test("values of 100,000 bytes")
def large():
    same(len(bench("-d", 100000, "-n", 1000, "-P", 4, "-t", "set,get")), 2)
    clean()


@test("another database, a Unix socket")
def elsewhere():
    same(len(bench("--dbnum", 2, "-n", 1000, "-t", "set,get")), 2)
    if SOCKET:
        same(bench("-n", 2000, "-P", 16, at=["-s", SOCKET]), ALL)
    clean()


@test("a script, a blocking pop, random names of keys")
def commands():
    same(len(bench("-n", 2000, "EVAL", "return redis.call('INCR', KEYS[1])", 1, key("e"))), 1)
    same(len(bench("-n", 100, "-c", 20, "BLPOP", key("none"), "0.001")), 1)
    same(len(bench("-n", 2000, "-P", 4, "-r", 100, "SETEX", key("__rand_int__"), 100, "x")), 1)


@test("-q, the plain report")
def quiet():
    command = ["redis-benchmark", "-h", HOST, "-p", str(PORT), "-q", "-n", "1000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    same(done.returncode, 0)
    lines = [line for line in re.split(r"[\r\n]", done.stdout) if "requests per second" in line]
    same({line.partition(": ")[0] for line in lines}, ALL)
    clean()


if __name__ == "__main__":
    sys.exit(run_tests("redis-benchmark"))
