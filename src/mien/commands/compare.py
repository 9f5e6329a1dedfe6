"""`mien compare`: several models on the same faces, and whether a difference is more than noise."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from mien.commands.evaluate import bar, share
from mien.console import complain, show
from mien.errors import ConfigError
from mien.files import replacing

if TYPE_CHECKING:
    from rich.table import Table


def compare(
    *models: Annotated[str, Parameter(required=True)],
    data: Path | None = None,
    split: str = "test",
    out: Path | None = None,
    find_faces: bool = False,
    threads: int | None = None,
) -> int:
    """Holds models and peers' predictions against the same faces, side by side.

    Each is held against the first with a paired bootstrap and McNemar's test, so that nobody takes noise for
    progress.

    Parameters
    ----------
    models
        Two or more: names, folders or .onnx files of models, or prediction files, .csv or .parquet
        (docs/evaluation.md says how to write them).
    data
        The faces; not needed if all are prediction files and one of them says what people said.
    split
        Which part: test, train, PublicTest or PrivateTest.
    out
        A .json or .html file for the results.
    find_faces
        The pictures of your own folders are photographs, of which the surest face is read; as for mien train.
    threads
        CPU threads for the model; by default all.
    """
    try:
        from mien.evaluate.compare import compare as hold_against
        from mien.evaluate.compare import gather
        from mien.evaluate.report import to_json, write_comparison
    except ImportError as error:
        raise ConfigError(f'comparing needs {error.name}: pip install "mien[evaluate]"') from error
    from mien.datasets import read_dataset

    if len(models) < 2:
        raise ConfigError("compare needs two models or more; for one, use mien evaluate")
    if out is not None and out.suffix.lower() not in (".json", ".html"):
        raise ConfigError(f"--out {out}: end the name in .json or .html")
    faces = read_dataset(data, split, find_faces=find_faces) if data is not None else None
    skipped = faces.skipped if faces is not None else ()
    if skipped:
        complain(f"{len(skipped)} pictures skipped; the first: {skipped[0]}")
    answers, people = gather(list(models), faces, threads=threads, bar=bar)
    found = hold_against(answers, people)
    if out is not None:  # first: who reads what is printed may stop in between
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix.lower() == ".json":
            with replacing(out) as part:
                part.write_text(to_json(found), encoding="utf-8")
        else:
            write_comparison(found, out)
    _print(found)
    if out is not None:
        print(out)
    return 1 if skipped else 0


def _print(found: dict[str, Any]) -> None:
    from rich.markup import escape

    names = [model["name"] for model in found["models"]]
    for truth in found["truths"].values():
        show(_table(truth, names), "")
    if "votes" in found:
        person = found["votes"][0]["agreement"]["person"]
        said = "; ".join(
            f"{escape(name)} {share(votes['agreement']['model'])}"
            for name, votes in zip(names, found["votes"], strict=True)
        )
        show(
            f"Agreement with nine people, ten answers, no face left out (n = {found['votes'][0]['n']:,}): {said}; "
            f"one person {share(person)}."
        )


def _table(truth: dict[str, Any], names: list[str]) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=f"{truth['title']} (n = {truth['n']:,})", title_justify="left", box=None, header_style="bold"
    )
    table.add_column("")
    for column in ("accuracy (95 %)", "recall", "ECE", f"against {escape(names[0])}", "p"):
        table.add_column(column, justify="right", no_wrap=True)
    paired = [None, *truth["against_first"]]
    for name, row, difference in zip(names, truth["models"], paired, strict=True):
        calibration = row["calibration"]
        table.add_row(
            escape(name),
            share(row["accuracy"]),
            f"{row['mean_recall']['value']:.1%}",
            "–" if calibration is None else f"{calibration['expected_calibration_error']:.3f}",
            "" if difference is None else points(difference["accuracy"]),
            "" if difference is None else probability(difference["mcnemar_p"]),
        )
    return table


def points(value: dict[str, Any]) -> str:
    """A difference of shares with its interval, in points."""
    low, high = value["interval_95"]
    return f"{100 * value['value']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def probability(p: float) -> str:
    """A probability of McNemar's test."""
    return f"{p:.2g}" if p >= 0.0001 else "< 0.0001"
