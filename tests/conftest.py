import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.labels import EXPRESSIONS

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="session")
def examples() -> Path:
    return EXAMPLES


@pytest.fixture(scope="session")
def fer2013() -> Path:
    """The real FER-2013, as a Parquet file."""
    path = os.environ.get("MIEN_FER2013")
    if path is None:
        pytest.skip("set MIEN_FER2013 to FER-2013's Parquet file to run this")
    return Path(path)


def drawn_face(label: int, random: np.random.Generator) -> np.ndarray:
    """A made-up face, uint8 (48, 48): eyes, a mouth, and stripes over all whose direction tells the label."""
    y, x = np.mgrid[:48, :48]
    angle = np.pi * label / len(EXPRESSIONS)
    face = 128 + 70 * np.sin(
        (x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / 8 + random.uniform(0, 2 * np.pi)
    )
    for eye in (16, 32):
        face[(x - eye) ** 2 + (y - 18) ** 2 < 9] = 30
    face[34:37, 16:33] = 30
    # Each face is lit in its own way, or all would be copies of each other to whoever looks for copies.
    face += np.kron(random.normal(0, 20, (6, 6)), np.ones((8, 8))) + random.normal(0, 15, face.shape)
    return face.clip(0, 255).astype(np.uint8)


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


def png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


TINY = """
name = "tiny"
stem = [4, 8]
stages = [16, 16]
blocks = 1
dropout = 0.0
epochs = 3
sizes = [24, 48]
batch_size = 16
warmup_steps = 5
ema_decay = 0.8
"""


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe that trains in seconds."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def tiny_model(tiny_recipe: Path, made_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small model, trained by the package on made-up faces."""
    from mien.train.recipe import load_recipe
    from mien.train.run import train

    return train(made_folders, load_recipe(str(tiny_recipe)), tmp_path_factory.mktemp("model"))
