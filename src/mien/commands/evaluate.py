"""`mien evaluate`: a data set and a model in; numbers that can be checked, and a report, out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.console import complain, progress, show
from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.evaluate.run import Evaluation


def evaluate(
    data: Path,
    /,
    *,
    model: str = "base",
    split: str = "test",
    out: Path = Path("report"),
    robustness: bool = False,
    find_faces: bool = False,
    threads: int | None = None,
) -> int:
    """Measures a model on faces that people have judged, and writes a report.

    Writes metrics.json, predictions.parquet, figures and report.html, one page that explains itself. It shows
    faces of the data: the data's terms say whether it may be passed on.

    Parameters
    ----------
    data
        Faces: a folder with train/ and test/ in it, fer2013.csv (with fer2013new.csv beside it for the votes of
        FER+), or a Parquet file.
    model
        An expression model: base, nano, a folder that mien train made, an .onnx file; or a peer's predictions,
        .csv or .parquet (docs/evaluation.md says how to write them).
    split
        Which part: test, train, PublicTest or PrivateTest.
    out
        Folder for what is written.
    robustness
        Read the faces again under thirteen kinds of harm, which takes some minutes.
    find_faces
        The pictures of your own folders are photographs, of which the surest face is read; as for mien train.
    threads
        CPU threads for the model; by default all.
    """
    try:
        from mien.evaluate.report import write_report
        from mien.evaluate.run import evaluate as measure
    except ImportError as error:
        raise ConfigError(f'evaluating needs {error.name}: pip install "mien[evaluate]"') from error
    from mien.datasets import check_apart

    check_apart(out, data)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot make the folder ({error.strerror})") from error
    found = measure(
        data, model, split=split, robustness=robustness, find_faces=find_faces, threads=threads, bar=bar
    )
    for note in found.notes:
        complain(note)
    write_report(found, out)
    _print(found)
    print(out / "report.html")
    return 1 if found.data.skipped else 0


@contextmanager
def bar(total: int) -> Iterator[Callable[[int], None]]:
    """Shows how many faces of so many are read; yields what is told of those done."""
    with progress(total, Path("report"), "html") as advance:

        def advance_by(count: int) -> None:
            for _ in range(count):
                advance()

        yield advance_by


def _print(found: "Evaluation") -> None:
    from rich.table import Table

    metrics = found.metrics
    table = Table(box=None, header_style="bold")
    table.add_column("held against")
    for column in ("faces", "accuracy (95 %)", "recall", "F1", "ECE"):
        table.add_column(column, justify="right", no_wrap=True)
    for key, row in metrics["accuracy"].items():
        calibration = metrics["calibration"].get(key)
        table.add_row(
            f"{row['title']}\n  by [bold]{row['reading']}[/]",
            f"{row['n']:,}",
            share(row["accuracy"]),
            f"{row['mean_recall']['value']:.1%}",
            f"{row['macro_f1']['value']:.1%}",
            "–" if calibration is None else f"{calibration['after']['expected_calibration_error']:.3f}",
        )
    show(table)
    if "votes" in metrics:
        agreement = metrics["votes"]["agreement"]
        show(
            f"It agrees with people in {share(agreement['model'])}; one person does in "
            f"{share(agreement['person'])} (n = {metrics['votes']['n']:,}, against the other nine)."
        )
    if "robustness" in metrics:
        key, kept = next(iter(metrics["robustness"]["kept"].items()))
        title = metrics["accuracy"][key]["title"]
        said = (
            f"On spoilt faces it keeps {kept:.0%} of its accuracy ({title})."
            if kept is not None
            else f"It reads no face right even where none is spoilt ({title})."
        )
        show(said)


def share(value: dict[str, Any]) -> str:
    """A share with its interval, in per cent."""
    low, high = value["interval_95"]
    return f"{value['value']:.1%} ({100 * low:.1f}–{100 * high:.1f})"
