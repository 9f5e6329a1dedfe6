import csv
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from mien.cli import main
from mien.datasets import FERPLUS_COLUMNS
from mien.labels import EXPRESSIONS
from support import EXAMPLES, TINY, drawn_face, write_own_model

# What is tested is what the CPU does, one process or several, whatever machine it is.
os.environ["CUDA_VISIBLE_DEVICES"] = ""

# Each of several processes that share the tests computes with one thread.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Examples may take long on a machine that does something else.
settings.register_profile("mien", deadline=None)
settings.load_profile("mien")


@pytest.fixture(scope="session")
def examples() -> Path:
    return EXAMPLES


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable:
    """Runs the command in this process, where starting it costs nothing: exit code, output, complaints."""

    def call(*arguments: str | Path) -> tuple[int, str, list[str]]:
        monkeypatch.setattr(sys, "argv", ["mien", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        printed = capsys.readouterr()
        return caught.value.code, printed.out, printed.err.splitlines()

    return call


@pytest.fixture(scope="session")
def fer2013() -> Path:
    """The real FER-2013, as a Parquet file."""
    path = os.environ.get("MIEN_FER2013")
    if path is None:
        pytest.skip("set MIEN_FER2013 to FER-2013's Parquet file to run this")
    return Path(path)


@pytest.fixture(scope="session")
def made_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set in Kaggle's layout, of made-up faces: 20 of each expression to train on, 4 to test."""
    root = tmp_path_factory.mktemp("made")
    random = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 4)):
        for label, name in enumerate(EXPRESSIONS):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(drawn_face(label, random)).save(folder / f"{number}.png")
    return root


@pytest.fixture(scope="session")
def voted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The challenge's CSV files with made-up faces: 35 of Training and 42 of PublicTest, with ten votes each.

    Of each seven faces of a label, six have eight votes for it and one each for surprise and contempt; the
    seventh is split.
    """
    # How FER+ calls mien's seven, in the order of the labels.
    words = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    folder = tmp_path_factory.mktemp("voted")
    random = np.random.default_rng(1)
    faces, votes = [], []
    for row in range(77):
        label, usage = row % 7, "Training" if row < 35 else "PublicTest"
        faces.append([label, " ".join(map(str, drawn_face(label, random).ravel())), usage])
        counts = dict.fromkeys(FERPLUS_COLUMNS, 0)
        if row // 7 % 7 == 6:
            counts |= {"neutral": 3, "happiness": 3, "contempt": 2, "unknown": 2}
        else:
            for word, count in ((words[label], 8), ("surprise", 1), ("contempt", 1)):
                counts[word] += count
        votes.append([usage, f"{row}.png", *counts.values()])
    for name, header, rows in (
        ("fer2013.csv", ["emotion", "pixels", "Usage"], faces),
        ("fer2013new.csv", ["Usage", "Image name", *FERPLUS_COLUMNS], votes),
    ):
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([header, *rows])
    return folder


@pytest.fixture(scope="session")
def made_own_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up faces with class names of their own: 24 of each of three to train on, 8 to test."""
    root = tmp_path_factory.mktemp("own")
    random = np.random.default_rng(1)
    for split, count in (("train", 24), ("test", 8)):
        for label, name in enumerate(("calm", "cross", "merry")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(drawn_face(2 * label, random)).save(folder / f"{number}.png")
    return root


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe that trains in seconds."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def tiny_model(tiny_recipe: Path, made_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small model, trained by the package on made-up faces."""
    from mien.datasets import read_dataset
    from mien.train.recipe import load_recipe
    from mien.train.run import train

    return train(read_dataset(made_folders), load_recipe(str(tiny_recipe)), tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def own_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a model whose classes are `OWN`."""
    return write_own_model(tmp_path_factory.mktemp("own") / "model.onnx")
