"""The command line. Every command is a function of a module in `mien.commands`.

Its options and help are derived from its signature.

Exit codes: 0 all done; 1 done, but some inputs failed; 2 wrong usage, or nothing could be done, or the results
could not be written; 130 stopped by Ctrl-C, predict and video also by SIGTERM; 141 the reader of our output went
away.
"""

import os
import sys
from pathlib import Path
from typing import NoReturn

from cyclopts import App, CycloptsError

from mien import __version__
from mien.console import complain
from mien.errors import MienError

app = App(
    name="mien",
    help="Reads facial expressions, and says what share of people would agree.",
    version=__version__,
    help_format="markdown",
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
COMMANDS = {
    "audit": "Finds what is wrong with a data set before anyone trains on it.",
    "compare": "Holds models, or peers' predictions, against the same faces, side by side.",
    "evaluate": "Measures a model on faces that people have judged, and writes a report.",
    "explain": "Shows which parts of a face the answer rests on.",
    "predict": "Finds the faces in photographs and reads their expressions.",
    "serve": "Opens a page that reads photographs, a camera and videos, with an API for other programs.",
    "train": "Trains a model on FER-2013 or on your own faces.",
    "tune": "Searches for a better recipe.",
    "video": "Follows the faces in a video and reads their expressions over time.",
}
# Loaded when called: a command costs the others nothing, and may need an extra that is not installed.
for _name, _help in COMMANDS.items():
    app.command(f"mien.commands.{_name}:{_name}", help=_help)


def main() -> NoReturn:
    """Runs the command line and exits with its code."""
    # A stream that our caller closed is None, and print(file=None) would write to another one.
    sys.stdin = sys.stdin or Path(os.devnull).open()  # noqa: SIM115 - these stay open
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    try:
        code = app(sys.argv[1:], exit_on_error=False, print_error=False)
        sys.stdout.flush()
        sys.exit(code or 0)
    except CycloptsError as error:
        complain(" ".join(str(error).split()) + " (see mien --help)")
        sys.exit(2)
    except MienError as error:
        complain(str(error))
        sys.exit(2)
    except BrokenPipeError:
        # Python flushes standard output once more when it ends, which would raise again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        complain(f"cannot be read or written: {error.strerror or error}{place}")
        sys.exit(2)
    except KeyboardInterrupt:
        complain("stopped; what was written so far is whole")
        sys.exit(130)
