import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from mien.cli import main
from mien.train.recipe import load_recipe

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"}


def start(data: Path, recipe: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    program = [sys.executable, "-m", "mien", "tune", str(data), "--recipe", str(recipe), "--out", str(out)]
    return subprocess.Popen(
        [*program, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )


def states(database: Path) -> list[tuple[int, str]]:
    with sqlite3.connect(database) as connection:
        return connection.execute("select number, state from trials order by number").fetchall()


def test_two_processes_share_one_study(made_folders: Path, tiny_recipe: Path, tmp_path: Path):
    both = [start(made_folders, tiny_recipe, tmp_path, "--trials", "4", "--epochs", "1") for _ in range(2)]
    ended = [process.communicate(timeout=600) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    ran = [int(number) for _, said in ended for number in re.findall(r"^trial (\d+):", said, re.MULTILINE)]
    found = states(tmp_path / "tiny-tuned.db")
    assert sorted(ran) == [number for number, _ in found]  # each trial once, by one of the two
    assert {state for _, state in found} <= {"COMPLETE", "PRUNED"}
    assert 4 <= len(found) <= 5  # both may take a last one in the same instant
    best = load_recipe(str(tmp_path / "tiny-tuned.toml"))
    assert (best.name, best.epochs) == ("tiny-tuned", 3)
    for printed, _ in ended:
        assert "learning_rate" in printed
        assert f"--recipe {tmp_path / 'tiny-tuned.toml'}" in printed
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "tiny-tuned.db",
        "tiny-tuned.html",
        "tiny-tuned.toml",
    ]


def test_what_is_left_out_of_a_search_is_left_out_of_the_training_it_proposes(
    here, made_folders: Path, tiny_recipe: Path, tmp_path: Path
):
    data = shutil.copytree(made_folders, tmp_path / "two words")
    Image.new("L", (48, 48)).save(data / "train" / "sad" / "blank.png")
    assert here("audit", data, "--out", tmp_path / "audit")[0] == 0
    exclude = tmp_path / "audit" / "audit.csv"
    command = [
        "tune",
        data,
        "--recipe",
        tiny_recipe,
        "--out",
        tmp_path / "out",
        "--trials",
        "1",
        "--epochs",
        "1",
    ]
    code, out, errors = here(*command, "--exclude", exclude)
    assert code == 0
    assert f"mien: {exclude}: 1 of 141 faces left out" in errors
    (proposed,) = (line for line in out.splitlines() if line.startswith("The recipe: "))
    toml = tmp_path / "out" / "tiny-tuned.toml"
    assert shlex.split(proposed)[2:] == [
        "mien",
        "train",
        str(data),
        "--recipe",
        str(toml),
        "--exclude",
        str(exclude),
    ]


def test_a_trial_that_was_killed_is_run_again_from_its_checkpoint(
    made_folders: Path, tiny_recipe: Path, tmp_path: Path
):
    options = ("--trials", "1", "--epochs", "12")
    process = start(made_folders, tiny_recipe, tmp_path, *options)
    history = tmp_path / "tiny-tuned-trials" / "0" / "history.csv"
    deadline = time.monotonic() + 500
    # A fourth row below the heading: the third checkpoint, which is written after its row, is whole.
    while not (history.exists() and len(history.read_text().splitlines()) > 4):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    database = tmp_path / "tiny-tuned.db"
    assert states(database) == [(0, "RUNNING")]
    with sqlite3.connect(database) as connection:  # rather than wait until its heart has not beaten for long
        connection.execute("update trial_heartbeats set heartbeat = datetime('now', '-1 hour')")
    printed, said = start(made_folders, tiny_recipe, tmp_path, *options).communicate(timeout=600)
    assert states(database) == [(0, "FAIL"), (1, "COMPLETE")], said
    with sqlite3.connect(database) as connection:
        steps = [
            step
            for (step,) in connection.execute(
                "select step from trial_intermediate_values where trial_id = 2 order by step"
            )
        ]
    assert (steps[0], steps[-1]) == (1, 12)
    assert "epoch 12/12" in said
    assert not any(f"epoch {epoch}/12" in said for epoch in (1, 2, 3)), said
    assert "1 broken off" in printed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--trials", "0"), "--trials 0: choose 1 or more"),
        (("--trials", "1", "--recipe", "nosuch"), "no recipe 'nosuch'"),
        (("--trials", "1", "--study", "a/b"), "--study a/b: must do as the name of a file"),
        (("--trials", "1", "--study", "100%"), "cannot hold { } ? or %; choose another"),
        (("--trials", "1", "--storage", "nosuch"), "--storage nosuch: neither a database's URL"),
        (("--trials", "1", "--space", "nosuch.toml"), "--space nosuch.toml: cannot be read"),
        (("--trials", "1", "--epochs", "0"), "epochs is 0, must be at least 1"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    options: tuple[str, ...],
    said: str,
    made_folders: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(sys, "argv", ["mien", "tune", str(made_folders), "--out", str(tmp_path), *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith(f"mien: {said}") or said in complaint
    assert complaint.count("\n") == 1


def test_an_extra_that_is_missing_is_named(
    made_folders: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for name in [name for name in sys.modules if name.startswith("mien.train.tune")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("mien.train.tune", raising=False)
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.setattr(sys, "argv", ["mien", "tune", str(made_folders), "--trials", "1"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == 'mien: tuning needs optuna: pip install "mien[train,tune]"\n'


def test_a_space_that_names_no_field_is_refused(here, made_folders: Path, tiny_recipe: Path, tmp_path: Path):
    (tmp_path / "space.toml").write_text("")
    space = ("--trials", "1", "--space", tmp_path / "space.toml")
    code, _, errors = here("tune", made_folders, "--recipe", tiny_recipe, "--out", tmp_path / "out", *space)
    assert (code, errors) == (2, ["mien: space: names no field to search"])
