import csv
import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.cells import cell_len

from mien.errors import ConfigError
from mien.labels import CROWD, EXPRESSIONS
from mien.result import COLUMNS, Face, Faces, columns
from mien.writers import TableWriter, format_of, held_interrupt, open_writer

FORMATS = ("json", "jsonl", "csv", "parquet")


def a_face(expression: str = "happy", *, probability: float = 0.94) -> Face:
    rest = (1 - probability) / 6
    return Face(
        box=(1.04, 2.0, 30.0, 40.0),
        landmarks=((5.0, 6.0),) * 5,
        detection_score=0.98765,
        probabilities={name: probability if name == expression else rest for name in EXPRESSIONS},
        crowd=dict.fromkeys(CROWD, 0.1),
        fer2013=dict.fromkeys(EXPRESSIONS, 1 / 7),
    )


TWO = Faces("two.jpg", 64, 48, (a_face(), a_face("sad")))
NOBODY = Faces("nobody.jpg", 64, 48)
BROKEN = Faces("broken.jpg", None, None, error="broken.jpg: is empty")
ALL = [TWO, NOBODY, BROKEN]


def sources(path: Path) -> list[str]:
    """The name of each picture in a file of results, which must be whole."""
    match path.suffix:
        case ".json":
            return [record["source"] for record in json.loads(path.read_bytes())]
        case ".jsonl":
            text = path.read_bytes().decode()
            assert text == "" or text.endswith("\n")
            return [json.loads(line)["source"] for line in text.split("\n")[:-1]]
        case ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file, strict=True))
        case _:
            rows = pq.read_table(path).to_pylist()
    return list(dict.fromkeys(row["source"] for row in rows))


def write(path: Path, results: list[Faces], format: str | None = None) -> None:
    with open_writer(format_of(path, format), path, [faces.source for faces in results]) as writer:
        for faces in results:
            writer.write(faces)


@pytest.mark.parametrize(
    ("out", "given", "format"),
    [
        (None, None, "table"),
        (None, "json", "json"),
        ("a.json", None, "json"),
        ("a.JSONL", None, "jsonl"),
        ("a.b.csv", None, "csv"),
        ("a.parquet", None, "parquet"),
        ("a.txt", "csv", "csv"),
        ("a.json", "table", "table"),
    ],
)
def test_the_format_is_given_or_told_by_the_ending(out: str | None, given: str | None, format: str):
    assert format_of(out and Path(out), given) == format


@pytest.mark.parametrize("out", ["a.txt", "a", "a.json.gz", ".json"])
def test_an_ending_that_says_nothing_is_refused(out: str):
    with pytest.raises(ConfigError, match=r"cannot tell the format.*\.jsonl"):
        format_of(Path(out), None)


def test_parquet_wants_a_file():
    with pytest.raises(ConfigError, match="--out"):
        format_of(None, "parquet")


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("results", [[], [TWO], [NOBODY, BROKEN], ALL], ids=len)
def test_every_picture_is_in_the_file(tmp_path: Path, ending: str, results: list[Faces]):
    path = tmp_path / f"out.{ending}"
    write(path, results)
    assert sources(path) == [faces.source for faces in results]


@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_json_holds_the_documented_record(tmp_path: Path, ending: str):
    path = tmp_path / f"out.{ending}"
    write(path, ALL)
    text = path.read_text(encoding="utf-8")
    records = json.loads(text) if ending == "json" else [json.loads(line) for line in text.splitlines()]
    assert records == [faces.to_dict() for faces in ALL]
    assert list(records[0]) == ["source", "width", "height", "error", "faces"]


def test_csv_holds_a_row_a_face_or_one_that_says_why_there_is_none(tmp_path: Path):
    write(tmp_path / "out.csv", ALL)
    with (tmp_path / "out.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert tuple(reader.fieldnames) == (*COLUMNS, "error")
    assert [row["source"] for row in rows] == ["two.jpg", "two.jpg", "nobody.jpg", "broken.jpg"]
    assert [row["face"] for row in rows] == ["0", "1", "", ""]
    assert [row["expression"] for row in rows] == ["happy", "sad", "", ""]
    assert [row["width"] for row in rows] == ["64", "64", "64", ""]
    assert [row["error"] for row in rows] == ["", "", "", "broken.jpg: is empty"]
    assert rows[0]["detection_score"] == "0.9877"
    assert rows[0]["x1"] == "1.0"


def test_parquet_holds_the_rows_of_csv_with_types(tmp_path: Path):
    write(tmp_path / "out.parquet", ALL)
    table = pq.read_table(tmp_path / "out.parquet")
    assert tuple(table.column_names) == (*COLUMNS, "error")
    types = {name: str(table.schema.field(name).type) for name in (*COLUMNS, "error")}
    assert {name for name, kind in types.items() if kind == "string"} == {"source", "expression", "error"}
    assert {name for name, kind in types.items() if kind == "int64"} == {"width", "height", "face"}
    rows = table.to_pylist()
    assert rows[0] == {**TWO.rows()[0], "error": None}
    assert rows[3]["error"] == "broken.jpg: is empty"
    assert rows[3]["x1"] is None


def test_parquet_is_written_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mien.writers.ParquetWriter._ROWS", 3)
    write(tmp_path / "out.parquet", [Faces(f"{number}.jpg", 1, 1) for number in range(8)])
    assert sources(tmp_path / "out.parquet") == [f"{number}.jpg" for number in range(8)]
    assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == 3


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("日本 é 😀.jpg", None),
        ('a,"b";c.jpg', None),
        ("two\nlines\r.jpg", None),
        ("tab\t\x1b[31mred\x07.jpg", None),
        ("back\\slash", None),
        (os.fsdecode(b"not \xff text.jpg"), "not \\udcff text.jpg"),
    ],
    ids=ascii,
)
def test_any_name_comes_back(tmp_path: Path, ending: str, name: str, written: str | None):
    path = tmp_path / f"out.{ending}"
    write(path, [Faces(name, 1, 1), Faces("next.jpg", 1, 1, (a_face(),))])
    assert sources(path) == [written or name, "next.jpg"]


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_output_that_is_left_off_is_whole(tmp_path: Path, ending: str, error: type, after: int):
    path = tmp_path / f"out.{ending}"
    with pytest.raises(error), open_writer(ending, path, []) as writer:  # noqa: PT012 - two managers, one test
        for faces in ALL[:after]:
            writer.write(faces)
        raise error
    assert sources(path) == [faces.source for faces in ALL[:after]]


@pytest.mark.parametrize("ending", ["json", "jsonl", "csv"])
def test_results_can_be_read_as_they_come(tmp_path: Path, ending: str):
    path = tmp_path / f"out.{ending}"
    with open_writer(ending, path, []) as writer:
        writer.write(TWO)
        assert "two.jpg" in path.read_text()


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder, ending: folder / "missing" / f"out.{ending}", "No such file or directory"),
        (lambda folder, ending: folder, "Is a directory"),
    ],
    ids=["missing folder", "folder"],
)
def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, ending: str, make: Callable, says: str):
    path = make(tmp_path, ending)
    with pytest.raises(ConfigError) as caught, open_writer(ending, path, []):
        pass
    assert str(caught.value) == f"--out {path}: cannot be written ({says})"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full, the disk that is always full")
@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_is_told(format: str):
    with pytest.raises(ConfigError, match=r"--out /dev/full: cannot be written \(.*No space left on device"):
        write(Path("/dev/full"), [TWO] * 50, format)


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Presses Ctrl-C, also where the tests themselves run with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_waits_for_what_is_being_written(ctrl_c: Callable[[], None]):
    done = []
    with pytest.raises(KeyboardInterrupt), held_interrupt():  # noqa: PT012
        ctrl_c()
        done.append("written")
    assert done == ["written"]
    with pytest.raises(KeyboardInterrupt):
        ctrl_c()  # and is its old self afterwards


def test_a_second_ctrl_c_does_not_wait(ctrl_c: Callable[[], None]):
    done = []
    with pytest.raises(KeyboardInterrupt), held_interrupt():  # noqa: PT012
        ctrl_c()
        ctrl_c()
        done.append("written")
    assert done == []


def test_ctrl_c_stays_ignored_where_it_was(ctrl_c: Callable[[], None]):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with held_interrupt():
        ctrl_c()


@pytest.mark.parametrize("ending", FORMATS)
def test_ctrl_c_while_the_file_is_ended_leaves_it_whole(tmp_path: Path, ending: str, ctrl_c: Callable):
    path = tmp_path / f"out.{ending}"
    with pytest.raises(KeyboardInterrupt), open_writer(ending, path, []) as writer:  # noqa: PT012
        close = writer.close
        writer.close = lambda: (ctrl_c(), close())
        writer.write(TWO)
    assert sources(path) == ["two.jpg"]


def table(results: list[Faces], columns: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = io.StringIO()
    writer = TableWriter(stream, [faces.source for faces in results])
    for faces in results:
        writer.write(faces)
    writer.close()
    return stream.getvalue().split("\n")[:-1]


def test_the_table_has_a_row_a_face(monkeypatch: pytest.MonkeyPatch):
    heading, first, second, nobody, broken = table(ALL, 80, monkeypatch)
    assert heading.split() == ["picture", "face", "expression", "%", "then", "unclear"]
    assert first.split() == ["two.jpg", "0", "happy", "█████████▍", "94%", "angry", "1%", "20%"]
    assert second.split()[:2] == ["1", "sad"]
    assert nobody.split() == ["nobody.jpg", "–", "nobody", "found"]
    assert broken.split() == ["broken.jpg", "–", "could", "not", "be", "read"]


@pytest.mark.parametrize("columns", [80, 100, 200])
@pytest.mark.parametrize(
    "name", ["a.jpg", "long/" * 30 + "name.jpg", "日本" * 30 + ".jpg", "e\u0301" * 60, "two\nlines\x1b[2J\t.jpg"],
    ids=ascii,
)  # fmt: skip
def test_the_table_keeps_to_the_width_of_the_screen(name: str, columns: int, monkeypatch: pytest.MonkeyPatch):
    lines = table(
        [Faces(name, 1, 1, (a_face("surprise", probability=1.0),) * 2), NOBODY], columns, monkeypatch
    )
    assert len(lines) == 4
    assert all(cell_len(line) <= columns for line in lines)
    assert all(line.isprintable() for line in lines)
    assert len({line.index("surprise") + cell_len(line) - len(line) for line in lines[1:3]}) == 1


def test_a_long_name_keeps_its_end(monkeypatch: pytest.MonkeyPatch):
    _, line = table([Faces("very/long/" * 9 + "party.jpg", 1, 1)], 80, monkeypatch)
    assert line.startswith("…")
    assert "/party.jpg " in line


@pytest.mark.parametrize(("share", "bar"), [(0.0, ""), (0.01, "▏"), (0.5, "█████"), (0.99, "█████████▉")])
def test_bars_are_as_long_as_the_share(share: float, bar: str, monkeypatch: pytest.MonkeyPatch):
    face = a_face("happy", probability=1.0)
    for name in EXPRESSIONS:
        face.probabilities[name] = 0.0
    face.probabilities["happy"] = share
    _, line = table([Faces("a", 1, 1, (face,))], 80, monkeypatch)
    assert "".join(letter for letter in line if letter in "█▏▎▍▌▋▊▉") == bar


OWN = ("not at all amused indeed", "快乐")
OWN_FACES = Faces(
    "own.jpg", 64, 48,
    (Face((1.0, 2.0, 3.0, 4.0), None, None, dict(zip(OWN, (0.25, 0.75), strict=True)), {}, {}),), classes=OWN,
)  # fmt: skip


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("results", [[OWN_FACES, NOBODY, BROKEN], [NOBODY, OWN_FACES], [BROKEN], []])
def test_tables_have_the_columns_of_other_classes(tmp_path: Path, ending: str, results: list[Faces]):
    path = tmp_path / f"out.{ending}"
    with open_writer(ending, path, [], columns=columns(OWN)) as writer:
        for faces in results:
            writer.write(faces)
    if ending == "csv":
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            rows, found = list(reader), tuple(reader.fieldnames or ())
    else:
        table = pq.read_table(path)
        rows, found = table.to_pylist(), tuple(table.column_names)
    assert found == (*columns(OWN), "error")
    assert [row["source"] for row in rows] == [faces.source for faces in results]
    for row in rows:
        if row["source"] == "own.jpg":
            assert row["expression"] == "快乐"
            assert float(row["probability_快乐"]) == 0.75


@pytest.mark.parametrize("columns", [80, 100])
def test_long_names_of_classes_keep_the_table_in_line(columns: int, monkeypatch: pytest.MonkeyPatch):
    heading, line, nobody = table([OWN_FACES, Faces("b.jpg", 1, 1, classes=OWN)], columns, monkeypatch)
    assert all(cell_len(text) <= columns for text in (heading, line, nobody))
    assert line.split()[:3] == ["own.jpg", "0", "快乐"]
    assert line.split()[-5:] == ["at", "all", "…", "25%", "–"]  # no crowd was asked
    assert cell_len(line) == cell_len(heading)
    assert cell_len(line[: line.index("75%") + 3]) == cell_len(heading[: heading.index("%") + 1])
