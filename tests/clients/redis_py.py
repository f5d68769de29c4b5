"""redis-py (Debian's python3-redis 4.3, RESP2): what a program does with a healthy server."""
import asyncio
import os
import sys
import threading

import redis
import redis.asyncio

from harness import (DIRECT, HOST, NEAR, PORT, SOCKET, UPSTREAM_HOST, UPSTREAM_PORT, Skip, key,
                     raises, run_tests, same, test, until)

BIG = os.urandom(1 << 20) * 8


def client(**options):
    options.setdefault("socket_timeout", 20)
    return redis.Redis(HOST, PORT, **options)


def upstream():
    return redis.Redis(UPSTREAM_HOST, UPSTREAM_PORT, socket_timeout=20)


def background(function):
    """Runs function in a thread; the returned function waits for its result, or raises its error."""
    box = {}

    def body():
        try:
            box["got"] = function()
        except BaseException as error:
            box["error"] = error

    thread = threading.Thread(target=body, daemon=True)
    thread.start()

    def result():
        thread.join(20)
        assert not thread.is_alive(), "the thread did not end"
        if "error" in box:
            raise box["error"]
        return box["got"]

    return result


def blocked(c):
    return c.info("clients")["blocked_clients"]


@test("values of every type")
def types():
    c = client()
    odd = bytes(range(256)) + b"\r\n$-1\r\n*3\r\n"
    c.set(key("s"), odd)
    same(c.get(key("s")), odd)
    same(c.get(key("none")), None)
    c.set(key("empty"), b"")
    same(c.get(key("empty")), b"")
    same(c.rpush(key("l"), *range(300)), 300)
    same(c.lrange(key("l"), 0, -1), [str(i).encode() for i in range(300)])
    c.hset(key("h"), mapping={f"f{i}": i for i in range(200)})
    same(c.hgetall(key("h")), {f"f{i}".encode(): str(i).encode() for i in range(200)})
    c.zadd(key("z"), {"a": 1.5, "b": float("inf"), "c": -2})
    same(c.zrange(key("z"), 0, -1, withscores=True), [(b"c", -2.0), (b"a", 1.5), (b"b", float("inf"))])
    same(c.sadd(key("set"), "x", "y"), 2)
    same(c.smembers(key("set")), {b"x", b"y"})
    same(c.setrange(key("r"), 5, "x"), 6)
    same(c.getrange(key("r"), 0, -1), b"\0\0\0\0\0x")
    same(c.type(key("z")), b"zset")
    same(c.mget([key("s"), key("l"), key("none")]), [odd, None, None])
    same(c.incrbyfloat(key("f"), 0.25), 0.25)
    same(c.geoadd(key("geo"), (13.36, 38.11, "Palermo")), 1)
    same(c.object("encoding", key("l")) in (b"quicklist", b"listpack"), True)


def near_hits(c):
    """What larder's near cache has answered: values, and missing keys; waits until it is in service."""
    def in_service():
        flat = c.execute_command("LARDER", "STATS")
        stats = dict(zip(flat[::2], flat[1::2]))
        return stats[b"cache_trust"] == 2 and stats
    stats = until(in_service, "the near cache is in service")
    return stats[b"cache_hits"], stats[b"cache_negative"]


def hits():
    c, other = client(), client()
    other.set(key("s"), "kept")
    other.hset(key("h"), mapping={"a": 1, "b": 2})

    def read():
        same(c.get(key("s")), b"kept")
        same(c.hgetall(key("h")), {b"a": b"1", b"b": b"2"})
        same(c.mget(key("s"), key("none")), [b"kept", None])
        same(c.get(key("none")), None)

    before = near_hits(other)
    read()
    between = near_hits(other)
    for _ in range(10):
        read()
    after = near_hits(other)
    assert between[0] - before[0] <= 1  # MGET finds what GET has brought
    # of 30 and 20: the push about what was just written may have come in between
    assert after[0] - between[0] >= 20 and after[1] - between[1] >= 15, (between, after)
    other.set(key("s"), "new")
    same(c.get(key("s")), b"new")


if NEAR and not DIRECT:
    test("hits: what was read once comes from the near cache")(hits)


@test("errors are the server's own")
def errors():
    c = client()
    c.set(key("s"), "text")
    raises(redis.ResponseError, c.lpush, key("s"), 1, text="WRONGTYPE")
    raises(redis.ResponseError, c.incr, key("s"), text="not an integer")
    raises(redis.ResponseError, c.execute_command, "GET", text="wrong number of arguments for 'get'")
    raises(redis.ResponseError, c.execute_command, "NOSUCH", "a\r\nb", text="unknown command 'NOSUCH'")
    raises(redis.ResponseError, c.execute_command, "CLIENT", "SETINFO", "LIB-NAME", "x",
           text="SETINFO")
    same(c.ping(), True)


@test("the server's answers about itself")
def introspection():
    c, direct = client(), upstream()
    info = c.info()
    same(info["redis_version"], direct.info()["redis_version"])
    same((info["role"], info["loading"]), ("master", 0))
    same(set(direct.info("everything")) - set(c.info("everything")), set())
    same(c.command_count(), direct.command_count())
    same(len(c.execute_command("COMMAND")), c.command_count())
    same(c.config_get("maxmemory-policy"), direct.config_get("maxmemory-policy"))
    assert c.time()[0] > 0 and c.lastsave() and c.memory_usage(key("s")) is None
    same(c.role() if hasattr(c, "role") else c.execute_command("ROLE"), direct.execute_command("ROLE"))


@test("pipeline of 20,000 commands")
def pipeline():
    c = client()
    with c.pipeline(transaction=False) as p:
        for i in range(10000):
            p.set(key(f"p{i % 50}"), i).get(key(f"p{i % 50}"))
        got = p.execute()
    same(got, [part for i in range(10000) for part in (True, str(i).encode())])


@test("pipeline with errors in the middle")
def pipeline_errors():
    c = client()
    with c.pipeline(transaction=False) as p:
        p.set(key("s"), "x").lpush(key("s"), 1).get(key("s")).execute_command("NOSUCH").echo("end")
        got = p.execute(raise_on_error=False)
    same([got[0], got[2], got[4]], [True, b"x", b"end"])
    assert isinstance(got[1], redis.ResponseError) and isinstance(got[3], redis.ResponseError), got


@test("pipeline whose replies are 40 MB")
def pipeline_big():
    c = client()
    c.set(key("big"), BIG[:1 << 20])
    with c.pipeline(transaction=False) as p:
        for i in range(40):
            p.get(key("big")).echo(str(i))
        got = p.execute()
    for i in range(40):
        assert got[2 * i] == BIG[:1 << 20], f"reply {i} is another"
        same(got[2 * i + 1], str(i).encode())


@test("transactions")
def transactions():
    c = client()
    with c.pipeline() as p:
        same(p.set(key("a"), 1).incr(key("a")).get(key("a")).execute(), [True, 2, b"2"])
        p.set(key("a"), "x").incr(key("a")).set(key("b"), "y")
        got = p.execute(raise_on_error=False)
        assert got[0] is True and isinstance(got[1], redis.ResponseError) and got[2] is True, got
        p.set(key("a"), "z").execute_command("NOSUCH")
        raises(redis.exceptions.ResponseError, p.execute, text="unknown command")
    same(c.mget(key("a"), key("b")), [b"x", b"y"])
    raises(redis.ResponseError, c.execute_command, "EXEC", text="EXEC without MULTI")
    raises(redis.ResponseError, c.execute_command, "DISCARD", text="DISCARD without MULTI")


@test("WATCH: a conflict, none, UNWATCH")
def watch():
    c, other = client(), client()
    c.set(key("w"), 1)
    with c.pipeline() as p:
        p.watch(key("w"))
        same(p.get(key("w")), b"1")
        other.set(key("w"), 2)
        p.multi()
        p.set(key("w"), "lost")
        raises(redis.WatchError, p.execute)
        same(c.get(key("w")), b"2")
        p.watch(key("w"))
        p.multi()
        same(p.set(key("w"), 3).execute(), [True])
        p.watch(key("w"))
        other.set(key("w"), 4)
        p.unwatch()
        p.multi()
        same(p.set(key("w"), 5).execute(), [True])


@test("WATCH: 8 clients count to 400 together")
def watch_contended():
    c = client()
    c.set(key("n"), 0)

    def count():
        own = client()
        for _ in range(50):
            own.transaction(lambda p: (lambda n: (p.multi(), p.set(key("n"), n + 1)))(int(p.get(key("n")))),
                            key("n"))

    for wait in [background(count) for _ in range(8)]:
        wait()
    same(c.get(key("n")), b"400")


@test("a client that leaves inside MULTI leaves nothing behind")
def leave_in_multi():
    c = client()
    for _ in range(30):
        quitter = redis.Connection(HOST, PORT)
        quitter.send_command("WATCH", key("left"))
        quitter.read_response()
        quitter.send_command("MULTI")
        quitter.read_response()
        quitter.send_command("SET", key("left"), "x")
        same(quitter.read_response(), b"QUEUED")
        quitter.disconnect()
        with c.pipeline() as p:
            same(p.incr(key("sane")).get(key("left")).execute()[1], None)
    same(c.get(key("sane")), b"30")


@test("publish and subscribe, with patterns")
def pubsub():
    c, p = client(), client().pubsub()
    p.subscribe(key("one"), key("two"))
    p.psubscribe(key("t*"))
    same([p.get_message(timeout=10)["type"] for _ in range(3)], ["subscribe", "subscribe", "psubscribe"])
    same(c.publish(key("one"), "hello"), 1)
    same(p.get_message(timeout=10), {"type": "message", "pattern": None, "channel": key("one").encode(),
                                     "data": b"hello"})
    same(c.publish(key("two"), BIG), 2)
    kinds = {m["type"]: m["data"] == BIG for m in (p.get_message(timeout=10), p.get_message(timeout=10))}
    same(kinds, {"message": True, "pmessage": True})
    same(c.pubsub_numsub(key("one")), [(key("one").encode(), 1)])
    same(sorted(c.pubsub_channels(key("*"))), [key("one").encode(), key("two").encode()])
    p.ping()
    same(p.get_message(timeout=10)["type"], "pong")
    p.unsubscribe()
    p.punsubscribe()
    same([p.get_message(timeout=10)["type"] for _ in range(3)], ["unsubscribe"] * 2 + ["punsubscribe"])
    until(lambda: c.publish(key("one"), "nobody") == 0, "nobody listens any more")
    p.close()


@test("publish and subscribe: 2,000 messages in order to 10 subscribers")
def pubsub_many():
    c = client()
    subscribers = [client().pubsub() for _ in range(10)]
    for p in subscribers:
        p.subscribe(key("many"))
        same(p.get_message(timeout=10)["type"], "subscribe")
    with c.pipeline(transaction=False) as batch:
        for i in range(2000):
            batch.publish(key("many"), i)
        same(batch.execute(), [10] * 2000)
    for p in subscribers:
        same([p.get_message(timeout=10)["data"] for _ in range(2000)], [b"%d" % i for i in range(2000)])
        p.close()


@test("blocking pops")
def blocking():
    c = client()
    for name, call, feed, wanted in (
            ("BLPOP", lambda b: b.blpop([key("q0"), key("q1")], 0), lambda: c.rpush(key("q1"), "x"),
             (key("q1").encode(), b"x")),
            ("BRPOP", lambda b: b.brpop(key("q2"), 15), lambda: c.rpush(key("q2"), "x", "y"),
             (key("q2").encode(), b"y")),
            ("BLMOVE", lambda b: b.blmove(key("q3"), key("q4"), 15), lambda: c.rpush(key("q3"), BIG), BIG),
            ("BZPOPMIN", lambda b: b.bzpopmin(key("q5"), 15), lambda: c.zadd(key("q5"), {"m": 1}),
             (key("q5").encode(), b"m", 1.0)),
            ("BLMPOP", lambda b: b.execute_command("BLMPOP", 15, 1, key("q6"), "LEFT"),
             lambda: c.rpush(key("q6"), "x"), [key("q6").encode(), [b"x"]])):
        before = blocked(c)
        result = background(lambda call=call: call(client()))
        until(lambda before=before: blocked(c) > before, f"{name} waits")
        feed()
        assert result() == wanted, name
    same(c.brpop(key("none"), 0.05), None)
    same(c.bzpopmax(key("none"), 0.05), None)


@test("a client that leaves while it blocks takes no element")
def blocking_left():
    c = client()
    before = blocked(c)
    quitters = [redis.Connection(HOST, PORT) for _ in range(10)]
    for quitter in quitters:
        quitter.send_command("BLPOP", key("left"), 0)
    until(lambda: blocked(c) == before + 10, "all wait")
    for quitter in quitters:
        quitter.disconnect()
    until(lambda: blocked(c) == before, "none waits any more")
    c.rpush(key("left"), "a", "b")
    same(c.lrange(key("left"), 0, -1), [b"a", b"b"])


@test("Lua: register_script, EVAL, errors, large replies")
def lua():
    c = client()
    script = c.register_script(f"-- {key('lua')}\nreturn {{KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}}")
    same(script(keys=[key("k")], args=["v"]), [key("k").encode(), b"v", 1])
    same(script(keys=[key("k")], args=["v"], client=client())[2], 2)
    same(c.script_exists(script.sha), [True])
    with c.pipeline() as p:
        script(keys=[key("k")], args=["v"], client=p)
        same(p.execute()[0][2], 3)
    same(c.eval("return {1, 'two', {3, {4}}, false}", 0), [1, b"two", [3, [4]], None])
    raises(redis.exceptions.NoScriptError, c.evalsha, "0" * 40, 0)
    raises(redis.ResponseError, c.eval, "return redis.error_reply('MINE broken')", 0, text="MINE broken")
    raises(redis.ResponseError, c.eval, "this is not lua", 0, text="compiling")
    same(len(c.eval("local t = {} for i = 1, 20000 do t[i] = i end return t", 0)), 20000)
    same(c.eval("return string.rep('x', 8388608)", 0) == b"x" * 8388608, True)


@test("functions: FUNCTION LOAD, FCALL, FCALL_RO")
def functions():
    c = client()
    library = f"larder_clients_{os.getpid()}"
    code = (f"#!lua name={library}\nredis.register_function{{function_name='{library}_get', "
            "callback=function(k, a) return redis.call('GET', k[1]) end, flags={'no-writes'}}")
    same(c.execute_command("FUNCTION", "LOAD", code), library.encode())
    c.set(key("f"), "v")
    same(c.execute_command("FCALL", library + "_get", 1, key("f")), b"v")
    same(c.execute_command("FCALL_RO", library + "_get", 1, key("f")), b"v")
    c.execute_command("FUNCTION", "DELETE", library)
    raises(redis.ResponseError, c.execute_command, "FCALL", library + "_get", 1, key("f"),
           text="Function not found")


@test("SCAN, HSCAN, SSCAN, ZSCAN")
def scan():
    c = client()
    names = {key(f"scan:{i}").encode() for i in range(1000)}
    c.mset({name: 1 for name in names})
    same(set(c.scan_iter(match=key("scan:*"), count=100)), names)
    c.hset(key("h"), mapping={i: i for i in range(1000)})
    c.sadd(key("set"), *range(1000))
    c.zadd(key("z"), {i: i for i in range(1000)})
    same(len(dict(c.hscan_iter(key("h")))), 1000)
    same(len(set(c.sscan_iter(key("set")))), 1000)
    same(len(dict(c.zscan_iter(key("z")))), 1000)
    same(set(c.keys(key("scan:*"))), names)
    same(c.unlink(*names), 1000)


@test("streams and consumer groups")
def streams():
    c, s = client(), key("stream")
    c.xgroup_create(s, "g", mkstream=True)
    before = blocked(c)
    result = background(lambda: client().xreadgroup("g", "late", {s: ">"}, block=15000))
    tail = background(lambda: client().xread({s: "$"}, block=15000))
    until(lambda: blocked(c) == before + 2, "both readers wait")
    first = c.xadd(s, {"n": 0})
    same(result(), [[s.encode(), [(first, {b"n": b"0"})]]])
    same(tail(), [[s.encode(), [(first, {b"n": b"0"})]]])
    ids = [c.xadd(s, {"n": i}) for i in range(1, 101)]
    got = c.xreadgroup("g", "one", {s: ">"}, count=60)[0][1]
    got += c.xreadgroup("g", "two", {s: ">"}, count=60)[0][1]
    same([i for i, _ in got], ids)
    same(c.xpending(s, "g")["pending"], 101)
    same(c.xack(s, "g", *ids[:60]), 60)
    claimed = c.execute_command("XAUTOCLAIM", s, "g", "three", 0, "0-0", "COUNT", 100)
    same(len(claimed[1]), 41)
    same(c.xlen(s), 101)
    same(c.xinfo_groups(s)[0]["consumers"], 4)
    same(c.xread({s: "$"}, block=20), [])
    raises(redis.ResponseError, c.xgroup_create, s, "g", text="BUSYGROUP")
    same(c.xtrim(s, maxlen=10, approximate=False), 91)


@test("8 MB binary values")
def big():
    c = client()
    c.set(key("big"), BIG)
    assert c.get(key("big")) == BIG, "another value came back"
    same(c.append(key("big"), b"tail"), len(BIG) + 4)
    assert c.getrange(key("big"), len(BIG) - 2, -1) == BIG[-2:] + b"tail"
    c.hset(key("bigh"), mapping={"a": BIG, "b": b"small"})
    assert c.hmget(key("bigh"), "b", "a") == [b"small", BIG]
    with c.pipeline() as p:
        got = p.set(key("big"), BIG).get(key("big")).strlen(key("big")).execute()
    assert got == [True, BIG, len(BIG)]
    with c.pipeline(transaction=False) as p:
        got = p.get(key("big")).mget(key("big"), key("big")).ping().execute()
    assert got == [BIG, [BIG, BIG], True]
    c.delete(key("big"), key("bigh"))


@test("8 MB values for some, small ones for others, at once")
def big_and_small():
    def large(n):
        own, value = client(), os.urandom(1 << 20) * 8
        for _ in range(3):
            own.set(key(f"big{n}"), value)
            assert own.get(key(f"big{n}")) == value, "another value came back"
        own.delete(key(f"big{n}"))

    def small(n):
        own = client()
        for i in range(300):
            own.set(key(f"small{n}"), f"{n}-{i}")
            same(own.get(key(f"small{n}")), f"{n}-{i}".encode())

    waits = [background(lambda n=n: large(n)) for n in range(3)]
    waits += [background(lambda n=n: small(n)) for n in range(8)]
    for wait in waits:
        wait()


@test("Lock: held, contended, extended, lost")
def lock():
    c, other = client(), client()
    name = key("lock")
    mine = c.lock(name, timeout=30)
    same(mine.acquire(blocking=False), True)
    same(other.lock(name, timeout=30).acquire(blocking=False), False)
    same(mine.extend(10), True)
    same(mine.reacquire(), True)
    waiting = background(lambda: other.lock(name, timeout=30, sleep=0.01).acquire(blocking_timeout=15))
    mine.release()
    same(waiting(), True)
    raises(redis.exceptions.LockError, mine.release)
    c.delete(name)
    held = c.lock(name, timeout=30)
    held.acquire()
    c.set(name, "stolen")
    raises(redis.exceptions.LockNotOwnedError, held.release)


@test("MONITOR")
def monitor():
    c = client()
    with client().monitor() as feed:
        word = key("monitored")
        same(c.echo(word), word.encode())
        c.set(word, "seen")
        for _ in range(1000):
            got = feed.next_command()
            if got["command"] == f"SET {word} seen":
                break
        else:
            raise AssertionError("the SET was not seen")


@test("a Unix socket")
def unix_socket():
    if not SOCKET:
        raise Skip("no Unix socket is known")
    c = redis.Redis(unix_socket_path=SOCKET, socket_timeout=20)
    c.set(key("u"), BIG)
    assert c.get(key("u")) == BIG
    c.delete(key("u"))


@test("asyncio: 1,000 tasks on 20 connections, publish and subscribe")
def aio():
    async def one(c, n):
        await c.set(key(f"a{n}"), n)
        same(await c.get(key(f"a{n}")), str(n).encode())

    async def main():
        pool = redis.asyncio.BlockingConnectionPool(host=HOST, port=PORT, max_connections=20, timeout=20)
        c = redis.asyncio.Redis(connection_pool=pool)
        await asyncio.gather(*(one(c, n) for n in range(1000)))
        p = c.pubsub()
        await p.subscribe(key("aio"))
        same((await p.get_message(timeout=10))["type"], "subscribe")
        same(await c.publish(key("aio"), "x"), 1)
        same((await p.get_message(timeout=10))["data"], b"x")
        await p.close()
        async with c.pipeline() as batch:
            same(await batch.incr(key("an")).incr(key("an")).execute(), [1, 2])
        await pool.disconnect()

    asyncio.run(main())


@test("sharded publish and subscribe, RESET, WAIT")
def others():
    c = redis.Connection(HOST, PORT)
    p = redis.Connection(HOST, PORT)

    def ask(connection, *words):
        connection.send_command(*words)
        return connection.read_response()

    same(ask(c, "SSUBSCRIBE", key("shard")), [b"ssubscribe", key("shard").encode(), 1])
    same(ask(p, "SPUBLISH", key("shard"), "x"), 1)
    same(c.read_response(), [b"smessage", key("shard").encode(), b"x"])
    raises(redis.ResponseError, ask, c, "GET", "a", text="Can't execute 'get'")
    same(ask(c, "RESET"), b"RESET")
    same(ask(c, "SET", key("w"), 1), b"OK")
    same(ask(c, "WAIT", 0, 100), 0)
    same(ask(c, "QUIT"), b"OK")
    raises(redis.ConnectionError, ask, c, "PING")
    p.disconnect()


if __name__ == "__main__":
    sys.exit(run_tests("redis-py"))
