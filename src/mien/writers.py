"""Writes results as they come: a table for people; JSON, JSON lines, CSV and Parquet for programs.

Output is valid whenever it is left off, also by Ctrl-C, SIGTERM or an error.
"""

import csv
import importlib.util
import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from io import TextIOWrapper
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType
from typing import IO, Any, Literal, Protocol

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from mien.draw import colours_of
from mien.errors import ConfigError
from mien.result import COLUMNS, Face, Faces, percent

Format = Literal["table", "json", "jsonl", "csv", "parquet"]

_FORMATS: dict[str, Format] = {".json": "json", ".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet"}


class Writer(Protocol):
    """Something that takes the faces of one picture after another."""

    def write(self, faces: Faces) -> None:
        """Writes the faces of one picture."""

    def close(self) -> None:
        """Ends the output, so that it is whole."""


def format_of(out: Path | None, given: Format | None) -> Format:
    """The format to write: the one given, else by the file's ending, else a table.

    Raises:
        ConfigError: the file's ending says nothing, or the format needs a file and there is none.
    """
    if given is None and out is not None:
        if out.suffix.lower() not in _FORMATS:
            raise ConfigError(
                f"{out}: cannot tell the format by its ending: use {' '.join(_FORMATS)} or --format"
            )
        return _FORMATS[out.suffix.lower()]
    if given == "parquet" and out is None:
        raise ConfigError("--format parquet: is not text, name a file for it with --out")
    return given or "table"


@contextmanager
def open_writer(
    format: Format, out: Path | None, names: list[str], *, columns: tuple[str, ...] = COLUMNS
) -> Iterator[Writer]:
    """Opens the output, and ends it so that it is whole, whatever happens in between.

    Args:
        format: how to write.
        out: the file to write; None for standard output.
        names: the names of all pictures to come, for the width of the table's first column.
        columns: those of CSV and Parquet, but for ``error``, which comes last: mien.result.columns(expressions).

    Raises:
        ConfigError: the file cannot be written.
    """
    if format == "parquet" and importlib.util.find_spec("pyarrow") is None:  # said before the file is emptied
        raise ConfigError('--format parquet needs pyarrow: pip install "mien[parquet]"')
    try:
        with _open_stream(format, out) as stream:
            writer = _create_writer(format, stream, names, (*columns, "error"))
            try:
                yield writer
            finally:
                with held_interrupt():
                    writer.close()
    except BrokenPipeError:
        raise
    except OSError as error:
        name = "standard output" if out is None else f"--out {out}"
        raise ConfigError(f"{name}: cannot be written ({error.strerror or error})") from error


def heed_sigterm() -> None:
    """Makes SIGTERM, by which batch systems and containers end a program, do what Ctrl-C does."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler and current_thread() is main_thread():
        signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))


@contextmanager
def held_interrupt() -> Iterator[None]:
    """Holds Ctrl-C back until what is being written is whole; a second one is not held."""
    held = False

    def hold(number: int, frame: FrameType | None) -> None:
        nonlocal held
        if held:
            signal.default_int_handler(number, frame)
        held = True

    if (
        signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):  # ignored, or somebody else's business
        yield
        return
    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if held:
        raise KeyboardInterrupt


def _open_stream(format: Format, out: Path | None) -> AbstractContextManager[IO[str]]:
    if out is not None:
        # Opened even for Parquet, whose library opens it again: the error is the system's own, and comes first.
        return out.open("w", encoding="utf-8", newline="")
    if isinstance(sys.stdout, TextIOWrapper):
        if format == "table":  # its bars and the names in it may be more than the terminal's encoding has
            sys.stdout.reconfigure(errors="replace")
        else:
            sys.stdout.reconfigure(encoding="utf-8", newline="")
    return nullcontext(sys.stdout)


def _create_writer(format: Format, stream: IO[str], names: list[str], columns: tuple[str, ...]) -> Writer:
    match format:
        case "table":
            return TableWriter(stream, names)
        case "json":
            return JsonWriter(stream)
        case "jsonl":
            return JsonLinesWriter(stream)
        case "csv":
            return CsvWriter(stream, columns)
        case "parquet":
            return ParquetWriter(Path(stream.name), columns)


class TableWriter:
    """One row a face: picture, expression, a bar in the expression's colour, the next likely, unclear."""

    def __init__(self, stream: IO[str], names: list[str]) -> None:
        self._stream = stream
        self._console = Console(file=stream, highlight=False, soft_wrap=True)
        self._bar_width = 20 if self._console.width >= 100 else 10
        self._longest = max((cell_len(name) for name in names), default=7)
        self._name_width = self._word_width = 0  # known when the first picture tells the model's expressions

    def write(self, faces: Faces) -> None:
        if not self._name_width:
            self._begin(faces.classes)
        name = _shorten(faces.source, self._name_width)
        if faces.error is not None:
            self._print(Text(f"{name}     –  could not be read", style="dim"))
        elif not faces:
            self._print(Text(f"{name}     –  nobody found", style="dim"))
        for number, face in enumerate(faces):
            first = name if number == 0 else " " * self._name_width
            self._print(self._row(first, number, face))

    def close(self) -> None:
        pass

    def _begin(self, expressions: tuple[str, ...]) -> None:
        self._word_width = min(max(8, *map(cell_len, expressions)), 12)
        room = self._console.width - self._bar_width - 2 * self._word_width - 32
        self._name_width = max(7, min(self._longest, 40, room))
        widths = self._word_width + 1 + self._bar_width, self._word_width + 5
        heading = f"{'picture':{self._name_width}}  face  {'expression':{widths[0]}}  {'%':>4}"
        self._print(Text(f"{heading}  {'then':{widths[1]}}  {'unclear':>8}", style="bold"))

    def _print(self, line: Text) -> None:
        # The console would itself write past a progress bar, and end the process where nobody reads any more.
        with self._console.capture() as printed:
            self._console.print(line)
        self._stream.write(printed.get())
        self._stream.flush()

    def _row(self, name: str, number: int, face: Face) -> Text:
        ranked = sorted(face.probabilities.items(), key=lambda item: -item[1])
        (expression, probability), (second, share) = ranked[:2]
        red, green, blue = colours_of(tuple(face.probabilities))[expression]
        first, then = (_cut(word, self._word_width) for word in (expression, second))
        unclear = percent(face.unclear) if face.crowd else "–"
        return Text.assemble(
            f"{name}  {number:4d}  {first} ",
            (_bar(probability, self._bar_width), f"rgb({red},{green},{blue})"),
            (f"  {percent(probability):>4}", "bold"),
            f"  {then} {percent(share):>4}",
            (f"  {unclear:>8}", "yellow" if face.unclear >= 0.3 else "dim"),
        )


class JsonWriter:
    """An array with one record a picture."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._before = "["

    def write(self, faces: Faces) -> None:
        self._stream.write(f"{self._before}\n{_json(faces)}")
        self._stream.flush()
        self._before = ","

    def close(self) -> None:
        self._stream.write("[]\n" if self._before == "[" else "\n]\n")
        self._stream.flush()


class JsonLinesWriter:
    """One record a picture, a line each."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, faces: Faces) -> None:
        self._stream.write(_json(faces) + "\n")
        self._stream.flush()

    def close(self) -> None:
        pass


class CsvWriter:
    """One row a face, and one with only the picture's own columns where there is no face."""

    def __init__(self, stream: IO[str], columns: tuple[str, ...]) -> None:
        self._stream = stream
        self._writer = csv.DictWriter(stream, fieldnames=columns)
        self._writer.writeheader()

    def write(self, faces: Faces) -> None:
        self._writer.writerows(table_rows(faces))
        self._stream.flush()

    def close(self) -> None:
        pass


class ParquetWriter:
    """The rows of CSV with types, in Parquet."""

    _ROWS = 5_000

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        text = {"source", "error", "expression"}
        whole = {"width", "height", "face"}
        self._schema = pa.schema(
            [
                (name, pa.string() if name in text else pa.int64() if name in whole else pa.float64())
                for name in columns
            ]
        )
        self._table: Callable[..., Any] = pa.Table.from_pylist
        self._file = pq.ParquetWriter(path, self._schema)
        self._rows: list[dict[str, Any]] = []

    def write(self, faces: Faces) -> None:
        self._rows += table_rows(faces)
        if len(self._rows) >= self._ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        self._file.write_table(self._table(self._rows, schema=self._schema))
        self._rows = []


def table_rows(faces: Faces) -> list[dict[str, Any]]:
    """A row a face; where there is none, one row that says so, so that no picture is missing from a table."""
    rows = faces.rows() or [{"width": faces.width, "height": faces.height, "error": faces.error}]
    return [{**row, "source": in_unicode(faces.source)} for row in rows]


def _json(faces: Faces) -> str:
    return json.dumps({**faces.to_dict(), "source": in_unicode(faces.source)}, ensure_ascii=False)


def in_unicode(name: str) -> str:
    """The name, with bytes that are no text spelt out: no format could hold them."""
    return name.encode("utf-8", "backslashreplace").decode()


def _bar(share: float, width: int) -> str:
    """A bar of `width` cells, filled to an eighth of a cell."""
    eighths = round(share * width * 8)
    bar = "█" * (eighths // 8) + ("▏▎▍▌▋▊▉"[eighths % 8 - 1] if eighths % 8 else "")
    return bar.ljust(width)


def _cut(word: str, width: int) -> str:
    """The word in exactly `width` cells; of a long one the beginning."""
    return set_cell_size(word, width) if cell_len(word) <= width else set_cell_size(word, width - 1) + "…"


def _shorten(name: str, width: int) -> str:
    """The name in exactly `width` cells; of a long one the end, which tells files apart."""
    name = "".join(letter if letter.isprintable() else "�" for letter in name)
    if cell_len(name) > width:
        while cell_len(name) > width - 1:
            name = name[1:]
        name = "…" + name
    return set_cell_size(name, width)
