import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_number_of_the_readme_is_that_of_the_results():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "write_numbers.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
