"""Hours of traffic under leases while clients, sidecars, links and Redis die at random
(tests/support/lease_traffic.py): nobody is left waiting, nobody sees what was replaced."""
import os
import random

from lease_traffic import Traffic
from servers import scaled

ONE_CHANCE = True  # tests/system/run

HOURS = 3600


def live(w, steps, **more):
    seed = int(os.environ.get("LEASE_SEED", 0)) or random.SystemRandom().randrange(1, 10**6)
    t = Traffic(w, seed, **more)
    try:
        t.run(steps)
        t.make_peace()
    except AssertionError as e:
        raise AssertionError(f"{e}\n{t.tell()}") from e
    print(t.tell())
    return t


def test_hours_of_traffic_under_random_deaths(w):
    steps = scaled(800, 80)
    t = live(w, steps)
    if steps == 800:
        assert t.clock.now() - t.began > 2 * HOURS, t.tell()
        assert t.reads > 1000 and t.told["granted"] > 100 and t.told["loaded"] > 50, t.tell()
        assert min(t.told[x] for x in ("promoted", "lapsed", "timed_out", "voided")) > 0, t.tell()


test_hours_of_traffic_under_random_deaths.timeout = 150


def test_hours_of_two_sidecars_that_share_leases(w):
    """scope = fleet; what was leased upstream is gone as well in the end."""
    steps = scaled(800, 80)
    t = live(w, steps, scope="fleet")
    if steps == 800:
        assert t.told["granted"] > 100 and t.told["loaded"] > 50, t.tell()
        assert sum(side.since("elsewhere") for side in t.sides) > 0, t.tell()


test_hours_of_two_sidecars_that_share_leases.timeout = 150


def test_hours_of_old_values(w):
    """stampede = stale: what has expired is given, what was replaced never."""
    t = live(w, scaled(800, 80), stampede="stale", stale_ttl="1h", refresh_ahead="yes")
    stale = sum(side.stats()["cache_stale"] for side in t.sides)
    assert stale > 0 or scaled(800, 80) < 800, t.tell()


test_hours_of_old_values.timeout = 150


def test_a_crowd_of_clients_that_die(w):
    """Only clients die, and many ask for the few keys there are."""
    seed = random.SystemRandom().randrange(1, 10**6)
    t = Traffic(w, seed, apps=40)
    t.DEEDS = ["client_dies", "client_is_killed"]
    try:
        t.run(scaled(200, 20))
        t.make_peace()
    except AssertionError as e:
        raise AssertionError(f"{e}\n{t.tell()}") from e


test_a_crowd_of_clients_that_die.timeout = 90
