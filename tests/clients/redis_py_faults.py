"""redis-py (Debian's python3-redis 4.3): who the client is, and what happens when connections break."""
import itertools
import os
import sys
import threading

import redis

from harness import (DIRECT, HOST, LOCKED_PASSWORD, LOCKED_PORT, PORT, UPSTREAM_HOST, UPSTREAM_PORT, Skip,
                     control, key, raises, run_tests, same, test, until)

# While a server is away a client may see its connection close, or larder's answer that it cannot ask.
AWAY = (redis.ConnectionError, redis.TimeoutError, redis.ResponseError, redis.exceptions.BusyLoadingError)


def client(**options):
    options.setdefault("socket_timeout", 20)
    return redis.Redis(HOST, PORT, **options)


def works(call):
    """Whether the call succeeds now; the only errors allowed are those of a server that is away."""
    try:
        call()
    except AWAY:
        return False
    return True


def user(name, *rules):
    """Makes an ACL user on the upstream; returns its password."""
    password = f"secret of {name}"
    try:
        redis.Redis(UPSTREAM_HOST, UPSTREAM_PORT).acl_setuser(
            name, enabled=True, reset=True, passwords=["+" + password], **dict(rules))
    except redis.ResponseError as why:
        raise Skip(f"no user can be made: {why}") from why
    return password


def connected(c):
    return c.info("clients")["connected_clients"]


@test("db=2 is another database than db=0, on one connection after the other")
def databases():
    zero, two = client(), client(db=2)
    zero.set(key("d"), "zero")
    two.set(key("d"), "two")
    for _ in range(200):
        same((zero.get(key("d")), two.get(key("d"))), (b"zero", b"two"))
    with two.pipeline() as p:
        p.watch(key("d"))
        p.multi()
        same(p.get(key("d")).execute(), [b"two"])
    two.lpush(key("q"), "x")
    same(zero.blpop(key("q"), 0.05), None)
    same(two.blpop(key("q"), 15), (key("q").encode(), b"x"))
    same(zero.move(key("d"), 3), True)
    same((zero.get(key("d")), client(db=3).get(key("d"))), (None, b"zero"))
    raises(redis.ResponseError, client(db=99).get, "x", text="out of range")


@test("SELECT in the middle of a pipeline, and a refused one")
def select_in_pipeline():
    c = client(single_connection_client=True)
    with c.pipeline(transaction=False) as p:
        for db in (0, 1, 2, 77, 0):
            p.execute_command("SELECT", db).set(key("s"), db).get(key("s"))
        got = p.execute(raise_on_error=False)
    same([got[i] for i in (2, 5, 8, 11, 14)], [b"0", b"1", b"2", b"77", b"0"])
    assert isinstance(got[9], redis.ResponseError), got[9]
    same(client(db=2).get(key("s")), b"77")  # the refused SELECT left the connection in 2


@test("client_name, CLIENT LIST, CLIENT ID, CLIENT INFO")
def names():
    c = client(client_name="clients-test", single_connection_client=True, db=1)
    same(c.client_getname(), "clients-test")
    mine = [line for line in c.client_list() if line["id"] == str(c.client_id())]
    same([(line["name"], line["db"], line["cmd"]) for line in mine],
         [("clients-test", "1", "client|list")])
    same(c.client_info()["name"], "clients-test")
    same(c.client_setname("other"), True)
    same(c.client_getname(), "other")
    ids = [client(single_connection_client=True).client_id() for _ in range(5)]
    same(sorted(set(ids)), ids)


@test("username and password of a user of the upstream")
def users():
    password = user("larder-clients-app", ("keys", ["*"]), ("channels", ["*"]),
                    ("categories", ["+@all"]))
    c = client(username="larder-clients-app", password=password)
    same(c.set(key("u"), 1), True)
    same(c.acl_whoami(), "larder-clients-app")
    with c.pipeline() as p:
        same(p.incr(key("u")).execute(), [2])
    same(client(username="larder-clients-app", password=password, db=1).get(key("u")), None)
    raises(redis.ResponseError, client(username="larder-clients-app", password="wrong").ping,
           text="WRONGPASS")
    same(client().acl_whoami(), "default")


@test("a user may do no more here than at the upstream")
def restricted():
    password = user("larder-clients-reader", ("keys", [key("") + "*"]), ("categories", ["+@read"]),
                    ("commands", ["+multi", "+exec", "+subscribe"]))
    everyone = client()
    everyone.set(key("mine"), "x")
    everyone.set("larder-clients-foreign", "y")
    c = client(username="larder-clients-reader", password=password)
    for _ in range(20):
        same(c.get(key("mine")), b"x")
        raises(redis.ResponseError, c.get, "larder-clients-foreign", text="no permission")
        raises(redis.ResponseError, c.set, key("mine"), "z", text="no permission")
        same(everyone.get("larder-clients-foreign"), b"y")
    raises(redis.ResponseError, c.publish, "a", "b", text="no permission")
    p = c.pubsub()
    p.subscribe(key("channel"))
    raises(redis.ResponseError, lambda: p.get_message(timeout=10), text="no permission")
    everyone.delete("larder-clients-foreign")


@test("a pipelined transaction of each of 30 users, one after the other")
def many_users():
    direct = redis.Redis(UPSTREAM_HOST, UPSTREAM_PORT)
    for number in range(30):
        name = f"larder-clients-{number}"
        password = user(name, ("keys", ["*"]), ("categories", ["+@all"]))
        c = client(username=name, password=password)
        c.get(name)  # on a shared connection, which the user then leaves behind
        with c.pipeline() as p:
            same(p.incr(key("n")).incr(key("n")).execute(), [2 * number + 1, 2 * number + 2])
        with client().pipeline() as p:
            same(p.get(key("n")).execute(), [str(2 * number + 2).encode()])
        c.connection_pool.disconnect()
    # Only now: it would end the connections that larder has at the upstream for them.
    direct.acl_deluser(*(f"larder-clients-{number}" for number in range(30)))


@test("a listener with a password")
def locked():
    if not LOCKED_PORT:
        raise Skip("only larder has a second listener")
    refused = (redis.ResponseError, redis.exceptions.AuthenticationError)
    raises(refused, redis.Redis(HOST, LOCKED_PORT).get, "x", text="Authentication required")
    raises(refused, redis.Redis(HOST, LOCKED_PORT, password="wrong").get, "x")
    c = redis.Redis(HOST, LOCKED_PORT, password=LOCKED_PASSWORD, db=1)
    same(c.set(key("p"), 1), True)
    same(client(db=1).get(key("p")), b"1")


@test("a pool of 20 connections under 50 threads")
def pool():
    c = redis.Redis(connection_pool=redis.BlockingConnectionPool(
        host=HOST, port=PORT, max_connections=20, timeout=20, socket_timeout=20))
    wrong = []

    def work(n):
        for i in range(40):
            value = f"{n}:{i}".encode()
            c.set(key(n), value)
            with c.pipeline() as p:
                got = p.get(key(n)).incr(key("all")).execute()
            if got[0] != value or c.echo(value) != value:
                wrong.append(got)

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    same(wrong, [])
    same(c.get(key("all")), b"2000")


@test("2,000 transactions of 50 clients need few connections to the upstream")
def few_links():
    if DIRECT:
        raise Skip("only larder shares connections")
    watcher = client()
    c = redis.Redis(connection_pool=redis.BlockingConnectionPool(
        host=HOST, port=PORT, max_connections=50, timeout=20, socket_timeout=20))
    before = watcher.info("stats")["total_connections_received"]

    def work():
        for _ in range(40):
            with c.pipeline() as p:
                p.incr(key("n")).execute()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    same(c.get(key("n")), b"2000")
    opened = watcher.info("stats")["total_connections_received"] - before
    assert opened <= 10, f"{opened} connections were opened"


@test("health_check_interval")
def health_check():
    c = client(health_check_interval=60, single_connection_client=True)
    c.set(key("h"), 1)
    c.connection.next_health_check = 0
    same(c.get(key("h")), b"1")
    assert c.connection.next_health_check > 0


@test("a connection killed by CLIENT KILL is made anew")
def client_kill():
    killer, victim = client(), client()
    for _ in range(10):
        number = victim.client_id()
        same(killer.client_kill_filter(_id=number), 1)
        until(lambda: works(victim.ping), "the victim is back")
        assert victim.client_id() != number
    same(killer.client_kill_filter(_id=number), 0)
    raises(redis.ResponseError, killer.client_kill, "1.2.3.4:5", text="No such client")


@test("a reply that comes too late is nobody else's")
def late_reply():
    c, hasty = client(), client(socket_timeout=0.05, retry_on_timeout=False)
    for i in range(10):
        raises(redis.TimeoutError, hasty.blpop, key("late"), 10)
        same(c.echo(f"mine {i}"), f"mine {i}".encode())
        same(hasty.echo(f"hers {i}"), f"hers {i}".encode())
    until(lambda: c.info("clients")["blocked_clients"] == 0, "none waits any more")
    c.rpush(key("late"), "x")
    same(c.lrange(key("late"), 0, -1), [b"x"])


@test("200 clients come and go, 20 times, and leave no connection behind")
def come_and_go():
    c = client()
    before = connected(c)
    for _ in range(20):
        crowd = [redis.Connection(HOST, PORT) for _ in range(200)]
        for one in crowd:
            one.send_command("INCR", key("crowd"))
        for one in crowd[:100]:
            one.read_response()
        for one in crowd:  # half of them do not wait for the reply
            one.disconnect()
    until(lambda: int(c.get(key("crowd"))) >= 2000, "all that waited were served")
    until(lambda: connected(c) <= before + 10, "the connections are gone")


@test("larder restarts")
def larder_restarts():
    c, p = client(), client().pubsub()
    p.subscribe(key("ch"))
    same(p.get_message(timeout=10)["type"], "subscribe")
    c.set(key("r"), 1)
    for how in ("restart larder", "crash larder"):
        control(how)
        until(lambda: works(lambda: c.set(key("r"), 2)), "the client is back")
        with c.pipeline() as batch:
            same(batch.set(key("r"), 5).incr(key("r")).execute(), [True, 6])
        until(lambda: works(lambda: p.get_message(timeout=0.01)) and c.publish(key("ch"), how) == 1,
              "the subscriber is back")
        until(lambda how=how: (p.get_message(timeout=10) or {}).get("data") == how.encode(), "the message")


def rounds(c):
    """Keeps writing and reading back; stops at once when told."""
    stop = threading.Event()
    seen = {"good": 0, "wrong": [], "away": 0}

    def body():
        for i in itertools.count():
            if stop.is_set():
                return
            value = os.urandom(8).hex().encode()
            try:
                if c.echo(value) != value or not c.set(key("t"), value, ex=60):
                    seen["wrong"].append(i)
                got = c.get(key("t"))
            except AWAY:
                seen["away"] += 1
                continue
            if got not in (value, None):  # None: the upstream came back empty in between
                seen["wrong"].append((value, got))
            seen["good"] += 1

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    return stop, seen, thread


@test("the upstream restarts under load")
def upstream_restarts():
    c = client(single_connection_client=True)
    number = c.client_id()
    p = client().pubsub()
    p.subscribe(key("ch"))
    same(p.get_message(timeout=10)["type"], "subscribe")
    for how in ("restart upstream", "crash upstream"):
        stop, seen, thread = rounds(client())
        until(lambda seen=seen: seen["good"] > 20, "the load runs")
        control(how)
        before = seen["good"]
        until(lambda seen=seen, before=before: seen["good"] > before + 20, "the load runs again")
        stop.set()
        thread.join(20)
        assert not thread.is_alive()
        same(seen["wrong"], [])
        until(lambda: works(lambda: c.set(key("r"), 2)), "the client is served again")
        until(lambda: works(lambda: p.get_message(timeout=0.01)) and c.publish(key("ch"), how) == 1,
              "the subscriber is back")
        until(lambda how=how: (p.get_message(timeout=10) or {}).get("data") == how.encode(), "the message")
    if not DIRECT:
        same(c.client_id(), number)  # larder kept the client through it all


@test("a transaction and a blocked client when the upstream restarts")
def upstream_restarts_in_transaction():
    c, blocker = client(), redis.Connection(HOST, PORT, socket_timeout=20)
    watcher = client().pipeline()
    watcher.watch(key("w"))
    blocker.send_command("BLPOP", key("q"), 0)
    until(lambda: c.info("clients")["blocked_clients"] == 1, "it waits")
    control("restart upstream")
    raises(AWAY, blocker.read_response)
    until(lambda: works(lambda: c.rpush(key("q"), "kept")), "the upstream is back")
    same(c.lrange(key("q"), 0, -1), [b"kept"])

    def commit():
        watcher.multi()
        watcher.set(key("w"), "x")
        return watcher.execute()

    # The watch is lost: to run the transaction would be wrong, to fail is right.
    raises(AWAY + (redis.WatchError,), commit)
    same(c.get(key("w")), None)
    watcher.reset()
    same(watcher.set(key("w"), "y").execute(), [True])


if __name__ == "__main__":
    sys.exit(run_tests("redis-py-faults"))
