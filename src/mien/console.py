"""What people at a terminal are told: one line a trouble, how far the work is, and what came of it."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType


def complain(message: str) -> None:
    """Says what is wrong in one line; whatever a file's name holds, the terminal is not steered by it."""
    line = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in message)
    with contextlib.suppress(OSError):  # nobody listens, which spoils no result
        print(f"mien: {line}", file=sys.stderr, flush=True)


def show(*results: "RenderableType") -> None:
    """Prints tables and sentences on standard output; letters that its encoding lacks become question marks.

    Raises:
        BrokenPipeError: the reader went away.
    """
    from rich.console import Console

    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    console = Console(highlight=False)
    with console.capture() as printed:  # the console itself would end the process where nobody reads any more
        for result in results:
            console.print(result)
    sys.stdout.write(printed.get())
    sys.stdout.flush()


def tell_path(path: Path) -> None:
    """Prints where a result lies; letters that the encoding of standard output lacks as escapes."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    print(path)


@contextlib.contextmanager
def progress(
    total: int | None, out: Path | None, format: str, unit: str = "pictures"
) -> Iterator[Callable[[], None]]:
    """A bar with rate and time left on standard error, where it disturbs nothing; yields what moves it on."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    on_screen = out is None and sys.stdout.isatty()
    console = Console(stderr=True)
    if (total is not None and total < 2) or not console.is_terminal or (on_screen and format != "table"):
        yield lambda: None
        return
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    # A table on the same screen is printed above the bar; output that goes elsewhere is left alone.
    with Progress(*columns, console=console, transient=True, redirect_stdout=on_screen) as progress:
        task = progress.add_task("", total=total, rate="")

        def advance() -> None:
            progress.advance(task)
            # Results come in bursts, so the rate is that of the whole run so far.
            done, elapsed = progress.tasks[0].completed, progress.tasks[0].elapsed
            progress.update(task, rate=f"{done / elapsed:.1f} {unit}/s" if elapsed else "")

        yield advance
