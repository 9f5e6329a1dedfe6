from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.datasets import read_dataset
from mien.errors import ConfigError
from mien.train.preview import save_preview
from mien.train.recipe import Recipe


def test_the_first_column_is_the_face_as_it_is_and_the_others_are_not(made_folders: Path, tmp_path: Path):
    data = read_dataset(made_folders)
    save_preview(data, Recipe(name="mine", refine_epochs=3, erase=1.0), tmp_path / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("L"))
    assert sheet.shape == (18 + 8 * 100, 84 + 11 * 100 + 12)
    cells = [sheet[18 : 18 + 96 : 2, left : left + 96 : 2].astype(int) for left in (84, 196)]
    distances = [np.abs(data.images.astype(int) - cell).mean(axis=(1, 2)).min() for cell in cells]
    assert distances[0] < 1
    assert distances[1] > 10


def test_faces_are_shown_as_large_as_the_network_looks_at_them(made_folders: Path, tmp_path: Path):
    data = read_dataset(made_folders)
    save_preview(data, Recipe(name="mine", side=64), tmp_path / "sheet.png")
    assert Image.open(tmp_path / "sheet.png").height == 18 + 8 * (64 * 2 + 4)
    own = tmp_path / "own"
    own.mkdir()
    (own / "model.onnx").touch()
    Recipe(name="own", side=56).save(own / "recipe.toml")
    save_preview(data, Recipe(name="mine", init=str(own)), tmp_path / "sheet.png")
    assert Image.open(tmp_path / "sheet.png").height == 18 + 8 * (56 * 2 + 4)


def test_few_faces_make_a_shorter_sheet(made_folders: Path, tmp_path: Path):
    data = read_dataset(made_folders)
    save_preview(data.take(np.array([0, 30])), Recipe(name="mine"), tmp_path / "sheet.png")
    assert Image.open(tmp_path / "sheet.png").height == 18 + 2 * 100


@pytest.mark.parametrize("name", ["sheet", "sheet.txt", "sheet.psd"])
def test_a_sheet_that_cannot_be_a_picture_is_told(name: str, made_folders: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match=f"{name}: ends in no format of pictures"):
        save_preview(read_dataset(made_folders), Recipe(name="mine"), tmp_path / name)
    assert not (tmp_path / name).exists()
