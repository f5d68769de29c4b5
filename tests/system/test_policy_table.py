"""Policies of expiry: every write, at every state of its key, alone and in transactions, in RESP2
and RESP3, leaves the TTL that the policy says, and is answered as if there was no larder.

The commands are in tests/support/policy_rows.py, what a policy says in Policy.ttl_after and
Policy.refusal of tests/support/policy_table.py. A test is for one policy."""
import re

from policy_rows import ROWS, SIZES
from policy_table import (ABSOLUTE, ALONE, JITTER, LONE_MULTI, MAX, MINUTE, MULTI, SIZE, SLIDING,
                          TTL, WATCH, WATCH_MULTI, Policy, Table)
from servers import make_ini, sanitized
from test_servers import program

POLICIES = [
    Policy("none"),
    Policy("ttl", ttl=TTL),
    Policy("max", max_ttl=MAX),
    Policy("ttl-max", ttl=TTL, max_ttl=MAX),
    Policy("jitter", ttl=TTL, jitter=JITTER),
    Policy("sliding", sliding=SLIDING),
    Policy("absolute", absolute=ABSOLUTE),
    Policy("sliding-absolute", sliding=SLIDING, absolute=ABSOLUTE),
    Policy("require", require=True),
    Policy("deny", deny=True),
    Policy("size", max_value=SIZE),
]
# Settings that meet; of them fewer of the ways in which a command may come.
MIXED = [
    Policy("ttl-sliding", ttl=40 * MINUTE, sliding=SLIDING),
    Policy("sliding-max", sliding=SLIDING, max_ttl=MAX),
    Policy("require-max", require=True, max_ttl=MAX),
    Policy("require-sliding", require=True, sliding=SLIDING),
    Policy("size-ttl", max_value=SIZE, ttl=TTL),
    Policy("near", ttl=TTL, local=True),
    Policy("near-sliding", sliding=SLIDING, absolute=ABSOLUTE, local=True),
]
FEW = (ALONE, MULTI, WATCH)


def larder_for(w, redis, policies):
    ini = make_ini(("127.0.0.1", 0), redis, None, {"address": "127.0.0.1:@PORT@"})
    return w.larder(redis, ini=ini + "\n".join(p.section() for p in policies))


def table_for(w, *policies, **more):
    redis = w.redis()
    return Table(redis, larder_for(w, redis, policies), **more)


def check(w, policy, few):
    table = table_for(w, policy, rows=ROWS + SIZES if policy.max_value else ROWS)
    if few or sanitized():
        table.check(policy, 2, (ALONE, MULTI))
        table.check(policy, 3, (WATCH,))
    else:
        table.check(policy, 2, (*FEW, LONE_MULTI, WATCH_MULTI))
        table.check(policy, 3, (ALONE, MULTI))


def of(policy, few):
    def test(w):
        check(w, policy, few)
    test.timeout = 60
    return test


for _policy in POLICIES + MIXED:
    globals()["test_" + _policy.name.replace("-", "_")] = of(_policy, _policy in MIXED)


FULL = [Policy("ttl-max", ttl=TTL, max_ttl=MAX), Policy("sliding", sliding=SLIDING)]
# What makes no key, and is executed even by a server that has no memory left.
FRUGAL = "(RENAME|RENAMENX|EXPIREAT|PEXPIREAT|GETEX|PERSIST)$"
# What it executes too, but larder puts into a MULTI, lest a key stay without expiry.
MAY_MAKE = "(SMOVE|EVAL|EVALSHA|FCALL)$"


def rows(pattern, match=True):
    return "\n".join(line for line in ROWS.splitlines() if line.strip()
                     and match == bool(re.match(pattern, line.split()[2], re.I)))


def check_full(w, of_them):
    table = table_for(w, *FULL, rows=of_them, full=True)
    for policy in FULL:
        table.check(policy, 2, FEW)
        table.check(policy, 3, (ALONE,))


def test_out_of_memory(w):
    """Redis' -OOM arrives as such, though it comes when the command is queued in a MULTI that the
    client knows nothing of."""
    check_full(w, rows(f"{FRUGAL}|{MAY_MAKE}", False))


def test_out_of_memory_frees(w):
    """In a MULTI a full Redis refuses to queue what it would execute outside."""
    check_full(w, rows(FRUGAL))


def test_redis_6(w):
    """Redis < 7 has no PEXPIRE with NX, GT or LT."""
    w.program = program("redis-6")
    policies = [Policy("ttl-max", ttl=TTL, max_ttl=MAX), Policy("max", max_ttl=MAX),
                Policy("require", require=True)]
    table = table_for(w, *policies, old=True)
    for policy in policies:
        table.check(policy, 2, FEW)
        table.check(policy, 3, (ALONE,))


def test_redis_6_sliding(w):
    w.program = program("redis-6")
    policies = [Policy("sliding", sliding=SLIDING),
                Policy("sliding-absolute", sliding=SLIDING, absolute=ABSOLUTE)]
    table = table_for(w, *policies, old=True)
    for policy in policies:
        table.check(policy, 2, FEW)
        table.check(policy, 3, (ALONE,))


test_redis_6.timeout = test_redis_6_sliding.timeout = 60
