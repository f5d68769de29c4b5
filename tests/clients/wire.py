"""A connection that speaks RESP by hand: whole frames in and out, every byte of a reply kept."""
import socket


def pack(*words):
    """A request as clients send it."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


class Frame:
    """One reply: its type character, its value, its bytes."""

    def __init__(self, kind, value, raw):
        self.kind, self.value, self.raw = kind, value, raw

    def __repr__(self):
        return repr(self.raw[:200])

    def pairs(self):
        """A map, or a RESP2 array that stands for one, as a dict of values."""
        members = [member.value for member in self.value]
        return dict(zip(members[::2], members[1::2]))


class Wire:
    """A blocking connection."""

    def __init__(self, host, port, seconds=20):
        self.socket = socket.create_connection((host, port), seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        got = self.file.readline()
        if not got.endswith(b"\r\n"):
            raise ConnectionError(f"closed after {got!r}")
        return got

    def read(self):
        """The next frame."""
        head = self.line()
        kind, rest = chr(head[0]), head[1:-2]
        if kind in "+-:_,#(":
            return Frame(kind, None if kind == "_" else rest.decode("latin-1"), head)
        count = int(rest)
        if kind in "$=!":
            if count < 0:
                return Frame(kind, None, head)
            body = self.file.read(count + 2)
            if len(body) != count + 2 or body[-2:] != b"\r\n":
                raise ConnectionError(f"damaged bulk after {head!r}")
            return Frame(kind, body[:-2].decode("latin-1"), head + body)
        if kind not in "*~%>|":
            raise ConnectionError(f"not a reply: {head!r}")
        members = [self.read() for _ in range(max(count, 0) * (2 if kind in "%|" else 1))]
        value = members if count >= 0 else None
        return Frame(kind, value, head + b"".join(member.raw for member in members))

    def ask(self, *words):
        self.send(pack(*words))
        return self.read()

    def batch(self, commands):
        """Sends all commands in one segment and reads one reply each."""
        self.send(b"".join(pack(*command) for command in commands))
        return [self.read() for _ in commands]

    def at_end(self):
        """Whether the other side has closed, with nothing more to read."""
        return self.file.read(1) == b""
