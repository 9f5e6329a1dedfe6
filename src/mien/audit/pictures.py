"""Reads all splits of a data set for an audit, and says where each picture lies."""

import csv
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.datasets import SPLITS, Dataset, read_dataset
from mien.errors import DatasetError
from mien.inputs import SUFFIXES
from mien.labels import CROWD

TRAIN = "train"
"""The split that is learnt from; all others are tests."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that cannot be used.

    Attributes:
        split: the name of its split.
        file: its path inside the data.
        reason: why.
    """

    split: str
    file: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """All pictures of a data set, one split after another, in the order in which mien reads each.

    Attributes:
        name: what the data is called.
        classes: the words that labels index.
        images: uint8 (N, 48, 48), grey.
        labels: int64 (N,).
        votes: uint8 (N, 10), as in `mien.datasets.Dataset`, or None.
        splits: the names of the splits.
        part: int64 (N,), an index into `splits`.
        row: int64 (N,), the place in its split, from 0.
        files: the N files' paths inside the data; empty where it is a table.
        unreadable: files that are not among the N.
    """

    name: str
    classes: tuple[str, ...]
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    votes: NDArray[np.uint8] | None
    splits: tuple[str, ...]
    part: NDArray[np.int64]
    row: NDArray[np.int64]
    files: list[str]
    unreadable: list[Unreadable]

    def __len__(self) -> int:
        return len(self.images)

    def split_of(self, index: int) -> str:
        """The name of a picture's split."""
        return self.splits[int(self.part[index])]

    def label_of(self, index: int) -> str:
        """The word of a picture's label."""
        return self.classes[int(self.labels[index])]

    def place(self, index: int) -> str:
        """Where a person finds a picture: its file, or its split and row."""
        return self.files[index] if self.files else f"{self.split_of(index)} {self.row[index]}"


def read_pictures(
    path: Path, *, find_faces: bool = False, say: Callable[[str], None] = lambda message: None
) -> Pictures:
    """Reads every split that a data set has.

    Args:
        path: a data set in any shape that `mien.datasets.read_dataset` reads.
        find_faces: as there.
        say: is told in a few words how far the work is.

    Raises:
        DatasetError: there is no data set there, or it is not laid out as expected.
        ConfigError: faces are to be found in a table.
    """
    parts: dict[str, Dataset] = {}
    files: list[str] = []
    unreadable: list[Unreadable] = []
    for split in _splits(path):
        say(f"reading {split}")
        parts[split] = read_dataset(path, split, find_faces=find_faces, allow_empty=True)
        if path.is_dir() and not _table(path).is_file():
            usable, lost = _files(path, split, parts[split])
            files += usable
            unreadable += lost
    sizes = [len(part) for part in parts.values()]
    if not any(sizes):
        why = f" ({unreadable[0].file}: {unreadable[0].reason})" if unreadable else ""
        raise DatasetError(f"{path}: none of its pictures can be read{why}")
    # Nobody may have voted on the faces of one split alone.
    votes = [
        np.zeros((len(part), len(CROWD)), np.uint8) if part.votes is None else part.votes
        for part in parts.values()
    ]
    return Pictures(
        path.resolve().name,
        next(iter(parts.values())).classes,
        np.concatenate([part.images for part in parts.values()]),
        np.concatenate([part.labels for part in parts.values()]),
        np.concatenate(votes) if any(part.votes is not None for part in parts.values()) else None,
        tuple(parts),
        np.repeat(np.arange(len(parts)), sizes),
        np.concatenate([np.arange(size) for size in sizes]),
        files,
        unreadable,
    )


def _table(path: Path) -> Path:
    return path / "fer2013.csv" if path.is_dir() else path


def _splits(path: Path) -> list[str]:
    """The splits that are there; what is wrong with the data is said by its reader."""
    if path.is_dir() and not _table(path).is_file():
        return [split for split in (TRAIN, "test") if (path / split).is_dir()] or [TRAIN]
    usages = _usages(_table(path))
    return [split for split in (TRAIN, "PublicTest", "PrivateTest") if usages & set(SPLITS[split])] or [TRAIN]


def _usages(table: Path) -> set[str]:
    if table.suffix.lower() == ".csv":
        try:
            with table.open(newline="", encoding="utf-8-sig") as file:
                return {record.get("Usage") or "" for record in csv.DictReader(file, skipinitialspace=True)}
        except (OSError, ValueError, csv.Error):
            return set()
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return set()
    try:
        return set(pq.read_table(table, columns=["usage"])["usage"].to_pylist())
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError):  # lists make no set
        return set()


def _files(root: Path, split: str, data: Dataset) -> tuple[list[str], list[Unreadable]]:
    """The files of the pictures of a split, and those that its reader skipped."""
    folder = root / split if (root / split).is_dir() else root
    usable: list[str] = []
    lost: list[Unreadable] = []
    skipped = iter((*data.skipped, ""))
    line = next(skipped)
    for word in data.classes:
        for file in _listed(folder / word):
            place = file.relative_to(root).as_posix()
            name = os.fsdecode(file)
            if line.startswith((f"{name}: ", f"{name!a}: ")):
                reason = line.removeprefix(f"{name}: ").removeprefix(f"{name!a}: ")
                lost.append(Unreadable(split, place, reason))
                line = next(skipped)
            else:
                usable.append(place)
    if line or len(usable) != len(data):
        raise DatasetError(f"{folder}: has changed while it was read; audit it again when it stays as it is")
    return usable, lost


def _listed(folder: Path) -> Iterator[Path]:
    """The pictures in a folder, in the order in which `read_dataset` takes them."""
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        picture = file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
        if picture and (file.is_file() or not file.exists()):
            yield file
