"""scope = fleet: one loader of all larders before a Redis, by the key larder:lease:KEY there. Two
larders; what each client was told is counted, and so is who had to load."""
import signal
import threading
import time

from crowd import Crowd
from near import armed
from resp import SLOW, TIMEOUT, eventually
from servers import make_ini, raise_file_limit

FLEET = {"prefix": "f:", "local": "yes", "stampede": "wait", "scope": "fleet",
         "lease_ttl": "10s", "lease_wait": "4s"}


def larder_for(w, redis, cache="", up=None, **policy):
    ini = make_ini(("127.0.0.1", 0), redis, None, {"address": "127.0.0.1:@PORT@"}, up)
    rows = "".join(f"{k} = {v}\n" for k, v in {**FLEET, **policy}.items())
    larder = w.larder(redis, ini=ini + "[policy fleet]\n" + rows + cache)
    if not cache:
        eventually(lambda: "coherence: armed" in larder.log())
    return larder


def two(w, cache="", **policy):
    redis = w.redis()
    return redis, larder_for(w, redis, cache, **policy), larder_for(w, redis, cache, **policy)


def stat(larder, name):
    return larder.stats()["lease_" + name]


def held_upstream(redis, key="f:a"):
    return redis.cmd("GET", "larder:lease:" + key) is not None


def leader(conn, key="f:a"):
    assert conn.ok("GET", key) is None
    return conn


def parked(conn, larder, key="f:a"):
    before = stat(larder, "waiting")
    conn.send_cmd("GET", key)
    eventually(lambda: stat(larder, "waiting") == before + 1)
    return conn


def test_one_loads_for_both(w):
    redis, a, b = two(w)
    one = leader(w.conn(a))
    assert held_upstream(redis)
    here, there, other = parked(w.conn(a), a), parked(w.conn(b), b), parked(w.conn(b, 3), b)
    assert stat(b, "elsewhere") >= 1 and stat(b, "granted") == 0
    one.ok("SET", "f:a", "v")
    assert here.reply() == there.reply() == other.reply() == b"v"
    eventually(lambda: not held_upstream(redis))
    for larder in (a, b):
        eventually(lambda: stat(larder, "held") == stat(larder, "waiting") == 0)
    assert stat(b, "timed_out") == stat(b, "granted") == 0


def test_who_would_wait_is_told_by_others(w):
    """The loader writes on another connection, through the other larder, or past both."""
    redis, a, b = two(w)
    for i, write in enumerate((w.conn(b).ok, w.conn(a).ok, redis.cmd)):
        key = f"f:{i}"
        leader(w.conn(a), key)
        there, here = parked(w.conn(b), b, key), parked(w.conn(a), a, key)
        write("SET", key, "v")
        assert here.reply() == there.reply() == b"v"
        eventually(lambda: not held_upstream(redis, key))


def test_other_kinds_of_reads(w):
    redis, a, b = two(w)
    for i, (read, write, gives) in enumerate((
            (("HGETALL",), ("HSET", "@", "f", "v"), [b"f", b"v"]),
            (("HGET", "f"), ("HSET", "@", "f", "v"), b"v"),
            (("HMGET", "f", "g"), ("HSET", "@", "f", "v"), [b"v", None]),
            (("EXISTS",), ("SET", "@", "v"), 1),
            (("MGET",), ("SET", "@", "v"), [b"v"]))):
        key = f"f:{i}"
        one, there = w.conn(a), w.conn(b)
        assert one.ok(read[0], key, *read[1:]) in ([], None, [None, None], 0, [None])
        there.send_cmd(read[0], key, *read[1:])
        eventually(lambda: stat(b, "waiting") == 1)
        one.ok(*(key if word == "@" else word for word in write))
        assert there.reply() == gives
    eventually(lambda: redis.cmd("KEYS", "larder:*") == [])


def test_a_loader_that_leaves(w):
    redis, a, b = two(w)
    one = leader(w.conn(a))
    there = parked(w.conn(b), b)
    one.close()
    assert there.reply() is None and held_upstream(redis)  # the next to load
    here = parked(w.conn(a), a)
    there.ok("SET", "f:a", "v")
    assert here.reply() == b"v"
    one = leader(w.conn(a), "f:b")
    here, there = parked(w.conn(a), a, "f:b"), parked(w.conn(b), b, "f:b")
    one.close()
    answers = {}

    def take(name, conn):
        answers[name] = conn.reply()
        if answers[name] is None:
            conn.ok("SET", "f:b", "w")
    threads = [threading.Thread(target=take, args=x) for x in (("here", here), ("there", there))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(answers.values(), key=str) == [None, b"w"] or answers == {
        "here": b"w", "there": None} or answers == {"here": None, "there": b"w"}


def test_a_larder_that_is_killed(w):
    redis, a, b = two(w, lease_ttl="700ms")
    leader(w.conn(a))
    there, more = parked(w.conn(b), b), parked(w.conn(b), b)
    a.kill()
    begun = time.monotonic()
    answer = there.reply()
    assert answer is None and time.monotonic() - begun < TIMEOUT / 2
    assert held_upstream(redis)
    there.ok("SET", "f:a", "v")
    assert more.reply() == b"v"
    assert stat(b, "timed_out") == 0


def test_without_pushes(w):
    """Nobody tells larder B: it asks, a quarter of lease_ttl later."""
    redis, a, b = two(w, "[cache]\ncoherence = ttl\n", lease_ttl="400ms")
    one = leader(w.conn(a))
    there = parked(w.conn(b), b)
    one.ok("SET", "f:a", "v")
    assert there.reply() == b"v"
    assert stat(b, "timed_out") == 0 and stat(b, "asked") > 1
    eventually(lambda: not held_upstream(redis))


def test_pushes_wake(w):
    """A quarter of lease_ttl is far away."""
    redis, a, b = two(w, lease_ttl="1h", lease_wait="10m")
    one = leader(w.conn(a))
    there, asked = parked(w.conn(b), b), stat(b, "asked")
    one.close()  # nothing was loaded
    assert there.reply() is None and stat(b, "asked") > asked
    there.ok("DEL", "f:a")
    there.ok("SET", "f:a", "v")
    eventually(lambda: not held_upstream(redis))


def test_what_was_loaded_in_between(w):
    """The key is absent when it is read, and there when the lease is asked for: it is given back."""
    redis, a, _b = two(w)
    redis.cmd("SET", "larder:lease:f:a", "another's", "PX", 60000)
    here = parked(w.conn(a), a)
    redis.cmd("EVAL", "redis.call('DEL','larder:lease:f:a') redis.call('SET','f:a','v')", 0)
    assert here.reply() == b"v"
    eventually(lambda: not held_upstream(redis) and stat(a, "held") == 0)
    assert stat(a, "granted") == 0


def test_what_is_anothers_stays(w):
    redis, a, _b = two(w)
    one = leader(w.conn(a))
    redis.cmd("SET", "larder:lease:f:a", "another's")
    one.ok("SET", "f:a", "v")
    eventually(lambda: stat(a, "held") == 0)
    one.ok("PING")
    assert redis.cmd("GET", "larder:lease:f:a") == b"another's"


def test_a_delete_ends_it(w):
    redis, a, b = two(w)
    leader(w.conn(a))
    here, there = parked(w.conn(a), a), parked(w.conn(b), b)
    w.conn(b).ok("DEL", "f:a")
    redis.cmd("SET", "f:a", "x")
    assert here.reply() == there.reply() == b"x"
    leader(w.conn(a), "f:b")
    here = parked(w.conn(a), a, "f:b")
    w.conn(a).ok("DEL", "f:b")
    assert here.reply() is None and held_upstream(redis, "f:b")
    redis.cmd("FLUSHALL")
    here.close()
    eventually(lambda: not held_upstream(redis, "f:b") and stat(a, "held") == 0)


def test_ends_of_a_lease(w):
    redis, a, b = two(w, lease_ttl="500ms", negative_ttl="0")
    leader(w.conn(a))
    here = parked(w.conn(a), a)
    assert here.reply() is None  # lapsed: nothing was loaded
    eventually(lambda: not held_upstream(redis))
    one = leader(w.conn(b), "f:b")
    there = parked(w.conn(b), b, "f:b")
    w.conn(b).ok("LARDER", "MISS", "f:b")
    assert there.reply() is None
    eventually(lambda: not held_upstream(redis, "f:b"))
    leader(one, "f:c")
    there = parked(w.conn(b), b, "f:c")
    b.expect_exit = True
    b.signal(signal.SIGTERM)
    assert there.reply() is None
    eventually(lambda: not b.alive())


def test_who_pipelines_is_not_made_to_wait(w):
    redis, a, b = two(w)
    one, two_ = w.conn(a), w.conn(b)
    for conn, larder in ((one, a), (two_, b)):
        conn.send(b"*2\r\n$3\r\nGET\r\n$3\r\nf:a\r\n*2\r\n$3\r\nGET\r\n$3\r\ng:a\r\n")
        assert conn.reply() is None and conn.reply() is None
        eventually(lambda: stat(larder, "asked") >= 1)
    eventually(lambda: stat(b, "held") == 0)
    here, there = parked(w.conn(a), a), parked(w.conn(b), b)
    one.ok("SET", "f:a", "v")
    assert here.reply() == there.reply() == b"v"
    eventually(lambda: not held_upstream(redis))


def test_what_stands_behind_the_first_read(w):
    """What was answered from memory behind a read came before its answer, once that had been made
    to wait: so every later reply was taken for another."""
    redis, a, _ = two(w)
    redis.cmd("SET", "f:kept", "v")
    one = w.conn(a)
    assert one.ok("GET", "f:kept") == one.ok("GET", "f:kept") == b"v"
    for n, behind in enumerate((("GET", "f:kept"), ("PING",), ("ECHO", "x"))):
        for proto in (2, 3):
            conn, key = w.conn(a, proto), f"f:{n}:{proto}"
            found = conn.pipeline([("GET", key), behind, behind])
            assert found[0] is None and found[1] == found[2] not in (None, [])
            assert conn.cmd("SET", key, "v") == b"OK"
    eventually(lambda: stat(a, "held") == stat(a, "waiting") == 0)


def test_an_upstream_that_refuses(w):
    """A user who may not write larder's keys: then each larder is for itself."""
    redis = w.redis(acl=["user default on nopass ~* &* +@all",
                         "user app on >secret ~f:* &* +@all -@dangerous +client +info"])
    a = larder_for(w, redis)
    one, here = w.conn(a), w.conn(a)
    for conn in (one, here):
        conn.ok("AUTH", "app", "secret")
    leader(one)
    parked(here, a)
    one.ok("SET", "f:a", "v")
    assert here.reply() == b"v" and stat(a, "alone") >= 1


def test_they_are_not_seen(w):
    redis, a, _b = two(w)
    one = leader(w.conn(a))
    assert redis.cmd("DBSIZE") == 1 and one.ok("KEYS", "*") == [] and one.ok("DBSIZE") == 0
    assert one.cmd("DEL", "larder:lease:f:a").startswith(b"NOPERM ")


def test_many(w):
    """300 clients through two larders, 20 keys: one load a key."""
    redis, a, b = two(w)
    loads, wrong, lock = {}, [], threading.Lock()
    start = threading.Barrier(300)

    def run(n):
        conn = conns[n]
        key = f"f:{n % 20}"
        start.wait(TIMEOUT * 4)
        value = conn.ok("GET", key)
        if value is None:
            with lock:
                loads[key] = loads.get(key, 0) + 1
            eventually(lambda: stat(a, "waiting") + stat(b, "waiting") + len(done) >= 260)
            conn.ok("SET", key, key)
        elif value != key.encode():
            wrong.append((key, value))
        with lock:
            done.append(n)

    done = []
    conns = [w.conn((a, b)[n // 20 % 2]) for n in range(300)]
    threads = [threading.Thread(target=run, args=(n,)) for n in range(300)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong and len(done) == 300
    assert loads == {f"f:{k}": 1 for k in range(20)}, loads
    assert stat(a, "timed_out") == stat(b, "timed_out") == 0
    eventually(lambda: redis.cmd("KEYS", "larder:*") == [])
    for larder in (a, b):
        eventually(lambda: stat(larder, "held") == stat(larder, "waiting") == 0)


test_many.timeout = 60


# crowds

LOAD = 0.2 * SLOW  # seconds


def crowd(w, keys, count=1000, **more):
    """So many at once through two larders, by turns for each of the keys."""
    raise_file_limit()
    redis, a, b = two(w, lease_ttl=f"{int(3000 * SLOW)}ms", lease_wait=f"{int(20 * SLOW)}s")
    names = [f"f:{n % keys}" for n in range(count)]
    found = w.add(Crowd([a.address, b.address], names, LOAD, **more))
    found.run()
    for larder in (a, b):
        eventually(lambda larder=larder: stat(larder, "held") == stat(larder, "waiting") == 0)
        assert stat(larder, "timed_out") == stat(larder, "interrupted") == 0
        assert stat(larder, "parked") > count // 4  # a crowd indeed
    eventually(lambda: redis.cmd("KEYS", "larder:*") == [])
    return a, b, found


def test_one_loads_for_a_thousand(w):
    a, b, found = crowd(w, 1)
    assert found.loads == {"f:0": 1}, found.loads
    assert len(found.waits) == 999 and found.longest() < LOAD + 2 * SLOW, found.longest()
    assert stat(a, "granted") + stat(b, "granted") == 1


def test_one_loads_each_of_a_hundred(w):
    a, b, found = crowd(w, 100)
    assert set(found.loads.values()) == {1}, found.loads
    assert len(found.waits) == 900 and found.longest() < LOAD + 2 * SLOW, found.longest()
    assert stat(a, "granted") + stat(b, "granted") == 100


def test_loaders_that_die(w):
    """Another loads, here or there: exactly one, and long before lease_ttl."""
    _, _, found = crowd(w, 20, dies=lambda member, before: before == 0)
    assert set(found.loads.values()) == {2}, found.loads
    assert len(found.waits) == 960 and found.longest() < 2 * LOAD + 2 * SLOW, found.longest()


for test in (test_one_loads_for_a_thousand, test_one_loads_each_of_a_hundred,
             test_loaders_that_die):
    test.timeout = 60
del test
