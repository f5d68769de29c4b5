#!/usr/bin/env python3
"""command_expiry.py - what command_expiry() says of a request, against what a real redis-server,
which it starts for itself, makes of it.

    tests/system/command_expiry.py    wants build/print_keys (PRINT_KEYS: elsewhere), redis-server

Requests with any options in any order and case, and numbers of all kinds. What is understood Redis
must take, and do what was said: the key then has that expiry, none, or the one of before. What
Redis takes must be understood, but for an option said twice and for what might overflow. And with
the number cut down in milliseconds, as larder does, it must still be taken.

Prints a line for each failure, and last `N passed, N failed`."""

import random
import shutil
import sys
import tempfile

from command_keys import Failed, Redis, answers

REQUESTS = 6000
UNSAID, NONE, KEEP, RELATIVE, AT, PERSIST, UNCLEAR = range(7)
BEFORE = 4102444800000  # when the key expires that is there before, Unix time in ms: the year 2100
MOST = 2 ** 63 - 1
CUT = 5000000
TWICE = (b"EX", b"PX", b"EXAT", b"PXAT")

# Past or not is the server's clock's to say: so these are far on either side, or wrong.
SPANS = [b"1000", b"200000", b"300000000", b"9000000000000000"]
TIMES = [b"5000000000", b"5000000000000", b"9000000000000000", b"1000"]
ODD = [b"0", b"-1", b"-5000000000", b"x", b"", b"1.5", b"01", b"+5", b" 5", b"5\0", b"-0",
       b"%d" % MOST, b"%d" % (MOST + 1), b"%d" % (MOST // 1000), b"%d" % (MOST // 1000 + 1),
       b"%d" % -MOST, b"%d" % (-MOST - 1), b"%d" % -(MOST // 1000), b"%d" % -(MOST // 1000 + 1),
       b"%d" % (MOST - 2 ** 48), b"%d" % ((MOST - 2 ** 48) // 1000)]
SPARE = [[b"NX"], [b"XX"], [b"GET"], [b"KEEPTTL"], [b"PERSIST"], [b"GT"], [b"LT"], [b"NX\0"],
         [b"ABSTTL"], [b"REPLACE"], [b""], [b"EX"], [b"IFEQ", b"v"], [b"IDLETIME", b"5"],
         [b"FREQ", b"5"], [b"FREQ", b"256"], [b"IDLETIME", b"-1"], [b"IDLETIME"]]
SET_OWN = [[b"NX"], [b"XX"], [b"GET"], [b"KEEPTTL"]]
GETEX_OWN = [[b"PERSIST"]]
EXPIRE_OWN = [[b"NX"], [b"XX"], [b"GT"], [b"LT"]]
RESTORE_OWN = [[b"REPLACE"], [b"ABSTTL"], [b"IDLETIME", b"5"], [b"FREQ", b"255"]]


def timed(rng):
    """EX 10 and the like, for SET and GETEX."""
    at = rng.random() < 0.5
    word = rng.choice([b"EXAT", b"PXAT"] if at else [b"EX", b"PX"])
    return [word, rng.choice(ODD if rng.random() < 0.3 else TIMES if at else SPANS)]


def some_options(rng, own, with_time):
    out = []
    for _ in range(rng.choice([0, 1, 1, 2, 2, 3])):
        draw = rng.random()
        if with_time and draw < 0.4:
            option = timed(rng)
        else:
            option = list(rng.choice(own if draw < 0.93 else SPARE))
        if rng.random() < 0.3:
            option[0] = option[0].lower()
        out += option
    return out


def requests(rng, dump):
    """Mostly right, and often not."""
    for _ in range(REQUESTS):
        odd = rng.random() < 0.3
        span, time = rng.choice(ODD if odd else SPANS), rng.choice(ODD if odd else TIMES)
        name = rng.choice([b"SET", b"SET", b"GETEX", b"EXPIRE", b"PEXPIRE", b"EXPIREAT", b"SETNX",
                           b"PEXPIREAT", b"SETEX", b"PSETEX", b"RESTORE", b"PERSIST"])
        if name == b"SET":
            request = [name, b"k", b"v"] + some_options(rng, SET_OWN, True)
        elif name == b"GETEX":
            request = [name, b"k"] + some_options(rng, GETEX_OWN, True)
        elif name in (b"EXPIRE", b"PEXPIRE"):
            request = [name, b"k", span] + some_options(rng, EXPIRE_OWN, False)
        elif name in (b"EXPIREAT", b"PEXPIREAT"):
            request = [name, b"k", time] + some_options(rng, EXPIRE_OWN, False)
        elif name in (b"SETEX", b"PSETEX"):
            request = [name, b"k", span, b"v"]
        elif name == b"RESTORE":
            request = [name, b"k", rng.choice([span, time, b"0"]), dump]
            request += [b"REPLACE"] + some_options(rng, RESTORE_OWN, False)
        else:
            request = [name, b"k"] + [b"v"] * (name == b"SETNX")
        if rng.random() < 0.04:
            request = request + [b"more"] if rng.random() < 0.5 else request[:-1]
        yield request


def run(redis, request):
    """The server's time before and after, the reply, and when k expires then: -1 never, -2 there is
    none. Before, it is there and expires in 2100."""
    before, _, reply, expires, after = redis.ask(
        [[b"TIME"], [b"SET", b"k", b"old", b"PXAT", b"%d" % BEFORE], request,
         [b"PEXPIRETIME", b"k"], [b"TIME"]])
    low, high = (int(t[0]) * 1000 + int(t[1]) // 1000 for t in (before, after))
    return low, high, reply, expires


def is_done(said, low, high, expires):
    """Was done what was said, when nothing could keep it from being done?"""
    kind, seconds, value = said[0], said[1], said[7]
    if kind == NONE:
        return expires == -1
    if kind == PERSIST:
        return expires == -1
    if kind in (KEEP, UNSAID):
        return expires == BEFORE
    ms = value * (1000 if seconds else 1)
    first, last = (low + ms, high + ms) if kind == RELATIVE else (ms, ms)
    return expires == -2 if last <= low else first <= expires <= last


def may_be_unclear(request):
    """Redis takes it; larder does not say what it means."""
    words = [w.split(b"\0")[0].upper() for w in request]
    if request[0] in (b"SET", b"GETEX") and any(words.count(w) > 1 for w in TWICE):
        return True
    # larger than what is sure not to overflow; of RESTORE what overflows is past, not refused
    return any(a in (b"%d" % MOST, b"%d" % (MOST // 1000), b"%d" % (MOST - 1)) for a in request)


def judge(redis, request, said):
    """Why the two do not fit, or None."""
    kind, seconds, conditional, nx, get, word, number, _ = said
    low, high, reply, expires = run(redis, request)
    if isinstance(reply, Exception):
        busy = request[0] == b"RESTORE" and str(reply).startswith("BUSYKEY")  # without REPLACE
        return None if kind == UNCLEAR or busy else "Redis says %s" % reply
    if kind == UNCLEAR:
        return None if may_be_unclear(request) else "Redis takes it"
    if get != (request[0] == b"SET" and reply == b"old"):
        return "get: %r" % reply
    if nx and (expires != BEFORE or reply not in (None, 0, b"old")):
        return "nx, and Redis does it"
    if not is_done(said, low, high, expires) and not (conditional and expires == BEFORE):
        return "Redis makes it expire at %d" % expires
    if kind == RELATIVE and not conditional:
        return judge_cut(redis, request, word, number)
    return None


def judge_cut(redis, request, word, number):
    """As larder cuts an expiry down."""
    to_ms = {b"EX": b"PX", b"SETEX": b"PSETEX", b"EXPIRE": b"PEXPIRE"}
    request = list(request)
    request[word] = to_ms.get(request[word].upper(), request[word])
    request[number] = b"%d" % CUT
    low, high, reply, expires = run(redis, request)
    if isinstance(reply, Exception):
        return "cut down: %r: %s" % (request, reply)
    return None if low + CUT <= expires <= high + CUT else "cut down: it expires at %d" % expires


def check_expiry(redis, seed):
    rng = random.Random(seed)
    redis.ask([[b"SET", b"d", b"v"]])
    tried = list(requests(rng, redis.ask([[b"DUMP", b"d"]])[0]))
    failures = []
    counts = [0] * 7
    for request, (_, _, words) in zip(tried, answers(tried)):
        said = [int(w) for w in words]
        counts[said[0]] += 1
        why = judge(redis, request, said)
        if why:
            failures.append("%r: %r: %s" % (request, said, why))
    if min(counts) < REQUESTS // 100:
        failures.append("too few of a kind: %r" % counts)
    return failures


def main():
    directory = tempfile.mkdtemp(prefix="larder-test-expiry-")
    redis = None
    try:
        redis = Redis(directory)
        failures = check_expiry(redis, 5)
        print(("FAIL " if failures else "ok ") + "check_expiry")
        print("".join("  %s\n" % f for f in failures[:20]), end="")
    finally:
        if redis:
            redis.close()
        shutil.rmtree(directory)
    print("%d passed, %d failed" % (not failures, bool(failures)))
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as e:
        sys.exit(str(e))
