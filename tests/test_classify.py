import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from mien.classify import Classifier
from mien.errors import ConfigError, ModelError
from mien.labels import CROWD, EXPRESSIONS
from mien.model_file import find_model, seal, shipped_models
from mien.prior import prior_shares
from support import OWN, write_own_model


def faces(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 48, 48), dtype=np.uint8)


@pytest.mark.parametrize("count", [0, 1, 5, 130])
def test_three_readings_of_each_face(count: int):
    readings = Classifier("base").classify(faces(count), batch_size=64)
    assert readings.probabilities.shape == (count, 7)
    assert readings.crowd.shape == (count, 10)
    assert readings.fer2013.shape == (count, 7)
    for reading in (readings.probabilities, readings.crowd, readings.fer2013):
        assert reading.dtype == np.float32
        assert np.all(reading >= 0)
        assert np.allclose(reading.sum(axis=1), 1, atol=1e-5)


def test_a_face_is_read_alike_alone_and_among_others():
    classifier = Classifier("base")
    together = classifier.classify(faces(7))
    alone = classifier.classify(faces(7)[3:4])
    assert np.allclose(together.crowd[3], alone.crowd[0], atol=1e-4)


def test_the_fewer_pixels_a_face_had_the_less_it_is_believed(examples: Path):
    classifier = Classifier("base")
    astronaut = Image.open(examples / "astronaut.jpg").convert("L").crop((165, 55, 285, 175)).resize((48, 48))
    face = np.asarray(astronaut)[None].repeat(5, axis=0)
    seen = classifier.classify(face)
    readings = classifier.classify(face, sides=np.array([1.0, 10, 12, 20, 48]))
    unknown = readings.crowd[:, CROWD.index("unknown")]
    assert np.all(np.diff(unknown) < 0)
    assert unknown[0] > 0.9
    assert np.allclose(readings.crowd[-1], seen.crowd[-1])
    assert np.allclose(readings.probabilities[-1], seen.probabilities[-1])
    for reading in (readings.probabilities, readings.crowd, readings.fer2013):
        assert reading.dtype == np.float32
        assert np.allclose(reading.sum(axis=1), 1, atol=1e-4)


@pytest.mark.parametrize("threads", [0, -3, 1025, 100_000])
def test_impossible_numbers_of_threads_are_refused(threads: int):
    with pytest.raises(ConfigError, match=f"threads {threads}: choose 1 to 1024, or None"):
        Classifier("nano", threads=threads)


def test_what_its_file_states_is_kept(own_model: Path):
    stated = Classifier(own_model).metadata
    assert stated["mien.name"] == "own"
    assert json.loads(stated["mien.expressions"]) == list(OWN)


def test_a_damaged_model_is_refused_by_name(tiny_model: Path, tmp_path: Path):
    content = bytearray((tiny_model / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "damaged.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"damaged\.onnx.*SHA-256"):
        Classifier(tmp_path / "damaged.onnx")


def _rename_output(model: onnx.ModelProto) -> None:
    model.graph.output[1].name = "votes"
    for node in model.graph.node:
        node.output[:] = ["votes" if name == "crowd" else name for name in node.output]
        node.input[:] = ["votes" if name == "crowd" else name for name in node.input]


def _swap_labels(model: onnx.ModelProto) -> None:
    for entry in model.metadata_props:
        if entry.key == "mien.expressions":
            entry.value = entry.value.replace("angry", "sad", 1)


def _drop_labels(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


def _rename_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "pixels"
    for node in model.graph.node:
        node.input[:] = ["pixels" if name == "faces" else name for name in node.input]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_rename_output, "outputs"),
        (_swap_labels, "expressions"),
        (_drop_labels, "expressions"),
        (_rename_input, "input"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(tiny_model: Path, tmp_path: Path, change, says: str):
    model = onnx.load(tiny_model / "model.onnx")
    del model.metadata_props[-1]  # the seal
    change(model)
    (tmp_path / "other.onnx").write_bytes(seal(model.SerializeToString()))
    with pytest.raises(ModelError, match=rf"other\.onnx.*{says}"):
        Classifier(tmp_path / "other.onnx")


def test_sealed_rubbish_is_refused(tmp_path: Path):
    (tmp_path / "rubbish.onnx").write_bytes(seal(b"rubbish"))
    with pytest.raises(ModelError, match=r"rubbish\.onnx: ONNX Runtime cannot load it"):
        Classifier(tmp_path / "rubbish.onnx")


@pytest.mark.parametrize("count", [0, 1, 130])
def test_a_model_of_other_classes_gives_one_reading(own_model: Path, count: int):
    classifier = Classifier(own_model)
    assert classifier.classes == OWN
    readings = classifier.classify(faces(count), sides=np.full(count, 48.0))
    assert readings.probabilities.shape == (count, 3)
    assert readings.probabilities.dtype == np.float32
    assert np.allclose(readings.probabilities.sum(axis=1), 1, atol=1e-5)
    assert readings.crowd.shape == readings.fer2013.shape == (count, 0)
    assert readings.classes == OWN
    assert set(readings.expressions) <= set(OWN)
    assert Classifier("base").classes == EXPRESSIONS


def test_small_faces_of_other_classes_are_believed_less(own_model: Path):
    classifier = Classifier(own_model)
    seen = classifier.classify(faces(1)).probabilities[0]
    unseen = np.array([1, 2, 3]) / 6
    readings = classifier.classify(faces(1).repeat(4, axis=0), sides=np.array([0.0, 12, 24, 100]))
    for reading, weight in zip(readings.probabilities, (0, 0.25, 0.5, 1), strict=True):
        assert np.allclose(reading, weight * seen + (1 - weight) * unseen, atol=1e-4)


def trust(probabilities: list[float], fer2013: list[float], sides: tuple[float, ...] = (0, 48)) -> str:
    return json.dumps({"sides": sides, "weights": [0, 1], "probabilities": probabilities, "fer2013": fer2013})


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"mien_expressions": None}, "mien.expressions are missing, must be a JSON list"),
        ({"mien_expressions": "rubbish"}, "are rubbish, must be a JSON list"),
        ({"mien_expressions": '["a"]'}, "two or more"),
        ({"mien_expressions": '["a", "b", "a"]'}, "no two alike"),
        ({"mien_expressions": '["a", "b", "c\\n"]'}, "must be a JSON list"),
        ({"mien_expressions": '["a", "b", 3]'}, "must be a JSON list"),
        ({"mien_expressions": '["a", "b", "c", "d"]'}, r"outputs are .*\[3\].*, must be .*\[4\]"),
        ({"mien_crowd": json.dumps(CROWD)}, "states mien.crowd, but has no output crowd"),
        ({"mien_name": None}, "does not state mien.name"),
        ({"mien_trust": None}, "does not state mien.trust"),
        ({"mien_trust": trust([0.5, 0.5], [])}, "mien.trust is damaged .must hold 3 and 0 shares"),
        ({"mien_trust": trust([0.5, 0.3, 0.2], [1 / 7] * 7)}, "must hold 3 and 0 shares"),
        ({"mien_trust": trust([0.5, 0.3, 0.2], [], (0, 9, 48))}, "as many weights as sides"),
        ({"mien_trust": "{}"}, "mien.trust is damaged"),
    ],
)
def test_a_model_of_other_classes_that_contradicts_itself_is_refused(
    tmp_path: Path, metadata: dict[str, str | None], says: str
):
    path = write_own_model(tmp_path / "own.onnx", **metadata)
    with pytest.raises(ModelError, match=rf"own\.onnx: .*{says}") as error:
        Classifier(path)
    assert "\n" not in str(error.value)


LEANINGS = [0.2, 0.02, 0.15, 0.2, 0.13, 0.12, 0.18]


@pytest.fixture(scope="module")
def leaning_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model base, which says that its answer leans towards `LEANINGS`."""
    return state_prior(tmp_path_factory.mktemp("leaning") / "base.onnx", LEANINGS)


def state_prior(path: Path, shares: list[float]) -> Path:
    model = onnx.load(find_model("base"))
    stated = {entry.key: entry.value for entry in model.metadata_props if entry.key != "mien.sha256"}
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, stated | {"mien.prior": json.dumps(shares)})
    path.write_bytes(seal(model.SerializeToString()))
    return path


@pytest.mark.parametrize("kind", ["seven", "own"])
def test_a_prior_moves_the_answer_and_nothing_else(kind: str, own_model: Path, leaning_base: Path):
    path, old = (own_model, [3 / 6, 2 / 6, 1 / 6]) if kind == "own" else (leaning_base, LEANINGS)
    plain = Classifier(path)
    prior = {name: (number + 1.0) ** 2 for number, name in enumerate(plain.classes)}
    before = plain.classify(faces(9))
    after = Classifier(path, prior=prior).classify(faces(9))
    wanted = before.probabilities * list(prior.values()) / old
    wanted /= wanted.sum(axis=1, keepdims=True)
    assert after.probabilities.dtype == np.float32
    assert np.allclose(after.probabilities, wanted, atol=1e-4)
    assert np.abs(after.probabilities - before.probabilities).max() > 0.1
    assert np.array_equal(after.crowd, before.crowd)
    assert np.array_equal(after.fer2013, before.fer2013)
    assert after.classes == plain.classes


@pytest.mark.parametrize("prior", ["even", {name: k + 1 for k, name in enumerate(EXPRESSIONS)}])
def test_of_a_face_that_nobody_saw_the_prior_is_said(leaning_base: Path, prior):
    classifier = Classifier(leaning_base, prior=prior)
    new = np.full(7, 1 / 7) if prior == "even" else np.arange(1, 8) / 28
    seen = classifier.classify(faces(1)).probabilities[0]
    readings = classifier.classify(faces(1).repeat(3, axis=0), sides=np.array([0.0, 10, 48])).probabilities
    assert np.allclose(readings[0], new, atol=1e-6)
    assert np.allclose(readings[2], seen, atol=1e-4)
    # In between it is a mixture of both.
    weight = (readings[1] - new) @ (seen - new) / ((seen - new) @ (seen - new))
    assert 0.1 < weight < 0.9
    assert np.allclose(readings[1], weight * seen + (1 - weight) * new, atol=1e-4)


def test_an_expression_of_no_share_is_never_the_answer(leaning_base: Path):
    prior = dict.fromkeys(EXPRESSIONS, 1.0) | {"happy": 0}
    assert not Classifier(leaning_base, prior=prior).classify(faces(20)).probabilities[:, 3].any()


@pytest.mark.parametrize(
    ("stated", "error", "says"),
    [
        (None, ConfigError, "does not state mien.prior.*make it anew"),
        ("[0.5, 0.5, 0]", ConfigError, f"was made with no face of {OWN[2]} to measure"),
        ("[0.5, 0.5]", ModelError, "mien.prior is damaged .must be 3 shares"),
        ("[0.5, 0.6, -0.1]", ModelError, "must be 3 shares"),
        ("[0.5, 0.5, NaN]", ModelError, "must be 3 shares"),
        ("{}", ModelError, "mien.prior is damaged"),
        ("rubbish", ModelError, "mien.prior is damaged"),
    ],
)
def test_a_model_that_does_not_state_its_leanings_takes_no_prior(
    tmp_path: Path, stated: str | None, error: type[Exception], says: str
):
    path = write_own_model(tmp_path / "own.onnx", mien_prior=stated)
    assert Classifier(path).classify(faces(1)).probabilities.shape == (1, 3)
    with pytest.raises(error, match=rf"own\.onnx.*{says}"):
        Classifier(path, prior="even")


@pytest.mark.fer2013
def test_where_the_shares_are_others_the_prior_makes_the_answer_better(fer2013: Path):
    from mien.datasets import crowd_majority, read_dataset

    # Not the validation part: what the answer leans towards was measured there, and it has 7 faces of disgust.
    test = read_dataset(fer2013, "PublicTest")
    assert test.votes is not None
    majority = crowd_majority(test.votes)
    known = (majority >= 0) & (majority < 7)
    images, truth = test.images[known], majority[known]
    as_made = Classifier("base").classify(images).probabilities
    # The answer leans towards even shares already (mien.train.calibrate.Answer), so least is gained there.
    for prior, gain in (
        ({"angry": 10, "disgust": 2, "fear": 15, "happy": 5, "sad": 40, "surprise": 3, "neutral": 25}, 0.03),
        ({"angry": 3, "disgust": 1, "fear": 1, "happy": 60, "sad": 3, "surprise": 12, "neutral": 20}, 0.03),
        ("even", 0.01),
    ):
        moved = Classifier("base", prior=prior).classify(images).probabilities
        weights = (prior_shares(prior, EXPRESSIONS) / np.bincount(truth))[truth]
        rows = np.random.default_rng(0).choice(len(truth), 20_000, p=weights / weights.sum())
        before, after = (-np.log(said[rows, truth[rows]].clip(1e-9)).mean() for said in (as_made, moved))
        assert after < before - gain
        right, more = ((said.argmax(axis=1) == truth)[rows].mean() for said in (as_made, moved))
        assert more > right


def test_every_model_that_ships_takes_a_prior():
    for model in shipped_models():
        Classifier(model, prior="even")
