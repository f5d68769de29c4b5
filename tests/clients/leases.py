"""redis-py before a larder with leases (tests/system/test_lease_libraries.py starts it): what several
ways to use the library cost. leases.py PORT TEST ..; fails with a traceback."""
import asyncio
import sys
import threading
import time

import redis
import redis.asyncio

PORT = int(sys.argv[1])
LOAD = 0.2
LONG = 20  # seconds; lease_wait is 30


def client(**options):
    return redis.Redis("127.0.0.1", PORT, socket_timeout=LONG, **options)


def crowd(count, body):
    """Runs body(number) in so many threads; raises what went wrong in one of them."""
    wrong = []

    def guarded(number):
        try:
            body(number)
        except BaseException as e:
            wrong.append(e)
    threads = [threading.Thread(target=guarded, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]


def get_or_load():
    """Each thread has a connection of its own: one of them loads. (A pool would give the connection of
    the one that loads to the next, and that never waits.)"""
    loads, key, gate = [], "py", threading.Barrier(30)

    def body(number):
        c = client(single_connection_client=True)
        c.ping()
        gate.wait()
        if c.get(key) is None:
            loads.append(number)
            time.sleep(LOAD)  # it is what loading takes
            c.set(key, "v", ex=60)
        assert c.get(key) == b"v"
    crowd(30, body)
    assert len(loads) == 1, loads


def pipelines():
    """GET and SET of the same keys in each pipeline, with and without MULTI, by many at once."""
    def body(number):
        c = client()
        for turn in range(20):
            for transaction in (False, True):
                pipe = c.pipeline(transaction=transaction)
                for n in range(5):
                    pipe.get(f"pipe:{turn}:{n}").set(f"pipe:{turn}:{n}", "v", ex=60)
                found = pipe.execute()
                assert set(found[1::2]) == {True} and set(found[::2]) <= {None, b"v"}, found
    begin = time.monotonic()
    crowd(8, body)
    assert time.monotonic() - begin < LONG


def locks():
    """Its own Lock, with the value looked for again under it."""
    c, loads = client(), []

    def body(number):
        if c.get("locked") is None:
            with c.lock("lock:locked", timeout=60, sleep=0.01):
                if c.get("locked") is None:
                    loads.append(number)
                    c.set("locked", "v")
        assert c.get("locked") == b"v"
    crowd(5, body)
    assert len(loads) <= 1, loads


def coroutines():
    asyncio.run(asked())


async def asked():
    """asyncio: a pool of connections, one request at a time on each."""
    c = redis.asyncio.Redis(host="127.0.0.1", port=PORT)
    key, loads = "aio", []

    async def body(number):
        if await c.get(key) is None:
            loads.append(number)
            await asyncio.sleep(LOAD)
            await c.set(key, "v")
        assert await c.get(key) == b"v"
    await asyncio.gather(*(body(n) for n in range(50)))
    assert 1 <= len(loads) <= 3, loads
    await c.close()


for name in sys.argv[2:]:
    {"get_or_load": get_or_load, "pipelines": pipelines, "locks": locks,
     "coroutines": coroutines}[name]()
print("ok")
