"""The command table against a real server; command_keys.py says how."""
import os
import subprocess
import sys

from servers import LARDER


def test_command_table(w):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "command_keys.py")
    beside = os.path.join(os.path.dirname(LARDER), "print_keys")
    env = dict(os.environ, **({"PRINT_KEYS": beside} if os.path.exists(beside) else {}))
    done = subprocess.run([sys.executable, script], env=env, stdout=subprocess.PIPE, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stdout
