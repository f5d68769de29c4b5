"""Under `absolute` the cap of each key is a key of larder's: larder:deadline:KEY. Clients do not
see it, and it goes with its key. What it is for: test_sliding.py."""
from resp import Error, eventually
from sessions import CAP, SLACK, Sidecar, Strings
from test_sliding import dies_when_promised, world


def test_deadlines_are_not_seen(w):
    clock, redis = world(w)
    side = Sidecar(clock, redis, "no")
    c, sessions = side.conn, Strings(5)
    for db in (0, 1):
        c.ok("SELECT", db)
        sessions.create(side)
        c.ok("MSET", "a", 1, "b", 2, "larder:mine", 3)
        assert c.cmd("DBSIZE") == 8
        seen = {k.encode() for k in sessions.keys} | {b"a", b"b", b"larder:mine"}
        assert set(c.cmd("KEYS", "*")) == seen and c.cmd("KEYS", "larder:deadline:*") == []
        assert c.cmd("KEYS", "larder:*") == [b"larder:mine"]
        for options in ((), ("COUNT", 1), ("COUNT", 1000), ("MATCH", "*"), ("MATCH", "larder:*"),
                        ("TYPE", "string")):
            found, cursor = [], b"0"
            while True:
                cursor, keys = c.ok("SCAN", cursor, *options)
                found += keys
                if cursor == b"0":
                    break
            assert set(found) == ({b"larder:mine"} if "larder:*" in options else seen), options
        assert {c.cmd("RANDOMKEY") for _ in range(300)} <= seen
    direct = w.conn(redis)
    assert direct.cmd("DBSIZE") == 13  # they are there
    for i, at in enumerate(sessions.deadlines(redis)):
        cap = int(direct.ok("GET", f"larder:deadline:session:{i}"))
        assert abs(cap / 1000 - CAP - sessions.created[0]) < 2 * SLACK + 10
        assert abs(direct.ok("PEXPIRETIME", f"larder:deadline:session:{i}") / 1000 - at) < SLACK
    direct.ok("FLUSHDB")
    direct.ok("SET", "larder:deadline:session:9", 1)
    assert c.ok("SELECT", 0) == b"OK" and c.cmd("RANDOMKEY") is None and c.cmd("DBSIZE") == 0


def test_deadlines_go_with_their_keys(w):
    clock, redis = world(w)
    side = Sidecar(clock, redis, "yes")
    sessions = Strings(20)
    sessions.create(side)
    side.idle(1000)
    sessions.hit(side)
    dies_when_promised(side, sessions)
    eventually(lambda: redis.cmd("DBSIZE") == 0)


def test_deadlines_are_not_to_be_touched(w):
    clock, redis = world(w)
    side = Sidecar(clock, redis, "yes")
    c = side.conn
    Strings(1).create(side)
    key = "larder:deadline:session:0"
    for command in (("GET", key), ("SET", key, 1), ("DEL", "a", key), ("MSET", "a", 1, key, 2),
                    ("EXPIRE", key, 1), ("TTL", key), ("EXISTS", key), ("RENAME", key, "a"),
                    ("COPY", "session:0", key), ("EVAL", "return 1", 1, key),
                    ("GET", "larder:lease:x"), ("SET", "larder:fence:x", 1)):
        answer = c.cmd(*command)
        assert isinstance(answer, Error) and answer.startswith(b"NOPERM "), (command, answer)
    c.ok("MULTI")
    answer = c.cmd("GET", key)
    assert isinstance(answer, Error) and answer.startswith(b"NOPERM "), answer
    assert c.cmd("EXEC").startswith(b"EXECABORT")
    assert c.ok("GET", "larder:other") is None and redis.cmd("EXISTS", key) == 1
