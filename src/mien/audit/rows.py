"""The audit's table of rows: written by `mien audit`, read by `mien train --exclude`.

A CSV file in UTF-8, a row for each issue of each picture, with the columns `COLUMNS`:

| column | what it says |
|---|---|
| split | the split, as `mien.datasets.read_dataset` calls it |
| row | the picture's place in that split as mien reads it, from 0; empty for what cannot be read |
| file | path inside the data, where it is a folder |
| label | the picture's label; empty for what cannot be read |
| issue | see `mien.audit.findings.ISSUES` |
| group | copies of one another have the same number |
| suggestion | ``exclude``, ``keep`` or ``review``; yours to change |
| note | what a person should know to judge |
| pixels | x and 16 hexadecimal digits of the pixels' hash, by which a table of other data is refused |
"""

import csv
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from mien.audit.findings import Audit, Suggestion
from mien.datasets import SPLITS, Dataset
from mien.errors import DatasetError
from mien.files import replacing

COLUMNS: Final = ("split", "row", "file", "label", "issue", "group", "suggestion", "note", "pixels")
SUGGESTIONS: Final = get_args(Suggestion)


def write_rows(audit: Audit, path: Path) -> None:
    """Writes the table of an audit; what was there before stays whole until the new one is.

    What is no UTF-8 in the name of a file is written as escapes.
    """
    pictures = audit.pictures
    with (
        replacing(path) as part,
        part.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for finding in audit.findings:
            index, group = finding.index, finding.group
            if finding.issue == "unreadable":
                lost = pictures.unreadable[index]
                row: list[object] = [lost.split, "", lost.file, ""]
                pixels = ""
            else:
                name = pictures.files[index] if pictures.files else ""
                row = [pictures.split_of(index), pictures.row[index], name, pictures.label_of(index)]
                pixels = _hash(pictures.images[index])
            number = "" if group is None else group
            writer.writerow([*row, finding.issue, number, finding.suggestion, finding.note, pixels])


def exclude_rows(data: Dataset, table: str | Path, split: str) -> Dataset:
    """Leaves out the pictures that a table of `mien audit` says to exclude.

    A picture is left out if any of its rows has the suggestion ``exclude``. Only the columns split, row and
    suggestion are needed, so that a table may be made by hand; where there are pixels they must be the data's.
    Spreadsheets of some countries write semicolons for commas; these are read too.

    Args:
        data: one split of the data set that was audited, as `mien.datasets.read_dataset` gives it.
        table: the CSV file.
        split: the name by which `data` was read.

    Raises:
        DatasetError: the table cannot be read, is not one, names a split or a suggestion that there is not, or was
            made from other data; or nothing would be left.
    """
    wanted: set[int] = set()
    try:
        with Path(table).open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=";" if first.count(";") > first.count(",") else ",")
            if missing := {"split", "row", "suggestion"} - set(reader.fieldnames or ()):
                raise DatasetError(
                    f"{table}: no column {', '.join(sorted(missing))}; give a table that mien audit wrote"
                )
            for record in reader:
                where = f"{table}, line {reader.line_num}"
                of, suggestion = ((record[name] or "").strip() for name in ("split", "suggestion"))
                if of not in SPLITS:
                    raise DatasetError(f"{where}: split is {of!r}; write one of {', '.join(SPLITS)}")
                if suggestion and suggestion.lower() not in SUGGESTIONS:
                    raise DatasetError(
                        f"{where}: suggestion is {suggestion!r}; write one of {', '.join(SUGGESTIONS)}"
                    )
                if of == split and record["row"] and suggestion.lower() == "exclude":
                    wanted.add(_row(record, data, where))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(f"{table}: cannot read the table ({reason})") from error
    if len(wanted) == len(data):
        raise DatasetError(f"{table}: excludes all {len(data)} pictures of {split}; nothing is left")
    left = np.ones(len(data), np.bool_)
    left[sorted(wanted)] = False
    return replace(data.take(left), skipped=data.skipped)


def _row(record: dict[str, str | None], data: Dataset, where: str) -> int:
    """The row that a record names, if it is a row of the data."""
    text = (record["row"] or "").strip()
    if not text.isdecimal() or int(text) >= len(data):
        raise DatasetError(f"{where}: row {text!r} is none of the {len(data)} of this data; audit it again")
    row = int(text)
    pixels = (record.get("pixels") or "").strip()
    if pixels and pixels != _hash(data.images[row]):
        raise DatasetError(
            f"{where}: row {row} is another picture than the one audited; audit this data again"
        )
    return row


def _hash(image: NDArray[np.uint8]) -> str:
    # The letter in front keeps spreadsheets from taking digits for a number, and rounding it.
    return "x" + blake2b(image.tobytes(), digest_size=8).hexdigest()
