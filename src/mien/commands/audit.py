"""`mien audit`: a data set in; what is wrong with it out."""

import contextlib
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mien.audit import Audit, write_report, write_rows
from mien.audit import audit as look_through
from mien.audit.duplicates import ALIKE
from mien.audit.report import TITLES
from mien.console import show
from mien.datasets import check_apart
from mien.errors import ConfigError


def audit(data: Path, /, *, out: Path = Path("audit"), alike: float = ALIKE, find_faces: bool = False) -> int:
    """Finds what is wrong with a data set before anyone trains on it.

    Copies within and across splits, conflicting labels, blank and unreadable pictures, pictures that show no
    face, labels that nobody voted for, and how unequal the classes are. Writes report.html with the pictures, and
    audit.csv for mien train --exclude.

    Parameters
    ----------
    data
        FER-2013: the folder with train/ and test/ in it, fer2013.csv, or a Parquet file; or your own folder, with
        a folder for each class in it, or in train/ and test/.
    out
        Folder for report.html and audit.csv.
    alike
        Pictures whose pixels correlate above this are near copies.
    find_faces
        The pictures are photographs, of which the surest face is looked at; as for mien train.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out}: is no folder, name one for the report and the table")
    check_apart(out, data)
    with _status() as say:
        found = look_through(data, alike=alike, find_faces=find_faces, say=say)
        say("writing the report")
        out.mkdir(parents=True, exist_ok=True)
        write_rows(found, out / "audit.csv")
        write_report(found, out / "report.html")
    show(_issues(found), _classes(found))
    left_out = len(found.excluded())
    options = ["--find-faces"] if find_faces else []
    command = shlex.join(["mien", "train", str(data), *options, "--exclude", str(out / "audit.csv")])
    # Not through rich, which would break or colour a path.
    print(f"{left_out:,} pictures suggested to be left out of training: {command}")
    print(f"The pictures: {out / 'report.html'}")
    return 0


def _issues(found: Audit) -> Table:
    table = Table("pictures with", box=None, header_style="bold")
    for split in (*found.pictures.splits, "exclude", "review"):
        table.add_column(split, justify="right")
    for issue, title in TITLES.items():
        counts = found.counts(issue)
        advised = [
            sum(finding.suggestion == word for finding in found.of(issue)) for word in ("exclude", "review")
        ]
        numbers = [*(counts[split] for split in found.pictures.splits), *advised]
        table.add_row(title, *(f"{number:,}" if number else "–" for number in numbers))
    return table


def _classes(found: Audit) -> Table:
    table = Table("class", box=None, header_style="bold")
    counts = found.class_counts()
    for split in counts:
        table.add_column(split, justify="right")
        table.add_column("")
    for word in found.pictures.classes:
        cells = []
        for of_split in counts.values():
            cells += [f"{of_split[word]:,}", f"{of_split[word] / max(1, sum(of_split.values())):.1%}"]
        table.add_row(escape(word), *cells)
    return table


@contextlib.contextmanager
def _status() -> Iterator[Callable[[str], None]]:
    """A line on standard error that tells how far the work is, where there is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda message: None
        return
    with console.status("") as status:
        yield status.update
