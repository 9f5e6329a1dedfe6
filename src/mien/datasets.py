"""FER-2013 and the FER+ votes, in the shapes in which people have them, or your own pictures: arrays in memory.

The shapes are told apart by looking:

- a folder with ``train/<class>/*`` and ``test/<class>/*``, or with ``<class>/*`` alone, which is all ``train``.
  The classes are the folders' names, whatever they are; with FER-2013's seven this is Kaggle's msambare/fer2013;
- the 2013 challenge's ``fer2013.csv`` (``emotion,pixels,Usage``), or the folder that holds it; the votes of
  ``fer2013new.csv`` are taken from the same folder when it is there;
- one Parquet file with the columns ``usage, emotion, image, ferplus_votes``.
"""

import csv
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.align import align_faces, whole_picture
from mien.detect import CenterFace
from mien.errors import ConfigError, DatasetError, ImageError
from mien.image import read_image
from mien.inputs import READABLE, SUFFIXES
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

_USAGES = (*SPLITS["train"], *SPLITS["test"])

SIDE = 48
"""Side of FER-2013's faces in pixels (Goodfellow et al. 2013)."""

_READERS = 4
"""Pictures of a folder that are read at once: each is in memory at its full size meanwhile."""


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Faces with what people said of them.

    Attributes:
        images: uint8 (N, 48, 48), grey, 0 black to 255 white.
        labels: int64 (N,), an index into `classes`; of FER-2013 its original label.
        votes: uint8 (N, 10), how many of FER+'s annotators gave each answer of `mien.labels.CROWD`; None where
            the data has no votes.
        classes: the words of the labels; `mien.labels.EXPRESSIONS` unless the data has others.
        skipped: for each picture that was left out, one line that names it and says why.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    votes: NDArray[np.uint8] | None
    classes: tuple[str, ...] = EXPRESSIONS
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Dataset":
        """The faces that a mask or an array of indices names, in its order."""
        votes = None if self.votes is None else self.votes[rows]
        return Dataset(self.images[rows], self.labels[rows], votes, self.classes)


def read_dataset(
    path: str | Path, split: str = "train", *, find_faces: bool = False, allow_empty: bool = False
) -> Dataset:
    """Reads one split of FER-2013, with the FER+ votes where they are there, or of your own pictures.

    Pictures in folders may have any size and colour: they are made grey and 48×48, not distorted. Those that
    cannot be read are left out, and named in the data set's `skipped`. Parquet and CSV files are FER-2013's, and
    a damaged row in them is an error. Where nobody voted on any face of the split, it has no votes.

    Args:
        path: a folder of folders (see this module's first lines), the challenge's CSV file (or the folder that
            holds it), or the Parquet file.
        split: ``train``, ``test``, ``PublicTest`` or ``PrivateTest``. Folders know the first two.
        find_faces: the pictures in the folders are photographs, and not faces that are cut out: of each the
            surest face is taken, framed as `mien predict` frames it.
        allow_empty: the split and its classes may be without a picture that can be used.

    Raises:
        DatasetError: the path is none of these, the split is empty, a class has no picture to learn from, or a
            table is damaged.
        ConfigError: there is no split of that name, or faces are to be found in a table.
    """
    if split not in SPLITS:
        raise ConfigError(f"no split is called {split!r}: choose one of {', '.join(SPLITS)}")
    data = _reader(Path(path), find_faces, allow_empty)(split)
    # Who has no votes must fill the column of a Parquet file with something, and takes zeros.
    if data.votes is not None and not data.votes.any():
        data = replace(data, votes=None)
    if len(data) == 0 and not allow_empty:
        why = f": none of its pictures can be used ({data.skipped[0]})" if data.skipped else ""
        raise DatasetError(f"{path}: the split {split!r} has no images{why}")
    return data


def _reader(path: Path, find_faces: bool, allow_empty: bool) -> Callable[[str], Dataset]:
    # os.path, not Path, asks what lies there: Path raises where a folder may not be entered or a name is too long.
    is_folder = os.path.isdir(path)  # noqa: PTH112
    table = path / "fer2013.csv" if is_folder else path
    suffix = table.suffix.lower()
    if suffix in (".csv", ".parquet") and os.path.isfile(table):  # noqa: PTH113
        if find_faces:
            raise ConfigError(
                f"{path}: holds faces that are cut out; faces are found in folders of photographs"
            )
        return lambda split: (_read_csv if suffix == ".csv" else _read_parquet)(table, split)
    if is_folder and (_has_splits(path) or len(_subfolders(path)) >= 2):
        return lambda split: _read_folders(path, split, find_faces, allow_empty)
    found = _contents(path) if os.path.exists(path) else "nothing: it does not exist, or cannot be reached"  # noqa: PTH110
    raise DatasetError(
        f"{path}: looked for train/ and test/ folders, two or more folders of classes, fer2013.csv, or a .parquet "
        f"or .csv file; found {found}"
    )


def check_apart(out: Path, data: Path) -> None:
    """Refuses to write among folders of classes: a folder made there would be taken for a class the next time.

    Raises:
        ConfigError: `out`, where folders are to be made, is a folder of classes of `data`, or lies in one.
    """
    if not os.path.isdir(data) or (data / "fer2013.csv").exists():  # noqa: PTH112
        return
    for among in (data / "train", data / "test") if _has_splits(data) else (data,):
        inside, place = among.resolve(), out.resolve()
        if inside == place or inside in place.parents:
            raise ConfigError(
                f"--out {out}: lies in {inside}, whose folders are classes, and would be taken for one; "
                "name a folder outside"
            )


def _contents(path: Path) -> str:
    if path.is_file():
        return f"a {path.suffix or 'suffixless'} file"
    names = sorted(entry.name for entry in _entries(path))
    return (
        ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") or "an empty folder"
    )


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, by name, but for what is hidden."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be searched ({error.strerror})") from error


def _subfolders(folder: Path) -> list[str]:
    return [entry.name for entry in _entries(folder) if entry.is_dir()]


def _has_splits(root: Path) -> bool:
    return (root / "train").is_dir() or (root / "test").is_dir()


def _pictures(folder: Path) -> list[Path]:
    # Reading a pipe that lies about would wait for ever; a link that leads nowhere is told of when read.
    return [
        file
        for file in _entries(folder)
        if file.suffix.lower() in SUFFIXES and (file.is_file() or not file.exists())
    ]


def _read_folders(root: Path, split: str, find_faces: bool, allow_empty: bool) -> Dataset:
    if split not in ("train", "test"):
        raise DatasetError(f"{root}: folders have the splits train and test, not {split!r}")
    folder = root / split if _has_splits(root) else root
    if not folder.is_dir() or (folder == root and split == "test"):
        raise DatasetError(f"{root}: no {split}/ folder; found {_contents(root)}")
    classes = _class_names(root / "train" if (root / "train").is_dir() else folder)
    if surplus := sorted(set(_subfolders(folder)) - set(classes)):
        raise DatasetError(
            f"{folder}: {', '.join(surplus)} is no class of {root / 'train'}, which has {', '.join(classes)}"
        )
    files = {name: _pictures(folder / name) if (folder / name).is_dir() else [] for name in classes}
    empty = [name for name, pictures in files.items() if not pictures]
    whole = split == "train" and not allow_empty
    if whole and empty:
        raise DatasetError(
            f"{folder / empty[0]}: no pictures of this class; looked for {' '.join(READABLE)}, "
            f"found {_contents(folder / empty[0])}"
        )
    detector = CenterFace() if find_faces else None
    places = [file for pictures in files.values() for file in pictures]
    with ThreadPoolExecutor(_READERS) as pool:
        read = list(pool.map(lambda file: _read_picture(file, detector), places))
    labels = np.repeat(np.arange(len(classes)), [len(pictures) for pictures in files.values()])
    usable = np.array([isinstance(picture, np.ndarray) for picture in read], dtype=np.bool_)
    skipped = tuple(picture for picture in read if isinstance(picture, str))
    lost = sorted(set(labels) - set(labels[usable]))
    if whole and usable.any() and lost:
        reason = read[int(np.flatnonzero(labels == lost[0])[0])]
        raise DatasetError(f"{folder / classes[lost[0]]}: none of its pictures can be used ({reason})")
    images = [picture for picture in read if isinstance(picture, np.ndarray)]
    return Dataset(_stack(images), labels[usable].astype(np.int64), None, classes, skipped)


def _class_names(folder: Path) -> tuple[str, ...]:
    names = _subfolders(folder)
    if len(names) < 2:
        raise DatasetError(f"{folder}: looked for two or more folders of classes; found {_contents(folder)}")
    if strange := [name for name in names if not name.isprintable()]:
        raise DatasetError(
            f"{folder}: {strange[0]!r} is no name for a class: rename the folder, letters only"
        )
    return EXPRESSIONS if set(names) == set(EXPRESSIONS) else tuple(names)


def _read_picture(file: Path, detector: CenterFace | None) -> NDArray[np.uint8] | str:
    """The face in a picture, grey (48, 48); or one line that says why there is none."""
    try:
        image = read_image(file)
    except ImageError as error:
        return str(error)
    if detector is None:
        return whole_picture(image, size=SIDE)
    found = detector.detect(image)
    if not len(found):
        return f"{os.fsdecode(file)}: no face was found"
    face: NDArray[np.uint8] = align_faces(image, found.boxes[:1], found.landmarks[:1], size=SIDE)[0]
    return face


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
    try:
        usages = table["usage"].cast(pa.string())
    except pa.ArrowException as error:
        raise DatasetError(
            f"{path}: its column 'usage' must hold words such as {', '.join(SPLITS[split])} ({_first_line(error)})"
        ) from error
    if len(strange := np.flatnonzero(~pc.is_in(usages, pa.array(_USAGES)).to_numpy(zero_copy_only=False))):
        _check_usage(usages[int(strange[0])].as_py(), f"{path}, row {strange[0]}")
    chosen = np.flatnonzero(pc.is_in(usages, pa.array(SPLITS[split])).to_numpy())
    images, labels, votes = [], [], []
    for row, record in zip(chosen.tolist(), table.take(pa.array(chosen)).to_pylist(), strict=True):
        where = f"{path}, row {row}"
        if not isinstance(record["image"], bytes):
            raise DatasetError(
                f"{where}: its image is no bytes of a picture ({type(record['image']).__name__})"
            )
        images.append(_face(record["image"], where))
        labels.append(_label(record["emotion"], where))
        votes.append(_ten_votes(record["ferplus_votes"], where))
    return Dataset(_stack(images), np.array(labels, dtype=np.int64), _in_our_order(votes))


def _read_csv(path: Path, split: str) -> Dataset:
    usages = SPLITS[split]
    images, labels, rows, all_usages = [], [], [], []
    with _rows_of(path, ("emotion", "pixels", "Usage")) as records:
        for row, record in enumerate(records):
            _check_usage(record["Usage"], f"{path}, row {row}")
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
    with _rows_of(path, ("Usage", *FERPLUS_COLUMNS)) as reader:
        records = list(reader)
    if [record["Usage"] for record in records] != usages:
        raise DatasetError(f"{path}: its rows are not those of fer2013.csv (other number or other usages)")
    return _in_our_order(
        [
            _ten_votes([record[name] for name in FERPLUS_COLUMNS], f"{path}, row {row}")
            for row, record in enumerate(records)
        ]
    )


@contextmanager
def _rows_of(path: Path, columns: tuple[str, ...]) -> Iterator[Iterator[dict[str, str]]]:
    """The rows of a CSV file with these columns.

    Raises:
        DatasetError: on the way in, a column is missing; at any time, the file cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)  # Kaggle's icml_face_data.csv has blanks
            if missing := sorted(set(columns) - set(reader.fieldnames or ())):
                found = ", ".join(reader.fieldnames or ()) or "nothing"
                raise DatasetError(f"{path}: no column {', '.join(missing)}; found {found[:200]}")
            yield reader
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: not a readable CSV file ({_first_line(error)})") from error


def _ten_votes(votes: Any, where: str) -> NDArray[np.uint8]:
    """The votes of one face, in FER+'s order."""
    try:
        given = np.array(votes, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise DatasetError(f"{where}: not ten votes ({error})") from error
    whole = (given >= 0) & (given <= 255) & (given == np.floor(given))
    if given.shape != (len(CROWD),) or not whole.all():
        raise DatasetError(f"{where}: not ten votes, whole numbers of people (found {votes!r:.80})")
    return given.astype(np.uint8)


def _in_our_order(votes: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Rows of votes in FER+'s order, in that of `CROWD`."""
    return np.array(votes, dtype=np.uint8).reshape(-1, len(CROWD))[:, _TO_CROWD]


def _check_usage(usage: str | None, where: str) -> None:
    """Refuses a row that is of no split: left out in silence, it would be missed by nobody."""
    if usage not in _USAGES:
        said = "has no Usage (is the file cut short?)" if usage is None else f"its Usage is {usage!r:.80}"
        raise DatasetError(f"{where}: {said}; must be one of {', '.join(_USAGES)}")


def _face(content: bytes, where: str) -> NDArray[np.uint8]:
    try:
        image = read_image(content)
    except ImageError as error:
        reason = str(error).removeprefix("<bytes>: ")
        raise DatasetError(f"{where}: not a readable picture ({reason})") from error
    if image.shape[:2] != (SIDE, SIDE):
        raise DatasetError(f"{where}: {image.shape[1]}×{image.shape[0]} pixels; FER-2013's faces are 48×48")
    return np.asarray(Image.fromarray(image).convert("L"))


def _label(name: str, where: str) -> int:
    if name not in EXPRESSIONS:
        raise DatasetError(f"{where}: {name!r} is none of {', '.join(EXPRESSIONS)}")
    return EXPRESSIONS.index(name)


def _stack(images: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.stack(images) if images else np.empty((0, SIDE, SIDE), dtype=np.uint8)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def data_sha256(data: Dataset) -> str:
    """What ties numbers and files to the very faces, labels and votes that they were made with."""
    digest = hashlib.sha256(data.images.tobytes())
    digest.update(data.labels.astype("<i8").tobytes())
    if data.votes is not None:
        digest.update(data.votes.tobytes())
    return digest.hexdigest()


def split_validation(data: Dataset, *, alike: float = 0.95) -> tuple[Dataset, Dataset]:
    """Parts a training split in two: what to learn from, and a tenth on which to choose.

    The tenth is fixed by the pixels alone (CRC-32, modulo ten), so it does not depend on the order of files or on
    a seed. Where the data is so small that a class has faces in one part only, one is moved: into the tenth that
    with the least CRC-32, out of it that with the greatest; a single face is learnt from. Faces in the rest that
    are copies of a face in the tenth are left out of both, since FER-2013 holds many: copies are faces whose
    pixels correlate above `alike`. Kaggle's folders hold JPEGs, whose pixels are not quite those of the CSV and
    Parquet files: their tenth is another one.

    Returns:
        The training part and the validation part.

    Raises:
        DatasetError: one of them would be empty, or without a class that the data has.
    """
    held_out = _held_out(data)
    rest = np.flatnonzero(~held_out)
    fresh = rest[~has_twin(data.images[rest], data.images[held_out], alike)]
    if len(fresh) == 0 or not held_out.any():
        raise DatasetError(
            f"{len(data)} faces leave {len(fresh)} to learn from and {held_out.sum()} to choose on: "
            "too few, or copies of one another"
        )
    if lost := sorted(set(data.labels) - set(data.labels[fresh])):
        name, count = data.classes[lost[0]], (data.labels == lost[0]).sum()
        raise DatasetError(
            f"{name}: none of its {count} faces is left to learn from, as they are copies of faces to choose on: "
            "add other faces"
        )
    return data.take(fresh), data.take(held_out)


def _held_out(data: Dataset) -> NDArray[np.bool_]:
    """Which faces are in the tenth: (N,)."""
    checksums = np.array([crc32(image.tobytes()) for image in data.images], dtype=np.int64)
    held_out: NDArray[np.bool_] = checksums % 10 == 0
    for label in np.unique(data.labels):
        rows = np.flatnonzero(data.labels == label)
        rows = rows[np.argsort(checksums[rows], kind="stable")]
        if held_out[rows].all():
            held_out[rows[-1]] = False
        elif not held_out[rows].any() and len(rows) > 1:
            held_out[rows[0]] = True
    return held_out


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
