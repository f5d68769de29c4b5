"""redis-py as two tenants at once, who use the same names for everything: neither sees the other's keys,
messages, locks or connections, and each is behind its own prefix upstream.

RESP3, and with it redis-py's own cache, where redis-py has it (5.1; Debian's 4.3 has not)."""
import os
import sys
import threading

import redis
from redis.lock import Lock

from harness import (HOST, UPSTREAM_HOST, UPSTREAM_PORT, Skip, key, raises, run_tests, same, test, until)
from servers import OWN_USERS, TENANT_PREFIX, TENANTS

PORT = int(os.environ.get("TENANTS_PORT", "0"))
PROTOCOLS = (2, 3) if int(redis.__version__.split(".")[0]) >= 5 else (2,)
WAIT = 20


class Side:
    """One of the two, in its thread."""

    def __init__(self, name, protocol, barrier):
        self.name, self.protocol, self.barrier = name, protocol, barrier
        self.first = name in (TENANTS[0], OWN_USERS[0])
        self.own = name in OWN_USERS
        self.prefix = (TENANT_PREFIX + name + ":").encode()
        self.clients = []
        self.up = upstream()

    def client(self, **options):
        if len(PROTOCOLS) > 1:
            options.setdefault("protocol", self.protocol)
        made = login(self.name, **options)
        self.clients.append(made)
        return made

    def meet(self):
        """Goes on when the other one is as far."""
        self.barrier.wait(WAIT)

    def turns(self, body):
        """The first does it, then the second; returns what it returned."""
        if not self.first:
            self.meet()
        got = body()
        if self.first:
            self.meet()
        self.meet()
        return got

    def upstreams(self, name):
        """What the key is upstream."""
        return self.prefix + name.encode()

    def blocked(self, count):
        until(lambda: self.up.info("clients")["blocked_clients"] >= count, f"{count} clients wait")

    def close(self):
        for made in (*self.clients, self.up):
            made.connection_pool.disconnect()


def login(name, password=None, **options):
    options = {"socket_timeout": WAIT, "username": name, "password": password or f"{name}'s own", **options}
    return redis.Redis(HOST, PORT, **options)


def upstream():
    return redis.Redis(UPSTREAM_HOST, UPSTREAM_PORT, socket_timeout=WAIT)


def run_both(body, protocols, names=TENANTS):
    if not PORT:
        raise Skip("needs a larder with tenants, and these are somebody else's servers")
    barrier, errors = threading.Barrier(len(TENANTS)), []
    sides = [Side(name, protocol, barrier) for name, protocol in zip(names, protocols)]

    def run(side):
        try:
            body(side, side.client())
        except threading.BrokenBarrierError as error:
            errors.append(error)
        except BaseException as error:  # pylint: disable=broad-except
            errors.insert(0, error)
            barrier.abort()

    threads = [threading.Thread(target=run, args=(side,), daemon=True) for side in sides]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    for side in sides:
        side.close()
    assert errors or not any(thread.is_alive() for thread in threads), "one of the two did not end"
    if errors:
        raise errors[0]


def both(name):
    """Decorator: a test of two tenants, in each protocol and with one in each."""
    def register(body):
        for protocols in {(2, 2), (3, 3), (2, 3)} if len(PROTOCOLS) > 1 else {(2, 2)}:
            test(f"{name}, RESP{protocols[0]} and RESP{protocols[1]}")(
                lambda protocols=protocols: run_both(body, protocols))
        test(f"{name}, as users of their own")(lambda: run_both(body, (max(PROTOCOLS),) * 2, OWN_USERS))
        return body
    return register


@both("values of every type, counters, TTLs")
def values(side, c):
    own, n = side.name, 30 if side.first else 50
    c.set(key("s"), own, ex=100 if side.first else 1000)
    c.hset(key("h"), mapping={"who": own, own: 1})
    c.rpush(key("l"), own, "x")
    c.sadd(key("set"), own, "both")
    c.zadd(key("z"), {own: 1, "both": 2})
    c.setbit(key("b"), 7 if side.first else 8, 1)
    c.pfadd(key("p"), *range(10 if side.first else 20))
    side.meet()
    for _ in range(n):
        c.incr(key("n"))
    c.delete(key("gone") if side.first else key("s2"))
    side.meet()
    same(c.get(key("n")), str(n).encode())
    for _ in range(2):  # the second time perhaps from memory
        same(c.get(key("s")), own.encode())
        same(c.mget(key("s"), key("none"), key("n")), [own.encode(), None, str(n).encode()])
        same(c.hgetall(key("h")), {b"who": own.encode(), own.encode(): b"1"})
    same(c.lrange(key("l"), 0, -1), [own.encode(), b"x"])
    same(c.smembers(key("set")), {own.encode(), b"both"})
    same(c.zrange(key("z"), 0, -1), [own.encode(), b"both"])
    same(c.bitcount(key("b")), 1)
    same(c.pfcount(key("p")), 10 if side.first else 20)
    assert (0 < c.ttl(key("s")) <= 100) == side.first, c.ttl(key("s"))
    c.rename(key("s"), key("renamed"))
    c.copy(key("renamed"), key("copy"))
    same(c.sort(key("l"), alpha=True, by="nosort", store=key("sorted")), 2)
    same(c.object("encoding", key("n")), b"int")
    assert c.memory_usage(key("l")) > 0
    same(c.exists(key("s"), key("renamed"), key("copy"), key("sorted")), 3)
    same(side.up.get(side.upstreams(key("copy"))), own.encode())
    same(side.up.exists(key("copy")), 0)


@both("KEYS, SCAN, DBSIZE, RANDOMKEY, FLUSHDB")
def keyspace(side, c):
    n = 300 if side.first else 500
    c.flushdb()
    side.meet()
    c.mset({f"{key('k')}:{i}": side.name for i in range(n)})
    side.meet()
    wanted = {f"{key('k')}:{i}".encode() for i in range(n)}
    same(c.dbsize(), n)
    same(set(c.keys("*")), wanted)
    same(set(c.scan_iter()), wanted)
    same(set(c.scan_iter(match=key("k") + ":1*", count=50)), {w for w in wanted if b":k:1" in w})
    same(set(c.scan_iter(match=TENANT_PREFIX + "*")), set())
    assert c.randomkey() in wanted
    same(c.keys(key("none") + "*"), [])
    c.hset(key("h"), mapping={f"{side.name}{i}": i for i in range(n)})
    c.sadd(key("set"), *range(n))
    c.zadd(key("z"), {i: i for i in range(n)})
    same(len(dict(c.hscan_iter(key("h")))), n)
    same(len(set(c.sscan_iter(key("set")))), n)
    same(len(dict(c.zscan_iter(key("z")))), n)
    same({k[:len(side.prefix)] for k in side.up.scan_iter(match="*" + key("k") + "*", count=1000)},
         {(TENANT_PREFIX + name + ":").encode() for name in (OWN_USERS if side.own else TENANTS)})
    side.meet()
    if not side.first:
        c.flushdb()
        same((c.dbsize(), c.keys("*"), c.randomkey()), (0, [], None))
    side.meet()
    same(c.dbsize(), n + 3 if side.first else 0)
    side.meet()
    c.flushall()
    same(c.dbsize(), 0)


@both("transactions: MULTI, WATCH")
def transactions(side, c):
    own = side.name
    c.set(key("w"), own)
    with c.pipeline() as p:
        p.watch(key("w"))
        side.meet()
        if side.first:  # the other's write of this name is not of this key
            c.ping()
        else:
            c.set(key("w"), own + "2")
        side.meet()
        p.multi()
        p.set(key("t"), own)
        p.incr(key("n"))
        p.keys(key("n"))
        p.scan(0, match=key("n"), count=10000)
        p.hset(key("h"), own, 1)
        if side.first:
            got = p.execute()
            same(got[:3], [True, 1, [key("n").encode()]])
        else:
            raises(redis.WatchError, p.execute)
    side.meet()
    same(c.exists(key("t")), 1 if side.first else 0)
    same(side.up.exists(side.upstreams(key("t"))), 1 if side.first else 0)

    def increase(p):
        value = int(p.get(key("sum")) or 0)
        p.multi()
        p.set(key("sum"), value + 1)

    for _ in range(50):
        c.transaction(increase, key("sum"))
    same(c.get(key("sum")), b"50")


@both("pipelines")
def pipelines(side, c):
    p = c.pipeline(transaction=False)
    for i in range(500):
        p.set(f"{key('p')}{i}", f"{side.name}{i}").get(f"{key('p')}{i}")
    same(p.execute(), [x for i in range(500) for x in (True, f"{side.name}{i}".encode())])
    side.meet()
    p.mget(*(f"{key('p')}{i}" for i in range(500)))
    p.lpush(f"{key('p')}1", "x")
    got = p.execute(raise_on_error=False)
    same(got[0], [f"{side.name}{i}".encode() for i in range(500)])
    assert isinstance(got[1], redis.ResponseError), got[1]
    assert side.prefix.decode() not in str(got[1])


def heard(pubsub, count):
    """So many messages, without what confirms."""
    got = []

    def more():
        message = pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1)
        if message:
            got.append((message["type"], message["pattern"], message["channel"], message["data"]))
        return len(got) >= count
    until(more, f"{count} messages")
    return got


@both("pub/sub: channels and patterns")
def pubsub(side, c):
    own, channel = side.name.encode(), key("ch").encode()
    # A user who was given &prefix:* may subscribe that pattern, says Redis, and none within it.
    pattern = b"*" if side.own else (key("c") + "*").encode()
    with side.client().pubsub() as s:
        s.subscribe(channel)
        s.psubscribe(pattern)
        same([(m["type"], m["channel"]) for m in (s.get_message(timeout=WAIT), s.get_message(timeout=WAIT))],
             [("subscribe", channel), ("psubscribe", pattern)])
        side.meet()
        same(c.pubsub_channels(key("*")), [channel])
        same(c.pubsub_numsub(channel), [(channel, 1)])
        side.turns(lambda: same(c.publish(channel, own), 2))
        same(sorted(heard(s, 2), key=str), [("message", None, channel, own), ("pmessage", pattern, channel, own)])
        side.meet()
        assert s.get_message(timeout=0.01) is None
        s.unsubscribe(channel)
        same(s.get_message(timeout=WAIT)["channel"], channel)
        same(c.publish(key("nobody"), "x"), 1 if side.own else 0)
        same(len(heard(s, 1)) if side.own else 0, 1 if side.own else 0)
        side.up.publish(side.upstreams(key("ch")), "from upstream")
        same(heard(s, 1), [("pmessage", pattern, channel, b"from upstream")])


@both("blocking pops")
def blocking(side, c):
    own = side.name.encode()
    box = {}

    def wait():
        w = side.client()
        box["got"] = tuple(w.blpop([key("none"), key("q")], WAIT))
        box["min"] = tuple(w.bzpopmin(key("z"), WAIT))
        box["moved"] = w.blmove(key("from"), key("to"), WAIT)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    side.blocked(2)  # both wait for "the same" queue
    side.meet()
    if side.first:  # of which one has something
        c.rpush(key("q"), own)
        until(lambda: "got" in box, "it came")
    side.meet()
    if not side.first:
        assert "got" not in box, box
        same(c.llen(key("q")), 0)
        c.rpush(key("q"), own)
    c.zadd(key("z"), {own: 1})
    c.rpush(key("from"), own)
    thread.join(WAIT)
    same(box, {"got": (key("q").encode(), own), "min": (key("z").encode(), own, 1.0), "moved": own})
    same(c.lrange(key("to"), 0, -1), [own])


@both("streams and consumer groups")
def streams(side, c):
    own, stream, n = side.name, key("stream"), 20 if side.first else 30
    c.xgroup_create(stream, "g", "$", mkstream=True)
    side.meet()
    ids = [c.xadd(stream, {"who": own, "i": i}) for i in range(n)]
    side.meet()
    got = c.xreadgroup("g", "one", {stream: ">"}, count=100)
    entries = dict(got)[stream.encode()] if isinstance(got, list) else got[stream.encode()][0]
    same([e[0] for e in entries], ids)
    assert all(e[1][b"who"] == own.encode() for e in entries)
    same(c.xpending(stream, "g")["pending"], n)
    same(c.xack(stream, "g", *ids[:5]), 5)
    same(len(c.xrange(stream)), n)
    same(c.xinfo_stream(stream)["length"], n)
    same(len(c.xclaim(stream, "g", "two", 0, ids[5:10])), 5)
    side.meet()
    same(c.xpending(stream, "g")["pending"], n - 5)
    same(len(c.xread({stream: 0, key("none"): 0}, count=1000)), 1)
    same(side.up.xlen(side.upstreams(stream)), n)


@both("Lua with KEYS: EVAL, EVALSHA, a script in a pipeline")
def scripts(side, c):
    own = side.name
    add = c.register_script("redis.call('SET', KEYS[2], ARGV[1]) return redis.call('INCRBY', KEYS[1], ARGV[2])")
    for i in range(10):
        same(add(keys=[key("n"), key("who")], args=[own, 2 if side.first else 3]), (i + 1) * (2 if side.first else 3))
    same(c.get(key("who")), own.encode())
    p = c.pipeline()
    add(keys=[key("n"), key("who")], args=[own + "!", 1], client=p)
    p.get(key("who"))
    same(p.execute(), [21 if side.first else 31, f"{own}!".encode()])
    same(c.eval("return {KEYS[1], ARGV[1]}", 1, "k", "v"), [side.prefix + b"k", b"v"])
    error = raises(redis.ResponseError, c.eval, "return redis.call('LPUSH', KEYS[1], 1)", 1, key("n"))
    assert "WRONGTYPE" in error and side.prefix.decode() not in error, error
    same(side.up.get(side.upstreams(key("who"))), f"{own}!".encode())


@both("redis-py's Lock: both hold the same one")
def locks(side, c):
    lock = Lock(c, key("lock"), timeout=60, blocking_timeout=0.05)
    assert lock.acquire()
    side.meet()
    assert lock.owned() and not Lock(c, key("lock"), blocking_timeout=0.01).acquire()
    lock.extend(30)
    side.meet()
    if side.first:
        lock.release()
    side.meet()
    same(lock.locked(), not side.first)
    same(side.up.exists(side.upstreams(key("lock"))), 0 if side.first else 1)
    if not side.first:
        lock.release()


@both("what happens to keys is told to their tenant")
def events(side, c):
    if side.own:  # Redis would have to be told that these may hear
        with side.client().pubsub() as s:
            s.psubscribe("__keyspace@0__:*")
            raises(redis.exceptions.NoPermissionError, s.get_message, True, WAIT)
        return
    if side.first:
        side.up.config_set("notify-keyspace-events", "KEA")
    side.meet()
    with side.client().pubsub() as s:
        s.psubscribe("__keyspace@0__:" + key("*"), "__keyevent@0__:s*")
        for _ in range(2):
            assert s.get_message(timeout=WAIT)
        side.meet()
        c.set(key("only" + side.name), 1)
        got = {(kind, channel, data) for kind, _, channel, data in heard(s, 2)}
        name = key("only" + side.name).encode()
        same(got, {("pmessage", b"__keyspace@0__:" + name, b"set"), ("pmessage", b"__keyevent@0__:set", name)})
        side.meet()
        assert s.get_message(timeout=0.01) is None
    side.meet()
    if side.first:
        side.up.config_set("notify-keyspace-events", "")


@both("connections: CLIENT LIST, KILL, INFO")
def connections(side, c):
    c.client_setname(side.name)
    side.meet()
    listed = c.client_list()
    assert {entry["name"] for entry in listed} <= {side.name, ""} and listed, listed
    number = c.client_id()
    other = side.client(client_name=side.name)
    other_id = other.client_id()
    assert other_id in {int(entry["id"]) for entry in c.client_list()}
    same(c.client_kill_filter(_id=str(other_id)), 1)
    assert number == c.client_id() and c.info()["redis_version"]
    assert "db0" not in c.info()


@both("what a tenant may not say")
def refusals(side, c):
    for command in (("CONFIG", "GET", "*"), ("ACL", "WHOAMI"), ("MONITOR",), ("SCRIPT", "FLUSH"), ("SWAPDB", 0, 1),
                    ("FUNCTION", "LIST"), ("SLOWLOG", "GET"), ("LARDER", "STATS"), ("MIGRATE", "h", 1, "", 0, 1)):
        error = raises(redis.exceptions.NoPermissionError, c.execute_command, *command)
        assert "refused to tenants" in error, error
    assert c.ping() and side.meet() is None


@test("RESP3")
def resp3():
    if len(PROTOCOLS) == 1:
        raise Skip(f"redis-py {redis.__version__} does not speak it")


def failure(call):
    try:
        return f"no error but {call()!r}"
    except redis.RedisError as error:
        return error


@test("a wrong password is the error that redis-py has for Redis'")
def passwords():
    if not PORT:
        raise Skip("needs a larder with tenants, and these are somebody else's servers")
    for protocol in PROTOCOLS:
        options = {"protocol": protocol} if len(PROTOCOLS) > 1 else {}
        wrong = {"username": "nobody", "password": "x", **options}
        wanted = failure(redis.Redis(UPSTREAM_HOST, UPSTREAM_PORT, **wrong).ping)
        assert "invalid username-password pair" in str(wanted), wanted
        for name, password in ((TENANTS[0], "wrong"), (TENANTS[0], f"{TENANTS[1]}'s own"), ("nobody", "x")):
            got = failure(login(name, password, **options).ping)
            same((type(got), str(got)), (type(wanted), str(wanted)))
        raises(redis.AuthenticationError, redis.Redis(HOST, PORT, **options).ping, text="Authentication required")
        assert login(TENANTS[0], **options).ping()


def caching(side, _client):
    from redis.cache import CacheConfig
    c, writer = side.client(cache_config=CacheConfig()), side.client()
    writer.set(key("k"), side.name)
    same((c.get(key("k")), c.get(key("k"))), (side.name.encode(),) * 2)
    assert c.get_cache().size >= 1
    side.meet()
    writer.set(key("k"), side.name + "2")
    until(lambda: c.get(key("k")) == f"{side.name}2".encode(), "the push has come")


@test("redis-py's own cache")
def caches():
    if len(PROTOCOLS) == 1:
        raise Skip(f"redis-py {redis.__version__} has none")
    run_both(caching, (3, 3))


sys.exit(run_tests("tenants, redis-py"))
