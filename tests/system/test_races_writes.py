"""The races of the near cache with writes of its own clients, one by one: Redis is scripted, stalls
one link and answers on another first. Each test draws who says what when; time goes down. C1 speaks
RESP2 and C2 RESP3, so they are on two links; C3 is one more, in RESP2, on C1's link or on a third.

Of what is drawn here tests/coherence/ sees some by chance; tests/coherence/mutants takes the
safeguards out one by one and wants to see one of these fail.
"""
from fake_near import NearRedis, is_kept, keep, scene
from near import near_larder, need_cache
from resp import encode_all, eventually

ONE_CHANCE = True  # tests/system/run

# writes of this larder's own clients

def test_a_fill_that_a_write_overtakes(w):
    """
        C1              C2              Redis
        GET k ------------------------> reads "old", the reply hangs
                        SET k new ----> OK
                        OK
        old <-------------------------- the reply: delivered, not kept
                        GET k --------> must be asked
    """
    fake, c1, c2, c3 = scene(w)
    gate = fake.hold("GET", "k")
    c1.send_cmd("GET", "k")
    gate.wait()
    assert c2.cmd("SET", "k", "new") == b"OK"
    gate.release()
    assert c1.reply() == b"old"
    assert c2.cmd("GET", "k") == b"new"
    assert c3.cmd("GET", "k") == b"new"


def test_a_fill_during_a_write(w):
    """
        C1              C2              Redis
                        SET k new ----> hangs, not run
        GET k ------------------------> "old"
        old <-------------------------- must not be kept
                                        SET is run
                        OK <-----------
        GET k ------------------------> must be asked: "new"
    """
    fake, c1, c2, c3 = scene(w)
    gate = fake.hold("SET", "k", run=False)
    c2.send_cmd("SET", "k", "new")
    gate.wait()
    assert c1.cmd("GET", "k") == b"old"
    gate.release()
    assert c2.reply() == b"OK"
    assert c1.cmd("GET", "k") == b"new"
    assert c3.cmd("GET", "k") == b"new"


def test_a_fill_asked_during_a_write_that_lands_after_it(w):
    """
        C1              C2              Redis
                        SET k new ----> hangs, not run
        GET k ------------------------> reads "old", the reply hangs
                                        SET is run
                        OK <-----------
        old <-------------------------- must not be kept
        GET k ------------------------> must be asked: "new"
    """
    fake, c1, c2, c3 = scene(w)
    write, read = fake.hold("SET", "k", run=False), fake.hold("GET", "k")
    c2.send_cmd("SET", "k", "new")
    write.wait()
    c1.send_cmd("GET", "k")
    read.wait()
    write.release()
    assert c2.reply() == b"OK"
    read.release()
    assert c1.reply() == b"old"
    assert c1.cmd("GET", "k") == b"new"
    assert c3.cmd("GET", "k") == b"new"


def test_nothing_is_served_during_a_write(w):
    """
        C1              C2              Redis
        (k = old is kept)
                        SET k new ----> is run, the reply hangs
        MULTI GET k EXEC -------------> "new"
        GET k ------------------------> must be asked: C1 has seen the new one
    """
    fake, c1, c2, c3 = scene(w)
    assert keep(fake, c1, "GET", "k") == b"old"
    gate = fake.hold("SET", "k")
    c2.send_cmd("SET", "k", "new")
    gate.wait()
    assert c1.pipeline([("MULTI",), ("GET", "k"), ("EXEC",)])[2] == [b"new"]
    assert c1.cmd("GET", "k") == b"new"
    assert c3.cmd("GET", "k") == b"new"
    gate.release()
    assert c2.reply() == b"OK"


def test_a_write_closes_what_is_in_the_air(w):
    """
        C1              C2              C3              Redis
        GET k ----------------------------------------> reads "old", the reply hangs
                        SET k new --------------------> OK
                        OK
                                        GET k --------> must be asked, not wait for C1's answer
    """
    fake, c1, c2, c3 = scene(w)
    gate = fake.hold("GET", "k")
    c1.send_cmd("GET", "k")
    gate.wait()
    assert c2.cmd("SET", "k", "new") == b"OK"
    assert c2.cmd("GET", "k") == b"new"
    c3.send_cmd("GET", "k")
    gate.release()
    assert c1.reply() == b"old"
    assert c3.reply() == b"new"


def test_nobody_joins_during_a_write(w):
    """
        C1              C2              C3              Redis
                        SET k new --------------------> hangs, not run
        GET k ----------------------------------------> reads "old", the reply hangs
                                        (SET is run, OK)
                        OK
                                        GET k --------> must not get what C1 waits for
    """
    fake, c1, c2, c3 = scene(w)
    write, read = fake.hold("SET", "k", run=False), fake.hold("GET", "k")
    c2.send_cmd("SET", "k", "new")
    write.wait()
    c1.send_cmd("GET", "k")
    read.wait()
    write.release()
    assert c2.reply() == b"OK"
    c3.send_cmd("GET", "k")
    read.release()
    assert c1.reply() == b"old"
    assert c3.reply() == b"new"


def test_nobody_joins_what_was_asked_during_a_write(w):
    """
        C1              C2              C3              Redis
                        SET k new --------------------> hangs
        GET k ----------------------------------------> reads "old", the reply hangs
                                                        SET is run, its reply still hangs
                                        MULTI GET EXEC  "new"
                                        GET k --------> must not get what C1 waits for
    """
    fake, c1, c2, c3 = scene(w)
    write, read = fake.hold("SET", "k", run=False), fake.hold("GET", "k")
    c2.send_cmd("SET", "k", "new")
    write.wait()
    c1.send_cmd("GET", "k")
    read.wait()
    fake.change("k", "new")
    assert c3.pipeline([("MULTI",), ("GET", "k"), ("EXEC",)])[2] == [b"new"]
    c3.send_cmd("GET", "k")
    c3.send_cmd("PING")
    read.release()
    assert c1.reply() == b"old"
    assert c3.replies(2) == [b"new", b"PONG"]
    write.release()
    assert c2.reply() == b"OK"


def test_a_fill_that_a_blocking_write_overtakes(w):
    """
        C1              C2              Redis
                        BLPOP k ------> blocks: it may do so for ever, so k is not held
        GET k ------------------------> "old": kept
        GET l ------------------------> reads "old", the reply hangs
                        [k, l] <------- BLPOP and what it says of both is over
        <------------------------------ "old" of l: delivered, not kept
        GET k, GET l -----------------> must be asked
    """
    fake, c1, c2, c3 = scene(w, l="old")
    block, read = fake.hold("BLPOP", "k", "l", run=False), fake.hold("GET", "l")
    c2.send_cmd("BLPOP", "k", "l", 0)
    block.wait()
    assert keep(fake, c1, "GET", "k") == b"old"
    c1.send_cmd("GET", "l")
    read.wait()
    fake.change("k", "new")
    fake.change("l", "new")
    block.release(b"*2\r\n$1\r\nk\r\n$1\r\nx\r\n")
    assert c2.reply() == [b"k", b"x"]
    assert c2.cmd("GET", "k") == b"new"
    read.release()
    assert c1.reply() == b"old"
    assert c1.cmd("GET", "l") == b"new"
    assert c3.cmd("GET", "k") == b"new"


def test_reads_behind_ones_own_write(w):
    """
        C1                              Redis
        (k = old, other = x are kept)
        SET k new, GET k, GET other --> all three on one link, in this order
    """
    fake, c1, c2, _ = scene(w, other="x")
    keep(fake, c1, "GET", "k")
    keep(fake, c1, "GET", "other")
    gate = fake.hold("SET", "k", run=False)
    others = fake.asked("GET", "other")
    c1.send(encode_all([("SET", "k", "new"), ("GET", "k"), ("GET", "other")]))
    gate.wait()
    fake.change("other", "y")  # of which nobody is told
    assert c2.cmd("GET", "k") == b"old"
    gate.release()
    assert c1.replies(3) == [b"OK", b"new", b"y"]
    assert fake.asked("GET", "other") == others + 1


def test_a_joined_read_behind_ones_own_write(w):
    """
        C1              C2              Redis
                        GET k --------> reads "old", the reply hangs
        SET j 1, GET k ---------------> must not join: Redis' answer may depend on j
    """
    fake, c1, c2, _ = scene(w)
    gate = fake.hold("GET", "k")
    c2.send_cmd("GET", "k")
    gate.wait()
    fake.change("k", "new")
    c1.send(encode_all([("SET", "j", 1), ("GET", "k")]))
    assert c1.replies(2) == [b"OK", b"new"]
    gate.release()
    assert c2.reply() == b"old"


# what a write clears

CLEARING = [
    ("SET", "k", "v"), ("SETEX", "k", 9, "v"), ("GETSET", "k", "v"), ("GETDEL", "k"),
    ("GETEX", "k", "EX", 9), ("APPEND", "k", "v"), ("INCR", "k"), ("MSET", "x", 1, "k", 2),
    ("MSETNX", "x", 1, "k", 2), ("DEL", "x", "k"), ("UNLINK", "k"), ("EXPIRE", "k", 9),
    ("PEXPIREAT", "k", 9), ("PERSIST", "k"), ("RENAME", "k", "x"), ("RENAME", "x", "k"),
    ("RENAMENX", "x", "k"), ("COPY", "x", "k"), ("RESTORE", "k", 0, "x"), ("SETBIT", "k", 1, 1),
    ("BITOP", "AND", "k", "x", "y"), ("BITFIELD", "k", "SET", "u8", 0, 1), ("HSET", "k", "f", "v"),
    ("HINCRBY", "k", "f", 1), ("LPUSH", "k", "v"), ("LMOVE", "x", "k", "LEFT", "LEFT"),
    ("RPOPLPUSH", "k", "x"), ("LMPOP", 2, "x", "k", "LEFT"), ("SADD", "k", "v"), ("SPOP", "k"),
    ("SMOVE", "x", "k", "v"), ("SUNIONSTORE", "k", "x"), ("ZADD", "k", 1, "v"),
    ("ZUNIONSTORE", "k", 1, "x"), ("ZRANGESTORE", "k", "x", 0, 1), ("ZMPOP", 1, "k", "MIN"),
    ("SORT", "x", "STORE", "k"), ("GEORADIUS", "x", 1, 1, 1, "m", "STORE", "k"),
    ("GEOSEARCHSTORE", "k", "x", "FROMLONLAT", 1, 1, "BYRADIUS", 1, "m"), ("PFADD", "k", "v"),
    ("PFMERGE", "k", "x"), ("XADD", "k", "*", "f", "v"), ("XGROUP", "CREATE", "k", "g", "$"),
    ("EVAL", "return 1", 1, "k"), ("EVALSHA", "0" * 40, 2, "x", "k"), ("FCALL", "f", 1, "k"),
    ("BLPOP", "x", "k", 1), ("BRPOPLPUSH", "x", "k", 1), ("BLMOVE", "x", "k", "LEFT", "LEFT", 1),
    ("BZPOPMIN", "k", 1), ("BLMPOP", 1, 1, "k", "LEFT"), ("NOSUCHCOMMAND", "x", "k"),
    ("FLUSHDB",), ("FLUSHALL", "ASYNC"), ("SWAPDB", 0, 1),
]


def clears(w, protos, commands):
    """After the reply of each command, with no push at all, the other client must be asked upstream
    for k, which was kept."""
    need_cache()
    fake = w.add(NearRedis(k="old", probe="x"))
    larder = near_larder(w, fake, larder={"admin_commands": "allow"}, arm=False)
    writer, reader = (w.conn(larder, proto) for proto in protos)
    for command in commands:
        keep(fake, reader, "GET", "k")
        for step in command if isinstance(command[0], tuple) else [command]:
            writer.raw(*step)
        assert not is_kept(fake, reader, "GET", "k"), f"{command} did not clear k"
        fake.change("k", "old")


def test_every_write_clears_its_keys(w):
    clears(w, (2, 3), CLEARING)


def test_every_write_clears_its_keys_in_resp3(w):
    clears(w, (3, 2), CLEARING)


def test_transactions_clear_their_keys(w):
    clears(w, (2, 3), [(("MULTI",), command, ("EXEC",)) for command in CLEARING
                       if command[0] not in ("NOSUCHCOMMAND",)])


def test_a_write_whose_link_breaks_clears(w):
    """
        C1              C2              Redis
        (k = old is kept)
                        SET k new ----> is run; the link breaks before the reply
                        error
        GET k ------------------------> must be asked: it may have been run
    """
    fake, c1, c2, _ = scene(w)
    keep(fake, c1, "GET", "k")
    gate = fake.hold("SET", "k")
    c2.send_cmd("SET", "k", "new")
    gate.wait()
    gate.link.reset()
    gate.release()
    assert c2.reply().startswith(b"UPSTREAM")
    assert c1.cmd("GET", "k") == b"new"


def test_a_writer_that_leaves_clears(w):
    """The client goes before the reply has come: k is held until it has, and cleared then."""
    fake, c1, c2, _ = scene(w)
    keep(fake, c1, "GET", "k")
    gate = fake.hold("SET", "k", run=False)
    c2.send_cmd("SET", "k", "new")
    gate.wait()
    c2.close()
    c1.cmd("GET", "k")
    gate.release()
    eventually(lambda: c1.cmd("GET", "k") == b"new")
    assert keep(fake, c1, "GET", "k") == b"new"
