"""Writes the faces of a video as they come: JSON lines, CSV, or Parquet; valid whenever it is left off.

JSON lines and CSV are rounded as everywhere (pixels to 1 decimal, shares to 4); Parquet holds the exact numbers.
"""

import csv
import importlib.util
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, Protocol

from mien.errors import ConfigError
from mien.labels import CROWD, EXPRESSIONS
from mien.video.follow import VIDEO_COLUMNS, TrackedFace, VideoFrame
from mien.writers import held_interrupt, in_unicode

ENDINGS: Final = (".parquet", ".csv", ".jsonl")


class VideoWriter(Protocol):
    """Something that takes one frame after another."""

    def write(self, frame: VideoFrame) -> None:
        """Writes the faces of one frame."""

    def close(self) -> None:
        """Ends the output, so that it is whole."""


def check_ending(out: Path) -> None:
    """Refuses a file whose ending says no format, and Parquet where it is not installed.

    Raises:
        ConfigError: either.
    """
    if out.suffix.lower() not in ENDINGS:
        raise ConfigError(f"--out {out}: cannot tell the format by its ending: use {' '.join(ENDINGS)}")
    if out.suffix.lower() == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ConfigError('Parquet needs pyarrow: pip install "mien[parquet]"')


@contextmanager
def open_video_writer(out: Path) -> Iterator[VideoWriter]:
    """Opens a file in the format of its ending, and ends it so that it is whole, whatever happens in between.

    Raises:
        ConfigError: its ending says no format, or it cannot be written.
    """
    check_ending(out)
    try:
        with out.open("w", encoding="utf-8", newline="") as stream:
            match out.suffix.lower():
                case ".jsonl":
                    writer: VideoWriter = JsonLinesWriter(stream)
                case ".csv":
                    writer = CsvWriter(stream)
                case _:
                    writer = ParquetWriter(out)
            try:
                yield writer
            finally:
                with held_interrupt():
                    writer.close()
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot be written ({error.strerror or error})") from error


class JsonLinesWriter:
    """One record a frame, a line each."""

    def __init__(self, stream: IO[str]) -> None:
        """Writes to an open file."""
        self._stream = stream

    def write(self, frame: VideoFrame) -> None:
        """Writes a line."""
        record = {**frame.to_dict(), "source": in_unicode(frame.source)}
        self._stream.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Does nothing: each line is whole."""


class CsvWriter:
    """One row a face, and one with only the frame's own columns where there is no face."""

    def __init__(self, stream: IO[str]) -> None:
        """Writes the heading to an open file."""
        self._stream = stream
        self._writer = csv.DictWriter(stream, fieldnames=VIDEO_COLUMNS)
        self._writer.writeheader()

    def write(self, frame: VideoFrame) -> None:
        """Writes the rows of a frame."""
        rows = frame.rows() or [dict(zip(VIDEO_COLUMNS, _head(frame), strict=False))]
        self._writer.writerows({**row, "source": in_unicode(frame.source)} for row in rows)
        self._stream.flush()

    def close(self) -> None:
        """Does nothing: each row is whole."""


class ParquetWriter:
    """The rows of CSV with types and without rounding."""

    # So few that an hour's memory does not show, so many that the file is quick to read.
    _ROWS = 2_000

    def __init__(self, path: Path) -> None:
        """Begins a file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {"source": pa.string(), "frame": pa.int64(), "time": pa.float64(), "cut": pa.bool_()}
        types |= {name: pa.int32() for name in ("width", "height", "track")}
        types |= {name: pa.string() for name in ("expression", "smoothed_expression")}
        self._schema = pa.schema([(name, types.get(name, pa.float32())) for name in VIDEO_COLUMNS])
        self._table: Callable[..., Any] = pa.table
        self._array: Callable[..., Any] = pa.array
        self._file = pq.ParquetWriter(path, self._schema)
        self._rows: list[tuple[Any, ...]] = []

    def write(self, frame: VideoFrame) -> None:
        """Takes the rows of a frame, and writes them when there are enough."""
        head = _head(frame)
        nobody = (None,) * (len(VIDEO_COLUMNS) - len(head))
        self._rows += [head + _exact(face) for face in frame] or [head + nobody]
        if len(self._rows) >= self._ROWS:
            self._flush()

    def close(self) -> None:
        """Writes the rest and what readers need to read it."""
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        if not self._rows:
            return
        columns = zip(*self._rows, strict=True)
        arrays = [self._array(column, kind) for column, kind in zip(columns, self._schema.types, strict=True)]
        self._file.write_table(self._table(arrays, schema=self._schema))
        self._rows = []


def _head(frame: VideoFrame) -> tuple[Any, ...]:
    """The values of the first VIDEO_COLUMNS, which say what is known of a frame without faces."""
    return (
        in_unicode(frame.source),
        frame.number,
        round(frame.time, 6),
        frame.cut,
        frame.width,
        frame.height,
    )


def _exact(face: TrackedFace) -> tuple[Any, ...]:
    """The values of the other VIDEO_COLUMNS."""
    return (
        *(face.track, *face.box, face.detection_score, face.expression, face.probability, face.unclear),
        *(face.smoothed_expression, face.smoothed_probability, face.smoothed_unclear),
        *(face.probabilities[name] for name in EXPRESSIONS),
        *(face.smoothed[name] for name in EXPRESSIONS),
        *(face.crowd[name] for name in CROWD),
        *(value for point in face.landmarks or () for value in point),
    )
