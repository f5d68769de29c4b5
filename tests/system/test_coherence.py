"""The judge of coherence (tests/coherence/) in its short versions; `make coherence` runs it longer,
and tells what it saw."""
import random

import coherence
from near import need_cache

ONE_CHANCE = True  # tests/system/run


def seed():
    """A failure tells it, among the arguments."""
    return random.SystemRandom().randrange(1, 1 << 31)


def test_hot(w):
    """P1, P3, P4 and WATCH on few keys, with everything going wrong that can."""
    need_cache()
    coherence.hot(w, 8, seed())


def test_spread(w):
    """P2 on many keys: how many reads are stale, and how stale."""
    need_cache()
    coherence.spread(w, 6, seed())


# Writes that are put otherwise than they came: with a TTL, in a MULTI of larder's, with scripts.
POLICIES = ({"ttl": "1h", "ttl_jitter": "10m", "max_ttl": "2h"},
            {"sliding": "1h", "absolute": "2h"},
            coherence.LEASES, coherence.FLEET,
            {"stampede": "stale", "stale_ttl": "1m"})


def test_hot_under_policies(w):
    """(Not `sliding`, under which reads keep alive what the judge has told to expire.)"""
    need_cache()
    coherence.hot(w, 6, seed(), POLICIES[0], given_ms=3600000)


def test_hot_under_a_cap(w):
    need_cache()
    coherence.hot(w, 6, seed(), {"absolute": "2h"}, given_ms=7200000)


def test_hot_under_leases(w):
    need_cache()
    coherence.hot(w, 6, seed(), coherence.LEASES)


def test_hot_under_leases_of_two(w):
    need_cache()
    coherence.hot(w, 6, seed(), coherence.FLEET)


def test_spread_under_policies(w):
    need_cache()
    for policy in POLICIES:
        coherence.spread(w, 4, seed(), policy=policy)


def test_stalled(w):
    """P2 when no push comes."""
    need_cache()
    coherence.stalled(w, 8, seed())


def test_deadline(w):
    """P3: 60,000 keys die at one instant, of which Redis itself tells late."""
    need_cache()
    coherence.deadline(w, seed())


test_hot_under_leases_of_two.timeout = 90
test_hot_under_leases.timeout = test_hot_under_policies.timeout = test_hot_under_a_cap.timeout = 90
test_spread_under_policies.timeout = 90
test_hot.timeout = test_spread.timeout = test_stalled.timeout = test_deadline.timeout = 90
