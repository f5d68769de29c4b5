"""failover.py - many clients that write and read back while the master behind larder changes.

    load = Load(larder, 200, deadline)      each has a key, counts it up, and reads it back
    load.listen(sentinels)                  .. and hears when they announce another master
    load.judge(redis)                       each read from now on must be what that server has
    load.end()

One thread, so that a machine that stands still for a moment does so for all that is measured. What
a client finds wrong is in load.wrong: an answer past the deadline, a read that is older than what
was acknowledged, or another than the new master's.
"""
import collections
import heapq
import itertools
import selectors
import ssl
import threading
import time

from outage import is_upstream
from resp import SLOW, Error, Scanner, connect, encode, eventually, parse

THINK = 0.05  # seconds between two rounds of a client


class Line:
    """A connection whose frames come one at a time, when they come."""

    def __init__(self, address, on_frame):
        self.sock, self.on_frame = connect(address), on_frame
        self.sock.setblocking(False)
        self.data, self.scanner = bytearray(), Scanner()

    def say(self, *words):
        data = encode(*words)
        assert self.sock.send(data) == len(data)

    def read(self):
        """All that has come: with TLS the socket says nothing of what lies in the session."""
        while True:
            try:
                got = self.sock.recv(1 << 16)
            except (BlockingIOError, ssl.SSLWantReadError):
                break
            assert got, "the connection was closed"
            self.data += got
        while self.data:
            size = self.scanner.scan(self.data)
            if size is None:
                return
            frame = bytes(self.data[:size])
            del self.data[:size]
            self.on_frame(parse(frame))


class Client(Line):
    def __init__(self, load, number):
        super().__init__(load.larder.address, self.answered)
        self.load, self.key = load, f"key:{number}"
        self.n = self.acked = self.floor = 0
        self.acked_at = self.errors = self.reads = 0
        self.busy = False

    def ask(self, *words):
        self.words, self.asked_at, self.busy = words, time.monotonic(), True
        self.say(*words)

    def write(self):
        self.n += 1
        self.ask("SET", self.key, self.n)

    def answered(self, answer):
        load, took = self.load, time.monotonic() - self.asked_at
        self.busy = False
        load.longest = max(load.longest, took)
        if took > load.deadline:
            load.wrong.append(f"{self.words} took {took:.1f} s")
        if isinstance(answer, Error) and not is_upstream(answer) and \
                not answer.startswith(b"READONLY"):
            load.wrong.append(f"{self.words}: {answer!r}")
        if self.words[0] == "SET":
            self.written(answer)
        else:
            self.was_read(answer)

    def written(self, answer):
        if answer == b"OK":
            self.acked = self.floor = self.n
            self.acked_at = time.monotonic()
            if self.load.announced_at and self.asked_at < self.load.announced_at + 60:
                self.load.flowing.setdefault(self, self.acked_at)
        else:
            self.errors += 1
        self.ask("GET", self.key)

    def was_read(self, answer):
        if isinstance(answer, Error):
            self.load.later(THINK, self)
            return
        self.reads += 1
        if self.load.truth is not None and self.asked_at > self.load.judged_at:
            # Nobody but this client writes the key, and it waits for the answer.
            self.load.compared.append((self, answer))
            self.load.truth.say("GET", self.key)
            return
        value = int(answer or 0)
        if not self.load.doubt and not self.errors and value != self.acked:
            self.load.wrong.append(f"{self.key} is {value}, after {self.acked}")
        self.load.later(THINK, self)


class Load:
    def __init__(self, larder, count, deadline):
        self.larder, self.deadline = larder, deadline
        self.wrong, self.longest, self.doubt = [], 0, False
        self.announced_at, self.flowing = None, {}
        self.truth, self.judged_at = None, 0
        self.compared, self.comparisons = collections.deque(), 0
        self.due, self.numbers = [], itertools.count()
        self.todo, self.over = collections.deque(), False
        self.selector = selectors.DefaultSelector()
        self.lines = []
        self.clients = [self.add(Client(self, i)) for i in range(count)]
        for one in self.clients:
            self.later(0, one)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        eventually(lambda: all(one.acked > 3 for one in self.clients), timeout=60 * SLOW)

    # in the thread

    def add(self, line):
        self.lines.append(line)
        self.selector.register(line.sock, selectors.EVENT_READ, line)
        return line

    def later(self, seconds, client):
        heapq.heappush(self.due, (time.monotonic() + seconds, next(self.numbers), client))

    def run(self):
        try:
            while not self.over or any(one.busy for one in self.clients) or self.compared:
                self.turn()
        except Exception as e:
            self.wrong.append(repr(e))
            self.over = True

    def turn(self):
        while self.todo:
            self.todo.popleft()()
        while self.due and self.due[0][0] <= time.monotonic() and not self.over:
            heapq.heappop(self.due)[2].write()
        for key, _ in self.selector.select(0.005):
            key.data.read()

    def heard(self, message):
        if message[0] == b"message" and self.announced_at is None:
            self.announced_at = time.monotonic()

    def told(self, truth):
        client, answer = self.compared.popleft()
        self.comparisons += 1
        if answer != truth:
            self.wrong.append(f"{client.key}: {answer!r}, but the master has {truth!r}")
        self.later(THINK, client)

    # what a test does

    def order(self, what):
        done = threading.Event()
        self.todo.append(lambda: (what(), done.set()))
        assert done.wait(30 * SLOW), self.wrong

    def listen(self, sentinels):
        for one in sentinels:
            line = Line(one.address, self.heard)
            line.say("SUBSCRIBE", "+switch-master")
            self.order(lambda line=line: self.add(line))

    def judge(self, redis):
        def begin():
            self.truth = self.add(Line(redis.address, self.told))
            # An answer that is here already, and was not looked at yet, may be of before.
            self.judged_at = time.monotonic()
        self.order(begin)

    def all_write(self, timeout=60 * SLOW):
        """Waits until each has had a write acknowledged that it asked for from now on."""
        counts = {one: one.n for one in self.clients}
        eventually(lambda: self.wrong or all(one.acked > n for one, n in counts.items()),
                   timeout=timeout)

    def end(self):
        self.over = True
        self.thread.join(60 * SLOW)
        assert not self.thread.is_alive()
        for line in self.lines:
            line.sock.close()
        assert not self.wrong, (len(self.wrong), self.wrong[:5])
