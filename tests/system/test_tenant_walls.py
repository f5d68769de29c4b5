"""No hole in the walls between tenants: see tests/support/walls.py. A row that comes to the command
table is covered by being there. LARDER_WALLS=1000000 says how many random commands there are."""
import os
import random

import walls
from resp import eventually
from servers import scaled
from tenants import PREFIXES, session, tenants_larder

OWN = PREFIXES["a"]
LIMITS = {"max_clients": 50, "max_pending": 20, "max_ops": "20000/s", "throttle": "delay",
          "max_cache_memory": "1mb"}

RANDOM = int(os.environ.get("LARDER_WALLS", 0))


class Siege:
    """A larder with two tenants, of whom the second also listens and waits."""

    def __init__(self, w, **tenant):
        self.redis = w.redis()
        self.redis.cmd("CONFIG", "SET", "notify-keyspace-events", "KEA")
        self.larder = tenants_larder(w, self.redis, {"a": tenant, "b": {}},
                                     larder={"admin_commands": "allow"})
        walls.seed_other(self.redis)
        self.before = walls.others(self.redis, OWN)
        self.ears = [session(w, self.larder, "b", 3), session(w, self.larder, "b")]
        for ear in self.ears:
            ear.send_cmd("PSUBSCRIBE", "*", "__keyspace@*__:*", "__keyevent@*")
            ear.send_cmd("SSUBSCRIBE", "channel", walls.OTHER + "channel")
            for _ in range(5):
                ear.value()
        self.waits = session(w, self.larder, "b")
        self.waits.ok("CLIENT", "SETNAME", walls.HIDDEN.decode() + "connection")
        self.waits.send_cmd("BLPOP", "own" + "none", 0)

    def stands(self):
        """Nothing of the other's, or nobody's, has changed; nothing was heard."""
        now = walls.others(self.redis, OWN)
        for what in sorted(set(self.before) | set(now), key=str):
            assert self.before.get(what) == now.get(what), (what, self.before.get(what), now.get(what))
        for c in (*self.ears, self.waits):
            c.quiet(0.05)


def test_every_argument_of_every_command(w):
    """The commands of the comparison with Redis, each argument in turn one that is another's."""
    siege = Siege(w)
    lines = walls.table_lines()
    for proto in (2, 3):
        a = walls.Intruder(siege.larder, proto)
        for words in lines:
            commands = [tuple(words), *walls.misdirected(words)]
            a.say(commands)
            a.say([("MULTI",), *commands[1::3]])
        assert a.said > 5 * len(lines)
        a.close()
    siege.stands()


def test_random_commands(w):
    siege = Siege(w, **LIMITS)
    seed = int(os.environ.get("LARDER_SEED", random.SystemRandom().randrange(1 << 30)))
    rng, rows = random.Random(seed), sorted(walls.commands().items())
    total = RANDOM or scaled(30000)
    intruders = [walls.Intruder(siege.larder, proto) for proto in (2, 3)]
    try:
        while sum(a.said for a in intruders) < total:
            batch = [walls.random_command(rng, rows) for _ in range(rng.choice((1, 5, 50)))]
            if rng.random() < 0.3:
                batch.insert(0, ("MULTI",))
            rng.choice(intruders).say(batch)
        siege.stands()
    except AssertionError as e:
        raise AssertionError(f"LARDER_SEED={seed}: {e}") from e


test_random_commands.timeout = 30 + RANDOM / 500


def test_every_row_is_judged(w):
    """Of each row a tenant is told one way or the other, and the connection goes on."""
    siege = Siege(w)
    rng = random.Random(7)
    for proto in (2, 3):
        a = walls.Intruder(siege.larder, proto)
        for row in sorted(walls.commands().items()):
            for _ in range(6):
                a.say([walls.random_command(rng, [row])])
                a.say([("MULTI",), walls.random_command(rng, [row])])
        a.close()
    siege.stands()
    eventually(lambda: siege.redis.cmd("PING"))
