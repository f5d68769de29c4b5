"""What the python suites share: where larder is, names of keys, waiting, one line per test."""
import os
import signal
import socket
import sys
import time
import traceback

HOST = os.environ["LARDER_HOST"]
PORT = int(os.environ["LARDER_PORT"])
UPSTREAM_HOST = os.environ["UPSTREAM_HOST"]
UPSTREAM_PORT = int(os.environ["UPSTREAM_PORT"])
SOCKET = os.environ.get("LARDER_SOCKET", "")
LOCKED_PORT = int(os.environ.get("LOCKED_PORT", "0"))
LOCKED_PASSWORD = os.environ.get("LOCKED_PASSWORD", "")
SIDECAR_PORT = int(os.environ.get("SIDECAR_PORT", "0"))  # two larders with policies.ini
OTHER_PORT = int(os.environ.get("OTHER_PORT", "0"))
CONTROL_PORT = int(os.environ.get("CONTROL_PORT", "0"))
NEAR = os.environ.get("LARDER_NEAR", "") != ""
DIRECT = (HOST, PORT) == (UPSTREAM_HOST, UPSTREAM_PORT)
TEST_SECONDS = 25

_tests = []
_now = {"number": 0}


class Skip(Exception):
    """This test cannot be run here; says why."""


def key(name):
    """A name that no other test uses, of no other run and no other suite."""
    return f"larder-clients:{os.path.basename(sys.argv[0])}:{os.getpid()}:{_now['number']}:{name}"


def until(condition, what, seconds=15):
    """Waits until the condition holds, and returns what it returned."""
    deadline = time.monotonic() + seconds
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > deadline:
            raise AssertionError(f"still not after {seconds} s: {what}")
        time.sleep(0.002)


def control(line):
    """Has a server restarted, see servers.py."""
    if not CONTROL_PORT:
        raise Skip("the servers were started by somebody else")
    with socket.create_connection(("127.0.0.1", CONTROL_PORT), 60) as asked:
        asked.sendall(line.encode() + b"\n")
        answer = asked.makefile("r").readline().strip()
    assert answer == "ok", answer


def same(got, wanted):
    """assert with both values in the message, shortened."""
    if got != wanted:
        raise AssertionError(f"got {repr(got)[:300]}, wanted {repr(wanted)[:300]}")


def raises(kinds, call, *arguments, text=""):
    """The call must fail in this way; returns the message."""
    try:
        got = call(*arguments)
    except kinds as error:
        assert text in str(error), f"{error!r} does not say {text!r}"
        return str(error)
    raise AssertionError(f"no error but {got!r}")


def test(name):
    """Decorator: registers a test."""
    def register(function):
        _tests.append((name, function))
        return function
    return register


def _reachable():
    """Larder may just be starting again, because it crashed in the test before."""
    try:
        socket.create_connection((HOST, PORT), 5).close()
    except OSError:
        return False
    return True


def _late(_signal, _frame):
    raise TimeoutError(f"not finished after {TEST_SECONDS} s")


def run_tests(client):
    """Runs what was registered; returns the exit status."""
    words = os.environ.get("CLIENT_TESTS", "")
    failed = 0
    signal.signal(signal.SIGALRM, _late)
    for number, (name, function) in enumerate(_tests):
        if words not in name:
            continue
        _now["number"], started = number, time.monotonic()
        signal.alarm(TEST_SECONDS)
        try:
            until(_reachable, "larder can be reached", 5)
            function()
            took = f" # {time.monotonic() - started:.2f} s" if os.environ.get("V") else ""
            print(f"ok {client}: {name}{took}", flush=True)
        except Skip as why:
            print(f"skip {client}: {name}: {why}", flush=True)
        except Exception as error:
            failed += 1
            print(f"FAIL {client}: {name}: {error!r}", flush=True)
            for line in traceback.format_exc().splitlines():
                print("    " + line, flush=True)
        finally:
            signal.alarm(0)
    return 1 if failed else 0
