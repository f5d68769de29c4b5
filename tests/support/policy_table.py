"""policy_table.py - what a policy makes of every write, and whether larder does it.

Each command of policy_rows.py is said to Redis itself and through larder, to keys of its own that
are prepared alike: in database PLAIN without, in UNDER with a policy. Table.check() then fails
unless larder's reply is Redis' reply, byte for byte, the values are the same, and the TTLs are what
Model says. Model is the specification; times are in seconds.
"""
import re
import time

from compare import words
from policy_rows import LIBRARY, ROWS, SCRIPT, VALUES
from resp import Closed, Conn, Error, NoReply, encode, encode_all, parse

MINUTE = 60
TTL, JITTER, MAX, SLIDING, ABSOLUTE = (m * MINUTE for m in (80, 15, 100, 60, 70))
SOON, FAR = 30 * MINUTE, 600 * MINUTE  # what clients say
BRIEF, LONG = 20 * MINUTE, 90 * MINUTE  # what is there before
CAP = 10 * MINUTE  # what is left of a life under `absolute`
SIZE = 150  # bytes: max_value, larger than any key or script here
SLACK = 4 * MINUTE  # a table takes so long at most, preparation included
HUGE = 2 << 20  # bytes: too much for larder to look at it before it sends it on

ABSENT, FOREVER = -2, -1
PLAIN, UNDER = 0, 1  # databases
INFINITE = float("inf")


class State:
    """What the key @a is before the command, beside its type."""

    def __init__(self, name, ttl, cap=None):
        self.name, self.ttl, self.cap = name, ttl, cap

    def absent(self):
        return self.ttl == ABSENT


STATES = [State("absent", ABSENT), State("no TTL", FOREVER), State("TTL 20 min", BRIEF),
          State("TTL 90 min", LONG)]
CAPPED = [State("TTL 20 min, 10 min of its life left", BRIEF, CAP),
          State("absent, a life before it not over", ABSENT, CAP)]


class Mode:
    """What stands before and behind the command; @w is a key without a policy."""

    def __init__(self, name, before, behind):
        self.name = name
        self.before = [words(c) for c in before]
        self.behind = [words(c) for c in behind]


ALONE = Mode("", [], [])
MULTI = Mode("in MULTI", ["MULTI", "STRLEN @w"], ["STRLEN @w", "EXEC"])
LONE_MULTI = Mode("alone in MULTI", ["MULTI"], ["EXEC"])
WATCH = Mode("under WATCH", ["WATCH @w"], ["MULTI", "STRLEN @w", "EXEC"])
WATCH_MULTI = Mode("in MULTI under WATCH", ["WATCH @w", "MULTI"], ["EXEC"])
MODES = [ALONE, MULTI, LONE_MULTI, WATCH, WATCH_MULTI]
DISCARDED = b"-EXECABORT Transaction discarded because of previous errors.\r\n"


# The specification

class Policy:
    """The settings of a [policy], durations in seconds."""

    def __init__(self, name, ttl=0, jitter=0, max_ttl=0, sliding=0, absolute=0, require=False,
                 deny=False, max_value=0, local=False):
        self.name, self.ttl, self.jitter, self.max_ttl = name, ttl, jitter, max_ttl
        self.sliding, self.absolute, self.require = sliding, absolute, require
        self.deny, self.max_value, self.local = deny, max_value, local

    def section(self):
        rows = {"prefix": self.name + ":", "ttl": self.ttl, "ttl_jitter": self.jitter,
                "max_ttl": self.max_ttl, "sliding": self.sliding, "absolute": self.absolute,
                "require_ttl": self.require, "deny": self.deny, "max_value": self.max_value,
                "local": self.local}
        return f"[policy {self.name}]\n" + "".join(
            f"{name} = {self.shown(name, value)}\n" for name, value in rows.items() if value)

    @staticmethod
    def shown(name, value):
        if value is True:
            return "yes"
        return value if name in ("prefix", "max_value") else f"{value}s"

    def given(self):
        """The TTL of what is written without one; None: it gets none."""
        if self.ttl:
            return self.ttl
        if self.require:
            return None
        return self.sliding or self.absolute or self.max_ttl or None

    def refusal(self, kind, large):
        """How a command of the kind is refused, that names a key; None: it is not. large: has it an
        argument behind the key that is larger than max_value? (What is wrong may as well be refused
        by Redis.)"""
        whose = f"policy '{self.name}' of larder"
        if self.deny:
            return f"-NOPERM {whose} denies access to this key"
        if self.require and kind in ("none", "zero", "keep", "persist", "wrong"):
            return f"-ERR {whose} requires an expiry: give SET EX or PX, "
        if large and kind in ("none", "zero", "keep", "script", "own", "at", "wrong"):
            return f"-ERR {whose} allows values up to {self.max_value} bytes"
        return None

    def ttl_after(self, kind, plain, changed, state):
        """The TTL of a key that a command of the kind may have changed.
        plain: what it is behind the same command without larder: ABSENT, FOREVER or seconds;
        changed: is the value another than before, or was there none?; state: of the key before."""
        if plain == ABSENT:
            return ABSENT
        ttl = INFINITE if plain == FOREVER else plain
        given = INFINITE if self.given() is None else self.given()
        if kind == "none" and ttl == INFINITE and changed:  # PX was appended
            ttl = given
        if kind == "own" and ttl != INFINITE and self.max_ttl:  # the number was cut down
            ttl = min(ttl, self.max_ttl)
        if kind in ("keep", "move", "script"):
            if ttl == INFINITE:  # PEXPIRE given NX
                ttl = given
            if self.sliding:  # PEXPIRE sliding GT
                ttl = max(ttl, self.sliding)
        if kind in ("at", "move", "script") and self.max_ttl:  # PEXPIRE max_ttl LT
            ttl = min(ttl, self.max_ttl)
        if kind == "read" and self.sliding:
            ttl = max(ttl, self.sliding)
        if self.absolute and kind not in ("free", "wrong"):
            left = self.absolute if state.absent() or state.cap is None else state.cap
            ttl = min(ttl, left)
        return FOREVER if ttl == INFINITE else ttl

    def ttls_after(self, kind, *what):
        """All that is right: where it is not said, there is more than one."""
        kinds = {"zero": ("none", "keep"),  # RESTORE .. 0 is rewritten, or followed
                 "read": ("read", "free"),  # renewals are put off, test_sliding.py is about them
                 "wrong": ("wrong", "none", "own", "at", "keep")}
        return {self.ttl_after(k, *what) for k in kinds.get(kind, (kind,))}

    def least(self, ttl):
        """Given TTLs are spread, downwards."""
        return ttl - self.jitter if self.jitter and ttl == self.given() else ttl


# The table

TOUCHED, UNTOUCHED, EITHER = "abn", "isz", "xy"
IN_STATE, EXISTS = "aiy", "bsx"


class Row:
    """A line of policy_rows.py."""

    def __init__(self, line):
        kinds, types, command = line.split(None, 2)
        self.kinds = kinds.split("|")
        self.type, _, other = types.partition("<")
        self.other = other or self.type
        self.text, self.words = command, words(command)
        self.keys = sorted({w[1:].decode() for w in self.words if re.fullmatch(rb"@[a-z]", w)})

    def large(self):
        """Has it an argument behind its keys that is larger than SIZE?"""
        return bool({b"@big", b"@bigdump", b"@huge"} & set(self.words))


def rows_of(text):
    return [Row(line) for line in text.splitlines() if line.strip()]


class Case:
    """A row, at a state, in a mode, with its own keys."""

    def __init__(self, number, row, state, mode):
        self.number, self.row, self.state, self.mode = number, row, state, mode
        self.frames = []

    def name(self):
        text = self.row.text if len(self.row.text) < 100 else self.row.text[:80] + " .."
        return f"{text} {self.mode.name}, @a {self.state.name} ({self.row.type})"

    def key(self, prefix, letter):
        if letter == "w":
            return b"watched"
        return f"{prefix}:{self.number}:{'a' if letter in IN_STATE else letter}".encode()

    def expand(self, line, prefix, values):
        return [values.get(w) or (self.key(prefix, w[1:].decode())
                                  if re.fullmatch(rb"@[a-z]", w) else w) for w in line]

    def commands(self, prefix, values):
        return [self.expand(line, prefix, values)
                for line in (*self.mode.before, self.row.words, *self.mode.behind)]

    def letters(self):
        return sorted({"a" if k in IN_STATE else k for k in self.row.keys})

    def preparation(self, prefix):
        """What makes its keys, in the database of the prefix."""
        made = []
        if any(k in IN_STATE for k in self.row.keys):
            key = self.key(prefix, "a")
            if not self.state.absent():
                made.append([key if w == b"@" else w for w in words(VALUES[self.row.type][0])])
            if self.state.ttl > 0:
                made.append(["PEXPIRE", key, self.state.ttl * 1000])
            if self.state.cap:
                until = int((time.time() + self.state.cap) * 1000)
                made.append(["SET", b"larder:deadline:" + key, until,
                             "PX", max(self.state.ttl, self.state.cap) * 1000])
        for letter in self.row.keys:
            if letter in EXISTS:
                value = words(VALUES[self.row.other][1])
                made.append([self.key(prefix, letter) if w == b"@" else w for w in value])
        return made

    def state_of(self, letter):
        if letter in IN_STATE:
            return self.state
        return STATES[1] if letter in EXISTS else STATES[0]


class Redis:
    """The server itself: prepares keys, and tells how they are afterwards."""

    LOOK = """local found = {}
        for i, key in ipairs(KEYS) do
            found[2 * i - 1] = redis.call('PTTL', key)
            found[2 * i] = redis.sha1hex(redis.call('DUMP', key) or '')
        end
        return found"""

    def __init__(self, server, database):
        self.conn = Conn(server.address)
        self.conn.ok("SELECT", database)

    def prepare(self, cases, prefix):
        commands = [c for case in cases for c in case.preparation(prefix)]
        commands.append(["SET", "watched", "by those that watch"])
        self.conn.send(encode("CLIENT", "REPLY", "OFF") + encode_all(commands)
                       + encode("CLIENT", "REPLY", "ON"))
        assert self.conn.reply() == b"OK"

    def look(self, cases, prefix):
        """(case number, letter) -> (TTL, digest of the value)"""
        names = [(case, letter) for case in cases for letter in case.letters()]
        found = {}
        for at in range(0, len(names), 2000):
            part = names[at:at + 2000]
            keys = [case.key(prefix, letter) for case, letter in part]
            flat = self.conn.ok("EVAL", self.LOOK, len(keys), *keys)
            for i, (case, letter) in enumerate(part):
                ttl = flat[2 * i]
                found[case.number, letter] = (ttl if ttl < 0 else ttl / 1000, flat[2 * i + 1])
        return found


def converse(conn, cases, prefix, values, piece):
    """Says all of them, so many in one go; the frames of each."""
    said = []
    for at in range(0, len(cases), piece):
        part = [(case, case.commands(prefix, values)) for case in cases[at:at + piece]]
        conn.send(b"".join(encode_all(commands) for _, commands in part))
        for case, commands in part:
            frames = []
            try:
                for _ in commands:
                    frames.append(conn.raw_reply())
            except (Closed, NoReply) as e:
                raise AssertionError(f"{case.name()}: {e}; its replies so far {frames!r}") from None
            said.append(frames)
    return said


# Redis < 7 does not know all that is said; nothing then.
UNKNOWN = re.compile(rb"(\*\d+\r\n)?-ERR (unknown command|Unknown subcommand|syntax error"
                     rb"|wrong number of arguments)")
IDS = (re.compile(rb"\d{13}-\d+"), b"<id>")


class Table:
    """The rows at all states, in all modes, before one pair of servers."""

    def __init__(self, redis, larder, rows=ROWS, old=False, full=False, states=None,
                 piece=100):
        """old: the server does not know all the commands; full: it shall have no memory left, and
        where it says so either is right: that a TTL was given, and that none was; piece: so many
        commands are said in one go."""
        self.redis, self.larder, self.states, self.piece = redis, larder, states, piece
        self.rows, self.old, self.full = rows_of(rows), old, full
        self.plain = Redis(redis, PLAIN)
        self.under = Redis(redis, UNDER)
        self.values = self.make_values()

    def make_values(self):
        conn, now = self.plain.conn, int(time.time())
        conn.ok("SET", "dumped", "restored")
        if not self.old:
            conn.ok("FUNCTION", "LOAD", "REPLACE", LIBRARY)
        conn.ok("SET", "large", bytes(i * 7 % 251 for i in range(SIZE)))  # LZF leaves it as it is
        values = {"@dump": conn.ok("DUMP", "dumped"), "@bigdump": conn.ok("DUMP", "large"),
                  "@huge": b"h" * HUGE, "@most": b"x" * SIZE, "@big": b"y" * (SIZE + 1),
                  "@bigscript": SCRIPT.encode() + b" " * SIZE,
                  "@sha": conn.ok("SCRIPT", "LOAD", SCRIPT),
                  "@soon": SOON, "@far": FAR, "@atsoon": now + SOON, "@atfar": now + FAR}
        for name in ("@soon", "@far", "@atsoon", "@atfar"):
            values[name + "ms"] = values[name] * 1000
        return {k.encode(): v if isinstance(v, bytes) else b"%d" % v for k, v in values.items()}

    def check(self, policy, proto, modes):
        found, count = [], 0
        for mode in modes:
            cases = self.cases(policy, mode)
            found += self.run(policy, proto, cases)
            count += len(cases)
        most = 12
        text = "\n".join(found[:most])
        if len(found) > most:
            text += f"\n.. and {len(found) - most} more"
        assert not found, f"{len(found)} of {count} cases, RESP{proto}:\n{policy.section()}\n{text}"

    def cases(self, policy, mode):
        states = self.states or STATES + (CAPPED if policy.absolute else [])
        return [Case(i * len(states) + j, row, state, mode)
                for i, row in enumerate(self.rows) for j, state in enumerate(states)]

    def run(self, policy, proto, cases):
        """What is wrong with these, in words."""
        prefix = f"{policy.name}:{proto}:{cases[0].mode.name.replace(' ', '-')}"
        self.plain.prepare(cases, prefix)
        self.under.prepare(cases, prefix)
        before = self.plain.look(cases, prefix)
        self.validate(cases, before)
        direct, through = Conn(self.redis.address, proto), Conn(self.larder.address, proto)
        through.ok("SELECT", UNDER)
        self.plain.conn.ok("CONFIG", "SET", "maxmemory", 1 if self.full else 0)
        try:
            expected = converse(direct, cases, prefix, self.values, self.piece)
            got = converse(through, cases, prefix, self.values, self.piece)
        finally:
            self.plain.conn.ok("CONFIG", "SET", "maxmemory", 0)
            direct.close()
            through.close()
        plain, under = self.plain.look(cases, prefix), self.under.look(cases, prefix)
        found = []
        for case, wanted, frames in zip(cases, expected, got):
            if not (self.old and self.unknown(case, wanted)):
                judge = Judge(policy, case, wanted, before, plain, self.full)
                why = judge.wrong(frames, under)
                found += [f"{case.name()}: {why}"] if why else []
        return found

    @staticmethod
    def validate(cases, before):
        for case in cases:
            for letter in case.letters():
                ttl = before[case.number, letter][0]
                meant = case.state_of(letter).ttl
                assert near(ttl, meant, meant), f"not prepared: {case.name()}: {letter}, {ttl}"

    @staticmethod
    def unknown(case, frames):
        """Does this server not know the command; or, if it is wrong, not that?"""
        if case.row.kinds == ["wrong"]:
            return not any(isinstance(e, Error) for f in frames for e in flat(parse(f)))
        return any(UNKNOWN.match(f) for f in frames)


def near(ttl, least, most):
    if least < 0 or ttl < 0:
        return ttl == least
    return least - SLACK < ttl <= most


class Judge:
    """Holds what larder said and did against Redis and the policy."""

    def __init__(self, policy, case, expected, before, plain, lenient):
        self.policy, self.case, self.expected = policy, case, expected
        self.before, self.plain, self.lenient = before, plain, lenient

    def wrong(self, frames, under):
        """In words, or None: it is right for one of the kinds that the command may be taken for."""
        reasons = []
        for kind in self.case.row.kinds:
            refusal = self.refusal(kind)
            why = self.refused(refusal, frames, under) if refusal else None
            if not refusal or (why and kind == "wrong"):
                why = self.executed(kind, frames, under)
            if not why:
                return None
            reasons.append(why)
        return "; or else: ".join(reasons)

    def refusal(self, kind):
        if not self.case.row.keys:
            return None
        large = self.policy.max_value and self.case.row.large()
        return self.policy.refusal(kind, large)

    def refused(self, refusal, frames, under):
        at = len(self.case.mode.before)
        wanted = list(self.expected)
        wanted[at] = refusal.encode()
        if any(c == [b"MULTI"] for c in self.case.mode.before):
            wanted[-1] = DISCARDED
        for i, (a, b) in enumerate(zip(wanted, frames)):
            if not (b.startswith(a) and b.startswith(b"-") if i == at else a == b):
                return f"reply {i + 1} is {shown(b)}, refused it would be {shown(a)}"
        for letter in self.case.letters():
            key = (self.case.number, letter)
            state = self.before[key][0]
            later = state if state < 0 else state + SLACK  # it was made after the one before
            if under[key][1] != self.before[key][1] or not near(under[key][0], state, later):
                return f"@{letter} is changed by what was refused: TTL {under[key][0]}"
        return None

    def executed(self, kind, frames, under):
        for i, (a, b) in enumerate(zip(self.expected, frames)):
            if IDS[0].sub(IDS[1], a) != IDS[0].sub(IDS[1], b):
                return f"reply {i + 1} is {shown(b)}, of Redis {shown(a)}"
        for letter in self.case.row.keys:
            why = self.key_wrong(kind, letter, under)
            if why:
                return why
        return None

    def key_wrong(self, kind, letter, under):
        key = (self.case.number, "a" if letter in IN_STATE else letter)
        ttl, digest = under[key]
        plain, plain_digest = self.plain[key]
        if digest != plain_digest:
            return f"the value of @{letter} is another than in Redis"
        right = self.right_ttls(kind, letter, plain, plain_digest != self.before[key][1])
        if any(near(ttl, self.policy.least(t), t) for t in right):
            return None
        words_ = " or ".join(sorted(minutes(t) for t in right))
        return (f"TTL of @{letter} is {minutes(ttl)}, of the policy {words_}"
                f" (in Redis alone {minutes(plain)})")

    def right_ttls(self, kind, letter, plain, changed):
        what = (round_up(plain), changed, self.case.state_of(letter))
        right = set()
        if letter not in UNTOUCHED:
            right |= self.policy.ttls_after(kind, *what)
        if letter not in TOUCHED or (self.lenient and self.has_error()):
            right |= self.policy.ttls_after("free", *what)
        return right

    def has_error(self):
        return any(isinstance(e, Error) for f in self.expected for e in flat(parse(f)))


def flat(value):
    return [y for x in value for y in flat(x)] if isinstance(value, list) else [value]


def round_up(ttl):
    """To whole minutes, as all that is said is."""
    return ttl if ttl < 0 else -(-ttl // MINUTE) * MINUTE


def minutes(ttl):
    return {ABSENT: "that of no key", FOREVER: "none"}.get(ttl, f"{ttl / MINUTE:.1f} min")


def shown(frame):
    text = frame.decode("latin1")
    return repr(text if len(text) < 200 else text[:200] + "..")
