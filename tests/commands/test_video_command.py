"""`mien video` as people and programs meet it."""

import csv
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from clips import FACES, move, write_clip
from mien.cli import main
from mien.labels import CROWD, EXPRESSIONS
from mien.video.follow import VIDEO_COLUMNS, TrackedFace, VideoFrame
from mien.video.summary import write_summary
from mien.video.timeline import STEPS, Timeline
from mien.video.writers import open_video_writer

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable:
    """Runs the command in this process: exit code, output, complaints."""

    def call(*arguments: str | Path) -> tuple[int, str, list[str]]:
        monkeypatch.setattr(sys, "argv", ["mien", "video", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        printed = capsys.readouterr()
        return caught.value.code, printed.out, printed.err.splitlines()

    return call


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of a camera that moves over one face, and of a plain wall after it; with sound."""
    path = tmp_path_factory.mktemp("film") / "<film> & 'sound'.mp4"
    x1, y1, x2, y2 = FACES["astronaut"]["collins"]
    shot = move("astronaut", 20, lambda t: ((x1 + x2) / 2 + 60 * t, (y1 + y2) / 2, 500))
    wall = np.full((360, 640, 3), 90, np.uint8)
    write_clip(path, [frame for frame, _ in shot] + [wall] * 4, tone=True, options={"movflags": "faststart"})
    return path


def test_everything_that_can_be_written_of_a_film(here: Callable, film: Path, tmp_path: Path):
    outputs = {"--out": "a.parquet", "--annotate": "a.mp4", "--summary": "a.html"}
    code, printed, complaints = here(
        film, *(part for name, file in outputs.items() for part in (name, tmp_path / file))
    )
    assert (code, complaints) == (0, [])
    heading, line = printed.splitlines()
    assert heading.split()[:4] == ["track", "from", "to", "in"]
    assert line.split() == ["1", "0:00.0", "0:00.7", "0:00.7", "happy", "100%"]

    table = pq.read_table(tmp_path / "a.parquet")
    assert tuple(table.column_names) == VIDEO_COLUMNS
    rows = table.to_pylist()
    assert [row["frame"] for row in rows] == list(range(24))
    assert [row["track"] for row in rows] == [1] * 20 + [None] * 4
    assert {row["source"] for row in rows} == {str(film)}
    assert {row["smoothed_expression"] for row in rows[:20]} == {"happy"}
    sums = [sum(row[f"smoothed_{name}"] for name in EXPRESSIONS) for row in rows[:20]]
    assert sums == pytest.approx([1] * 20, abs=1e-5)

    with av.open(str(tmp_path / "a.mp4")) as container:
        assert [stream.codec_context.name for stream in container.streams] == ["h264", "aac"]
        assert sum(1 for _ in container.decode(video=0)) == 24

    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "&lt;film&gt; &amp; &#x27;sound&#x27;.mp4" in page
    assert "<film>" not in page
    assert "24 frames of 640×360 · 1 track · 0 cuts" in page
    assert not re.search(r"(?:src|href)=[\"'](?!data:|#)", page)
    assert page.count("<section") == 2


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_tables_and_lines_hold_the_same(here: Callable, film: Path, tmp_path: Path, ending: str):
    out = tmp_path / f"a.{ending}"
    assert here(film, "--out", out, "--smoothing", "0")[0] == 0
    with out.open(encoding="utf-8", newline="") as file:
        if ending == "csv":
            rows = list(csv.DictReader(file))
            assert tuple(rows[0]) == VIDEO_COLUMNS
            assert [row["track"] for row in rows] == ["1"] * 20 + [""] * 4
            assert all(row["smoothed_happy"] == row["probability_happy"] for row in rows)
        else:
            records = [json.loads(line) for line in file]
            assert [len(record["faces"]) for record in records] == [1] * 20 + [0] * 4
            assert all(
                face["smoothed"] == face["probabilities"] for record in records for face in record["faces"]
            )


def test_a_prior_moves_the_answers_and_not_what_people_would_say(here: Callable, film: Path, tmp_path: Path):
    rows = []
    for prior in ((), ("--prior", "even")):
        assert here(film, "--out", tmp_path / "a.parquet", *prior)[0] == 0
        rows.append(pq.read_table(tmp_path / "a.parquet").to_pylist()[0])
    assert rows[0]["crowd_happy"] == rows[1]["crowd_happy"]
    assert rows[0]["probability_happy"] != rows[1]["probability_happy"]


def test_a_film_that_breaks_off_is_delivered_to_there_and_told(here: Callable, film: Path, tmp_path: Path):
    content = film.read_bytes()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(content[: len(content) * 4 // 5])
    code, printed, complaints = here(
        *(broken, "--out", tmp_path / "a.parquet", "--annotate", tmp_path / "a.mp4"),
        *("--summary", tmp_path / "a.html", "--search-every", "0"),
    )
    assert code == 1
    assert len(complaints) == 1
    assert "is cut short or damaged: it breaks off after " in complaints[0]
    assert "happy" in printed
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "it breaks off after " in page
    assert "smoothed, time constant 0.3 s · searched whole in each frame" in page
    count = pq.read_table(tmp_path / "a.parquet").num_rows
    assert 1 < count < 24
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == count


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["missing.mp4"], "no such file"),
        (["text.mp4"], "is no video"),
        (["."], "is a folder"),
        (["film.mp4", "--out", "a.txt"], "ending"),
        (["film.mp4", "--out", "missing/a.csv"], "missing"),
        (["film.mp4", "--annotate", "a.webm"], ".mp4"),
        (["film.mp4", "--annotate", "film.mp4"], "is the video itself"),
        (["film.mp4", "--summary", "a.txt"], ".html"),
        (["film.mp4", "--smoothing", "-1"], "smoothing -1"),
        (["film.mp4", "--search-every", "61"], "search_every 61"),
        (["film.mp4", "--max-pixels", "1000"], "more than the limit"),
        ([], "CLIP"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2_and_one_line(
    here: Callable,
    film: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    says: str,
):
    monkeypatch.chdir(tmp_path)
    Path("film.mp4").write_bytes(film.read_bytes())
    Path("text.mp4").write_text("dear diary")
    before = sorted(Path().iterdir())
    code, printed, complaints = here(*arguments)
    assert (code, printed, len(complaints)) == (2, "", 1)
    assert says in complaints[0]
    assert sorted(Path().iterdir()) == before
    assert Path("film.mp4").read_bytes() == film.read_bytes()


def test_what_cannot_be_written_empties_nothing_else(here: Callable, film: Path, tmp_path: Path):
    (tmp_path / "x.csv").mkdir()
    outputs = {"--summary": tmp_path / "old.html", "--annotate": tmp_path / "old.mp4"}
    for path in outputs.values():
        path.write_text("of an earlier run")
    code, _, complaints = here(film, "--out", tmp_path / "x.csv", *sum(outputs.items(), ()))
    assert (code, len(complaints)) == (2, 1)
    assert "x.csv: cannot be written" in complaints[0]
    assert {path.read_text() for path in outputs.values()} == {"of an earlier run"}


def test_ctrl_c_leaves_whole_files_of_what_was_done(film: Path, tmp_path: Path):
    """The film has a minute's frames, which nobody waits for."""
    with av.open(str(film)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)][:2]
    write_clip(tmp_path / "long.mp4", frames * 900, tone=True)
    lines = tmp_path / "a.jsonl"
    command = [
        sys.executable,
        "-m",
        "mien",
        "video",
        "long.mp4",
        "--annotate",
        "a.mp4",
        "--summary",
        "a.html",
    ]
    process = subprocess.Popen(
        [*command, "--out", "a.jsonl"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever starts the tests in the background may have Ctrl-C ignored, which is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 60
    while not (lines.exists() and lines.read_bytes().count(b"\n") >= 5):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    printed, complaints = process.communicate(timeout=60)
    assert (process.returncode, printed) == (130, "")
    assert complaints == "mien: stopped; what was written so far is whole\n"
    records = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert abs(sum(1 for _ in container.decode(video=0)) - len(records)) <= 1
    assert "Reading was stopped before the video&#x27;s end." in (tmp_path / "a.html").read_text(
        encoding="utf-8"
    )


# --- long films, without their pixels -----------------------------------------------------------------


def made_frame(number: int, *, rate: float = 30, track: int = 1, expression: str = "happy") -> VideoFrame:
    """A frame with one face."""
    shares = {name: 0.94 if name == expression else 0.01 for name in EXPRESSIONS}
    face = TrackedFace(
        box=(1.0, 2.0, 31.0, 42.0),
        landmarks=((1.0, 2.0),) * 5,
        detection_score=0.9,
        probabilities=shares,
        crowd=dict.fromkeys(CROWD, 0.1),
        fer2013=shares,
        track=track,
        smoothed=shares,
        smoothed_unclear=0.2,
    )
    return VideoFrame("film", 64, 48, faces=(face,), number=number, time=number / rate)


@pytest.mark.parametrize("count", [1, 7, STEPS, STEPS + 1, 5000])
def test_a_curve_stays_short_and_the_time_is_counted_whole(count: int):
    timeline = Timeline(30)
    for number in range(count):
        timeline.add(made_frame(number, expression="happy" if number < count // 2 else "sad"))
    timeline.end()
    (line,) = timeline.lines
    times, mean, low, high = line.curve()
    assert len(times) <= STEPS
    assert not np.isnan(mean).any()
    assert line.step * len(times) == pytest.approx(count / 30, rel=0.02)
    assert line.present == pytest.approx(count / 30)
    assert line.seconds[EXPRESSIONS.index("happy")] == pytest.approx(count // 2 / 30)
    assert (low <= mean + 1e-6).all()
    assert (mean <= high + 1e-6).all()
    if count >= 5000:
        assert mean[0, EXPRESSIONS.index("happy")] == pytest.approx(0.94)
        assert mean[-1, EXPRESSIONS.index("sad")] == pytest.approx(0.94)
        assert [change.expression for change in line.changes] == ["happy", "sad"]
        assert line.changes[1].time == pytest.approx(2500 / 30)


def test_a_short_track_keeps_every_frame_after_one_that_was_long():
    timeline = Timeline(30)
    timeline.add(made_frame(0))
    for number in range(90):
        timeline.add(replace(made_frame(number + 1, track=2), time=10 + number / 30))
    timeline.end()
    assert timeline.lines[1].step == pytest.approx(1 / 30)
    assert len(timeline.lines[1].curve()[0]) == 90


def test_a_face_that_is_missed_for_a_moment_stays_one_track_in_a_film_of_many_people():
    timeline = Timeline(30)
    for number in range(3000):
        timeline.add(made_frame(number, track=1 + number // 30))
    for number in range(3000, 3600):  # the first of them for 20 s, but for every fifteenth frame
        timeline.add(made_frame(number, track=101 if number % 15 else 102))
    timeline.end()
    assert timeline.dropped == 2
    line = next(line for line in timeline.lines if line.track == 101)
    assert line.first == pytest.approx(3001 / 30)
    assert line.present == pytest.approx(560 / 30)


def test_a_film_of_very_many_people_makes_a_page_that_can_be_read():
    timeline = Timeline(30)
    for number in range(3000):
        timeline.add(made_frame(number, track=1 + number // 20))
    timeline.end()
    assert len(timeline.lines) == 100
    assert timeline.dropped == 50
    page = write_summary(timeline, title="film", model="base", settings="not smoothed")
    assert page.count("<section id=") == 40
    assert "150 tracks" in page
    assert "Not drawn: 110 tracks" in page


def test_a_film_without_anybody_makes_a_page_that_says_so():
    page = write_summary(Timeline(30), title="film", model="base", settings="not smoothed")
    assert "Nobody was found" in page
    assert "@" not in page.split("<style>")[0] + page.split("</style>")[1]


def test_parquet_is_exact_and_written_in_groups(tmp_path: Path):
    with open_video_writer(tmp_path / "a.parquet") as writer:
        for number in range(4500):
            writer.write(made_frame(number))
    file = pq.ParquetFile(tmp_path / "a.parquet")
    assert (file.metadata.num_rows, file.metadata.num_row_groups) == (4500, 3)
    column = file.read(["probability_happy"]).column(0).to_numpy()
    assert (column == np.float32(0.94)).all()


def test_the_documented_columns_are_those_that_are_written():
    text = (ROOT / "docs" / "video.md").read_text(encoding="utf-8")
    section = text.split("## The table")[1].split("\n## ")[0]
    told = [
        name
        for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    ]
    assert told == list(VIDEO_COLUMNS)
