#!/usr/bin/env python3
"""command_keys.py - the command table against a real redis-server, which it starts for itself.

    tests/system/command_keys.py    wants build/print_keys (PRINT_KEYS: elsewhere), redis-server

1. generate: ids.h and rows.inc are what src/command/generate makes of the tables.
2. facts: src/command/redis-7.0.15.tsv is what the server says of itself (when it is a 7.0.15).
3. keys: for every row, requests of many shapes: command_keys() names the keys that COMMAND GETKEYS
   names. Where they differ the reason is one of those in judge(), or the test fails.
4. touched: for the same requests, command_touched() names those of the keys that are not read-only
   in COMMAND GETKEYSANDFLAGS; or see judge_touched().
5. creates: for every row that may write, a request leaves a key where there was none, which is one
   of those that command_touched() names, if and only if the row says so.

Prints a line for each failure, and last `N passed, N failed`."""

import filecmp
import itertools
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMMAND = os.path.join(ROOT, "src", "command")
PRINT_KEYS = os.environ.get("PRINT_KEYS") or os.path.join(ROOT, "build", "print_keys")
FACTS = os.path.join(COMMAND, "redis-7.0.15.tsv")
ADDED = os.path.join(COMMAND, "larder.tsv")
SECONDS = 10


class Failed(Exception):
    pass


class Redis:
    """A private redis-server on a Unix socket and a free port, and one connection to it."""

    def __init__(self, directory):
        path = os.path.join(directory, "redis.sock")
        for _ in range(5):  # somebody may take the port meanwhile
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                self.port = s.getsockname()[1]
            if self.start(["--port", str(self.port), "--unixsocket", path, "--dir", directory]):
                break
        else:
            raise Failed("redis-server does not start")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(SECONDS)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def start(self, options):
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "redis-server", "--bind", "127.0.0.1", "--save", "",
             *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if "accept connections at" in line:  # said after the TCP port and then the Unix socket
                return True
        self.process.communicate()
        return False

    def close(self):
        self.file.close()
        self.socket.close()
        self.process.terminate()
        self.process.communicate()

    def ask(self, requests):
        """The replies to a few requests in one go."""
        out = b"".join(b"*%d\r\n" % len(r) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in r)
                       for r in requests)
        self.socket.sendall(out)
        return [self.read() for _ in requests]

    def read(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b":":
            return int(rest)
        if kind == b"-":
            return Exception(rest.decode())
        return rest


def table():
    """The rows of the facts and their words, without the containers, which are no commands."""
    with open(FACTS, encoding="ascii") as f:
        head, *rows = [line.rstrip("\n").split("\t") for line in f]
    rows = [dict(zip(head, row)) for row in rows]
    containers = {row["name"].partition("|")[0] for row in rows if "|" in row["name"]}
    for row in rows:
        if row["name"] not in containers:
            yield [w.encode() for w in row["name"].upper().split("|")], row


# ------------------------------------------------------------------------------------- shapes

COUNTS = [b"0", b"1", b"2", b"3", b"5", b"-1", b"x", b"", b"1x", b"01", b"+1", b" 1", b"1\0",
          b"4294967297", b"9223372036854775807", b"99999999999999999999"]


STREAMS = [b"stream0", b"stream1", b"stream2", b"stream3"]
GROUPS = [b"g", b"STREAMS"]


def prepare(redis):
    """What XREADGROUP wants, so that it is refused for its arguments only."""
    redis.ask([[b"XGROUP", b"CREATE", s, g, b"$", b"MKSTREAM"] for s in STREAMS for g in GROUPS])


def key(n):
    """Distinct words, so that a key is known by its name."""
    return b"arg%d" % n


def plain(words, least):
    """Just as many arguments as there must be, and some more."""
    for argc in range(max(len(words), least - 2), least + 7):
        yield words + [key(i) for i in range(len(words), argc)]


def counted(words, at):
    """A count at argument `at`, right and wrong, before few and many arguments."""
    for count, more in itertools.product(COUNTS, range(0, 7)):
        request = words + [key(i) for i in range(len(words), at)] + [count]
        if words[0] in (b"EVAL", b"EVAL_RO") and at > 1:
            request[1] = b"return 1"
        yield request + [key(i) for i in range(at + 1, at + 1 + more)]


def mixed(words, fixed, options, seed):
    """The arguments that must be, and then options, in any order and number, the last one cut."""
    rng = random.Random(seed)
    for _ in range(1500):
        request = words + fixed
        for _ in range(rng.randrange(6)):
            option = list(rng.choice(options))
            if rng.random() < 0.3:
                option[0] = option[0].lower()
            request += option
        if rng.random() < 0.1:
            request.pop()
        # no word may stand for two arguments, but for the options themselves
        yield [b"%s%d" % (a, i) if a.islower() and a.endswith(b"_") else a
               for i, a in enumerate(request)]


def streams(words, group):
    rng = random.Random(7)
    options = [[b"COUNT", b"1"], [b"BLOCK", b"1"], [b"NOACK"], [b"COUNT", b"STREAMS"]]
    if group:
        options += [[b"GROUP", b"g", b"c"]]
    for _ in range(1500):
        request = list(words)
        if group and rng.random() < 0.8:
            request += [b"GROUP", rng.choice(GROUPS), rng.choice([b"c", b"streams"])]
        for _ in range(rng.randrange(3)):
            request += rng.choice(options)
        if rng.random() < 0.95:
            request.append(rng.choice([b"STREAMS", b"streams"]))
        count = rng.randrange(len(STREAMS) + 1)
        request += STREAMS[:count] + [b">" if group else b"%d" % i for i in range(count)]
        if rng.random() < 0.1:
            request.append(b"odd")
        yield request


OPTIONS = {
    b"SORT": (
        [key(1)],
        [[b"BY", b"by_"], [b"BY", b"STORE"], [b"LIMIT", b"0", b"9"], [b"GET", b"get_"],
         [b"GET", b"STORE"], [b"ASC"], [b"ALPHA"], [b"STORE", b"d_"], [b"STORE\0x", b"d_"]]),
    b"SORT_RO": (
        [key(1)],
        [[b"BY", b"by_"], [b"LIMIT", b"0", b"9"], [b"GET", b"get_"], [b"DESC"]]),
    b"GEORADIUS": (
        [key(1), b"1", b"2", b"3", b"m"],
        [[b"COUNT", b"3", b"ANY"], [b"ASC"], [b"STORE", b"d_"], [b"STOREDIST", b"e_"]]),
    b"GEORADIUSBYMEMBER": (
        [key(1), key(2), b"3", b"m"],
        [[b"COUNT", b"3"], [b"DESC"], [b"STORE", b"d_"], [b"STOREDIST", b"e_"]]),
    b"MIGRATE": (
        [key(i) for i in range(1, 6)],  # a port that is none: it must not try to connect
        [[b"COPY"], [b"REPLACE"], [b"AUTH", b"pass_"], [b"AUTH2", b"u_", b"p_"],
         [b"AUTH", b"KEYS"], [b"KEYS", b"a_"], [b"KEYS", b"b_", b"c_"]]),
}


def shapes(words, row):
    """Requests for one row, those with too few arguments included."""
    name = words[0]
    yield from plain(words, abs(int(row["arity"])))
    if "movablekeys" not in row["flags"]:
        return
    if name in OPTIONS:
        fixed, options = OPTIONS[name]
        for request in mixed(words, fixed, options, 3):
            yield request
            if name == b"MIGRATE":
                yield request[:3] + [b""] + request[4:]
    elif name in (b"XREAD", b"XREADGROUP"):
        yield from streams(words, name == b"XREADGROUP")
    else:
        for at in (1, 2):
            yield from counted(words, at)


# ------------------------------------------------------------------------------------- judging

def answers(requests):
    """What print_keys says of each: the words of its three parts."""
    text = "\n".join(" ".join("-" + a.hex() for a in r) for r in requests) + "\n"
    done = subprocess.run([PRINT_KEYS], input=text, stdout=subprocess.PIPE, text=True,
                          timeout=60, check=True)
    return [[part.split() for part in line.split(" /")] for line in done.stdout.splitlines()]


def ours(requests):
    """The row's name, and what command_keys() and command_touched() say: each a list of indexes, or
    None for -1."""
    for (name, *keys), touched, _ in answers(requests):
        yield name, *(None if some == ["-1"] else [int(i) for i in some]
                      for some in (keys, touched))


def refuses(redis, request):
    """Does Redis refuse the command itself? Then it does not matter what its keys are."""
    return isinstance(redis.ask([request])[0], Exception)


def judge(redis, request, keys, theirs):
    """Why the two answers do not fit, or None."""
    name = request[0]
    if isinstance(theirs, Exception):
        text = str(theirs)
        if "no key arguments" in text:
            return None if not keys else "Redis knows no keys"
        if "Invalid number of arguments" in text:
            return None if keys is None else "arity"
        # numkeys = 0: GETKEYS calls it invalid, to us it is no keys. MIGRATE .. KEYS and nothing
        # behind likewise.
        if "Invalid arguments" in text:
            # PFMERGE of nothing: it has no sources, but does write its target.
            if not keys or name == b"PFMERGE" or refuses(redis, request):
                return None
            return "Redis finds no keys"
        return "GETKEYS says " + text
    if keys is None:
        # Redis reads "1x" as 1 to name keys, and then refuses to run the command.
        if theirs == [] or refuses(redis, request):
            return None
        return "Redis finds keys, and runs it"
    said = [request[i] for i in keys]
    if sorted(said) == sorted(theirs):
        return None
    if refuses(redis, request):
        return None
    if name in (b"SORT", b"GEORADIUS", b"GEORADIUSBYMEMBER"):
        # STORE twice: the command takes the last, GETKEYS the first or the last, larder names all.
        stores = [request[i + 1] for i in range(2, len(request) - 1)
                  if request[i].split(b"\0")[0].upper() in (b"STORE", b"STOREDIST")]
        if len(stores) > 1 and set(theirs) <= set(said) <= set(theirs) | set(stores):
            return None
    return "Redis finds others"


def check_keys(redis):
    failures = []
    count = 0
    prepare(redis)
    for words, row in table():
        # COMMAND GETKEYS wants two words
        requests = [r for r in shapes(words, row) if len(r) > 1]
        answers = list(ours(requests))
        theirs = []
        for i in range(0, len(requests), 500):
            theirs += redis.ask([[b"COMMAND", b"GETKEYS"] + r for r in requests[i:i + 500]])
        for request, (name, keys, _), other in zip(requests, answers, theirs):
            count += 1
            if name != row["name"]:
                failures.append("%s is found as %s" % (row["name"], name))
                break
            why = judge(redis, request, keys, other)
            if why:
                failures.append("%s: %r: larder %r, Redis %r" % (why, request, keys, other))
    if count < 10000:
        failures.append("only %d requests were tried" % count)
    return failures


def judge_touched(row, request, touched, theirs):
    """Why the two answers do not fit, or None. `theirs`: pairs of a key and its flags."""
    if "readonly" in row["flags"]:  # PFCOUNT: RW for the sake of a count it keeps in the value
        return "larder finds writes" if touched else None
    if "write" not in row["flags"] and not theirs:
        return "larder finds writes" if touched else None
    written = {key for key, flags in theirs if b"RO" not in flags}
    said = {request[i] for i in touched}
    if row["name"] == "getex" and len(request) == 2:  # reads, as its key spec cannot say
        return "larder finds writes" if said else None
    if not written <= said:
        return "Redis finds more"
    # BITFIELD may only GET, and XREADGROUP changes no entry of the stream.
    if said != written and row["name"] not in ("bitfield", "xreadgroup"):
        return "Redis finds fewer"
    return None


def check_touched(redis):
    failures = []
    count = 0
    prepare(redis)
    for words, row in table():
        requests = [r for r in shapes(words, row) if len(r) > 1]
        theirs = []
        for i in range(0, len(requests), 500):
            theirs += redis.ask([[b"COMMAND", b"GETKEYSANDFLAGS"] + r
                                 for r in requests[i:i + 500]])
        for request, (_, keys, touched), pairs in zip(requests, ours(requests), theirs):
            # Where the keys themselves are in dispute check_keys() has judged.
            if isinstance(pairs, Exception) or keys is None or touched is None or \
                    sorted(request[i] for i in keys) != sorted(key for key, _ in pairs):
                continue
            count += 1
            why = judge_touched(row, request, touched, pairs)
            if why:
                failures.append("%s: %r: larder %r, Redis %r" % (why, request, touched, pairs))
    if count < 3000:
        failures.append("only %d requests were tried" % count)
    return failures


# ------------------------------------------------------------------------------------- creates

# A request a row: `new` and `new2` do not exist, the others do. Where a command can make a key, its
# request does.
SOURCES = ("SET string v", "RPUSH list v", "SADD set m", "ZADD zset 1 m", "XADD stream 1-1 f v",
           "GEOADD geo 1 1 m", "PFADD hll v", "FUNCTION LOAD LIBRARY")
LIBRARY = "#!lua name=t\nredis.register_function('f', function(k) redis.call('SET', k[1], 1) end)"
SCRIPT = "return redis.call('SET', KEYS[1], 1)"
REQUESTS = """
APPEND new v|BITFIELD new SET u8 0 1|BITOP NOT new string|BLMOVE list new LEFT LEFT 1
BLMPOP 0.01 1 new LEFT|BLPOP new 0.01|BRPOP new 0.01|BRPOPLPUSH list new 1|BZMPOP 0.01 1 new MIN
BZPOPMAX new 0.01|BZPOPMIN new 0.01|COPY string new|DECR new|DECRBY new 1|DEL new|EVAL SCRIPT 1 new
EVALSHA SHA 1 new|EXPIRE new 9|EXPIREAT new 9999999999|FCALL f 1 new|GEOADD new 1 1 m
GEORADIUS geo 1 1 9 m STORE new|GEORADIUSBYMEMBER geo m 9 m STOREDIST new
GEOSEARCHSTORE new geo FROMMEMBER m BYRADIUS 9 m|GETDEL new|GETEX new EX 9|GETSET new v|HDEL new f
HINCRBY new f 1|HINCRBYFLOAT new f 1|HMSET new f v|HSET new f v|HSETNX new f v|INCR new|INCRBY new 1
INCRBYFLOAT new 1|LINSERT new BEFORE a b|LMOVE list new LEFT LEFT|LMPOP 1 new LEFT|LPOP new
LPUSH new v|LPUSHX new v|LREM new 0 v|LSET new 0 v|LTRIM new 0 1|MOVE new 1|MSET new v new2 v
MSETNX new v new2 v|PERSIST new|PEXPIRE new 9999|PEXPIREAT new 9999999999999|PFADD new v
PFDEBUG GETREG new|PFMERGE new hll|PSETEX new 9999 v|RENAME string new|RENAMENX string new
RESTORE new 0 DUMP|RESTORE-ASKING new 0 DUMP|RPOP new|RPOPLPUSH list new|RPUSH new v|RPUSHX new v
SADD new m|SDIFFSTORE new set|SET new v|SETBIT new 0 1|SETEX new 9 v|SETNX new v|SETRANGE new 0 v
SINTERSTORE new set|SMOVE set new m|SORT list ALPHA STORE new|SPOP new|SREM new m
SUNIONSTORE new set|UNLINK new|XACK new g 1-1|XADD new * f v|XAUTOCLAIM new g c 0 0
XCLAIM new g c 0 1-1|XDEL new 1-1
XGROUP CREATE new g $ MKSTREAM|XGROUP CREATECONSUMER new g c|XGROUP DELCONSUMER new g c
XGROUP DESTROY new g|XGROUP SETID new g $|XREADGROUP GROUP g c STREAMS new >|XSETID new 1-1
XTRIM new MAXLEN 1|ZADD new 1 m|ZDIFFSTORE new 1 zset|ZINCRBY new 1 m|ZINTERSTORE new 1 zset
ZMPOP 1 new MIN|ZPOPMAX new|ZPOPMIN new|ZRANGESTORE new zset 0 -1|ZREM new m
ZREMRANGEBYLEX new - +|ZREMRANGEBYRANK new 0 1|ZREMRANGEBYSCORE new 0 1|ZUNIONSTORE new 1 zset
"""


def creating():
    """The rows that say so, and those that change any key there is."""
    with open(ADDED, encoding="ascii") as f:
        rows = [line.split("\t") for line in f if not line.startswith("#")]
    return [{row[0] for row in rows if flag in row[2].split(",")}
            for flag in ("creates", "any_key")]


def created(redis, request):
    """Which keys there are now and were not before, and what was said."""
    redis.ask([[b"FLUSHALL"], [b"FUNCTION", b"FLUSH"]])
    words = {b"LIBRARY": LIBRARY.encode(), b"SCRIPT": SCRIPT.encode()}
    redis.ask([[words.get(w, w) for w in line.encode().split()] for line in SOURCES])
    words[b"SHA"], words[b"DUMP"] = redis.ask([[b"SCRIPT", b"LOAD", SCRIPT.encode()],
                                               [b"DUMP", b"string"]])
    before, said, after = redis.ask([[b"KEYS", b"*"], [words.get(w, w) for w in request],
                                     [b"KEYS", b"*"]])
    return set(after) - set(before), said


def check_creates(redis):
    flagged, any_key = creating()
    requests = [line.encode().split() for line in REQUESTS.strip().replace("\n", "|").split("|")]
    failures = []
    tried = set()
    for request, (name, _, touched) in zip(requests, ours(requests)):
        tried.add(name)
        made, said = created(redis, request)
        if bool(made) != (name in flagged):
            failures.append("%r made %r, and said %r" % (request, made, said))
        if not made <= {request[i] for i in touched}:
            failures.append("%r made %r, and touches %r" % (request, made, touched))
    for words, row in table():
        name = row["name"]
        writes = "write" in row["flags"].split(",") or name in flagged
        if writes and name not in tried | any_key | {"migrate"} and words[0] != b"FUNCTION":
            failures.append("%s was not tried" % name)
    return failures


def check_facts(redis):
    version = [line for line in redis.ask([[b"INFO", b"server"]])[0].decode().splitlines()
               if line.startswith("redis_version:")]
    if version != ["redis_version:7.0.15"]:
        print("# facts: the server is not 7.0.15 but %s" % version)
        return []
    said = subprocess.run([os.path.join(COMMAND, "facts"), "127.0.0.1", str(redis.port)],
                          stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout
    with open(FACTS, encoding="ascii") as f:
        kept = f.read()
    return [] if said == kept else ["%s is not what the server says" % FACTS]


def check_generate(directory):
    subprocess.run([os.path.join(COMMAND, "generate"), "--to", directory], timeout=60, check=True)
    return ["%s is out of date: run src/command/generate" % name for name in ("ids.h", "rows.inc")
            if not filecmp.cmp(os.path.join(COMMAND, name), os.path.join(directory, name), False)]


def main():
    directory = tempfile.mkdtemp(prefix="larder-test-command-")
    redis = None
    failed = 0
    try:
        redis = Redis(directory)
        checks = ((check_generate, directory), (check_facts, redis), (check_keys, redis),
                  (check_touched, redis), (check_creates, redis))
        for check, argument in checks:
            failures = check(argument)
            print(("FAIL " if failures else "ok ") + check.__name__)
            print("".join("  %s\n" % f for f in failures[:20]), end="")
            failed += bool(failures)
    finally:
        if redis:
            redis.close()
        shutil.rmtree(directory)
    print("%d passed, %d failed" % (len(checks) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
