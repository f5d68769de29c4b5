"""program.py - larder as a program: run to its end, asked for its settings."""
import os
import re
import subprocess
import tempfile

from resp import TIMEOUT
from servers import LARDER, Skip


def run(*args, env=None):
    """larder with these arguments until it ends: (exit code, stdout, stderr)."""
    if "LARDER_AT" in os.environ:
        raise Skip("needs larder's binary, and LARDER_AT is set")
    done = subprocess.run([LARDER, *args], capture_output=True, timeout=3 * TIMEOUT, check=False,
                          stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def write(w, text, name="larder.ini"):
    """A file in a directory that is removed with the test."""
    directory = tempfile.TemporaryDirectory(prefix="larder-test-ini-")
    w.add(type("Removed", (), {"stop": lambda self: directory.cleanup() or []})())
    path = os.path.join(directory.name, name)
    with open(path, "w") as f:
        f.write(text)
    return path


def setting(server, name):
    """A value as LARDER SETTINGS shows it."""
    text = flat(server.cmd("LARDER", "SETTINGS"))
    found = re.search(rf"\b{name}\b\W+(\S+)", text)
    assert found, f"{name} is not in LARDER SETTINGS: {text[:500]}"
    return found.group(1).strip("',)]")


def flat(reply):
    """A reply of any shape as text."""
    if isinstance(reply, bytes):
        return reply.decode()
    if isinstance(reply, (list, tuple)):
        return "\n".join(" ".join(flat(y) for y in x) if isinstance(x, (list, tuple)) else flat(x)
                         for x in reply)
    return str(reply)
