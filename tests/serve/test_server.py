import subprocess
import sys

import pytest

# Blocks as pictures of 640×480 take, each followed by a small one that stays: what is freed lies between those.
PROGRAM = """
import sys
import psutil
from mien.serve.server import return_large_memory

if sys.argv[1] == "returned":
    return_large_memory()
used = psutil.Process().memory_info
filled = [bytearray(1_000) for _ in range(50_000)]  # the holes that importing left, else the small ones lie there
before = used().rss
small, large = [], []
for _ in range(3):
    for _ in range(64):
        large.append(bytearray(900_000))
        large[-1][:] = bytes(900_000)
        small.append(bytearray(1_000))
    large.clear()
print((used().rss - before) / 2**20)
"""


def kept(how: str) -> float:
    """Mebibytes that a process keeps after it has freed 55 MiB three times."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_the_memory_of_pictures_is_given_back():
    assert kept("left alone") > 20  # else the test would tell nothing
    assert kept("returned") < 5
