#!/usr/bin/env python3
"""relay.py - a blind TCP relay whose links can be cut, stalled, reset or left half open.

In a test: Relay(target) stands between larder and its upstream. As a program, `relay.py -c FILE`
reads a larder.ini and relays its listeners to its upstream byte for byte: started as LARDER it
shows which tests hold for a proxy that does nothing (all that compare with Redis must).
"""
import collections
import configparser
import os
import selectors
import signal
import socket
import struct
import sys
import threading

CHUNK = 1 << 18
HEAD = 1 << 12  # bytes of a side that are remembered, to tell links by what they said first
HIGH = 4 << 20  # bytes kept for a side that does not read; then its peer is not read


class Side:
    """One socket of a link."""

    def __init__(self, sock):
        self.sock = sock
        self.out = collections.deque()
        self.waiting = 0
        self.peer = None
        self.ended = False  # it has sent its FIN
        self.closed = False
        self.black = False  # half open: nothing more is forwarded from here
        self.held = False   # nothing is forwarded to here, but kept
        self.head = b""     # what it said first


class Relay:
    """One thread, every link."""

    def __init__(self, target, listen=("127.0.0.1", 0)):
        self.target = target
        self.selector = selectors.DefaultSelector()
        self.sides = set()
        self.accepted = 0
        self.mode = "forward"  # of new bytes: forward, stall; of new links: see refusing
        self.refusing = None   # None, "close" or "rst": what happens to a new link
        self.todo = collections.deque()
        self.wake_in, self.wake_out = os.pipe()
        self.listeners = []
        for where in listen if isinstance(listen, list) else [listen]:
            self.listen(where)
        self.address = self.listeners[0].getsockname()
        self.selector.register(self.wake_in, selectors.EVENT_READ, None)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def listen(self, where):
        sock = socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        sock.listen(4096)
        sock.setblocking(False)
        self.listeners.append(sock)
        self.selector.register(sock, selectors.EVENT_READ, sock)

    # what a test does; all done in the relay's thread, and finished on return

    def order(self, what):
        done = threading.Event()
        self.todo.append((what, done))
        os.write(self.wake_out, b"x")
        assert done.wait(10), "the relay's thread is stuck"

    def cut(self):
        """Closes every link."""
        self.order(lambda: [self.drop(s) for s in list(self.sides)])

    def rst(self):
        """Resets every link."""
        self.order(lambda: [self.drop(s, reset=True) for s in list(self.sides)])

    def half_open(self):
        """From now on nothing is forwarded on the present links, which stay open for ever."""
        self.order(lambda: [setattr(s, "black", True) for s in self.sides])

    def stall(self):
        """Nothing is forwarded, but kept, until resume()."""
        self.order(lambda: self.change("stall"))

    def resume(self):
        self.order(lambda: self.change("forward"))

    def hold(self, word):
        """As stall(), but only those of the present links on which word (lower case) was said early.
        How many they are."""
        found = []
        self.order(lambda: found.append(self.change_held(word)))
        return found[0]

    def release(self):
        self.order(lambda: self.change_held(None))

    def refuse(self, how="rst"):
        """New links are accepted and at once closed or reset; None: served again."""
        self.refusing = how

    def links(self):
        return len(self.sides) // 2

    def stop(self):
        self.order(self.close_all)
        self.thread.join(5)
        return []

    # the thread

    def run(self):
        while self.listeners:
            for key, events in self.selector.select():
                if key.fd == self.wake_in:
                    os.read(self.wake_in, 4096)
                elif isinstance(key.data, Side):
                    self.move(key.data, events)
                else:
                    self.accept(key.data)
            while self.todo:
                what, done = self.todo.popleft()
                what()
                done.set()

    def accept(self, listener):
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        self.accepted += 1
        if self.refusing:
            if self.refusing == "rst":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
            return
        far = socket.socket(socket.AF_UNIX if isinstance(self.target, str) else socket.AF_INET)
        try:
            far.connect(self.target)
        except OSError:
            far.close()
            sock.close()
            return
        a, b = Side(sock), Side(far)
        a.peer, b.peer = b, a
        for side in (a, b):
            side.sock.setblocking(False)
            if side.sock.family == socket.AF_INET:
                side.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sides.add(side)
            self.selector.register(side.sock, selectors.EVENT_READ, side)

    def move(self, side, events):
        if side.closed:
            return
        if events & selectors.EVENT_READ and not side.ended:
            try:
                data = side.sock.recv(CHUNK)
            except BlockingIOError:
                data = None
            except OSError:
                self.drop(side, reset=True)
                return
            if data == b"":
                side.ended = True
            elif data and not side.black:
                if len(side.head) < HEAD:
                    side.head += data[:HEAD].lower()
                side.peer.out.append(data)
                side.peer.waiting += len(data)
                self.flush(side.peer)
        if events & selectors.EVENT_WRITE and not side.closed:
            self.flush(side)
        if not side.closed:
            self.settle(side)

    def flush(self, side):
        while side.out and self.moves(side) and not side.closed:
            try:
                sent = side.sock.send(side.out[0])
            except BlockingIOError:
                break
            except OSError:
                self.drop(side, reset=True)
                return
            side.waiting -= sent
            if sent == len(side.out[0]):
                side.out.popleft()
            else:
                side.out[0] = side.out[0][sent:]
        self.settle(side)

    def settle(self, side):
        """Hands on a FIN, and says what to wait for on both sides."""
        for one in (side, side.peer):
            if one.ended and not one.peer.out and not one.black and not one.peer.closed:
                if one.peer.ended:
                    self.drop(side)
                    return
                try:
                    one.peer.sock.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
        for one in (side, side.peer):
            if one.closed:
                continue
            events = 0
            if not one.ended and one.peer.waiting < HIGH and self.moves(one):
                events |= selectors.EVENT_READ
            if one.out and self.moves(one):
                events |= selectors.EVENT_WRITE
            self.watch(one, events)

    def watch(self, side, events):
        registered = side.sock in self.selector.get_map()
        if events and registered:
            if self.selector.get_key(side.sock).events != events:
                self.selector.modify(side.sock, events, side)
        elif events:
            self.selector.register(side.sock, events, side)
        elif registered:
            self.selector.unregister(side.sock)

    def change(self, mode):
        self.mode = mode
        for side in list(self.sides):
            if not side.closed:
                self.flush(side)

    def moves(self, side):
        return self.mode == "forward" and not side.held

    def change_held(self, word):
        for side in list(self.sides):
            side.held = word is not None and (word in side.head or word in side.peer.head)
            if not side.closed:
                self.flush(side)
        return sum(side.held for side in self.sides) // 2

    def drop(self, side, reset=False):
        for one in (side, side.peer):
            if one.closed:
                continue
            one.closed = True
            self.watch(one, 0)
            if reset:
                one.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.sock.close()
            self.sides.discard(one)

    def close_all(self):
        for sock in self.listeners:
            self.selector.unregister(sock)
            sock.close()
        self.listeners = []
        for side in list(self.sides):
            self.drop(side)


def where(text):
    if text.startswith("unix:"):
        return text[5:]
    host, port = text.rsplit(":", 1)
    return (host or "127.0.0.1", int(port))


def main(argv):
    ini = configparser.ConfigParser(interpolation=None)
    ini.read(argv[argv.index("-c") + 1])
    listen = [where(ini[s]["address"]) for s in ini.sections() if s.startswith("listener")]
    relay = Relay(where(ini.get("upstream", "address", fallback="127.0.0.1:6379")), listen)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    relay.stop()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main(sys.argv)
