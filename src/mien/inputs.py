"""Finds the pictures that a command line names: files, folders, globs, standard input."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

READABLE = (".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp")
SUFFIXES = frozenset({*READABLE, ".avif", ".heic", ".heif"})
"""Endings of the files that are taken from a folder: of pictures that can be read, and of those of telephones that
cannot, so that they are told of and not passed over. A file that is named itself is read whatever its ending."""

STDIN = "-"

MAX_STDIN = 512 << 20
"""Bytes of standard input that are read at most; a longer picture is cut short, and refused as such."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to be read.

    Attributes:
        path: where it lies, or `STDIN`.
        relative: its place below the folder that was named, or just its name; for files made of it.
    """

    path: str
    relative: Path


def find_pictures(inputs: Sequence[str], *, skip: Path | None = None) -> tuple[list[Picture], list[str]]:
    """All pictures that the inputs name, each once, in the order given; folders are walked in order of names.

    Args:
        inputs: files, folders, glob patterns, or `STDIN`.
        skip: a folder that is not entered below a named one, nor found by a pattern: what we wrote there is no
            input.

    Returns:
        The pictures, and a one-line complaint for each input that names none. A single file that does not exist
        is no complaint but a picture: reading it says what is wrong.
    """
    pictures: dict[str, Picture] = {}
    complaints: list[str] = []
    for name in inputs:
        if not name:
            complaints.append("an empty name: give a picture, a folder, a pattern or -")
            continue
        before = len(complaints)
        found = list(_expand(name, skip, complaints))
        if not found and len(complaints) == before:
            endings = " ".join(suffix.removeprefix(".") for suffix in READABLE)
            kind = (
                f"folder with no pictures (looked for {endings})"
                if os.path.isdir(name)
                else "pattern that matches no file"
            )
            complaints.append(f"{name}: a {kind}")
        for picture in found:
            pictures.setdefault(picture.path, picture)
    return list(pictures.values()), complaints


# os.path, not Path, asks what lies there: Path raises where a folder may not be entered or a name is too long.
# ruff: noqa: PTH110, PTH112, PTH113


def _expand(name: str, skip: Path | None, complaints: list[str]) -> Iterator[Picture]:
    if name == STDIN:
        yield Picture(STDIN, Path("stdin"))
    elif os.path.isdir(name):
        yield from _walk(name, skip, complaints)
    elif glob.has_magic(name) and not os.path.exists(name):
        ours = os.path.realpath(skip) if skip else None
        for match in sorted(glob.glob(name, recursive=True)):  # noqa: PTH207 - the user's own pattern
            if ours and (os.path.realpath(match) + os.sep).startswith(ours + os.sep):
                continue
            if os.path.isdir(match):
                yield from _walk(match, skip, complaints)
            else:
                yield Picture(match, Path(Path(match).name))
    else:
        yield Picture(name, Path(Path(name).name))


def _walk(folder: str, skip: Path | None, complaints: list[str]) -> Iterator[Picture]:
    def complain(error: OSError) -> None:
        complaints.append(f"{error.filename}: a folder that cannot be searched ({error.strerror})")

    for parent, folders, files in os.walk(folder, onerror=complain):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and not (skip and same(skip, os.path.join(parent, name)))  # noqa: PTH118
        )
        for file in sorted(files):
            path = os.path.join(parent, file)  # noqa: PTH118 - Path would drop the "./" that the user gave
            if os.path.splitext(file)[1].lower() not in SUFFIXES or file.startswith("."):  # noqa: PTH122
                continue
            # Reading a pipe that lies about would wait for ever; a link that leads nowhere is told of when read.
            if os.path.isfile(path) or not os.path.exists(path):
                yield Picture(path, Path(os.path.relpath(path, folder)))


def same(one: Path, other: str | Path) -> bool:
    """Whether both exist and are the same file or folder."""
    try:
        return one.samefile(other)
    except OSError:
        return False
