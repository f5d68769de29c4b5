"""walls.py - one tenant tries to reach another's: every command of the table, with whatever may name
something in every place, and random ones.

What the other has holds words that the first never says: names with HIDDEN in them, values with
CANARY. If one of these comes back in any byte of any reply, or anything that is not the first
tenant's has changed when all is said, a wall has a hole."""
import os
import random
import shlex
import socket
from contextlib import closing

from command_table import GROUPS
from command_table_server import SERVER_GROUPS
from resp import Closed, Conn, TIMEOUT, encode
from servers import ROOT
from tenants import PREFIXES, password

HIDDEN, CANARY = b"hid8f3kq", b"CANARY7wz"
OTHER = PREFIXES["b"]
KNOWN = ("string", "list", "hash", "set", "zset", "stream", "hll", "geo")

# What leaves the connection of no further use to the test, or makes it wait for ever.
NOT_SAID = {"quit", "client|reply", "wait", "waitaof"}

OPTIONS = ("MATCH COUNT TYPE STREAMS GROUP BLOCK STORE STOREDIST BY GET LIMIT ALPHA ASC DESC WITHSCORES "
           "WEIGHTS AGGREGATE LEFT RIGHT MIN MAX EX PX NX XX KEEPTTL DB REPLACE CREATE MKSTREAM ON OFF "
           "BCAST PREFIX REDIRECT OPTIN NOLOOP OBJECT ENCODING CHANNELS NUMSUB ID ADDR USER LADDR SKIPME "
           "FRESH MISS KEYS STATS FROMMEMBER BYRADIUS FREQ ASYNC SYNC").split()


def read_table(name):
    with open(os.path.join(ROOT, "src", "command", name), encoding="ascii") as f:
        lines = [line.rstrip("\n").split("\t") for line in f if not line.startswith("#")]
    return [dict(zip(lines[0], line)) for line in lines[1:]]


def commands():
    """name -> arity, of every row that larder knows."""
    rows = {r["name"]: int(r["arity"]) for r in read_table("redis-7.0.15.tsv")}
    for r in read_table("larder.tsv"):
        if r["facts"] != "-":
            rows[r["name"]] = int(r["facts"].split(":")[0])
    return {name: arity for name, arity in rows.items() if name not in NOT_SAID}


def seed_other(redis, prefix=OTHER):
    """What the other tenant has, in two databases; and what is nobody's."""
    with closing(Conn(redis.address)) as c:
        for db in (0, 3):
            c.ok("SELECT", db)
            for head in (prefix, "outside:", ""):
                value = CANARY + head.encode()
                for name in (*KNOWN, *(HIDDEN.decode() + n for n in KNOWN)):
                    if not head and name in KNOWN:
                        continue
                    key, kind = head + name, name.replace(HIDDEN.decode(), "")
                    fill = {"string": ("SET", key, value, "EX", 100000), "list": ("RPUSH", key, value, value),
                            "hash": ("HSET", key, "f", value), "set": ("SADD", key, value),
                            "zset": ("ZADD", key, 1, value),
                            "stream": ("XADD", key, "1-1", "f", value),
                            "hll": ("PFADD", key, value), "geo": ("GEOADD", key, 1, 1, value)}[kind]
                    c.ok(*fill)
            c.ok("XGROUP", "CREATE", prefix + "stream", HIDDEN + b"group", "0")


def others(redis, own):
    """Everything that is not the tenant's, as Redis has it."""
    state = {}
    with closing(Conn(redis.address)) as c:
        for db in range(16):
            c.ok("SELECT", db)
            for key in sorted(c.ok("KEYS", "*")):
                if key.startswith(own.encode()):
                    assert CANARY not in (c.ok("DUMP", key) or b""), f"{key} has what was another's"
                    continue
                state[db, key] = (c.ok("DUMP", key), c.ok("EXPIRETIME", key))
        state["config"] = [x for x in c.ok("CONFIG", "GET", "*")]
        state["functions"] = c.ok("FUNCTION", "LIST")
    return state


class Intruder:
    """A connection of tenant a's that says what it likes; everything that comes back is looked at."""

    def __init__(self, larder, proto, tenant="a"):
        self.larder, self.proto, self.tenant = larder, proto, tenant
        self.sock, self.said, self.marks = None, 0, 0

    def open(self):
        self.close()
        self.sock = socket.create_connection(self.larder.address, TIMEOUT)
        self.sock.sendall(encode("HELLO", self.proto, "AUTH", self.tenant, password(self.tenant)))

    def close(self):
        if self.sock is not None:
            self.sock.close()
        self.sock = None

    def say(self, batch):
        """The commands, then the end of whatever they began; all bytes of the answers."""
        if self.sock is None:
            self.open()
        self.marks += 1
        mark = b"--mark-%d-%d--" % (id(self) % 100000, self.marks)
        data = b"".join(encode(*c) for c in batch)
        end = b"".join(encode(*c) for c in (("EXEC",), ("UNWATCH",), ("AUTH", self.tenant, password(self.tenant)),
                                                 ("PING", mark)))
        got = b""
        try:
            self.sock.sendall(data + end)
            while mark not in got:
                more = self.sock.recv(1 << 20)
                if not more:
                    raise Closed("closed")
                got += more
        except socket.timeout:
            raise AssertionError(f"no end of the answers to {batch}: {got[-500:]!r}") from None
        except (Closed, OSError):
            self.close()
        self.said += len(batch)
        for word in (HIDDEN, CANARY):
            if word in got:
                at = got.index(word)
                raise AssertionError(f"{word!r} came back: ..{got[max(0, at - 300):at + 60]!r}\n"
                                     f"of RESP{self.proto} {batch}")
        return got


def names(rng):
    """Something that may name what is another's, or one's own."""
    known = rng.choice(KNOWN)
    return rng.choice((OTHER + known, OTHER + known, known, "own" + known, OTHER + "*", "*", "*" + known,
                       "[a-z]*", "?*", "..:" + OTHER + known, "outside:" + known, "\\*", "a\\", OTHER,
                       "__keyspace@0__:" + OTHER + known, "__keyevent@0__:*", "__redis__:invalidate",
                       "larder:deadline:" + OTHER + known, "", "channel", "w_*->f", OTHER + "*->f"))


def argument(rng):
    kind = rng.random()
    if kind < 0.5:
        return names(rng)
    if kind < 0.75:
        return rng.choice(OPTIONS)
    return rng.choice(("0", "1", "2", "3", "-1", "0-0", "$", ">", "#", "x", "1.5", "5", "(1", "[a", "+", "-"))


def random_command(rng, rows):
    name, arity = rng.choice(rows)
    least = abs(arity) - (2 if "|" in name else 1)
    count = least + (rng.choice((0, 0, 0, 1, 2, 3, 5)) if arity < 0 else 0) + rng.choice((0,) * 9 + (1,))
    words = name.split("|") + [argument(rng) for _ in range(max(count, 0))]
    if name.startswith(("blpop", "brpop", "bzpop", "blmove", "brpoplpush")):
        words[-1] = "0.001"
    if name in ("blmpop", "bzmpop") and len(words) > 1:
        words[1] = "0.001"
    if name in ("xread", "xreadgroup"):
        words = [w if w != "BLOCK" else "COUNT" for w in words]
    if name == "client|tracking":
        words = [w for w in words if w != "REDIRECT"]
    return tuple(words)


def table_lines():
    """Commands as they are meant, each known from the comparison with Redis."""
    lines = [list(x) for x in LEADS]
    for group in (*GROUPS.values(), *SERVER_GROUPS.values()):
        for line in group.strip().splitlines():
            try:
                words = shlex.split(line)
            except ValueError:
                continue
            if words and "0" not in words[-1:] and words[0].upper() not in ("QUIT", "WAIT"):
                lines.append(words)
    return lines


# Elements that lead to what is another's when a pattern is not kept within the prefix.
LEADS = (("DEL", "leads"), ("RPUSH", "leads", *KNOWN),
         ("SORT", "leads", "BY", "w_*", "ALPHA", "GET", "o_*", "GET", "h_*->f"),
         ("SORT_RO", "leads", "BY", "w_*", "GET", "o_*", "GET", "h_*->f"))


def misdirected(words):
    """The command once for each of its arguments, which names what is another's instead."""
    for i in range(1, len(words)):
        for name in (OTHER + "string", OTHER + "list", OTHER + "stream", OTHER + "*", "*",
                     "outside:*", "outside:*->f"):
            yield tuple(words[:i] + [name] + words[i + 1:])
