"""Files that are written whole, or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a path beside `path` to write to; what is there takes the place of `path` once all is written.

    If writing fails or is interrupted, what `path` held before stays as it was, and nothing is left beside it.
    Links stay links. What is no file, a pipe or a terminal, is itself what is yielded.

    Raises:
        OSError: it cannot be written.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        yield target
        return
    part = target.with_name(target.name + ".part")
    try:
        yield part
        part.replace(target)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(part)):
            error.filename = str(path)  # what people know of; a full disk names no file by itself
        raise
