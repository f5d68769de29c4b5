"""Sessions: each use renews them for 30 minutes, for 8 hours in all, and Redis hears of it at most
once in a quarter of the window. Hours go by in seconds (tests/support/clock.py, sessions.py)."""
import random

from resp import SLOW, Error, eventually
from servers import sanitized
from sessions import (CAP, HOUR, MINUTE, QUARTER, SLACK, WINDOW, Hashes, Renewals, Sidecar, Strings,
                      calls, expires, idle)

FAR = 5  # seconds
LOCAL = ("yes", "no")
KINDS = (Strings, Hashes)


def world(w):
    clock = w.clock()
    return clock, clock.redis()


def pace(seconds, slow):
    """Between hits; longer where everything is slow."""
    return seconds if SLOW <= 1 and not sanitized() else slow


def hit_for(side, sessions, seconds, step):
    """Hits every `step` seconds for so long, the first one now; returns how many. Nothing is
    under way when the clock moves far: it would be late by as much, see idle()."""
    hits, end = 0, side.clock.now() + seconds
    while side.clock.now() < end:
        sessions.hit(side)
        if step >= FAR:
            side.settle()
        side.clock.move(step)
        hits += 1
    return hits


def most(seconds, step):
    """So many renewals may reach Redis for one key in that time: one a quarter, which begins with a
    hit; and one at the start."""
    return seconds // (QUARTER - 2 * step) + 2


def dies_when_promised(side, sessions):
    """Lives until 30 minutes after the last use and not longer, upstream and through larder."""
    side.idle(QUARTER + 1)
    count = len(sessions.keys)
    assert sessions.promised(side.redis), (sessions.used, sessions.deadlines(side.redis)[:5])
    side.clock.move(sessions.used[0] + WINDOW - 2 - side.clock.now())
    assert sessions.live(side.redis) == count
    side.clock.move(2 + SLACK + sessions.used[1] - sessions.used[0])
    assert sessions.live(side.redis) == 0
    assert side.conn.cmd("TTL", sessions.keys[0]) == -2
    assert side.conn.cmd("EXISTS", *sessions.keys) == 0


def dies_at_its_cap(sides, sessions, began, step=5 * MINUTE):
    """Hit all the time, lives until 8 hours after `began` (not before, not after), no longer."""
    clock, redis, turn = sides[0].clock, sides[0].redis, 0
    while clock.now() + step < began[0] + CAP - 2:
        idle(sides, step)
        sessions.hit(sides[turn % len(sides)])
        turn += 1
    idle(sides, 0)
    clock.move(began[0] + CAP - 2 - clock.now())
    for side in sides:
        sessions.hit(side)
        assert 0 <= side.conn.cmd("TTL", sessions.keys[0]) <= 3
    clock.move(3 + began[1] - began[0])
    assert sessions.live(redis) == 0
    for side in sides:
        assert side.conn.cmd("EXISTS", *sessions.keys) == 0
        assert side.conn.cmd("PTTL", sessions.keys[0]) == -2


# many


def two_hours(w, local, step):
    """1,000 sessions used all the time: none dies, and each is renewed once a quarter upstream.
    Then all but ten are left alone and end 30 minutes later; ten are used until the cap."""
    clock, redis = world(w)
    side = Sidecar(clock, redis, local)
    few, many = Strings(10), Strings(990, first=10)
    few.create(side)
    many.create(side)
    renewals, seen = Renewals(w, redis), {}
    end = clock.now() + 2 * HOUR
    while clock.now() < end:
        few.hit(side)
        many.hit(side)
        clock.move(step)
        if few.used[0] % 60 < step:
            for key in renewals.new():
                seen[key] = seen.get(key, 0) + 1
    assert few.live(redis) + many.live(redis) == 1000
    assert len(seen) == 1000, len(seen)
    assert max(seen.values()) <= most(2 * HOUR, step), max(seen.values())
    until = many.used[0] + WINDOW - 2
    while clock.now() + step < until:
        few.hit(side)
        side.settle()
        clock.move(step)
    clock.move(max(0, until - clock.now()))
    assert many.live(redis) == 990
    # Not exactly: what was under way at a move was late by as much, see idle().
    clock.move(MINUTE + 2 * step)
    assert many.live(redis) == 0
    few.hit(side)
    dies_at_its_cap([side], few, few.created)


def test_a_thousand_sessions_hit_each_second(w):
    two_hours(w, "yes", pace(1, 15))


def test_a_thousand_sessions_without_a_near_cache(w):
    two_hours(w, "no", pace(1, 60))


test_a_thousand_sessions_hit_each_second.timeout = 180
test_a_thousand_sessions_without_a_near_cache.timeout = 180


def test_ten_sessions_hit_each_second(w):
    """No cap here, so that each PEXPIRE which Redis counts is a renewal."""
    step = pace(1, 10)
    for local in LOCAL:
        clock, redis = world(w)
        side = Sidecar(clock, redis, local, absolute=False)
        sessions = Strings(10)
        sessions.create(side)
        begin = expires(redis), calls(redis, "eval", "evalsha", "fcall", "get")
        hits = hit_for(side, sessions, 2 * HOUR, step)
        asked = expires(redis) - begin[0]
        assert 10 * 2 * HOUR // QUARTER - 10 <= asked <= 10 * most(2 * HOUR, step), (local, asked)
        gets = calls(redis, "eval", "evalsha", "fcall", "get") - begin[1]
        if local == "yes":  # a renewal makes the near cache ask anew, once
            assert gets <= asked + 10, (gets, asked)
        else:
            assert gets <= 10 * hits + asked, (gets, hits, asked)
        dies_when_promised(side, sessions)


test_ten_sessions_hit_each_second.timeout = 90


def test_renewals_are_a_quarter_apart(w):
    """Used at random: a key's renewals are a quarter of the window apart, whether they came with a
    hit or were remembered."""
    step, seed = 5, random.randrange(1 << 30)
    chance = random.Random(seed)
    for local in LOCAL:
        clock, redis = world(w)
        side = Sidecar(clock, redis, local, absolute=False)
        sessions = [Strings(1, first=i) for i in range(20)]
        for s in sessions:
            s.create(side)
        renewals, told = Renewals(w, redis), {}
        due = [clock.now()] * 20
        end = clock.now() + 3 * HOUR
        while clock.now() < end:
            for i, s in enumerate(sessions):
                if due[i] <= clock.now():
                    s.hit(side)
                    due[i] = clock.now() + chance.choice((step, 60, 300, 500, WINDOW - 60))
            side.settle()
            for key in renewals.new():
                gap = clock.now() - told.get(key, 0)
                assert gap >= QUARTER - 2 * step - SLACK, (local, seed, key, gap)
                told[key] = clock.now()
            clock.move(step)
        assert len(told) == 20, (local, seed)


test_renewals_are_a_quarter_apart.timeout = 120


# one


def test_idle_sessions_end_thirty_minutes_after_their_last_use(w):
    for local in LOCAL:
        for kind in KINDS:
            clock, redis = world(w)
            side = Sidecar(clock, redis, local)
            sessions = kind(10)
            sessions.create(side)
            for pause in (100, 500, 1700, 3, 300):
                side.idle(pause)
                sessions.hit(side)
            dies_when_promised(side, sessions)


test_idle_sessions_end_thirty_minutes_after_their_last_use.timeout = 90


def test_sessions_that_nobody_uses_end_too(w):
    for local in LOCAL:
        for kind in KINDS:
            clock, redis = world(w)
            side = Sidecar(clock, redis, local)
            sessions = kind(10)
            sessions.create(side)
            dies_when_promised(side, sessions)


def test_a_read_of_nothing_renews_nothing(w):
    for local in LOCAL:
        clock, redis = world(w)
        side = Sidecar(clock, redis, local)
        for _ in range(3):
            assert side.conn.cmd("GET", "session:0") is None
            assert side.conn.cmd("HMGET", "session:0", "absexp", "data") == [None, None]
            assert side.conn.cmd("HGETALL", "session:0") == []
            side.idle(QUARTER)
        assert redis.cmd("DBSIZE") == 0
        assert side.conn.cmd("PTTL", "session:0") == -2


def test_looking_is_no_use(w):
    """EXISTS, TYPE and TTL renew nothing."""
    for local in LOCAL:
        clock, redis = world(w)
        side = Sidecar(clock, redis, local)
        sessions = Strings(5)
        sessions.create(side)
        for _ in range(5):
            side.idle(5 * MINUTE)
            assert side.conn.cmd("EXISTS", *sessions.keys) == 5
            assert side.conn.cmd("TYPE", "session:0") == b"string"
            assert side.conn.cmd("TTL", "session:0") > 0
        assert sessions.promised(redis)  # of the write


def test_ttl_is_what_was_promised(w):
    for local in LOCAL:
        clock, redis = world(w)
        side = Sidecar(clock, redis, local)
        c, sessions = side.conn, Strings(1)
        sessions.create(side)
        side.idle(500)
        sessions.hit(side)
        eventually(lambda: sessions.promised(redis))
        side.idle(100)
        sessions.hit(side)  # Redis is not told yet
        assert redis.cmd("PTTL", "session:0") <= 1000 * (WINDOW - 100)
        for ago in (0, 20, 200):
            side.idle(ago)
            left = sessions.used[0] + WINDOW - clock.now()
            late = SLACK + sessions.used[1] - sessions.used[0]
            assert left - 1 <= c.cmd("TTL", "session:0") <= left + late, (local, ago)
            assert left - SLACK <= c.cmd("PTTL", "session:0") / 1000 <= left + late, (local, ago)
            at = sessions.used[0] + WINDOW
            assert at - 1 <= c.cmd("EXPIRETIME", "session:0") <= at + late, (local, ago)
            assert at - 0.002 <= c.cmd("PEXPIRETIME", "session:0") / 1000 <= at + late, (local, ago)
        assert redis.cmd("PTTL", "session:0") < 1000 * (WINDOW - 300)  # it still was not told


# ends, and what comes after them


def test_a_restart_forgets_nothing(w):
    """SIGTERM: what was remembered is told to Redis before larder is gone."""
    for local in LOCAL:
        for kind in KINDS:
            clock, redis = world(w)
            side = Sidecar(clock, redis, local)
            sessions = kind(100)
            sessions.create(side)
            side.idle(500)
            sessions.hit(side)
            eventually(lambda: sessions.promised(redis))
            side.idle(300)
            sessions.hit(side)
            if kind is Strings or local == "yes":
                assert max(sessions.deadlines(redis)) < sessions.used[0] + WINDOW - 290
            side.end()
            assert sessions.promised(redis)
            clock.move(WINDOW - 5)
            side.start()
            sessions.hit(side)
            dies_when_promised(side, sessions)


test_a_restart_forgets_nothing.timeout = 60


def test_kill_loses_a_quarter_at_most(w):
    for local in LOCAL:
        clock, redis = world(w)
        side = Sidecar(clock, redis, local)
        sessions = Strings(100)
        sessions.create(side)
        for _ in range(44):  # to nearly the end of a quarter
            side.idle(MINUTE)
            sessions.hit(side)
        side.settle()
        side.larder.kill()
        lost = sessions.used[1] + WINDOW - min(sessions.deadlines(redis))
        assert lost <= QUARTER + MINUTE + SLACK, (local, lost)
        clock.move(WINDOW - QUARTER - MINUTE - 2 * SLACK)
        side.start()
        sessions.hit(side)
        dies_when_promised(side, sessions)


def test_two_sidecars_take_turns_and_are_restarted(w):
    """The whole story of a session: used every five minutes through one sidecar or the other, which
    are restarted every hour; the cap ends it all the same, for both."""
    for local in LOCAL:
        for kind in KINDS:
            clock, redis = world(w)
            sides = [Sidecar(clock, redis, local), Sidecar(clock, redis, local)]
            sessions = kind(10)
            sessions.create(sides[0])
            began = sessions.created
            for turn in range(7 * 12):
                side = sides[turn % 2]
                idle(sides, 5 * MINUTE)
                sessions.hit(side)
                if turn % 12 == 5:
                    sides[turn // 12 % 2].restart()
            dies_at_its_cap(sides, sessions, began)


test_two_sidecars_take_turns_and_are_restarted.timeout = 120


def test_two_sidecars_and_an_idle_end(w):
    for local in LOCAL:
        clock, redis = world(w)
        one, two = Sidecar(clock, redis, local), Sidecar(clock, redis, local)
        sessions = Strings(10)
        sessions.create(one)
        for side in (one, two, one, one, two):
            idle([one, two], 200)
            sessions.hit(side)
        one.settle()
        two.end()  # what it remembers is told; what `one` remembers is no later
        dies_when_promised(one, sessions)


def test_other_writes_keep_the_cap(w):
    for local in LOCAL:
        for kind in KINDS:
            clock, redis = world(w)
            side = Sidecar(clock, redis, local)
            sessions = kind(3)
            sessions.create(side)
            began = sessions.created
            for _ in range(7 * 3):
                side.idle(20 * MINUTE)
                sessions.create(side)
                assert side.conn.cmd("EXPIRE", "session:0", 20 * HOUR) == 1
                assert side.conn.cmd("PERSIST", "session:1") in (0, 1)
                left = began[1] + CAP - clock.now()
                for key in sessions.keys:
                    assert 0 < side.conn.cmd("PTTL", key) <= 1000 * (left + SLACK)
                assert 0 < max(sessions.deadlines(redis)) <= began[1] + CAP + SLACK
            dies_at_its_cap([side], sessions, began, step=20 * MINUTE)


test_other_writes_keep_the_cap.timeout = 60


def new_life(w, end):
    """Ended by end(side, sessions) after four hours, they are made anew and live for eight."""
    for local in LOCAL:
        for kind in KINDS:
            clock, redis = world(w)
            side = Sidecar(clock, redis, local)
            sessions = kind(3)
            sessions.create(side)
            for _ in range(12):
                side.idle(20 * MINUTE)
                sessions.hit(side)
            end(side, sessions)
            sessions.create(side)
            dies_at_its_cap([side], sessions, sessions.created, step=20 * MINUTE)


def test_a_new_life_after_an_idle_end(w):
    new_life(w, dies_when_promised)


def test_a_new_life_after_del(w):
    new_life(w, lambda side, sessions: side.conn.ok("DEL", *sessions.keys))


def test_a_new_life_after_a_direct_del(w):
    """By who knows nothing of larder, and of the key in which it keeps the cap."""
    new_life(w, lambda side, sessions: side.redis.cmd("DEL", *sessions.keys))


def test_a_new_life_after_the_cap(w):
    def capped(side, sessions):
        dies_at_its_cap([side], sessions, sessions.created, step=20 * MINUTE)
    new_life(w, capped)


test_a_new_life_after_an_idle_end.timeout = test_a_new_life_after_the_cap.timeout = 60


# as .NET does it


def test_hashes_are_renewed_once_a_quarter(w):
    """HMGET and EXPIRE each second: of both, Redis sees one a quarter of the window."""
    step = pace(1, 10)
    clock, redis = world(w)
    side = Sidecar(clock, redis, "yes", absolute=False)
    sessions = Hashes(10)
    sessions.create(side)
    begin = expires(redis), calls(redis, "hmget")
    hit_for(side, sessions, 2 * HOUR, step)
    asked, refilled = expires(redis) - begin[0], calls(redis, "hmget") - begin[1]
    assert 10 * 2 * HOUR // QUARTER - 10 <= asked <= 10 * most(2 * HOUR, step), asked
    assert refilled <= 10 * most(2 * HOUR, step), refilled
    dies_when_promised(side, sessions)


def test_hashes_without_a_near_cache(w):
    """What .NET says is all that Redis hears at most, but for one a quarter."""
    clock, redis = world(w)
    side = Sidecar(clock, redis, "no", absolute=False)
    sessions = Hashes(10)
    sessions.create(side)
    begin = expires(redis)
    hits = hit_for(side, sessions, 2 * HOUR, 10)
    asked = expires(redis) - begin
    assert asked <= 10 * (hits + most(2 * HOUR, 10)), (asked, hits)
    dies_when_promised(side, sessions)


test_hashes_are_renewed_once_a_quarter.timeout = 60


def test_an_expire_that_says_more_goes_up(w):
    """Only a plain EXPIRE that moves the deadline on by little is answered by larder."""
    for local in LOCAL:
        clock, redis = world(w)
        side = Sidecar(clock, redis, local, absolute=False)
        c, sessions = side.conn, Hashes(1)
        sessions.create(side)
        side.idle(60)
        sessions.hit(side)
        for command, least, most_ in ((("EXPIRE", 4 * HOUR), 4 * HOUR - 2, 4 * HOUR),
                                      (("EXPIRE", 600), 598, 600),
                                      (("PEXPIRE", 300_000, "LT"), 298, 300),
                                      (("EXPIRE", 5000, "GT"), 4998, 5000)):
            assert c.cmd(command[0], "session:0", *command[1:]) == 1, (local, command)
            assert least <= redis.cmd("PTTL", "session:0") / 1000 <= most_, (local, command)
            assert least <= c.cmd("TTL", "session:0") <= most_, (local, command)
        assert c.cmd("EXPIRE", "session:0", 100, "NX") == 0
        assert c.cmd("EXPIRE", "session:none", 100) == 0
        assert c.cmd("EXPIRE", "session:0", -1) == 1 and sessions.live(redis) == 0
        assert c.cmd("EXPIRE", "session:0", WINDOW) == 0
        assert isinstance(c.cmd("EXPIRE", "session:0", "soon"), Error)


def test_a_shorter_expiry_is_not_overtaken(w):
    """A renewal that is remembered is void once a client has given the key another expiry."""
    for local in LOCAL:
        for command in (("EXPIRE", "session:0", 300), ("SET", "session:0", "v", "EX", 300),
                        ("GETEX", "session:0", "EX", 300)):
            clock, redis = world(w)
            side = Sidecar(clock, redis, local)
            sessions = Strings(1)
            sessions.create(side)
            for pause in (500, 20):  # the second is remembered
                side.idle(pause)
                sessions.hit(side)
            side.conn.ok(*command)
            assert 298 <= redis.cmd("PTTL", "session:0") / 1000 <= 300, (local, command)
            assert 298 <= side.conn.cmd("TTL", "session:0") <= 300, (local, command)
            side.idle(300 + SLACK)
            assert sessions.live(redis) == 0, (local, command)
            assert side.conn.cmd("GET", "session:0") is None, (local, command)
