"""The command as people and programs meet it: mostly as a process of its own."""

import csv
import fcntl
import inspect
import io
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.cells import cell_len

from mien import __version__
from mien.cli import COMMANDS, main
from mien.commands.predict import predict
from mien.labels import CROWD, EXPRESSIONS
from mien.recognize import Recognizer
from mien.result import COLUMNS, columns
from support import EXAMPLES, OWN

MIEN = (sys.executable, "-m", "mien")
# Pictures that are read as faces: nothing is searched, which is quick.
FACES = ("--detector", "none")
# What the shell of whoever runs the tests says about screens would change what is printed.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TERM", "PYTHONIOENCODING")
} | {"TERM": "xterm-256color"}


def run(*arguments: str | Path, **options) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own."""
    options = {"input": "", "encoding": "utf-8", "env": ENVIRONMENT, "timeout": 60} | options
    return subprocess.run([*MIEN, *map(str, arguments)], capture_output=True, **options)


def save(path: Path, shade: int = 90) -> Path:
    """Saves a small picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full((48, 48), shade, np.uint8)
    picture[20:28, 8:40] = 255 - shade
    Image.fromarray(picture).save(path)
    return path


def bomb() -> bytes:
    """A PNG of 30,000×30,000 pixels in a kilobyte."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


# --- formats ------------------------------------------------------------------------------------------


def records(text: str, format: str) -> list[dict]:
    match format:
        case "json":
            return json.loads(text)
        case "jsonl":
            return [json.loads(line) for line in text.splitlines()]
        case _:
            return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("format", ["json", "jsonl", "csv", "table", "parquet"])
def test_each_format_on_screen_and_in_a_file(here: Callable, examples: Path, tmp_path: Path, format: str):
    inputs = [str(examples / "astronaut.jpg"), str(examples / "cat.jpg"), "missing.jpg"]
    out = tmp_path / f"out.{format}"
    code, printed, complaints = here("predict", *inputs, "--out", out, "--format", format)
    assert code == 1
    assert printed == ""
    assert complaints == ["mien: missing.jpg: no such file: check the path"]
    if format == "parquet":
        rows = pq.read_table(out).to_pylist()
    else:
        with out.open(encoding="utf-8", newline="") as file:
            written = file.read()
        code, printed, _ = here("predict", *inputs, "--format", format)
        assert code == 1
        assert printed.replace("\r\n", "\n") == written.replace("\r\n", "\n")
        if format == "table":
            heading, happy, nobody, broken = written.splitlines()
            assert heading.split()[:3] == ["picture", "face", "expression"]
            assert " happy " in happy
            assert nobody.endswith("nobody found")
            assert broken.endswith("could not be read")
            return
        rows = records(written, format)
    assert [row["source"] for row in rows] == inputs
    assert (int(rows[0]["width"]), int(rows[0]["height"])) == (512, 512)
    assert [row["error"] or None for row in rows] == [None, None, "missing.jpg: no such file: check the path"]
    if format in ("csv", "parquet"):
        assert tuple(rows[0]) == (*COLUMNS, "error")
        assert [row["expression"] or None for row in rows] == ["happy", None, None]
        return
    assert list(rows[0]) == ["source", "width", "height", "error", "faces"]
    assert [len(row["faces"]) for row in rows] == [1, 0, 0]
    (face,) = rows[0]["faces"]
    assert list(face) == [
        "box",
        "detection_score",
        "landmarks",
        "expression",
        "probability",
        "unclear",
        "probabilities",
        "crowd",
    ]
    assert face["expression"] == "happy"
    assert face["probability"] == face["probabilities"]["happy"]
    assert list(face["probabilities"]) == list(EXPRESSIONS)
    assert list(face["crowd"]) == list(CROWD)


def test_a_picture_on_standard_input(examples: Path):
    picture = (examples / "astronaut.jpg").read_bytes()
    done = run("predict", "-", "--format", "jsonl", input=picture, encoding=None)
    assert (done.returncode, done.stderr) == (0, b"")
    record = json.loads(done.stdout)
    assert record["source"] == "<stdin>"
    assert record["faces"][0]["expression"] == "happy"


def test_options_may_stand_among_the_inputs(here: Callable, tmp_path: Path):
    one, two = save(tmp_path / "1.png"), save(tmp_path / "2.png")
    code, printed, _ = here("predict", one, "--format", "jsonl", two, *FACES)
    assert code == 0
    assert [record["source"] for record in records(printed, "jsonl")] == [str(one), str(two)]


# --- inputs that fail ---------------------------------------------------------------------------------


def test_what_fails_is_told_in_a_line_and_the_rest_delivered(tmp_path: Path):
    save(tmp_path / "good.png")
    whole = (tmp_path / "good.png").read_bytes()
    bad = {
        "empty.jpg": (b"", "is empty"),
        "cut.png": (whole[: len(whole) - 30], "is damaged or cut short"),
        "text.jpg": (b"dear diary", "is not a JPEG"),
        "bomb.png": (bomb(), "30000×30000 is more than the limit of 100,000,000 pixels"),
        "two\nlines.jpg": (b"", "is empty"),
        "\x1b[31mred\x07.jpg": (b"", "is empty"),
        os.fsdecode(b"no \xff text.jpg"): (b"", "is empty"),
        "日本 é.jpg": (b"", "is empty"),
        "-x.jpg": (b"", "is empty"),
    }
    assert len(bomb()) < 4000
    for name, (content, _) in bad.items():
        (tmp_path / name).write_bytes(content)
    if os.geteuid() != 0:  # root may read everything
        (tmp_path / "secret.jpg").write_bytes(whole)
        (tmp_path / "secret.jpg").chmod(0)
        bad["secret.jpg"] = (whole, "may not be read")
        (tmp_path / "closed").mkdir(mode=0)
    Image.new("L", (1, 1)).save(tmp_path / "one.png")
    (tmp_path / "nothing").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")  # reading it would never end
    (tmp_path / "nowhere.jpg").symlink_to("gone")
    bad["nowhere.jpg"] = (b"", "no such file")

    inputs = [".", "./-x.jpg", "nothing", "*.gif", "mis\nsing.jpg", "x" * 300 + ".jpg", "closed/1.jpg"]
    done = run("predict", *inputs, "--format", "jsonl", *FACES, cwd=tmp_path)
    assert done.returncode == 1
    found = records(done.stdout, "jsonl")
    delivered = {record["source"] for record in found if record["error"] is None}
    assert delivered == {"./good.png", "./one.png"}
    assert all(len(record["faces"]) == (record["error"] is None) for record in found)
    complaints = done.stderr.splitlines()
    for name, (_, reason) in bad.items():
        shown = name if name.isprintable() else ascii(name)[1:-1]
        assert [line for line in complaints if shown in line and reason in line], (name, complaints)
    for start in (
        "nothing: a folder with no pictures",
        "*.gif: a pattern",
        r"'mis\nsing.jpg': no such",
        "x" * 300,
    ):
        assert [line for line in complaints if line.startswith(f"mien: {start}")], (start, complaints)
    # A line each: the folder's own, and the last six inputs, of which one is in the folder too.
    assert len(complaints) == len(bad) + 5 + (os.geteuid() != 0)
    assert all(line.startswith("mien: ") and line.isprintable() for line in complaints)


@pytest.mark.parametrize("name", ["missing.jpg", "."])
def test_nothing_that_could_be_read_is_2(here: Callable, tmp_path: Path, monkeypatch, name: str):
    monkeypatch.chdir(tmp_path)
    code, printed, complaints = here("predict", name, "--format", "json")
    assert code == 2
    assert len(complaints) == 1
    assert complaints[0].startswith(f"mien: {name}: ")
    if name == "missing.jpg":
        assert json.loads(printed)[0]["error"]


def test_names_come_through_every_format(here: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    names = ["two\nlines.png", os.fsdecode(b"no \xff text.png"), "日本 é.png", "[x]*.png", 'a,"b".png']
    for name in names:
        save(tmp_path / name)
    given = [name.encode("utf-8", "backslashreplace").decode() for name in names]
    for format in ("json", "jsonl", "csv"):
        code, printed, complaints = here("predict", *names, "--format", format, *FACES)
        assert (code, complaints) == (0, [])
        assert [record["source"] for record in records(printed, format)] == given
    code, printed, complaints = here("predict", *names, "--annotate", "drawn", *FACES)
    assert (code, complaints) == (0, [])
    assert len(printed.splitlines()) == 1 + len(names)
    drawn = sorted(path.name for path in Path("drawn").iterdir())
    assert drawn == sorted(name.replace(".png", ".jpg") for name in names)


def test_output_is_utf8_whatever_the_terminal_says(tmp_path: Path):
    save(tmp_path / "日本 😀.png")
    environment = ENVIRONMENT | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = run("predict", ".", "--format", "jsonl", *FACES, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["source"] == "./日本 😀.png"


# --- wrong usage --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonsense"], "nonsense"),
        (["predict"], "INPUTS requires an argument"),
        (["predict", "a.png", "--nonsense"], "unknown option --nonsense"),
        (["predict", "-x.png"], "./-x.png"),
        (["predict", "a.png", "--format", "xml"], "xml"),
        (["predict", "a.png", "--format"], "--format"),
        (["predict", "a.png", "--format", "parquet"], "--out"),
        (["predict", "a.png", "--detector", "haar"], "haar"),
        (["predict", "a.png", "--detector-size", "5"], "5"),
        (["predict", "a.png", "--model", "nonsense"], "nonsense"),
        (["predict", "a.png", "--max-pixels", "0"], "0"),
        (["predict", "a.png", "--threads", "0"], "0"),
        (["predict", "a.png", "--threads", "many"], "many"),
        (["predict", "a.png", "--out", "out.txt"], "out.txt"),
        (["predict", "a.png", "--out", ""], "ending"),
        (["predict", "a.png", "--out", "missing/out.json"], "missing/out.json"),
        (["predict", "a.png", "--out", "folder.json"], "folder.json"),
        (["predict", "a.png", "--out", "a.png", "--format", "csv"], "a.png"),
        (["predict", "a.png", "--annotate", "."], "lie there"),
        (["predict", "folder.json", "--annotate", "folder.json"], "lie there"),
        (["predict", "a.png", "--annotate", "a.png"], "a.png"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2_and_one_line(
    here: Callable, tmp_path: Path, monkeypatch, arguments: list[str], says: str
):
    monkeypatch.chdir(tmp_path)
    before = save(tmp_path / "a.png").read_bytes()
    save(tmp_path / "folder.json" / "b.png")
    code, printed, complaints = here(*arguments)
    assert code == 2
    assert printed == ""
    assert len(complaints) == 1
    assert complaints[0].startswith("mien: ")
    assert says in complaints[0]
    assert Path("a.png").read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(here: Callable, tmp_path: Path):
    picture = save(tmp_path / "a.png")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    code, _, complaints = here("predict", picture, "--out", locked / "out.csv", *FACES)
    assert (code, len(complaints)) == (2, 1)
    assert "locked/out.csv: cannot be written (Permission denied)" in complaints[0]
    code, printed, complaints = here("predict", picture, "--annotate", locked, *FACES)
    assert (code, len(complaints)) == (1, 1)
    assert "not annotated: " in complaints[0]
    assert "a.png" in printed


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full, the disk that is always full")
def test_standard_output_on_a_full_disk(tmp_path: Path):
    save(tmp_path / "a.png")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*MIEN, "predict", ".", "--format", "json", *FACES],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 2
    assert done.stderr == "mien: standard output: cannot be written (No space left on device)\n"


def test_closed_streams_upset_nothing(tmp_path: Path):
    """Complaints must not land among the results, nor results nowhere with a traceback."""
    save(tmp_path / "a.png")
    command = f"{sys.executable} -m mien predict missing.jpg a.png - --format jsonl --detector none"
    done = subprocess.run(
        ["sh", "-c", f"{command} <&- 2>&-"], cwd=tmp_path, stdout=subprocess.PIPE, text=True, timeout=60
    )
    assert done.returncode == 1
    assert [record["error"] is None for record in records(done.stdout, "jsonl")] == [False, True, False]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--version"], __version__),
        (["--help"], "predict"),
        ([], "predict"),
        (["predict", "--help"], "--annotate"),
        (["train", "--help"], "FER-2013"),
    ],
    ids=" ".join,
)
def test_help(here: Callable, arguments: list[str], says: str):
    code, printed, complaints = here(*arguments)
    assert (code, complaints) == (0, [])
    assert says in printed


# --- annotated pictures -------------------------------------------------------------------------------


def test_annotated_pictures_lie_as_their_originals_and_none_is_lost(here: Callable, tmp_path: Path):
    photos = tmp_path / "photos"
    for name in ("a.png", "a.bmp", "a-2.png", "deep/er/a.png", "b.png"):
        save(photos / name)
    other = save(tmp_path / "other" / "b.png", shade=200)
    drawn = tmp_path / "new" / "drawn"
    code, _, complaints = here("predict", photos, other, "--annotate", drawn, *FACES)
    assert (code, complaints) == (0, [])
    made = sorted(str(path.relative_to(drawn)) for path in drawn.rglob("*.jpg"))
    assert made == ["a-2.jpg", "a-3.jpg", "a.jpg", "b-2.jpg", "b.jpg", "deep/er/a.jpg"]
    for name in made:
        with Image.open(drawn / name) as picture:
            assert picture.size == (48, 48)
            picture.load()


def test_nobody_elses_picture_is_written_over(here: Callable, tmp_path: Path):
    save(tmp_path / "photos" / "a.png")
    options = ("--annotate", tmp_path / "photos" / "2020", *FACES)
    for _ in range(2):  # its own of the first run it may write over
        assert here("predict", tmp_path / "photos", *options)[0] == 0
    save(tmp_path / "photos" / "2020" / "a.jpg")
    before = (tmp_path / "photos" / "2020" / "a.jpg").read_bytes()
    code, _, complaints = here("predict", tmp_path / "photos", *options)
    assert code == 2
    assert "a.jpg lies there, and is no picture that mien drew; name another folder" in complaints[0]
    assert (tmp_path / "photos" / "2020" / "a.jpg").read_bytes() == before


def test_what_cannot_be_annotated_is_told_and_the_results_delivered(here: Callable, tmp_path: Path):
    save(tmp_path / "a.png")
    Image.new("L", (66_000, 1)).save(tmp_path / "long.png")  # a JPEG's side has 65,500 pixels at most
    code, printed, complaints = here(
        "predict", tmp_path, "--annotate", tmp_path / "drawn", "--format", "jsonl", *FACES
    )
    assert code == 1
    assert [record["error"] for record in records(printed, "jsonl")] == [None, None]
    assert len(complaints) == 1
    assert complaints[0].startswith("mien: not annotated: ")
    assert "long.jpg" in complaints[0]
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["a.jpg"]


# --- readers that leave, and Ctrl-C -------------------------------------------------------------------


@pytest.mark.parametrize("format", ["table", "json"])
def test_a_reader_that_leaves_is_no_error_of_ours(tmp_path: Path, format: str):
    save(tmp_path / "a.png")
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [*MIEN, "predict", ".", "--format", format, *FACES],
        cwd=tmp_path,
        stdout=writer,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    os.close(writer)
    os.close(reader)
    _, complaints = process.communicate(timeout=60)
    assert complaints == b""
    assert process.returncode == 141


def _answers(path: Path, word: str) -> Path:
    """A prediction file that says one word of six faces, with what people said."""
    path.write_text("row,answer,label\n" + "".join(f"{row},{word},{EXPRESSIONS[row]}\n" for row in range(6)))
    return path


def test_a_comparison_that_nobody_reads_is_written(tmp_path: Path):
    files = [_answers(tmp_path / f"{word}.csv", word) for word in ("happy", "sad")]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        process = subprocess.run(
            [*MIEN, "compare", *files, "--out", tmp_path / "side.json"],
            stdout=gone,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            timeout=60,
        )
    assert (process.returncode, process.stderr) == (141, b"")
    assert (tmp_path / "side.json").is_file()


def test_a_terminal_that_lacks_letters_is_shown_the_rest(tmp_path: Path):
    files = [_answers(tmp_path / f"{word}.csv", word) for word in ("happy", "sad")]
    said = run("compare", *files, env=ENVIRONMENT | {"PYTHONIOENCODING": "ascii", "COLUMNS": "200"})
    assert (said.returncode, said.stderr) == (0, "")
    assert "16.7% (" in said.stdout  # one of six is right, whichever word it is
    assert "?" in said.stdout


@pytest.mark.parametrize(
    ("ending", "number"),
    [*((e, signal.SIGINT) for e in ("json", "jsonl", "csv", "parquet")), ("parquet", signal.SIGTERM)],
)
def test_ctrl_c_leaves_what_was_written_whole(tmp_path: Path, ending: str, number: signal.Signals):
    """The last input is a pipe into which nobody writes, so the run is stopped while it waits."""
    save(tmp_path / "a.png")
    good = [f"{number}.png" for number in range(31)]
    good_later = ["a.png", "./a.png", "././a.png"]  # as far as pictures are read ahead
    for name in good:
        (tmp_path / name).symlink_to("a.png")
    out = tmp_path / f"out.{ending}"
    process = subprocess.Popen(
        [*MIEN, "predict", *good, "missing.png", *good_later, "-", "--out", str(out), *FACES],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever starts the tests in the background may have Ctrl-C ignored, which is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        # Told when the first batch is written.
        assert process.stderr.readline().startswith("mien: missing.png: ")
        time.sleep(
            0.5
        )  # CPython misses a signal that comes between its last look for one and the call that waits
        process.send_signal(number)
        assert process.wait(timeout=30) == 130
        assert process.stderr.read() == "mien: stopped; what was written so far is whole\n"
    finally:
        process.kill()
        process.stdin.close()
        process.stderr.close()
    if ending == "parquet":
        rows = pq.read_table(out).to_pylist()
    else:
        rows = records(out.read_text(encoding="utf-8"), ending)
    assert [row["source"] for row in rows] == [*good, "missing.png"]


# --- screens ------------------------------------------------------------------------------------------


def on_screen(arguments: list[str], cwd: Path, *, stdout: int | None = None, **environment: str) -> str:
    """What a terminal of 80 columns shows: all of it, or what goes to standard error."""
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [*MIEN, *arguments],
        cwd=cwd,
        stdin=terminal,
        stdout=terminal if stdout is None else stdout,
        stderr=terminal,
        env=ENVIRONMENT | environment,
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            part = os.read(screen, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(screen)
    assert process.wait(timeout=60) == 0
    return shown.decode()


def lines_of(shown: str) -> list[str]:
    """The lines as they were drawn, also those wiped out later, without colours and movements of the cursor."""
    shown = re.sub(r"\x1b\[[0-2]?K", "\n", shown)
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown))


@pytest.fixture
def long_names(tmp_path: Path) -> Path:
    for name in ("a.png", "日本" * 20 + ".png", "folder/" * 12 + "b.png"):
        save(tmp_path / "photos" / name)
    return tmp_path


def test_the_table_fits_the_screen_below_a_bar(long_names: Path):
    shown = on_screen(["predict", "photos", *FACES], long_names)
    lines = lines_of(shown)
    assert [line for line in lines if cell_len(line) > 80] == []
    assert len([line for line in lines if "█" in line or "▏" in line or re.search(r" 0  \w+", line)]) >= 3
    assert [line for line in lines if "a.png" in line and "%" in line]
    assert [line for line in lines if re.search(r"\d/3", line)]
    assert re.search(r"\x1b\[[0-9;]*38;", shown)  # colours


def test_only_the_bar_is_on_the_screen_when_results_go_elsewhere(long_names: Path):
    with (long_names / "results").open("w") as results:
        shown = on_screen(
            ["predict", "photos", "--format", "jsonl", *FACES],
            long_names,
            stdout=results.fileno(),
            NO_COLOR="1",
        )
    assert re.search(r"\d/3", shown)
    assert "photos" not in shown
    assert not re.search(r"\x1b\[[0-9;]*[34]8;", shown)  # no colours
    assert len(records((long_names / "results").read_text(), "jsonl")) == 3


def test_no_bar_without_a_screen(long_names: Path):
    done = run("predict", "photos", *FACES, cwd=long_names)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert len(done.stdout.splitlines()) == 4


def test_copies_never_land_on_originals_in_another_folder(
    here: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    save(Path("one/b/p.jpg"))
    original = save(Path("root/b/p.jpg")).read_bytes()
    code, _, complaints = here("predict", "one", "root/b", "--annotate", "root", *FACES)
    assert code == 2
    assert "lie there" in complaints[0]
    assert Path("root/b/p.jpg").read_bytes() == original


def test_copies_in_the_folder_that_is_read_are_not_read_again(here: Callable, tmp_path: Path):
    save(tmp_path / "p.jpg")
    for _ in range(2):
        code, printed, _ = here(
            "predict", tmp_path, "--annotate", tmp_path / "drawn", "--format", "jsonl", *FACES
        )
        assert code == 0
        assert len(printed.splitlines()) == 1


def test_standard_input_is_drawn_on_too(tmp_path: Path):
    content = save(tmp_path / "p.png").read_bytes()
    arguments = (*MIEN, "predict", "-", "--annotate", str(tmp_path / "drawn"), "--format", "json", *FACES)
    done = subprocess.run(arguments, input=content, capture_output=True, env=ENVIRONMENT)
    assert done.returncode == 0
    assert json.loads(done.stdout)[0]["source"] == "<stdin>"
    assert (tmp_path / "drawn" / "stdin.jpg").exists()


def test_what_is_drawn_on_standard_input_may_lie_beside_us(tmp_path: Path):
    content = save(tmp_path / "p.png").read_bytes()
    arguments = (*MIEN, "predict", "-", "--annotate", ".", "--format", "json", *FACES)
    done = subprocess.run(arguments, input=content, capture_output=True, env=ENVIRONMENT, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert {path.name for path in tmp_path.iterdir()} == {"p.png", "stdin.jpg"}


def test_a_link_that_leads_in_a_circle_is_told_and_the_rest_drawn(here: Callable, tmp_path: Path):
    save(tmp_path / "a.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    code, printed, complaints = here(
        "predict",
        tmp_path / "loop.png",
        tmp_path / "a.png",
        *("--annotate", tmp_path / "drawn", "--format", "csv", *FACES),
    )
    assert (code, len(complaints)) == (1, 1)
    assert "loop.png: cannot be opened (" in complaints[0]
    assert "a.png" in printed
    assert (tmp_path / "drawn" / "a.jpg").exists()


def test_the_command_has_the_defaults_of_the_recognizer():
    ours, theirs = inspect.signature(predict).parameters, inspect.signature(Recognizer).parameters
    shared = ours.keys() & theirs.keys()
    assert shared == {"model", "detector", "detector_size", "max_faces", "max_pixels", "threads", "prior"}
    for name in shared:
        assert ours[name].default == theirs[name].default, name


@pytest.mark.parametrize("command", COMMANDS)
def test_the_list_of_commands_and_their_own_help_say_the_same(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["mien", command, "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert COMMANDS[command] in " ".join(capsys.readouterr().out.split())


# --- other classes, other shares -------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["table", "json", "csv", "parquet"])
def test_a_model_of_other_classes_is_read_to_the_end(
    here: Callable, own_model: Path, tmp_path: Path, format: str
):
    picture, out = save(tmp_path / "a.png"), tmp_path / f"out.{format}"
    options = ("--format", format, "--out", out, "--annotate", tmp_path / "drawn")
    code, _, complaints = here("predict", picture, "missing.jpg", *FACES, "--model", own_model, *options)
    assert code == 1
    assert complaints == ["mien: missing.jpg: no such file: check the path"]
    assert (tmp_path / "drawn" / "a.jpg").is_file()
    if format == "parquet":
        rows = pq.read_table(out).to_pylist()
    elif format == "table":
        assert out.read_text(encoding="utf-8").splitlines()[1].split()[-1] == "–"
        return
    else:
        rows = records(out.read_text(encoding="utf-8"), format)
    if format == "json":
        assert list(rows[0]["faces"][0]["probabilities"]) == list(OWN)
        assert rows[0]["faces"][0]["crowd"] == {}
        return
    assert tuple(rows[0]) == (*columns(OWN), "error")
    assert rows[0]["expression"] in OWN
    assert sum(float(rows[0][f"probability_{name}"]) for name in OWN) == pytest.approx(1, abs=0.001)


def test_the_surest_faces_alone_are_read_if_asked(here: Callable, examples: Path):
    picture, lines = examples / "together.jpg", ("--format", "json", "--threads", "1")
    every, surest = (
        json.loads(here("predict", picture, *options, *lines)[1])[0]["faces"]
        for options in ((), ("--max-faces", "2"))
    )
    assert [face["box"] for face in surest] == [face["box"] for face in every[:2]]
    assert len(every) == 4


def test_a_prior_moves_the_answer(here: Callable, own_model: Path, tmp_path: Path):
    picture = save(tmp_path / "a.png")
    toml, text = tmp_path / "clinic.toml", tmp_path / "clinic.json"
    shares = dict.fromkeys(OWN, 1) | {"neutral": 1000.5}
    toml.write_text("\n".join(f'"{name}" = {share}' for name, share in shares.items()))
    text.write_text(json.dumps(shares))

    def neutral(*options: str | Path) -> float:
        model = ("--model", own_model, "--format", "json")
        code, printed, _ = here("predict", picture, *FACES, *model, *options)
        assert code == 0
        return json.loads(printed)[0]["faces"][0]["probabilities"]["neutral"]

    usual, even, clinic = neutral(), neutral("--prior", "even"), neutral("--prior", toml)
    assert len({usual, even, clinic}) == 3
    assert clinic > max(usual, even)
    assert neutral("--prior", text) == clinic


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "missing.toml",
            None,
            "missing.toml: cannot be read (No such file or directory); give even or a file",
        ),
        ("a.toml", "happy: 3", "a.toml: is neither TOML nor JSON as its name says"),
        ("a.json", "[1, 2]", "must hold one number for each expression, like happy = 0.3"),
        ("a.json", '{"happy": 1}', "lacks angry, disgust, fear, sad, surprise, neutral"),
    ],
)
def test_a_wrong_prior_is_told_in_one_line(
    here: Callable, tmp_path: Path, name: str, content: str | None, says: str
):
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    code, printed, complaints = here("predict", save(tmp_path / "a.png"), *FACES, "--prior", path)
    assert (code, printed, len(complaints)) == (2, "", 1)
    assert says in complaints[0]


def test_annotated_copies_are_no_input_of_the_next_run(here: Callable, tmp_path: Path):
    shutil.copy(EXAMPLES / "astronaut.jpg", tmp_path / "a.jpg")
    command = (
        "predict",
        f"{tmp_path}/*",
        "--annotate",
        tmp_path / "drawn",
        "--detector",
        "none",
        "--format",
        "csv",
    )
    first, second = here(*command), here(*command)
    assert first[0] == second[0] == 0
    assert first[1] == second[1]


def test_copies_differ_on_disks_that_know_no_case(here: Callable, tmp_path: Path):
    for name in ("party.JPG", "PARTY.png"):
        shutil.copy(EXAMPLES / "astronaut.jpg", tmp_path / name)
    code, _, errors = here("predict", tmp_path, "--annotate", tmp_path / "drawn", "--detector", "none")
    assert (code, errors) == (0, [])
    assert sorted(path.name.lower() for path in (tmp_path / "drawn").iterdir()) == [
        "party-2.jpg",
        "party.jpg",
    ]


def test_an_empty_name_is_told(here: Callable, tmp_path: Path):
    code, _, errors = here("predict", "", "--annotate", tmp_path / "drawn")
    assert code == 2
    assert errors == ["mien: an empty name: give a picture, a folder, a pattern or -"]
