"""outage.py - words that the tests of failing upstreams share."""
import time

from resp import SLOW, TIMEOUT, Error, eventually

QUICK = {"command_timeout": "500ms", "queue_timeout": "500ms", "connect_timeout": "500ms",
         "backoff_min": "5ms", "backoff_max": "50ms", "breaker_failures": "0"}
# .. and with the breaker, whose longest pause is so short
BREAKER = {**QUICK, "breaker_failures": "5", "breaker_open": "200ms"}
# past the deadline of QUICK by so much and it counts as hanging
GRACE = 3 * SLOW


def is_upstream(answer):
    return isinstance(answer, Error) and answer.startswith(b"UPSTREAM ")


def timed(conn, *command, deadline=0.5):
    """The answer, which must come by the deadline."""
    begin = time.monotonic()
    answer = conn.cmd(*command, timeout=20)
    took = time.monotonic() - begin
    assert took < deadline + GRACE, f"{command} took {took:.1f} s"
    return answer


def serves_again(conn):
    eventually(lambda: conn.cmd("SET", "alive", "yes", timeout=20) == b"OK", timeout=4 * TIMEOUT)
    assert conn.cmd("GET", "alive") == b"yes"
