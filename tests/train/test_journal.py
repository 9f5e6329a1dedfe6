import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from mien.train.journal import Epoch, Journal, draw_curves, read_history
from mien.train.recipe import Recipe

EPOCHS = [
    Epoch(n, 48, 0.1 / n, 3.0 / n, 0.5 + n / 100, 0.4 + n / 100, math.nan if n == 2 else 0.6, 1.5)
    for n in (1, 2, 3)
]


def write(folder: Path, first: int, epochs: list[Epoch]) -> None:
    with Journal(folder, Recipe(name="mine", epochs=3), steps=5, first_epoch=first) as journal:
        for epoch in epochs:
            journal.epoch(epoch)


def test_a_history_reads_back_as_it_was_written(tmp_path: Path):
    write(tmp_path, 0, EPOCHS)
    for read, written in zip(read_history(tmp_path / "history.csv"), EPOCHS, strict=True):
        assert (read.epoch, read.size) == (written.epoch, written.size)
        assert read.loss == pytest.approx(written.loss, rel=1e-5)
    assert math.isnan(read_history(tmp_path / "history.csv")[1].validation_crowd)


def test_a_resumed_run_drops_what_its_checkpoint_does_not_hold(tmp_path: Path):
    write(tmp_path, 0, EPOCHS)
    write(tmp_path, 1, EPOCHS[1:2])
    assert [row.epoch for row in read_history(tmp_path / "history.csv")] == [1, 2]


def test_a_history_that_is_whole_is_not_written_again(tmp_path: Path):
    write(tmp_path, 0, EPOCHS)
    history = tmp_path / "history.csv"
    history.chmod(0o444)
    before = history.stat()
    write(tmp_path, 3, [])
    assert history.stat().st_ino == before.st_ino
    assert history.stat().st_mtime_ns == before.st_mtime_ns


def test_other_processes_write_nothing(tmp_path: Path):
    with Journal(tmp_path, Recipe(name="mine", epochs=3), steps=5, shown=False):
        pass
    assert list(tmp_path.iterdir()) == []


def test_curves_are_drawn_also_of_a_run_without_votes(tmp_path: Path):
    silent = [Epoch(n, 48, 0.1, 1.0, 0.5, 0.4, math.nan, 1.5) for n in (1, 2)]
    for name, epochs in (("votes", EPOCHS), ("none", silent)):
        draw_curves(epochs, tmp_path / f"{name}.png", "mine: 100 faces")
        assert Image.open(tmp_path / f"{name}.png").size == (990, 396)


def test_tensorboards_files_are_written_where_it_is_installed(tmp_path: Path):
    pytest.importorskip("tensorboard")
    with Journal(tmp_path, Recipe(name="mine", epochs=3), steps=5, tensorboard=True) as journal:
        journal.epoch(EPOCHS[0])
    assert any(file.name.startswith("events.") for file in (tmp_path / "tensorboard").iterdir())


def test_the_bar_says_how_an_epoch_goes_before_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "100", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    clock = iter(range(0, 1000, 2))  # two seconds pass whenever the time is asked
    monkeypatch.setattr("mien.train.journal.time.perf_counter", lambda: float(next(clock)))
    recipe = Recipe(name="mine", epochs=3, batch_size=64)
    with Journal(tmp_path, recipe, steps=5) as journal:
        for step in range(4):
            journal.step(torch.tensor(1.5 * (step + 1)))
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    last = [line for line in re.split("[\r\n]", shown) if "━" in line][-1]
    assert re.search(r"epoch 1/3 .* loss 1\.500 +32 images/s", last), last


def test_a_terminal_of_80_columns_shows_each_epoch_and_a_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "80", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    with Journal(tmp_path, Recipe(name="base-second", epochs=300), steps=5, first_epoch=99) as journal:
        journal.step(torch.tensor(3.0))
        journal.epoch(replace(EPOCHS[0], epoch=100, seconds=0.5))
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err).replace("\r", "\n").splitlines()
    said = "base-second: epoch 100/300 · 48 px · loss 3.000 · validation 41.0% labels, 60.0% crowd · 1280 images/s"
    assert said in [line.rstrip() for line in lines]
    bars = [line.rstrip() for line in lines if "━" in line]
    assert re.fullmatch(
        r"base-second [━╸╺]{6,} epoch 101/300 (\d|-):[-\d]{2}:[-\d]{2} loss 3.000 41.0% labels 1280 images/s",
        bars[-1],
    )
    assert max(map(len, bars)) <= 80
