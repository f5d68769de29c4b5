"""instructions.py - how many instructions larder executes for something: callgrind counts them, and
the count is the same on a busy machine. The system's part is not in it."""
import glob
import os
import shutil
import subprocess

from servers import Larder

TOTALS = ("summary:", "totals:")


def there():
    return shutil.which("valgrind") is not None and shutil.which("callgrind_control") is not None


class CountedLarder(Larder):
    """One under callgrind; count(what) calls what(), and tells how many it executed meanwhile."""

    def __init__(self, upstream, ini):
        super().__init__(upstream, ini=ini, wrap=[
            "valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=counted"])

    def control(self, *args):
        subprocess.run(["callgrind_control", *args, str(self.pid)], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def count(self, what):
        self.control("--instr=on")
        what()
        self.control("--instr=off")
        self.control("--dump")
        dumps = glob.glob(os.path.join(self.dir, "counted.*"))
        with open(max(dumps, key=lambda path: int(path.rsplit(".", 1)[1]))) as f:
            totals = [int(line.split()[1]) for line in f if line.startswith(TOTALS)]
        for path in dumps:
            os.unlink(path)
        return totals[-1]

    def problems(self):
        return []
