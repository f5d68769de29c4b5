"""crowd.py - a thousand clients of one process: each asks for a key and, told that it is missing,
loads it and stores it, as applications do.

    crowd = Crowd(address, keys)    one connection for each element of keys; of several addresses
                                    (a list) each key's go to all of them by turns
    crowd.run()
    crowd.loads                     key -> how many of them were told that it is missing
    crowd.waits                     seconds until each of the others had the value

dies(member, so_many_loaded_before) -> True: that one closes its connection in the middle of its
loading. One thread, non-blocking sockets.
"""
import collections
import heapq
import itertools
import selectors
import time

from resp import TIMEOUT, Scanner, connect, encode, parse


class Member:
    """One client; its frames are read one at a time."""

    def __init__(self, address, key):
        self.key = key
        self.sock = connect(address)
        self.data, self.scanner = bytearray(), Scanner()
        self.asked_at = self.told = None
        self.state = "asks"  # loads, stores, done, dead

    def is_served(self):
        """Waits until it is: what is measured later is the wait for a value."""
        assert self.sock.recv(100) == b"+PONG\r\n"
        self.sock.setblocking(False)

    def send(self, *command):
        data = encode(*command)
        assert self.sock.send(data) == len(data)

    def frame(self):
        """The next one that has come, or None."""
        size = self.scanner.scan(self.data) if self.data else None
        if size is None:
            return None
        frame = bytes(self.data[:size])
        del self.data[:size]
        return parse(frame)


class Crowd:
    def __init__(self, address, keys, load=0.2, dies=None, size=40):
        addresses = address if isinstance(address, list) else [address]
        nth = collections.Counter()
        self.members = []
        for key in keys:
            self.members.append(Member(addresses[nth[key] % len(addresses)], key))
            nth[key] += 1
        for member in self.members:
            member.send("PING")
        for member in self.members:
            member.is_served()
        self.load, self.dies, self.size = load, dies or (lambda member, before: False), size
        self.selector = selectors.DefaultSelector()
        for member in self.members:
            self.selector.register(member.sock, selectors.EVENT_READ, member)
        self.due = []  # (when, number, what): what is to be done later
        self.numbers = itertools.count()
        self.loads = collections.Counter({key: 0 for key in keys})
        self.waits = []

    def value(self, key):
        return b"value of " + key.encode() + bytes(self.size)

    def run(self, timeout=4 * TIMEOUT):
        for member in self.members:
            member.asked_at = time.monotonic()
            member.send("GET", member.key)
        self.left = len(self.members)
        deadline = time.monotonic() + timeout
        while self.left:
            now = time.monotonic()
            assert now < deadline, f"{self.left} of {len(self.members)} were not served in time"
            while self.due and self.due[0][0] <= now:
                heapq.heappop(self.due)[2]()
            wait = min(self.due[0][0] if self.due else deadline, deadline) - time.monotonic()
            for key, _ in self.selector.select(max(0, wait)):
                self.read(key.data, time.monotonic())

    def later(self, seconds, what):
        heapq.heappush(self.due, (time.monotonic() + seconds, next(self.numbers), what))

    def read(self, member, now):
        got = member.sock.recv(1 << 18)
        assert got, f"the connection of one that {member.state} was closed"
        member.data += got
        reply = member.frame()
        if reply is None and member.data:
            return  # not all of it
        if member.state == "asks":
            self.told(member, reply, now)
        elif member.state == "stores":
            assert reply == b"OK", reply
            self.ended(member, "done")
        else:
            raise AssertionError(f"{reply!r} came to one that {member.state}")

    def told(self, member, reply, now):
        """The answer to its GET."""
        if reply is not None:
            assert reply == self.value(member.key), (member.key, reply[:80])
            self.waits.append(now - member.asked_at)
            self.ended(member, "done")
            return
        before = self.loads[member.key]
        self.loads[member.key] += 1
        member.state = "loads"
        if self.dies(member, before):
            self.later(self.load / 2, lambda: self.ended(member, "dead"))
        else:
            self.later(self.load, lambda: self.store(member))

    def store(self, member):
        member.state = "stores"
        member.send("SET", member.key, self.value(member.key))

    def ended(self, member, state):
        member.state = state
        self.left -= 1
        if state == "dead":
            self.selector.unregister(member.sock)
            member.sock.close()

    def stop(self):
        self.selector.close()
        for member in self.members:
            member.sock.close()
        return []

    def longest(self):
        return max(self.waits)
