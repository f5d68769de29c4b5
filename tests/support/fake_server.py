"""fake_server.py - a scripted Redis that can lie, stall, cut and babble.

FakeRedis(script) listens on 127.0.0.1. For every request on every connection it calls
script(link, argv), in a thread per connection; the script returns the reply's bytes, or None for
the default answer (enough for larder to log in and to serve GET and SET), or SILENT. Through `link`
it can also send at any time, stall until an Event is set, cut, half-close or reset.

    def script(link, argv):
        if argv[:2] == [b"GET", b"evil"]:
            return b"$-2\\r\\n"

GET k answers `k:value` by default, so that a value shows which key it belongs to.
"""
import socket
import struct
import threading

from resp import SLOW, encode, to_bytes

SILENT = b""
VERSION = b"7.0.15"


class Gone(Exception):
    """The peer has closed, or the script has."""


class Link:
    """One accepted connection."""

    def __init__(self, server, sock, number):
        self.server, self.sock, self.number = server, sock, number
        self.proto = 2
        self.requests = []  # every argv seen
        self.data = bytearray()
        self.closed = False

    # what a script does with it

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            raise Gone from None

    def babble(self, data, piece=1):
        """Sends in pieces of so many bytes."""
        for at in range(0, len(data), piece):
            self.send(data[at:at + piece])

    def stall(self, event):
        """Says nothing until the event is set."""
        if not event.wait(60 * SLOW):
            raise Gone

    def cut(self):
        """Closes at once (FIN) and ends the conversation."""
        self.close()
        raise Gone

    def half_close(self):
        """Ends what we send; still reads."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            raise Gone from None

    def rst(self):
        self.reset()
        raise Gone

    # the same without ending the script: for other threads

    def close(self):
        self.closed = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def reset(self):
        self.closed = True
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        # wakes a reader in another thread, which close() alone would not
        try:
            self.sock.shutdown(socket.SHUT_RD)
        except OSError:
            pass
        self.sock.close()

    # reading requests

    def fill(self):
        try:
            got = self.sock.recv(1 << 16)
        except OSError:
            raise Gone from None
        if not got:
            raise Gone
        self.data += got

    def line(self):
        while True:
            end = self.data.find(b"\r\n")
            if end >= 0:
                line = bytes(self.data[:end])
                del self.data[:end + 2]
                return line
            self.fill()

    def expect(self):
        """The next request as a list of bytes."""
        head = self.line()
        assert head[:1] == b"*", f"larder sent {head!r}"
        argv = []
        for _ in range(int(head[1:])):
            size = self.line()
            assert size[:1] == b"$", f"larder sent {size!r}"
            size = int(size[1:])
            while len(self.data) < size + 2:
                self.fill()
            argv.append(bytes(self.data[:size]))
            assert self.data[size:size + 2] == b"\r\n"
            del self.data[:size + 2]
        self.requests.append(argv)
        return argv

    def serve(self):
        try:
            while True:
                argv = self.expect()
                if not argv:
                    continue
                word = argv[0].upper()
                reply = self.server.script(self, [word] + argv[1:])
                if reply is None:
                    reply = self.default(word, argv)
                self.send(reply)
        except Gone:
            pass
        finally:
            self.close()

    def default(self, word, argv):
        if word == b"HELLO":
            if len(argv) > 1:
                self.proto = int(argv[1])
            return self.hello()
        if word == b"PING":
            return b"+PONG\r\n" if len(argv) == 1 else bulk(argv[1])
        if word == b"ECHO":
            return bulk(argv[1])
        if word == b"GET":
            return bulk(argv[1] + b":value")
        if word == b"MGET":
            return b"*%d\r\n" % (len(argv) - 1) + b"".join(bulk(k + b":value") for k in argv[1:])
        if word == b"CLIENT" and argv[1].upper() == b"ID":
            return b":%d\r\n" % self.number
        if word == b"INFO":
            return bulk(b"# Server\r\nredis_version:%s\r\nrun_id:%040d\r\nloading:0\r\n"
                        b"role:master\r\n" % (VERSION, 1))
        if word == b"ROLE":
            return b"*3\r\n" + bulk(b"master") + b":0\r\n*0\r\n"
        if word == b"COMMAND":
            return b"*0\r\n"
        return b"+OK\r\n"

    def hello(self):
        fields = [(b"server", bulk(b"redis")), (b"version", bulk(VERSION)),
                  (b"proto", b":%d\r\n" % self.proto), (b"id", b":%d\r\n" % self.number),
                  (b"mode", bulk(b"standalone")), (b"role", bulk(b"master")),
                  (b"modules", b"*0\r\n")]
        head = b"%7\r\n" if self.proto == 3 else b"*14\r\n"
        return head + b"".join(bulk(k) + v for k, v in fields)


def bulk(text):
    text = to_bytes(text)
    return b"$%d\r\n%s\r\n" % (len(text), text)


class FakeRedis:
    """Listens, and keeps every Link it was given in `links`."""

    def __init__(self, script=None):
        self.script = script or (lambda link, argv: None)
        self.links = []
        self.lock = threading.Lock()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(1024)
        self.address = self.listener.getsockname()
        self.accepting = True
        self.greet = None  # called with each new Link before it is served; may raise Gone
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                link = Link(self, sock, len(self.links) + 1)
                self.links.append(link)
            threading.Thread(target=self.meet, args=(link,), daemon=True).start()

    def meet(self, link):
        try:
            if self.greet:
                self.greet(link)
        except Gone:
            link.close()
            return
        link.serve()

    def requests(self):
        """Every request of every connection so far."""
        return [argv for link in list(self.links) for argv in list(link.requests)]

    def count(self, word):
        return sum(argv[0].upper() == to_bytes(word) for argv in self.requests() if argv)

    def stop(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for link in list(self.links):
            link.close()
        return []


__all__ = ["FakeRedis", "Gone", "Link", "SILENT", "bulk", "encode"]
