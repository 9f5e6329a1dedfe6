"""Finds the pictures that a command line names: files, folders, globs, standard input."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".mpo"})
"""Endings of the files that are taken from a folder. A file that is named itself is read whatever its ending."""

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to be read.

    Attributes:
        path: where it lies, or `STDIN`.
        relative: its place below the folder that was named, or just its name; for files made of it.
    """

    path: str
    relative: Path


def find_pictures(inputs: Sequence[str]) -> tuple[list[Picture], list[str]]:
    """All pictures that the inputs name, each once, in the order given; folders are walked in order of names.

    Returns:
        The pictures, and a one-line complaint for each input that names none. A single file that does not exist
        is no complaint but a picture: reading it says what is wrong.
    """
    pictures: dict[str, Picture] = {}
    complaints: list[str] = []
    for name in inputs:
        found = list(_expand(name))
        if not found:
            kind = "folder with no pictures" if Path(name).is_dir() else "pattern that matches no file"
            endings = " ".join(sorted(suffix.removeprefix(".") for suffix in SUFFIXES))
            complaints.append(f"{name}: a {kind} (looked for {endings})")
        for picture in found:
            pictures.setdefault(picture.path, picture)
    return list(pictures.values()), complaints


def _expand(name: str) -> Iterator[Picture]:
    if name == STDIN:
        yield Picture(STDIN, Path("stdin"))
    elif Path(name).is_dir():
        yield from _walk(name)
    elif glob.has_magic(name) and not Path(name).exists():
        for match in sorted(glob.glob(name, recursive=True)):  # noqa: PTH207 - the user's own pattern
            if Path(match).is_dir():
                yield from _walk(match)
            else:
                yield Picture(match, Path(Path(match).name))
    else:
        yield Picture(name, Path(Path(name).name))


def _walk(folder: str) -> Iterator[Picture]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(files):
            path = os.path.join(parent, file)  # noqa: PTH118 - Path would drop the "./" that the user gave
            if os.path.splitext(file)[1].lower() in SUFFIXES and not file.startswith("."):  # noqa: PTH122
                yield Picture(path, Path(os.path.relpath(path, folder)))
