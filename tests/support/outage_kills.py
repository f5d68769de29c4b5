"""outage_kills.py - a load that goes on while redis-server is killed again and again behind larder, and
what became of its reads: for tests/system/test_outage_kills.py and tests/bench/outage.

Readers and writers are processes of their own. A key is warm for a reader if no write of it has been
attempted for a second, and it was read half a second or more behind that write: then it is on the
shelf. (What is read sooner may not be: Redis' own word of the write comes behind its answer.)

    load = Load(address); load.begin(); load.mark("quiet"); ...; load.mark("kills"); ...; load.end()
"""
import multiprocessing
import os
import time

from resp import Conn, Error

WRITTEN, UNWRITTEN = 40, 160  # keys that are written over and over, and those that are only read
WARM, READ_AFTER = 1.0, 0.5   # seconds
PAUSE = 0.0005                # of a reader between two reads
WRITE_PAUSE = 0.025


class Shared:
    """What the processes tell each other, by key."""

    def __init__(self):
        self.acked = multiprocessing.Array("q", WRITTEN, lock=False)     # the newest number answered
        self.begun_at = multiprocessing.Array("d", WRITTEN, lock=False)  # of the last attempt
        self.ended_at = multiprocessing.Array("d", WRITTEN, lock=False)
        self.seen_at = multiprocessing.Array("d", WRITTEN + UNWRITTEN, lock=False)
        self.phase = multiprocessing.Value("i", 0, lock=False)
        self.stop = multiprocessing.Event()


def key_of(k):
    return f"k:{k}"


def value_of(n):
    return b"%d" % n + b"." * 100


def number_of(value):
    return int(value.split(b".", 1)[0])


def write(address, shared, timeout):
    conn, n = Conn(address, timeout=timeout), 1
    while not shared.stop.is_set():
        k, n = n % WRITTEN, n + 1
        shared.begun_at[k] = time.monotonic()
        answer = conn.cmd("SET", key_of(k), value_of(n))
        shared.ended_at[k] = time.monotonic()
        if not isinstance(answer, Error):
            shared.acked[k] = n
        time.sleep(WRITE_PAUSE)
    conn.close()


class Reader:
    def __init__(self, address, shared, timeout, seed):
        self.conn = Conn(address, 2 + seed % 2, timeout=timeout)
        self.shared, self.k = shared, seed * 37
        self.times = {}       # by phase, of warm reads, in us
        self.unanswered = []  # warm reads that were no value
        self.old = []         # values older than a write that had been answered
        self.cold = 0

    def one(self):
        shared, k = self.shared, self.k % (WRITTEN + UNWRITTEN)
        self.k += 1
        phase, begun = shared.phase.value, time.monotonic()
        least, written = 0, 0.0
        warm = shared.seen_at[k] > 0
        if k < WRITTEN:
            least, written = shared.acked[k], shared.ended_at[k]
            warm = (shared.seen_at[k] > written + READ_AFTER and written > shared.begun_at[k] and
                    begun - shared.begun_at[k] >= WARM)
        answer = self.conn.cmd("GET", key_of(k))
        took = time.monotonic() - begun
        fine = answer is not None and not isinstance(answer, Error)
        if fine:
            if number_of(answer) < least:
                self.old.append((k, number_of(answer), least))
            if k >= WRITTEN or shared.ended_at[k] == written:
                shared.seen_at[k] = begun
        if not warm:
            self.cold += 1
            return
        # a write may have begun meanwhile
        if k < WRITTEN and shared.begun_at[k] > begun - WARM:
            return
        self.times.setdefault(phase, []).append(took * 1e6)
        if not fine:
            self.unanswered.append((k, answer, round(begun - written, 3)))


def read(address, shared, timeout, seed, results):
    reader = Reader(address, shared, timeout, seed)
    while not shared.stop.is_set():
        reader.one()
        time.sleep(PAUSE)
    reader.conn.close()
    results.put((reader.times, reader.unanswered[:20], len(reader.unanswered), reader.old[:20],
                 len(reader.old), reader.cold))


class Load:
    """`names`: of phases, in the order of mark()."""

    def __init__(self, address, readers=2, timeout=60):
        self.address, self.readers, self.timeout = address, readers, timeout
        self.shared = Shared()
        self.results = multiprocessing.Queue()
        self.processes, self.names = [], ["warming up"]
        self.times, self.unanswered, self.old = {}, [], []
        self.unanswered_count = self.old_count = 0

    def begin(self):
        conn = Conn(self.address, timeout=self.timeout)
        conn.pipeline([("SET", key_of(k), value_of(1)) for k in range(WRITTEN + UNWRITTEN)])
        conn.close()
        args = (self.address, self.shared, self.timeout)
        self.processes = [multiprocessing.Process(target=write, args=args, daemon=True)]
        self.processes += [multiprocessing.Process(target=read, args=(*args, i, self.results),
                                                   daemon=True) for i in range(self.readers)]
        for process in self.processes:
            process.start()

    def is_warm(self):
        return all(self.shared.seen_at) and all(self.shared.acked)

    def mark(self, name):
        """From here on it is that phase."""
        self.names.append(name)
        self.shared.phase.value = len(self.names) - 1

    def end(self):
        self.shared.stop.set()
        for _ in range(self.readers):
            times, unanswered, count, old, old_count, _ = self.results.get(timeout=self.timeout)
            for phase, took in times.items():
                self.times.setdefault(self.names[phase], []).extend(took)
            self.unanswered += unanswered
            self.unanswered_count += count
            self.old += old
            self.old_count += old_count
        for process in self.processes:
            process.join(self.timeout)

    def quantile(self, phase, q):
        times = sorted(self.times.get(phase, [0.0]))
        return times[min(len(times) - 1, int(q * len(times)))]

    def newest(self):
        """The number of the newest write of each key that was answered."""
        return list(self.shared.acked) + [1] * UNWRITTEN


def read_all(server):
    """The numbers that a server, or larder, has for all keys; 0: none."""
    conn = Conn(server.address)
    values = conn.pipeline([("GET", key_of(k)) for k in range(WRITTEN + UNWRITTEN)])
    conn.close()
    return [number_of(value) if value else 0 for value in values]


if __name__ == "__main__":
    raise SystemExit(f"{os.path.basename(__file__)} is no program: see tests/bench/outage")
