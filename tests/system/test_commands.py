"""The command table and expiries against a real server; the scripts say how."""
import os
import subprocess
import sys

from servers import LARDER


def run_script(name):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    beside = os.path.join(os.path.dirname(LARDER), "print_keys")
    env = dict(os.environ, **({"PRINT_KEYS": beside} if os.path.exists(beside) else {}))
    done = subprocess.run([sys.executable, script], env=env, stdout=subprocess.PIPE, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stdout


def test_command_table(w):
    run_script("command_keys.py")


def test_command_expiry(w):
    run_script("command_expiry.py")
