"""The command line. Every command is a function; its options and help are derived from its signature.

Exit codes: 0 all done; 1 done, but some inputs failed; 2 wrong usage, or nothing could be done, or the results
could not be written; 130 stopped by Ctrl-C; 141 the reader of our output went away.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

from cyclopts import App, CycloptsError, Parameter

from mien import __version__
from mien.errors import ConfigError, ImageError, MienError

if TYPE_CHECKING:
    from mien.inputs import Picture
    from mien.result import Faces

app = App(
    name="mien",
    help="Reads facial expressions, and says what share of people would agree.",
    version=__version__,
    help_format="markdown",
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)


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
        _complain(" ".join(str(error).split()) + " (see mien --help)")
        sys.exit(2)
    except MienError as error:
        _complain(str(error))
        sys.exit(2)
    except BrokenPipeError:
        # Python flushes standard output once more when it ends, which would raise again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        _complain(f"cannot write the results: {error.strerror or error}{place}")
        sys.exit(2)
    except KeyboardInterrupt:
        _complain("stopped; what was written so far is whole")
        sys.exit(130)


@app.command
def predict(
    # A lone hyphen is an input, so all that begin with one come here.
    *inputs: Annotated[str, Parameter(required=True, allow_leading_hyphen=True)],
    detector: Literal["centerface", "none"] = "centerface",
    detector_size: int = 640,
    model: str = "base",
    format: Literal["table", "json", "jsonl", "csv", "parquet"] | None = None,
    out: Path | None = None,
    annotate: Path | None = None,
    max_pixels: int = 100_000_000,
    threads: int | None = None,
) -> int:
    """Finds the faces in photographs and reads their expressions.

    Parameters
    ----------
    inputs
        Pictures, folders (searched to any depth), glob patterns, or - for a picture on standard input.
    detector
        What finds the faces; none reads each picture as one face that is cut out already.
    detector_size
        Long side in pixels at which a picture is searched; larger finds smaller faces and takes longer.
    model
        An expression model: a name, a folder that mien train made, or an .onnx file.
    format
        How to write the results; by default a table, or what the ending of --out says.
    out
        File for the results instead of standard output.
    annotate
        Folder for copies of the pictures with the faces drawn on them.
    max_pixels
        Pictures with more pixels are refused before they are decoded.
    threads
        CPU threads to use; by default all.
    """
    from mien.inputs import MAX_STDIN, STDIN, find_pictures, same
    from mien.recognize import Recognizer
    from mien.writers import format_of, held_interrupt, open_writer

    for name in inputs:
        if name.startswith("-") and name != STDIN:
            raise ConfigError(
                f"unknown option {name} (see mien predict --help); a file of that name is ./{name}"
            )
    format = format_of(out, format)
    pictures, complaints = find_pictures(inputs, skip=annotate)
    for complaint in complaints:
        _complain(complaint)
    if not pictures:
        return 2
    if out is not None and any(same(out, picture.path) for picture in pictures):
        raise ConfigError(f"--out {out}: is one of the pictures, name another file")
    recognizer = Recognizer(
        model, detector=detector, detector_size=detector_size, max_pixels=max_pixels, threads=threads
    )
    album = None if annotate is None else _Album(annotate, pictures)
    names = [picture.path for picture in pictures]
    # As bytes, standard input can be drawn on too.
    sources = (sys.stdin.buffer.read(MAX_STDIN) if name == STDIN else name for name in names)
    # Small batches: results should come as they are made, and larger ones would save little.
    results = recognizer.predict_many(sources, batch_size=8)
    failed = 0
    with _progress(len(pictures), out, format) as advance, open_writer(format, out, names) as writer:
        for picture, faces in zip(pictures, results, strict=True):
            if picture.path == STDIN:
                error = faces.error and faces.error.replace("<bytes>", "<stdin>", 1)
                faces = replace(faces, source="<stdin>", error=error)
            with held_interrupt():
                writer.write(faces)
            if faces.error is not None:
                failed += 1
                _complain(faces.error)
            elif album is not None and (trouble := album.add(faces, picture)):
                complaints.append(trouble)
                _complain(trouble)
            advance()
    if failed == len(pictures):
        return 2
    return 1 if failed or complaints else 0


@app.command
def train(data: Path, /, *, recipe: str = "base", out: Path = Path("model")) -> None:
    """Trains a model on FER-2013, and goes on with a run that was stopped.

    Parameters
    ----------
    data
        FER-2013: the folder with train/ and test/ in it, fer2013.csv (with fer2013new.csv beside it for the
        votes of FER+), or a Parquet file.
    recipe
        The name of a recipe that comes with mien, or the path of a TOML file.
    out
        Folder in which the model's own folder, called as the recipe is, is made.
    """
    try:
        from mien.train.recipe import load_recipe
        from mien.train.run import train as run
    except ImportError as error:
        raise ConfigError(f'training needs {error.name}: pip install "mien[train]"') from error
    folder = run(data, load_recipe(recipe), out)
    print(folder)


class _Album:
    """A folder of annotated pictures, each named as its original."""

    def __init__(self, folder: Path, pictures: "Iterable[Picture]") -> None:
        from mien.inputs import same

        self._paths: dict[str, Path] = {}
        taken: set[Path] = set()
        for picture in pictures:
            path = folder / picture.relative.with_suffix(".jpg")
            number = 2
            while path in taken:
                path = folder / picture.relative.with_name(f"{picture.relative.stem}-{number}.jpg")
                number += 1
            taken.add(path)
            self._paths[picture.path] = path
        originals = {Path(picture.path).resolve() for picture in pictures}
        if any(path.resolve() in originals for path in taken) or any(
            same(folder, original.parent) for original in originals
        ):
            raise ConfigError(f"--annotate {folder}: the pictures themselves lie there, name another folder")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--annotate {folder}: cannot make the folder ({error.strerror})") from error

    def add(self, faces: "Faces", picture: "Picture") -> str | None:
        """Draws the faces on their picture and saves it as JPEG; never over one of the same run.

        Returns:
            What went wrong, if anything did.
        """
        path = self._paths[picture.path]
        try:
            drawn = faces.draw()
            path.parent.mkdir(parents=True, exist_ok=True)
            drawn.save(path, quality=92)
        except ImageError as error:  # files come and go
            return f"not annotated: {error}"
        except (OSError, ValueError) as error:  # no space, no permission, or too long a side for a JPEG
            return f"not annotated: {path}: cannot be written ({getattr(error, 'strerror', None) or error})"
        return None


@contextlib.contextmanager
def _progress(total: int, out: Path | None, format: str) -> Iterator[Callable[[], None]]:
    """A bar with rate and time left on standard error, where it disturbs nothing; yields what moves it on."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    on_screen = out is None and sys.stdout.isatty()
    console = Console(stderr=True)
    if total < 2 or not console.is_terminal or (on_screen and format != "table"):
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
            progress.update(task, rate=f"{done / elapsed:.1f} pictures/s" if elapsed else "")

        yield advance


def _complain(message: str) -> None:
    """Says what is wrong in one line; whatever a file's name holds, the terminal is not steered by it."""
    line = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in message)
    with contextlib.suppress(OSError):  # nobody listens, which spoils no result
        print(f"mien: {line}", file=sys.stderr, flush=True)
