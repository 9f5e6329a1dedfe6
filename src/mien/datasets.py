"""FER-2013 and the FER+ votes, in the three shapes in which people have them, as arrays in memory.

The shapes are told apart by looking:

- a folder with ``train/<expression>/*.jpg`` and ``test/<expression>/*.jpg`` (Kaggle's msambare/fer2013);
- the 2013 challenge's ``fer2013.csv`` (``emotion,pixels,Usage``), or the folder that holds it; the votes of
  ``fer2013new.csv`` are taken from the same folder when it is there;
- one Parquet file with the columns ``usage, emotion, image, ferplus_votes``.
"""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.errors import ConfigError, DatasetError
from mien.labels import CROWD, EXPRESSIONS

FERPLUS_COLUMNS = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
"""The order of the vote columns in ``fer2013new.csv``."""

_FERPLUS_NAMES = {
    "happiness": "happy",
    "sadness": "sad",
    "anger": "angry",
    "NF": "not_a_face",
}
_TO_CROWD = [[_FERPLUS_NAMES.get(name, name) for name in FERPLUS_COLUMNS].index(name) for name in CROWD]

SPLITS = {
    "train": ("Training",),
    "test": ("PublicTest", "PrivateTest"),
    "PublicTest": ("PublicTest",),
    "PrivateTest": ("PrivateTest",),
}
"""What each split's name stands for among the challenge's usages. Kaggle's ``test`` is both tests together."""

SIDE = 48
"""Side of FER-2013's faces in pixels (Goodfellow et al. 2013)."""

_SUFFIXES = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Faces with what people said of them.

    Attributes:
        images: uint8 (N, 48, 48), grey, 0 black to 255 white.
        labels: int64 (N,), FER-2013's original label, an index into `mien.labels.EXPRESSIONS`.
        votes: uint8 (N, 10), how many of FER+'s annotators gave each answer of `mien.labels.CROWD`; None where
            the data has no votes.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    votes: NDArray[np.uint8] | None

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Dataset":
        """The faces that a mask or an array of indices names, in its order."""
        return Dataset(self.images[rows], self.labels[rows], None if self.votes is None else self.votes[rows])


def read_dataset(path: str | Path, split: str = "train") -> Dataset:
    """Reads one split of FER-2013, with the FER+ votes where they are there.

    Args:
        path: a folder in Kaggle's layout, the challenge's CSV file (or the folder that holds it), or the
            Parquet file.
        split: ``train``, ``test``, ``PublicTest`` or ``PrivateTest``. Kaggle's folders know the first two.

    Raises:
        DatasetError: the path is none of these, the split is empty, or a file in it is damaged.
        ConfigError: there is no split of that name.
    """
    if split not in SPLITS:
        raise ConfigError(f"no split is called {split!r}: choose one of {', '.join(SPLITS)}")
    data = _reader(Path(path))(split)
    if len(data) == 0:
        raise DatasetError(f"{path}: the split {split!r} has no images")
    return data


def _reader(path: Path) -> Callable[[str], Dataset]:
    if path.suffix == ".parquet" and path.is_file():
        return lambda split: _read_parquet(path, split)
    if path.suffix == ".csv" and path.is_file():
        return lambda split: _read_csv(path, split)
    if (path / "fer2013.csv").is_file():
        return lambda split: _read_csv(path / "fer2013.csv", split)
    if (path / "train").is_dir() or (path / "test").is_dir():
        return lambda split: _read_folders(path, split)
    found = "nothing: it does not exist" if not path.exists() else _contents(path)
    raise DatasetError(
        f"{path}: looked for train/ and test/ folders, fer2013.csv, or a .parquet or .csv file; found {found}"
    )


def _contents(path: Path) -> str:
    if path.is_file():
        return f"a {path.suffix or 'suffixless'} file"
    names = sorted(entry.name for entry in path.iterdir())
    return (
        ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") or "an empty folder"
    )


def _read_folders(root: Path, split: str) -> Dataset:
    folder = root / split
    if split not in ("train", "test"):
        raise DatasetError(f"{root}: folders have the splits train and test, not {split!r}")
    missing = [name for name in EXPRESSIONS if not (folder / name).is_dir()]
    if missing:
        raise DatasetError(f"{folder}: no folder for {', '.join(missing)}; found {_contents(folder)}")
    images, labels = [], []
    for label, name in enumerate(EXPRESSIONS):
        for file in sorted((folder / name).iterdir()):
            if file.suffix.lower() in _SUFFIXES:
                images.append(_face(file, str(file)))
                labels.append(label)
    return Dataset(_stack(images), np.array(labels, dtype=np.int64), votes=None)


def _read_parquet(path: Path, split: str) -> Dataset:
    try:
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq
    except ImportError:
        raise ConfigError('reading Parquet needs pyarrow: pip install "mien[parquet]"') from None
    try:
        table = pq.read_table(path, columns=["usage", "emotion", "image", "ferplus_votes"])
    except (pa.ArrowException, OSError, KeyError) as error:
        raise DatasetError(f"{path}: not a Parquet file of FER-2013 ({_first_line(error)})") from error
    table = table.filter(pc.is_in(table["usage"].cast(pa.string()), pa.array(SPLITS[split])))
    images = [
        _face(io.BytesIO(image), f"{path}, row {row}") for row, image in enumerate(table["image"].to_pylist())
    ]
    labels = [_label(name, str(path)) for name in table["emotion"].to_pylist()]
    votes = np.array(table["ferplus_votes"].to_pylist(), dtype=np.uint8).reshape(-1, len(CROWD))
    return Dataset(_stack(images), np.array(labels, dtype=np.int64), votes[:, _TO_CROWD])


def _read_csv(path: Path, split: str) -> Dataset:
    usages = SPLITS[split]
    images, labels, rows, all_usages = [], [], [], []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if {"emotion", "pixels", "Usage"} - set(reader.fieldnames or ()):
            raise DatasetError(f"{path}: needs the columns emotion, pixels, Usage; found {reader.fieldnames}")
        for row, record in enumerate(reader):
            all_usages.append(record["Usage"])
            if record["Usage"] not in usages:
                continue
            try:
                face = np.array(record["pixels"].split(), dtype=np.uint8).reshape(SIDE, SIDE)
                label = int(record["emotion"])
                if not 0 <= label < len(EXPRESSIONS):
                    raise ValueError(f"label {label}")
            except (ValueError, OverflowError, AttributeError, TypeError) as error:
                raise DatasetError(
                    f"{path}, row {row}: not a 48×48 face with a label of 0 to 6 ({error})"
                ) from error
            images.append(face)
            labels.append(label)
            rows.append(row)
    votes = _read_votes(path.with_name("fer2013new.csv"), all_usages)
    return Dataset(
        _stack(images),
        np.array(labels, dtype=np.int64),
        None if votes is None else votes[np.array(rows, int)],
    )


def _read_votes(path: Path, usages: list[str]) -> NDArray[np.uint8] | None:
    """The votes of ``fer2013new.csv`` in mien's order, a row for each row of ``fer2013.csv``.

    The two files belong together by nothing but the order of their rows, so their usages (one a row) must agree.
    """
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = {"Usage", *FERPLUS_COLUMNS} - set(reader.fieldnames or ())
        if missing:
            raise DatasetError(f"{path}: no column {', '.join(sorted(missing))}")
        records = list(reader)
    if [record["Usage"] for record in records] != usages:
        raise DatasetError(f"{path}: its rows are not those of fer2013.csv (other number or other usages)")
    rows = []
    for row, record in enumerate(records):
        try:
            rows.append(np.array([record[name] for name in FERPLUS_COLUMNS], dtype=np.uint8))
        except (ValueError, OverflowError, TypeError) as error:
            raise DatasetError(f"{path}, row {row}: not ten votes ({error})") from error
    return np.array(rows, dtype=np.uint8).reshape(-1, len(CROWD))[:, _TO_CROWD]


def _face(file: Path | io.BytesIO, name: str) -> NDArray[np.uint8]:
    try:
        with Image.open(file) as image:
            face = np.asarray(image.convert("L"))
    except (OSError, SyntaxError, ValueError) as error:
        raise DatasetError(f"{name}: not a readable picture ({_first_line(error)})") from error
    if face.shape != (SIDE, SIDE):
        raise DatasetError(f"{name}: {face.shape[1]}×{face.shape[0]} pixels; FER-2013's faces are 48×48")
    return face


def _label(name: str, where: str) -> int:
    if name not in EXPRESSIONS:
        raise DatasetError(f"{where}: {name!r} is none of {', '.join(EXPRESSIONS)}")
    return EXPRESSIONS.index(name)


def _stack(images: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.stack(images) if images else np.empty((0, SIDE, SIDE), dtype=np.uint8)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def split_validation(data: Dataset, *, alike: float = 0.95) -> tuple[Dataset, Dataset]:
    """Parts a training split in two: what to learn from, and a tenth on which to choose.

    The tenth is fixed by the pixels alone (CRC-32, modulo ten), so it does not depend on the order of files or on
    a seed. Faces in the rest that are copies of a face in the tenth are left out of both, since FER-2013 holds
    many: copies are faces whose pixels correlate above `alike`. Kaggle's folders hold JPEGs, whose pixels are not
    quite those of the CSV and Parquet files: their tenth is another one.

    Returns:
        The training part and the validation part.

    Raises:
        DatasetError: one of them would be empty.
    """
    held_out = np.array([crc32(image.tobytes()) % 10 == 0 for image in data.images])
    rest = np.flatnonzero(~held_out)
    fresh = rest[~has_twin(data.images[rest], data.images[held_out], alike)]
    if len(fresh) == 0 or not held_out.any():
        raise DatasetError(
            f"{len(data)} faces leave {len(fresh)} to learn from and {held_out.sum()} to choose on: "
            "too few, or copies of one another"
        )
    return data.take(fresh), data.take(held_out)


def has_twin(images: NDArray[np.uint8], others: NDArray[np.uint8], alike: float = 0.95) -> NDArray[np.bool_]:
    """Which of `images` (N, 48, 48) correlate above `alike` with any of `others` (M, 48, 48): (N,)."""
    reference = _standardise(others)
    chunks = [
        (_standardise(images[start : start + 1024]) @ reference.T).max(axis=1, initial=-1.0) > alike
        for start in range(0, len(images), 1024)
    ]
    return np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.bool_)


def _standardise(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    flat = images.reshape(-1, SIDE * SIDE).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    np.divide(flat, norm, out=flat, where=norm > 0)
    return flat


def crowd_majority(votes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The answer that more than half of the annotators gave: the literature's protocol for FER+.

    Counts of one are dropped as slips; the label is the answer with more than half of what remains (Barsoum et
    al. 2016, "majority voting", as their published reader does it).

    Args:
        votes: uint8 (N, 10), in the order of `mien.labels.CROWD`.

    Returns:
        int64 (N,), an index into `mien.labels.CROWD` below 8; -1 where the protocol leaves the face out: no
        majority, or a majority for unknown or not_a_face.
    """
    counts = np.where(votes > 1, votes, 0).astype(np.int64)
    winner = counts.argmax(axis=1)
    has_majority = 2 * counts.max(axis=1) > counts.sum(axis=1)
    return np.where(has_majority & (winner < CROWD.index("unknown")), winner, -1)
