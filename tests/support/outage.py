"""outage.py - words that the tests of failing upstreams share."""
import time

from resp import SLOW, TIMEOUT, Error, eventually
from servers import make_ini

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


def outage_larder(w, upstream, sections, up=None, **more):
    """sections: policies as {name: {setting: value}}, each for the keys NAME:*."""
    ini = make_ini(("127.0.0.1", 0), upstream, None, {"address": "127.0.0.1:@PORT@"},
                   {**QUICK, "command_timeout": "5s", **(up or {})})
    for name, rows in sections.items():
        rows = {"prefix": name + ":", **rows}
        ini += f"[policy {name}]\n" + "".join(f"{k} = {v}\n" for k, v in rows.items())
    larder = w.larder(upstream, ini=ini, **more)
    if any(rows.get("local") == "yes" for rows in sections.values()):
        armed(larder)
    return larder


def armed(larder):
    """Waits until what is read is kept."""
    eventually(lambda: larder.stats()["cache_trust"] == 2)


def is_out(larder):
    return larder.stats()["outage_on"] == 1


def kill(redis, larder):
    """kill -9, and larder knows."""
    redis.kill()
    eventually(lambda: is_out(larder))


def back(redis, larder):
    """It is there again, and larder has found it."""
    redis.start()
    eventually(lambda: not is_out(larder), timeout=4 * TIMEOUT)


def policy_row(larder, name):
    """A policy's line of LARDER POLICIES as a dict."""
    for line in larder.cmd("LARDER", "POLICIES").decode().splitlines():
        fields = dict(pair.split("=", 1) for pair in line.split(" ") if "=" in pair)
        if fields.get("policy") == name:
            return fields
    raise AssertionError(f"no policy {name}")
