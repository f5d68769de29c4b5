"""resp.py - a small strict RESP2/RESP3 client for the tests.

Conn sends bytes or commands and reads one frame at a time, both as the exact bytes and as a parsed
value. Anything that is not well-formed RESP fails the test, as does silence past the timeout. A
frame is a whole reply with the attributes in front of it; a push (`>`) is a frame of its own.
What is sent and every frame read is appended to `log` when one is given, so that two conversations
can be compared (compare.py).
"""
import os
import re
import select
import socket
import ssl
import struct
import time

SLOW = float(os.environ.get("LARDER_SLOW", "1"))
TIMEOUT = 5.0 * SLOW


class ProtocolError(AssertionError):
    """The peer sent what is not RESP."""


class Closed(AssertionError):
    """The peer closed or reset the connection where a reply was due."""


class NoReply(AssertionError):
    """Nothing (or not enough) came within the timeout."""


class Status(bytes):
    """`+`"""


class Error(bytes):
    """`-` or `!`"""


class Double(bytes):
    """`,`"""


class BigNumber(bytes):
    """`(`"""


class Verbatim(bytes):
    """`=`, with its `txt:`"""


class Map(list):
    """`%`: a list of pairs"""

    def get(self, key, default=None):
        return dict(self).get(key, default)


class Set(list):
    """`~`"""


class Push(list):
    """`>`"""


LINES = b"+-:_#,("
BULKS = b"$!="
AGGREGATES = b"*~>%|"
DOUBLE = re.compile(rb"-?(\d+(\.\d*)?([eE][+-]?\d+)?|inf|nan)\Z")
NUMBER = re.compile(rb"-?\d+\Z")


def need(fine, what):
    if not fine:
        raise ProtocolError(what)


class Scanner:
    """Finds where a frame ends; resumable, without recursion."""

    def __init__(self):
        self.left, self.at = 1, 0

    def scan(self, data):
        """The length of the frame at the start of data, or None when more is needed."""
        while self.left:
            end = data.find(b"\r\n", self.at)
            if end < 0:
                need(len(data) - self.at < 1 << 24, "a line without an end")
                return None
            kind, line = data[self.at], bytes(data[self.at + 1:end])
            need(b"\r" not in line and b"\n" not in line, f"CR or LF inside a line: {line[:80]!r}")
            after = end + 2
            if kind in LINES:
                self.check_line(kind, line)
            elif kind in BULKS:
                after = self.bulk(data, kind, line, after)
                if after is None:
                    return None
            elif kind in AGGREGATES:
                self.aggregate(kind, line)
            else:
                raise ProtocolError(f"unknown type {bytes([kind])!r}: {bytes(data[:200])!r}")
            self.at = after
            if kind != ord("|"):
                self.left -= 1
        length = self.at
        self.left, self.at = 1, 0
        return length

    @staticmethod
    def check_line(kind, line):
        if kind == ord(":"):
            need(NUMBER.match(line), f"bad integer {line!r}")
        elif kind == ord("_"):
            need(line == b"", f"bad null {line!r}")
        elif kind == ord("#"):
            need(line in (b"t", b"f"), f"bad boolean {line!r}")
        elif kind == ord(","):
            need(DOUBLE.match(line), f"bad double {line!r}")
        elif kind == ord("("):
            need(NUMBER.match(line), f"bad big number {line!r}")

    @staticmethod
    def bulk(data, kind, line, after):
        if kind == ord("$") and line == b"-1":
            return after
        need(re.match(rb"(0|[1-9]\d*)\Z", line), f"bad bulk length {line!r}")
        size = int(line)
        if len(data) < after + size + 2:
            return None
        need(data[after + size:after + size + 2] == b"\r\n", "no CR LF behind a bulk")
        if kind == ord("="):
            need(size >= 4 and data[after + 3] == ord(":"), "bad verbatim string")
        return after + size + 2

    def aggregate(self, kind, line):
        if kind == ord("*") and line == b"-1":
            return
        need(re.match(rb"(0|[1-9]\d*)\Z", line), f"bad aggregate length {line!r}")
        need(kind != ord(">") or (self.left == 1 and self.at == 0), "a push inside a reply")
        self.left += int(line) * (2 if kind in b"%|" else 1)


def parse(frame):
    """The value of one whole frame that a Scanner has passed; attributes are left out."""
    result = []
    stack = [(1, result)]  # how many elements are still to come, and where they go
    at = 0
    while stack:
        left, into = stack[-1]
        if left == 0:
            stack.pop()
            continue
        end = frame.index(b"\r\n", at)
        kind, line = frame[at:at + 1], frame[at + 1:end]
        at = end + 2
        if kind == b"|":
            stack.append((2 * int(line), []))
            continue
        stack[-1] = (left - 1, into)
        if kind in b"*~>%":
            if line == b"-1":
                into.append(None)
                continue
            values = {b"*": list, b"~": Set, b">": Push, b"%": Map}[kind]()
            into.append(values)
            stack.append((int(line) * (2 if kind == b"%" else 1), values))
        elif kind in b"$!=":
            if line == b"-1":
                into.append(None)
                continue
            size = int(line)
            text = frame[at:at + size]
            at += size + 2
            into.append({b"$": bytes, b"!": Error, b"=": Verbatim}[kind](text))
        else:
            into.append({b"+": Status, b"-": Error, b":": int, b"_": lambda _: None,
                         b"#": lambda x: x == b"t", b",": Double, b"(": BigNumber}[kind](line))
    return pair_up(result[0])


def pair_up(root):
    """Makes pairs of the flat elements of every Map below root."""
    todo = [root]
    while todo:
        value = todo.pop()
        if isinstance(value, list):
            todo.extend(x for x in value if isinstance(x, list))
            if isinstance(value, Map):
                value[:] = [(hashable(value[i]), value[i + 1]) for i in range(0, len(value), 2)]
    return root


def hashable(key):
    return tuple(key) if isinstance(key, list) else key


def to_bytes(arg):
    if isinstance(arg, bytes):
        return arg
    if isinstance(arg, (bytearray, memoryview)):
        return bytes(arg)
    return str(arg).encode()


def encode(*args):
    """A command as multibulk."""
    words = [to_bytes(a) for a in args]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in words)


def encode_all(commands):
    return b"".join(encode(*c) for c in commands)


TLS = {}  # address -> ssl.SSLContext, of who speaks TLS there


def connect(address, timeout=None, source=None):
    """A connected socket to (host, port) or the path of a Unix socket."""
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(timeout or TIMEOUT)
        sock.connect(address)
        return sock
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(timeout or TIMEOUT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if source:
        sock.bind((source, 0))
    sock.connect(address)
    if address in TLS:
        return over_tls(sock, TLS[address])
    return sock


def over_tls(sock, context):
    sock = context.wrap_socket(sock, server_hostname="localhost")
    # python's own forgets that there is TLS, and reads on without
    sock.shutdown = lambda how: socket.socket.shutdown(sock, how)
    return sock


class Conn:
    """One client connection."""

    def __init__(self, address, proto=2, timeout=None, log=None):
        self.timeout = timeout or TIMEOUT
        self.sock = connect(address, self.timeout)
        self.data = bytearray()
        self.scanner = Scanner()
        self.pushes = []
        self.log = None
        if proto == 3:
            hello = self.cmd("HELLO", 3)
            assert isinstance(hello, Map), f"HELLO 3 answered {hello!r}"
        self.log = log

    # sending

    def send(self, data):
        self.sock.settimeout(self.timeout)
        if self.log is not None:
            self.log.append((self, ">", bytes(data[:4096])))
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError,
                ssl.SSLZeroReturnError) as e:
            raise Closed(f"closed while sending: {e}") from None

    def send_cmd(self, *args):
        self.send(encode(*args))

    def send_slowly(self, data, piece=1):
        """In pieces of so many bytes, a segment each."""
        for at in range(0, len(data), piece):
            self.send(data[at:at + piece])

    # reading

    def fill(self, deadline, what="a reply"):
        left = deadline - time.monotonic()
        if left <= 0 or not select_in(self.sock, left):
            raise NoReply(f"no {what} in time; so far {bytes(self.data[:300])!r}")
        self.sock.settimeout(max(left, 0.001))
        try:
            got = self.sock.recv(1 << 20)
        except ssl.SSLEOFError:
            got = b""
        except TimeoutError:  # what was readable was no data: a ticket of TLS
            raise NoReply(f"no {what} in time; so far {bytes(self.data[:300])!r}") from None
        except ConnectionResetError:
            raise Closed(f"reset; so far {bytes(self.data[:300])!r}") from None
        if not got:
            raise Closed(f"closed; so far {bytes(self.data[:300])!r}")
        self.data += got

    def frame(self, timeout=None):
        """The next frame as bytes, a push too."""
        deadline = time.monotonic() + (timeout or self.timeout)
        while True:
            if self.data:
                size = self.scanner.scan(self.data)
                if size is not None:
                    frame = bytes(self.data[:size])
                    del self.data[:size]
                    if self.log is not None:
                        self.log.append((self, "<", frame))
                    return frame
            self.fill(deadline)

    def value(self, timeout=None):
        """The next frame parsed, a push too."""
        return parse(self.frame(timeout))

    def raw_reply(self, timeout=None):
        """The next frame that is no push, as bytes; pushes on the way are kept."""
        while True:
            frame = self.frame(timeout)
            if frame[:1] != b">":
                return frame
            self.pushes.append(parse(frame))

    def reply(self, timeout=None):
        return parse(self.raw_reply(timeout))

    def replies(self, count):
        return [self.reply() for _ in range(count)]

    def push(self, timeout=None):
        """The next push, a kept one first."""
        if self.pushes:
            return self.pushes.pop(0)
        value = self.value(timeout)
        assert isinstance(value, Push), f"expected a push, got {value!r}"
        return value

    # both

    def cmd(self, *args, timeout=None):
        self.send_cmd(*args)
        return self.reply(timeout)

    def raw(self, *args):
        self.send_cmd(*args)
        return self.raw_reply()

    def ok(self, *args):
        """As cmd(), where an error is a failure."""
        value = self.cmd(*args)
        assert not isinstance(value, Error), f"{args!r}: {value!r}"
        return value

    def pipeline(self, commands):
        self.send(encode_all(commands))
        return self.replies(len(commands))

    # what else can happen

    def quiet(self, seconds=0.1):
        """Fails when anything comes within so long."""
        assert not self.data, f"unexpected {bytes(self.data[:300])!r}"
        if select_in(self.sock, seconds * SLOW):
            self.sock.settimeout(0)
            try:
                got = self.sock.recv(1 << 16)
            except ssl.SSLWantReadError:  # a ticket of TLS, which is no data
                return
            raise AssertionError(f"unexpected {got[:300]!r}" if got else "unexpected close")

    def rest(self, timeout=None):
        """Everything until the peer closes; a reset counts as close."""
        deadline = time.monotonic() + (timeout or self.timeout)
        while True:
            try:
                self.fill(deadline, "close")
            except Closed:
                rest = bytes(self.data)
                self.data.clear()
                return rest

    def eof(self, timeout=None):
        """Fails unless the peer closes with nothing more said."""
        rest = self.rest(timeout)
        assert rest == b"", f"before the close came {rest[:300]!r}"

    def open(self):
        """Is the connection open still, with nothing to read?"""
        if self.data:
            return True
        if not select_in(self.sock, 0):
            return True
        if isinstance(self.sock, ssl.SSLSocket):
            return self.open_tls()
        try:
            return self.sock.recv(1, socket.MSG_PEEK) != b""
        except ConnectionResetError:
            return False

    def open_tls(self):
        """There is no peeking in TLS."""
        try:
            self.sock.settimeout(0)
            got = self.sock.recv(1 << 16)
            self.data += got
            return got != b""
        except ssl.SSLWantReadError:
            return True
        except (ssl.SSLError, ConnectionError):
            return False

    def name(self):
        """Its address as CLIENT LIST has it."""
        return "%s:%d" % self.sock.getsockname()[:2]

    def close(self):
        self.sock.close()

    def rst(self):
        """Closes with a reset instead of a FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def select_in(sock, seconds):
    """poll, not select: descriptors may be over 1024."""
    if isinstance(sock, ssl.SSLSocket) and sock.pending():
        return True
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(max(0, seconds) * 1000))


def eventually(what, timeout=None, every=0.01):
    """Waits until what() is true (or not None, not empty); returns it."""
    deadline = time.monotonic() + (timeout or TIMEOUT)
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come true in time: {what_of(what)}, last {value!r}")
        time.sleep(every)


def what_of(function):
    code = getattr(function, "__code__", None)
    if not code:
        return repr(function)
    return f"{code.co_filename.rsplit('/', 1)[-1]}:{code.co_firstlineno}"
