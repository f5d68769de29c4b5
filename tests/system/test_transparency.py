"""No client can tell larder from the Redis behind it: the same commands, the same bytes."""
import random

from command_table import GROUPS as DATA_GROUPS
from command_table_server import ADMIN_GROUPS, ELSEWHERE, SERVER_GROUPS
from compare import HELLO_ID, same, same_bytes, same_commands, until, words
from resp import BigNumber, Conn, Double, Error, Map, Push, Set, Verbatim, encode, encode_all

GROUPS = {**DATA_GROUPS, **SERVER_GROUPS}


def lines(group):
    return [line for line in group.split("\n") if line]


def commands(group):
    return [words(line) for line in lines(group)]


def one_by_one(name, group, **more):
    def test(w):
        same_commands(w, commands(group), **more)
    test.__name__ = name
    return test


for _name, _group in GROUPS.items():
    _title = "test_commands_" + _name.replace(" ", "_")
    globals()[_title] = one_by_one(_title, _group)
for _name, _group in ADMIN_GROUPS.items():
    _title = "test_admin_commands_" + _name
    globals()[_title] = one_by_one(_title, _group, admin=True)


def test_table_names_every_command(w):
    """So that a command added to Redis' own list cannot be forgotten here."""
    names = w.pair().redis.cmd("COMMAND", "LIST")
    named = set(ELSEWHERE.replace(":", " ").split())
    for group in list(GROUPS.values()) + list(ADMIN_GROUPS.values()):
        for argv in commands(group):
            two = [a.decode("latin1").lower() for a in argv[:2]]
            named.update((two[0], "|".join(two)))
    missing = [n.decode() for n in names if n.decode() not in named
               and not n.startswith(b"cluster|")]
    assert not missing, f"in no group: {missing}"


def pipelined(w, proto, group):
    """All commands in one segment."""
    def scenario(s):
        c = s.open()
        c.send(encode_all(commands(group)))
        for _ in commands(group):
            c.raw_reply()
    same(w, scenario, protos=(proto,))


# In "connection" HELLO changes the protocol on the way, which a pipeline must survive too.
def test_pipelined_resp2(w):
    for group in GROUPS.values():
        pipelined(w, 2, group)


def test_pipelined_resp3(w):
    for group in GROUPS.values():
        pipelined(w, 3, group)


def test_inline(w):
    """Every command as a line of text; what the line holds is decoded by larder as by Redis."""
    for group in GROUPS.values():
        def scenario(s):
            c = s.open()
            for line in lines(group):
                c.send(line.encode() + b"\r\n")
                c.raw_reply()
        same(w, scenario, protos=(2,))


def test_inline_pipelined_with_bare_newlines(w):
    text = "".join(line + "\n" for line in lines(GROUPS["strings"]))
    same_bytes(w, text.encode())


def test_split_at_every_byte(w):
    """Each request in two segments, cut at every place."""
    requests = [encode("SET", "key", "val\r\nue"), encode("MGET", "key", "b"), b"GET key\r\n",
                b"*0\r\n*1\r\n$4\r\nPING\r\n", encode("HELLO", "2")]
    pair = w.pair()
    c = w.conn(pair.larder)
    for request in requests:
        c.send(request)
        whole = HELLO_ID[0].sub(HELLO_ID[1], c.raw_reply())
        for at in range(1, len(request)):
            c.send(request[:at])
            # an answered request of another client: larder has seen the first half by now
            w_other(w, pair)
            c.send(request[at:])
            again = HELLO_ID[0].sub(HELLO_ID[1], c.raw_reply())
            assert again == whole, f"{request!r} cut at {at}: {again!r} instead of {whole!r}"


def w_other(w, pair):
    if not hasattr(w, "other"):
        w.other = w.conn(pair.larder)
    assert w.other.cmd("GET", "nothing") is None


def test_one_byte_at_a_time(w):
    data = encode_all(commands(GROUPS["hashes"])[:8]) + b"PING\r\n" + encode("SET", "", "\r\n" * 9)
    same_bytes(w, data, piece=1)


def test_random_pieces(w):
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    data = b"".join(encode_all(commands(g)) for n, g in GROUPS.items()
                    if n in ("strings", "lists", "sorted sets", "hashes"))
    for _ in range(3):
        piece = rng.randrange(2, 40)
        try:
            same_bytes(w, data, piece=piece)
        except AssertionError as e:
            raise AssertionError(f"seed {seed}, pieces of {piece}: {e}") from e


def test_resp3_types(w):
    """The frames of DEBUG PROTOCOL as a client sees them, not only alike."""
    c = w.conn(w.pair(admin=True).larder, proto=3)
    assert isinstance(c.cmd("DEBUG", "PROTOCOL", "double"), Double)
    assert isinstance(c.cmd("DEBUG", "PROTOCOL", "set"), Set)
    assert isinstance(c.cmd("DEBUG", "PROTOCOL", "map"), Map)
    assert isinstance(c.cmd("DEBUG", "PROTOCOL", "verbatim"), Verbatim)
    assert isinstance(c.cmd("DEBUG", "PROTOCOL", "bignum"), BigNumber)
    assert c.cmd("DEBUG", "PROTOCOL", "true") is True
    assert c.raw("DEBUG", "PROTOCOL", "attrib")[:1] == b"|"
    c.send_cmd("DEBUG", "PROTOCOL", "push")
    assert isinstance(c.push(), Push)
    assert c.reply().startswith(b"Some real reply")
    assert c.cmd("PING", "after") == b"after"


def test_attribute_and_push_count_for_nothing(w):
    """Between pipelined commands: each keeps its own reply."""
    def scenario(s):
        c = s.open()
        c.send(encode_all([("PING", "1"), ("DEBUG", "PROTOCOL", "attrib"), ("SET", "a", "b"),
                           ("DEBUG", "PROTOCOL", "push"), ("GET", "a"), ("PING", "end")]))
        while not c.frame().endswith(b"end\r\n"):
            pass
    same(w, scenario, admin=True)


def test_deeply_nested_replies(w):
    def scenario(s):
        c = s.open()
        for depth in (1, 8, 60, 200, 9000):
            c.raw("EVAL", "local t={'x'} for i=1,tonumber(ARGV[1]) do t={t} end return t", 0, depth)
        c.cmd("PING")
    same(w, scenario)


def test_wide_replies(w):
    def scenario(s):
        c = s.open()
        c.raw("EVAL", "local t={} for i=1,50000 do t[i]=i end return t", 0)
        c.raw(
            "EVAL",
            "local t={} for i=1,3000 do t[i]={i,{i,'x'},redis.status_reply('S')} end return t",
            0)
    same(w, scenario)


def test_command_of_200_kb(w):
    """What redis-cli asks first. Redis itself does not keep its order, so: the same elements."""
    pair = w.pair()
    for proto in (2, 3):
        direct, through = w.conn(pair.redis, proto), w.conn(pair.larder, proto)
        for command in (("COMMAND",), ("COMMAND", "DOCS"), ("COMMAND", "LIST")):
            a, b = direct.raw(*command), through.raw(*command)
            assert len(a) == len(b) and sorted(a) == sorted(b), command
        assert through.cmd("PING") == b"PONG"


def test_values_of_every_size_class(w):
    """Around the sizes where buffers change hands."""
    def scenario(s):
        c = s.open()
        for size in (0, 1, 15, 16, 1023, 16383, 16384, 65535, 65536, 65537, 262143, 262144, 262145,
                     (1 << 20) - 40, 1 << 20, (1 << 20) + 1, 5 << 20):
            c.cmd("SET", "k%d" % size, b"%d:" % size + b"v" * size)
            c.raw("GET", "k%d" % size)
            c.raw("STRLEN", "k%d" % size)
    same(w, scenario)


def test_large_values_in_a_pipeline(w):
    """Large and small, requests and replies, all sent before anything is read."""
    def scenario(s):
        c = s.open(timeout=20)
        sizes = [10, 3 << 20, 100, 70000, 0, 1 << 20, 300000, 5]
        c.send(encode_all([("SET", "k%d" % i, b"%d" % i * size) for i, size in enumerate(sizes)]))
        for _ in sizes:
            c.raw_reply()
        c.send(encode_all([("GET", "k%d" % i) for i in range(len(sizes))] * 3))
        for _ in range(3 * len(sizes)):
            c.raw_reply()
    same(w, scenario)


def test_binary_keys_and_values(w):
    every = bytes(range(256))
    same_commands(w, [("SET", every, every), ("GET", every), ("GETRANGE", every, 10, 14),
                      ("HSET", b"\r\n", b"\r\n", b"*1\r\n$4\r\nPING\r\n"), ("HGETALL", b"\r\n"),
                      ("MGET", every, b"", b"\r\n"), (b"\x00", b"\x00"), (every,),
                      ("EXISTS", every)])


def test_unknown_commands_pass(w):
    """Those of modules and of newer servers: Redis itself refuses them, in its words."""
    same_commands(w,
                  [("JSON.GET", "k"), ("FT.SEARCH", "i", "*"),
                   ("HEXPIRE", "h", 10, "FIELDS", 1, "f"), ("MSETEX", 1, "k", "v"), ("MSETEX",),
                   ("DELEX", "k"), ("DELIFEQ", "k", "v"), ("DIGEST", "k"), ("SFLUSH", 0, 1),
                   ("XDELEX", "k", "IDS", 1, "1-1"), ("XACKDEL", "k", "g", "IDS", 1, "1-1"),
                      ("x" * 300, "a" * 300, "b"), ("GETX",), ["NOPE"] + ["arg"] * 60,
                      ("CLIENT|LIST",), ("WAITAOF", 0, 0, 0), ("PING",)])


def test_module_command_through_a_renamed_one(w):
    """A command larder cannot know, which the upstream serves."""
    redis = w.redis("--rename-command", "INCRBY", "PLUS", "--rename-command", "BLPOP", "TAKE")
    larder = w.larder(redis)
    c = w.conn(larder)
    assert c.cmd("PLUS", "n", 5) == 5
    assert c.pipeline([("SET", "a", "1"), ("PLUS", "n", 2), ("GET", "n")])[1:] == [7, b"7"]
    assert isinstance(c.cmd("INCRBY", "n", 1), Error)
    # one that blocks stops nobody else
    c.send_cmd("TAKE", "q", 0)
    other = w.conn(larder)
    assert other.cmd("PUSH") .startswith(b"ERR unknown command")
    assert other.cmd("RPUSH", "q", "x") == 1
    assert c.reply() == [b"q", b"x"]


def test_newer_protocol_error_words(w):
    """After an error reply the connection goes on."""
    c = w.conn(w.pair().larder)
    for _ in range(3):
        assert c.cmd("NOPE").startswith(b"ERR unknown command 'NOPE'")
        assert c.cmd("PING") == b"PONG"


def test_deep_pipeline(w):
    """20,000 commands before the first read; every reply its own."""
    pair = w.pair()
    c = w.conn(pair.larder, timeout=30)
    count = 20000
    c.send(b"".join(encode("SET", "k%d" % i, i) + encode("GET", "k%d" % i)
                    for i in range(count // 2)))
    for i in range(count // 2):
        assert c.reply() == b"OK"
        assert c.reply() == b"%d" % i


def test_two_protocols_at_once(w):
    pair = w.pair()
    two, three = w.conn(pair.larder, 2), w.conn(pair.larder, 3)
    two.ok("HSET", "h", "f", "v")
    for _ in range(5):
        assert two.cmd("HGETALL", "h") == [b"f", b"v"]
        assert three.cmd("HGETALL", "h") == Map([(b"f", b"v")])
    assert isinstance(three.cmd("HGETALL", "h"), Map)
    assert two.raw("GET", "missing") == b"$-1\r\n"
    assert three.raw("GET", "missing") == b"_\r\n"


def test_hello_switches_on_the_way(w):
    """HELLO inside a pipeline: each reply in the protocol of its moment."""
    def scenario(s):
        c = s.open(proto=2)
        c.send(encode_all([("HSET", "h", "a", "1"), ("HGETALL", "h"), ("GET", "no"), ("HELLO", 3),
                           ("HGETALL", "h"), ("GET", "no"), ("HELLO", 2), ("HGETALL", "h"),
                           ("GET", "no"), ("HELLO", 9), ("HGETALL", "h"), ("HELLO", 3),
                           ("PING",), ("GET", "no")]))
        for _ in range(14):
            c.raw_reply()
    same(w, scenario, protos=(2,))


def test_quit_ends_the_pipeline(w):
    for proto_bytes in (b"", encode("HELLO", 3)):
        pair = w.pair()
        c = Conn(pair.larder.address)
        got = until(
            c,
            proto_bytes +
            encode(
                "SET",
                "a",
                "1") +
            encode("QUIT") +
            encode(
                "SET",
                "a",
                "2"),
            b"never",
            None)
        c.close()
        assert got[1] == "closed" and got[0].endswith(b"+OK\r\n+OK\r\n"), got
        assert pair.redis.cmd("GET", "a") == b"1"
