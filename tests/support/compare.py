"""compare.py - the same conversation with Redis and through larder, compared byte for byte.

A scenario is a function of a Stage: it opens connections, says things, may assert; what it reads is
recorded. same() lets it run against the Redis itself and against the larder in front of it, each
time on an empty keyspace, in RESP2 and RESP3, and fails at the first frame that differs.
"""
import re
import socket
import time

from resp import SLOW, Closed, Conn, NoReply, eventually

# `id` in a reply of HELLO is larder's own
HELLO_ID = (re.compile(rb"(\$2\r\nid\r\n):\d+\r\n"), rb"\1:<id>\r\n")


class Stage:
    """One run of a scenario."""

    def __init__(self, pair, server, proto):
        self.redis, self.server, self.proto = pair.redis, server, proto
        self.through = server is not pair.redis
        self.log, self.conns = [], []

    def open(self, proto=None, timeout=None):
        conn = Conn(self.server.address, proto or self.proto, timeout=timeout, log=self.log)
        self.conns.append(conn)
        return conn

    def direct(self, *command):
        """A command to the Redis itself, not recorded."""
        return self.redis.cmd(*command)

    def blocked(self, count=1):
        """Waits until so many clients are blocked in Redis."""
        eventually(lambda: self.redis.blocked() == count)

    def close(self):
        for conn in self.conns:
            conn.close()

    def transcript(self, masks):
        """What was read, as (connection, what it last sent, frame)."""
        number = {conn: i + 1 for i, conn in enumerate(self.conns)}
        sent, lines = {}, []
        for conn, way, data in self.log:
            if way == ">":
                sent[conn] = data
            else:
                for pattern, instead in masks:
                    data = pattern.sub(instead, data)
                lines.append((number[conn], sent.get(conn, b""), data))
        return lines


def differ(direct, through, most=8):
    """The differences in words, or None."""
    found = []
    for i in range(max(len(direct), len(through))):
        a = direct[i] if i < len(direct) else None
        b = through[i] if i < len(through) else None
        if a is None or b is None or (a[0], a[2]) != (b[0], b[2]):
            found.append(difference(i, a, b))
            if a is None or b is None or len(found) >= most:
                break
    return "\n".join(found) or None


def difference(i, a, b):
    who, sent, _ = a or b
    return (f"frame {i + 1} differs, on connection {who}\n    sent:   {sent[-400:]!r}\n"
            f"    redis:  {excerpt(a, b)}\n    larder: {excerpt(b, a)}")


def excerpt(line, other):
    """A frame, when it is long the part around the first difference to the other."""
    if line is None:
        return "nothing"
    data, there = line[2], other[2] if other else b""
    if len(data) <= 600:
        return repr(data)
    at = next((i for i, (x, y) in enumerate(zip(data, there)) if x != y),
              min(len(data), len(there)))
    return f"{len(data)} bytes, from {at}: {data[max(0, at - 60):at + 200]!r}"


def same(w, scenario, admin=False, protos=(2, 3), masks=(), pair=None):
    """Fails unless the scenario reads the same of Redis and of larder."""
    pair = pair or w.pair(admin)
    for proto in protos:
        transcripts = []
        for server in (pair.redis, pair.larder):
            pair.redis.wipe()
            stage = Stage(pair, server, proto)
            try:
                scenario(stage)
            except AssertionError as e:
                side = "through larder" if stage.through else "directly"
                said = "".join(f"\n    {way} {data[:300]!r}" for _, way, data in stage.log[-6:])
                raise AssertionError(f"RESP{proto} {side}: {e}{said}") from e
            finally:
                stage.close()
            transcripts.append(stage.transcript((HELLO_ID, *masks)))
        what = differ(*transcripts)
        assert what is None, f"RESP{proto}: {what}"


def same_commands(w, commands, **more):
    """One connection, one command after the other."""
    def scenario(s):
        c = s.open()
        for command in commands:
            c.cmd(*command)
    same(w, scenario, **more)


def same_bytes(w, data, pair=None, piece=None, marked=True, masks=()):
    """Raw bytes on a fresh RESP2 connection and all that comes back until the peer closes or until
    the answer to an ECHO sent behind them (marked). Returns what came."""
    pair = pair or w.pair()
    marker = b"*2\r\n$4\r\nECHO\r\n$15\r\n--end-of-test--\r\n" if marked else b""
    end = b"$15\r\n--end-of-test--\r\n"
    answers = []
    for server in (pair.redis, pair.larder):
        pair.redis.wipe()
        answers.append(until(w.conn(server), data + marker, end, piece))
    for pattern, instead in (HELLO_ID, *masks):
        answers = [(pattern.sub(instead, a[0]), a[1]) for a in answers]
    direct, through = answers
    assert direct == through, (f"sent {data[:300]!r} ({len(data)} bytes)\n"
                               f"    redis:  {show(direct)}\n    larder: {show(through)}")
    return direct[0]


def until(conn, data, end, piece):
    """What comes back and how it ends: open after `end`, closed, or waiting for more bytes."""
    try:
        conn.send_slowly(data, piece) if piece else conn.send(data)
    except Closed:
        pass  # it has answered already; what is there to read says what
    patience, state = 0.5 * SLOW, "open"
    while not conn.data.endswith(end):
        try:
            conn.fill(time.monotonic() + patience, "answer or close")
        except NoReply:
            if state == "waiting":
                raise
            # perhaps it takes `end` for a part of something larger; a FIN makes it say all it has
            state, patience = "waiting", conn.timeout
            conn.sock.shutdown(socket.SHUT_WR)
        except Closed:
            return bytes(conn.data), state if state == "waiting" else "closed"
    return bytes(conn.data), "open"


def show(answer):
    data, state = answer
    text = repr(data) if len(data) <= 600 else f"{data[:300]!r} .. {data[-200:]!r} ({len(data)})"
    return f"{text}, {state}"


def words(line):
    """Splits a line as redis-cli and inline requests do: "quoted \\x00 text" is one word."""
    found = []
    for word in re.findall(r'"(?:[^"\\]|\\.)*"|\S+', line):
        if word[0] == '"':
            text = word[1:-1].encode("latin1").decode("unicode_escape")
            found.append(text.encode("latin1"))
        else:
            found.append(word.encode())
    return found
