"""The judge of coherence (tests/coherence/) in its short versions; `make coherence` runs it longer,
and tells what it saw."""
import random

import coherence
from near import need_cache


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


def test_stalled(w):
    """P2 when no push comes."""
    need_cache()
    coherence.stalled(w, 8, seed())


def test_deadline(w):
    """P3: 60,000 keys die at one instant, of which Redis itself tells late."""
    need_cache()
    coherence.deadline(w, seed())


test_hot.timeout = test_spread.timeout = test_stalled.timeout = test_deadline.timeout = 90
