import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image, ImageFilter

from mien.align import align_faces
from mien.classify import Classifier
from mien.datasets import read_dataset
from mien.errors import ConfigError, ImageError
from mien.explain import FALLS, RISES, Explanation, draw_explanations, explain, explain_crop, overlay
from mien.image import read_image
from mien.labels import EXPRESSIONS
from mien.model_file import find_model, seal
from mien.recognize import Recognizer, predict

PATCH = (slice(28, 40), slice(12, 36))
"""Rows and columns that the made-up model looks at: about where a mouth is."""


@pytest.fixture(scope="module")
def planted_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that says "bright" as far as the pixels of one patch are bright, and sees nothing else."""
    rows, columns = PATCH
    bounds = {
        "starts": [rows.start, columns.start],
        "ends": [rows.stop, columns.stop],
        "axes": [1, 2],
    }
    constants = [helper.make_tensor(name, TensorProto.INT64, [2], value) for name, value in bounds.items()]
    constants += [
        helper.make_tensor("scale", TensorProto.FLOAT, [1, 2], [2 / 255, -2 / 255]),
        helper.make_tensor("offset", TensorProto.FLOAT, [1, 2], [-1.0, 1.0]),
    ]
    nodes = [
        helper.make_node("Cast", ["faces"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["floats", *bounds], ["patch"]),
        helper.make_node("ReduceMean", ["patch"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "last"], ["column"]),
        helper.make_node("Mul", ["column", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "offset"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants.append(helper.make_tensor("last", TensorProto.INT64, [1], [1]))
    graph = helper.make_graph(
        nodes,
        "planted",
        [helper.make_tensor_value_info("faces", TensorProto.UINT8, ["n", 48, 48])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    trust = {"sides": [0, 48], "weights": [0, 1], "probabilities": [0.5, 0.5], "fer2013": []}
    helper.set_model_props(
        model,
        {
            "mien.name": "planted",
            "mien.expressions": json.dumps(["bright", "dark"]),
            "mien.trust": json.dumps(trust),
        },
    )
    path = tmp_path_factory.mktemp("planted") / "planted.onnx"
    path.write_bytes(seal(model.SerializeToString()))
    return path


@pytest.fixture(scope="module")
def planted(planted_file: Path) -> Classifier:
    return Classifier(planted_file)


@pytest.fixture(scope="module")
def bright_mouth() -> np.ndarray:
    """Noise with a white patch; the blur of it is darker there."""
    face = np.random.default_rng(0).integers(0, 256, (48, 48)).astype(np.uint8)
    face[PATCH] = 255
    return face


def test_the_map_shows_the_part_that_the_model_looks_at(planted: Classifier, bright_mouth: np.ndarray):
    maps = explain_crop(planted, bright_mouth)
    assert list(maps) == ["bright", "dark"]
    bright = maps["bright"]
    assert (bright.shape, bright.dtype) == ((48, 48), np.float32)
    inside = np.zeros((48, 48), bool)
    inside[PATCH] = True
    # A place is 48 / 7 pixels wide: so far can what is seen there reach.
    around = np.zeros((48, 48), bool)
    around[PATCH[0].start - 7 : PATCH[0].stop + 7, PATCH[1].start - 7 : PATCH[1].stop + 7] = True
    assert inside.ravel()[bright.argmax()]
    assert bright[inside].mean() > 0.01
    assert np.abs(bright[~around]).max() < 0.1 * bright.max()
    # What speaks for one of two words speaks against the other.
    assert np.allclose(maps["dark"], -bright, atol=1e-6)


def test_what_the_map_says_is_what_hiding_does(planted: Classifier, bright_mouth: np.ndarray):
    """The places' effects add up, about, to the whole face seen less the whole face hidden."""
    hidden = np.asarray(Image.fromarray(bright_mouth).filter(ImageFilter.GaussianBlur(6)))
    seen, unseen = planted.classify(np.stack([bright_mouth, hidden])).probabilities[:, 0]
    values = explain_crop(planted, bright_mouth, ["bright"])["bright"]
    centres = np.rint((np.arange(7) + 0.5) * 48 / 7 - 0.5).astype(int)
    assert values[np.ix_(centres, centres)].sum() == pytest.approx(seen - unseen, rel=0.15)


def test_small_faces_are_believed_less(planted: Classifier, bright_mouth: np.ndarray):
    whole = explain_crop(planted, bright_mouth, ["bright"])["bright"]
    small = explain_crop(planted, bright_mouth, ["bright"], side=12.0)["bright"]
    assert np.allclose(small, whole / 4, atol=1e-6)


def test_the_same_face_gives_the_same_map(planted: Classifier, bright_mouth: np.ndarray):
    one, two = (explain_crop(planted, bright_mouth)["bright"] for _ in range(2))
    assert np.array_equal(one, two)


def test_a_blank_face_gives_an_empty_map(planted: Classifier):
    maps = explain_crop(planted, np.full((48, 48), 90, np.uint8))
    assert all(np.allclose(values, 0, atol=1e-6) for values in maps.values())


@pytest.mark.parametrize(
    ("crop", "expressions", "says"),
    [
        (np.zeros((48, 48), np.uint8), ["happy"], "'happy': choose among bright, dark"),
        (np.zeros((48, 47), np.uint8), None, r"uint8 \(48, 47\), must be uint8 \(48, 48\)"),
        (np.zeros((48, 48), np.float32), None, "float32"),
        (np.zeros((1, 48, 48), np.uint8), None, "must be"),
    ],
)
def test_what_cannot_be_explained_is_refused(planted: Classifier, crop: np.ndarray, expressions, says: str):
    with pytest.raises(ConfigError, match=says):
        explain_crop(planted, crop, expressions)


# What follows asks the model that ships about real faces.


@pytest.fixture(scope="module")
def base() -> Classifier:
    return Classifier("base", threads=1)


@pytest.fixture(scope="module")
def faces(examples: Path) -> np.ndarray:
    """Four faces of the examples, uint8 (4, 48, 48)."""
    image = read_image(examples / "together.jpg")
    found = Recognizer(threads=1).detector.detect(image)
    return align_faces(image, found.boxes, found.landmarks)


def likeliest(classifier: Classifier, faces: np.ndarray) -> list[str]:
    return [classifier.classes[index] for index in classifier.classify(faces).probabilities.argmax(axis=1)]


def areas(classifier: Classifier, face: np.ndarray, word: str, values: np.ndarray) -> tuple[float, float]:
    """The mean share of a word while pixels are blurred, and while they are shown, the largest values first."""
    hidden = np.asarray(Image.fromarray(face).filter(ImageFilter.GaussianBlur(6)))
    rank = np.empty(values.size, int)
    rank[np.argsort(-values.ravel(), kind="stable")] = np.arange(values.size)
    first = rank.reshape(48, 48) < np.linspace(0, values.size, 9)[:, None, None]
    steps = np.where(np.concatenate([first, ~first]), hidden, face)
    shares = classifier.classify(steps).probabilities[:, classifier.classes.index(word)]
    return float(shares[:9].mean()), float(shares[9:].mean())


def random_map(random: np.random.Generator) -> np.ndarray:
    """As smooth as the maps are."""
    grid = Image.fromarray(random.normal(size=(7, 7)).astype(np.float32))
    return np.asarray(grid.resize((48, 48), Image.Resampling.BILINEAR))


def check_curves(classifier: Classifier, faces: np.ndarray) -> None:
    random = np.random.default_rng(0)
    mine, chance = [], []
    for face, word in zip(faces, likeliest(classifier, faces), strict=True):
        mine.append(areas(classifier, face, word, explain_crop(classifier, face, [word])[word]))
        chance.append(areas(classifier, face, word, random_map(random)))
    (deletion, insertion), (chance_deletion, chance_insertion) = (
        np.mean(mine, axis=0),
        np.mean(chance, axis=0),
    )
    assert deletion < chance_deletion - 0.1
    assert insertion > chance_insertion + 0.1


def test_hiding_what_the_map_shows_takes_the_answer_away_sooner_than_chance(
    base: Classifier, faces: np.ndarray
):
    check_curves(base, faces)


@pytest.mark.fer2013
def test_the_same_on_more_faces(base: Classifier, fer2013: Path):
    images = read_dataset(fer2013, "PublicTest").images
    check_curves(base, images[:: len(images) // 16])


def test_a_model_with_shuffled_weights_gives_other_maps(base: Classifier, faces: np.ndarray, tmp_path: Path):
    random = np.random.default_rng(0)
    network = onnx.load_from_string(find_model("base").read_bytes())
    changed = size = 0
    seal_of_theirs = next(entry for entry in network.metadata_props if entry.key == "mien.sha256")
    network.metadata_props.remove(seal_of_theirs)
    for tensor in network.graph.initializer:
        weights = onnx.numpy_helper.to_array(tensor)
        size += weights.size
        if weights.size > 1 and weights.dtype != np.int64:  # shapes are in 64 bits
            mixed = random.permutation(weights.ravel()).reshape(weights.shape)
            changed += int((mixed != weights).sum())
            tensor.CopyFrom(onnx.numpy_helper.from_array(mixed, tensor.name))
    assert changed > 0.9 * size
    (tmp_path / "shuffled.onnx").write_bytes(seal(network.SerializeToString()))
    shuffled = Classifier(tmp_path / "shuffled.onnx", threads=1)
    correlations = []
    for face, word in zip(faces, likeliest(base, faces), strict=True):
        ranks = [
            np.argsort(np.argsort(explain_crop(model, face, [word])[word].ravel()))
            for model in (base, shuffled)
        ]
        correlations.append(np.corrcoef(ranks[0], ranks[1])[0, 1])
    assert np.mean(np.abs(correlations)) < 0.4


def test_pictures(examples: Path):
    recognizer = Recognizer(threads=1)
    found = explain(examples / "together.jpg", recognizer=recognizer, max_faces=2)
    read = recognizer.predict(examples / "together.jpg")
    assert len(found) == 2
    for explanation, face in zip(found, read[:2], strict=True):
        assert explanation.probabilities == pytest.approx(face.probabilities, abs=1e-4)
        assert (
            list(explanation.maps)
            == sorted(EXPRESSIONS, key=lambda word: -explanation.probabilities[word])[:3]
        )
        assert explanation.crop.shape == (240, 240)
        assert explanation.strongest == max(np.abs(values).max() for values in explanation.maps.values())
    assert explain(examples / "coffee.jpg", recognizer=recognizer) == []


def test_the_models_are_loaded_once_for_all_functions(examples: Path, monkeypatch: pytest.MonkeyPatch):
    loaded: list[Recognizer] = []
    made = Recognizer.__init__

    def counted(recognizer: Recognizer, *arguments, **options) -> None:
        loaded.append(recognizer)
        made(recognizer, *arguments, **options)

    predict(examples / "coffee.jpg")
    monkeypatch.setattr(Recognizer, "__init__", counted)
    assert explain(examples / "coffee.jpg") == []
    assert loaded == []


def test_what_is_too_large_for_the_recognizer_is_not_decoded(examples: Path):
    with pytest.raises(ImageError, match="more than the limit of 100 pixels"):
        explain(examples / "together.jpg", recognizer=Recognizer(max_pixels=100, threads=1))


def test_pictures_that_are_faces_already(planted_file: Path, tmp_path: Path):
    recognizer = Recognizer(planted_file, detector="none", threads=1)
    (found,) = explain(np.zeros((60, 50, 3), np.uint8), recognizer=recognizer, expressions=["dark"])
    assert list(found.maps) == ["dark"]
    for wrong in ({"expressions": ["happy"]}, {"max_faces": 0}):
        with pytest.raises(ConfigError):
            explain(np.zeros((60, 50, 3), np.uint8), recognizer=recognizer, **wrong)
    with pytest.raises(ImageError):
        explain(tmp_path / "missing.jpg", recognizer=recognizer)


def test_colours():
    face = np.full((96, 96), 100, np.uint8)
    values = np.zeros((48, 48), np.float32)
    values[:10, :10], values[-10:, -10:] = 0.4, -0.8
    drawn = overlay(face, values, 0.4).astype(int)
    assert drawn.shape == (96, 96, 3)
    assert (drawn[48, 48] == 100).all()
    for pixel, colour in ((drawn[4, 4], FALLS), (drawn[-4, -4], RISES)):
        assert np.abs(pixel - (0.75 * np.array(colour) + 25)).max() <= 1
    half = overlay(face, values / 2, 0.4).astype(int)
    assert np.abs(half[4, 4] - 100).sum() < np.abs(drawn[4, 4] - 100).sum()


@pytest.mark.parametrize("count", [1, 2, 7])
def test_sheets(count: int):
    random = np.random.default_rng(0)
    words = EXPRESSIONS[:count]
    explanations = [
        Explanation(
            np.full((240, 240), 128, np.uint8),
            dict.fromkeys(EXPRESSIONS, 1 / 7),
            {word: random.normal(0, strength, (48, 48)).astype(np.float32) for word in words},
            (0.0, 0.0, 240.0, 240.0),
        )
        for strength in (0.3, 1e-4)
    ]
    sheet = draw_explanations(explanations)
    assert sheet.mode == "RGB"
    colours = np.asarray(sheet, int)
    first, second = colours[20:260], colours[322:562]
    coloured = [np.ptp(part, axis=2) > 20 for part in (first, second)]
    # The face itself is grey, the maps beside it are not; but where nothing changes they are, too.
    assert not coloured[0][:, :260].any()
    assert coloured[0][:, 280:520].any()
    assert not coloured[1].any()
    assert explanations[0].draw().width == sheet.width
    assert explanations[0].draw().height < sheet.height
