import contextlib
import io
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mien
from mien import Faces, Recognizer
from mien.detect import CenterFace, Detections
from mien.draw import draw_faces
from mien.errors import ConfigError, ImageError, ModelError
from mien.labels import CROWD, EXPRESSIONS
from support import OWN


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer()


@pytest.fixture(scope="module")
def astronaut(examples: Path) -> Path:
    return examples / "astronaut.jpg"


@pytest.fixture(scope="module")
def crops_only() -> Recognizer:
    """Takes each picture as a face, and so is quick."""
    return Recognizer(detector="none")


def assert_alike(some: Faces, others: Faces, *, tolerance: float = 1e-3) -> None:
    """The same faces, but for where the picture came from and the rounding of batches."""
    assert (some.width, some.height, some.error) == (others.width, others.height, others.error)
    assert len(some) == len(others)
    for one, other in zip(some, others, strict=True):
        assert one.box == pytest.approx(other.box, abs=0.05)
        for reading in ("probabilities", "crowd", "fer2013"):
            assert getattr(one, reading) == pytest.approx(getattr(other, reading), abs=tolerance)


def small(shade: int) -> np.ndarray:
    """A small picture that differs from those of other shades; its width tells which it is."""
    picture = np.full((24, 20 + shade, 3), 40 + shade, np.uint8)
    picture[6:10, 5:15] = 200 - shade
    return picture


def test_a_happy_face_is_read_as_one(recognizer: Recognizer, astronaut: Path):
    (face,) = recognizer.predict(astronaut)
    assert face.expression == "happy"
    assert set(face.probabilities) == set(face.fer2013) == set(EXPRESSIONS)
    assert set(face.crowd) == set(CROWD)
    for reading in (face.probabilities, face.crowd, face.fer2013):
        assert sum(reading.values()) == pytest.approx(1, abs=1e-5)
    x1, y1, x2, y2 = face.box
    assert 0 <= x1 < x2 <= 512
    assert 0 <= y1 < y2 <= 512
    assert len(face.landmarks) == 5
    assert all(x1 < x < x2 and y1 < y < y2 for x, y in face.landmarks)
    assert 0.5 <= face.detection_score <= 1


@pytest.mark.parametrize(
    ("make", "source"),
    [
        (str, None),
        (lambda path: path, None),
        (lambda path: path.read_bytes(), "<bytes>"),
        (lambda path: io.BytesIO(path.read_bytes()), "<file>"),
        (lambda path: np.asarray(Image.open(path).convert("RGB")), "<array>"),
        (Image.open, None),
    ],
    ids=["str", "path", "bytes", "file", "array", "pillow"],
)
def test_every_way_in_gives_the_same_faces(
    recognizer: Recognizer, astronaut: Path, make: Callable, source: str
):
    faces = recognizer.predict(make(astronaut))
    assert_alike(faces, recognizer.predict(astronaut), tolerance=1e-6)
    assert faces.source == (source or str(astronaut))


def test_the_function_reads_as_the_class_does(recognizer: Recognizer, astronaut: Path):
    assert_alike(mien.predict(astronaut), recognizer.predict(astronaut), tolerance=1e-6)


def test_nobody_is_no_error(recognizer: Recognizer, examples: Path):
    faces = recognizer.predict(examples / "coffee.jpg")
    assert len(faces) == 0
    assert faces.error is None
    assert faces.width > 0


@pytest.mark.parametrize("image", ["missing.jpg", b"", b"no picture", np.zeros((0, 4, 3), np.uint8)])
def test_what_cannot_be_read_is_an_image_error(crops_only: Recognizer, image: object):
    with pytest.raises(ImageError):
        crops_only.predict(image)


def test_many_are_read_as_one_by_one(recognizer: Recognizer, examples: Path):
    names = ["together.jpg", "missing.jpg", "coffee.jpg", "astronaut.jpg", "tilted.jpg"]
    images = [examples / name for name in names]
    many = list(recognizer.predict_many(images, batch_size=3))
    assert [Path(faces.source).name for faces in many] == names
    assert len(many[0]) > 1
    assert "missing.jpg: no such file" in many[1].error
    assert (many[1].width, len(many[1])) == (None, 0)
    for image, faces in zip(images, many, strict=True):
        if faces.error is None:
            assert_alike(faces, recognizer.predict(image))


@pytest.mark.parametrize("batch_size", [1, 2, 7, 100])
@pytest.mark.parametrize("count", [0, 1, 7, 20])
def test_order_is_kept_whatever_the_batch(crops_only: Recognizer, count: int, batch_size: int):
    results = list(crops_only.predict_many(map(small, range(count)), batch_size=batch_size))
    assert [faces.width for faces in results] == [20 + shade for shade in range(count)]
    assert all(len(faces) == 1 and faces.error is None for faces in results)


def test_errors_do_not_shift_the_readings_of_others(crops_only: Recognizer):
    images = [b"no picture", small(1), small(60), b"", small(2)]
    results = list(crops_only.predict_many(images))
    assert [faces.error is None for faces in results] == [False, True, True, False, True]
    for image, faces in zip(images, results, strict=True):
        if faces.error is None:
            assert_alike(faces, crops_only.predict(image))


def test_pictures_are_drawn_as_they_are_needed(crops_only: Recognizer):
    drawn = itertools.count()
    before = threading.active_count()
    results = crops_only.predict_many((small(next(drawn) % 50) for _ in itertools.count()), batch_size=4)
    assert next(drawn) == 0  # asking for results draws nothing; taking them does
    for _ in range(10):
        next(results)
    assert 10 <= next(drawn) <= 10 + 4 + 4  # a batch and the few that are decoded ahead
    results.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_bad_batch_size_is_told_at_once(crops_only: Recognizer, batch_size: int):
    with pytest.raises(ConfigError, match="batch_size"):
        crops_only.predict_many([], batch_size=batch_size)
    with pytest.raises(ConfigError, match="batch_size"):
        crops_only.classify(np.zeros((1, 48, 48), np.uint8), batch_size=batch_size)


def test_what_the_caller_closes_or_reuses_was_read_before(crops_only: Recognizer, tmp_path: Path):
    """Generators often close a file, or fill the same array anew, as soon as they are asked for the next."""
    paths = []
    for shade in range(0, 60, 10):
        paths.append(tmp_path / f"{shade}.png")
        Image.fromarray(small(shade)[:, :20]).save(paths[-1])

    def files() -> Iterator[io.BufferedReader]:
        for path in paths:
            with path.open("rb") as file:
                yield file

    def frames() -> Iterator[np.ndarray]:
        frame = np.empty((24, 20, 3), np.uint8)
        for path in paths:
            frame[:] = np.asarray(Image.open(path))
            yield frame

    expected = [crops_only.predict(path) for path in paths]
    for images in (files(), frames()):
        for faces, alone in zip(crops_only.predict_many(images), expected, strict=True):
            assert_alike(faces, alone)


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_an_error_of_the_callers_own_generator_comes_after_what_was_read(
    batch_size: int, crops_only: Recognizer
):
    def images() -> Iterator[np.ndarray]:
        for number in range(5):
            yield small(number)
        raise RuntimeError("the camera is gone")

    results: list[Faces] = []
    with pytest.raises(RuntimeError, match="the camera is gone"):
        results.extend(crops_only.predict_many(images(), batch_size=batch_size))
    assert len(results) == 5


def test_without_a_detector_the_picture_is_the_face(crops_only: Recognizer, astronaut: Path):
    (face,) = crops_only.predict(astronaut)
    assert face.box == (0, 0, 512, 512)
    assert face.landmarks is None
    assert face.detection_score is None
    readings = crops_only.classify(np.asarray(Image.open(astronaut).convert("RGB"))[None])
    assert list(face.crowd.values()) == pytest.approx(readings.crowd[0].tolist(), abs=1e-5)


@pytest.mark.parametrize(
    "shape",
    [(3, 48, 48), (3, 48, 48, 3), (2, 20, 30), (2, 300, 200, 3), (1, 1, 1), (0, 48, 48), (0, 9, 9, 3)],
)
def test_crops_of_any_size_are_read(crops_only: Recognizer, shape: tuple[int, ...]):
    readings = crops_only.classify(np.random.default_rng(0).integers(0, 256, shape, np.uint8), batch_size=2)
    assert readings.probabilities.shape == (shape[0], 7)
    assert readings.crowd.shape == (shape[0], 10)
    assert readings.fer2013.shape == (shape[0], 7)
    assert len(readings.expressions) == shape[0]
    assert readings.crowd.dtype == np.float32


@pytest.mark.parametrize(
    "kind",
    [
        *(str, Path, Path.read_bytes, Image.open, lambda path: np.asarray(Image.open(path))),
        *(lambda path: memoryview(path.read_bytes()), lambda path: io.BytesIO(path.read_bytes())),
    ],
)
def test_one_picture_is_not_many(crops_only: Recognizer, astronaut: Path, kind: Callable[[Path], Any]):
    with pytest.raises(ConfigError, match="is one picture, must be several; predict reads one"):
        crops_only.predict_many(kind(astronaut))


def test_an_array_of_paths_is_many_pictures(crops_only: Recognizer, astronaut: Path):
    for kind in (object, str):
        (faces,) = crops_only.predict_many(np.array([str(astronaut)], kind))
        assert faces.source == str(astronaut)


def test_a_detector_of_ones_own_is_used(astronaut: Path):
    class Everywhere(CenterFace):
        def detect(self, image: np.ndarray) -> Detections:
            found = super().detect(image)
            return Detections(
                *(np.repeat(part, 2, axis=0) for part in (found.boxes, found.scores, found.landmarks))
            )

    one, two = Recognizer(detector=Everywhere(threshold=0.7)).predict(astronaut)
    assert one.box == two.box == Recognizer().predict(astronaut)[0].box


def test_grey_crops_are_read_as_their_rgb_copies(crops_only: Recognizer):
    grey = np.random.default_rng(0).integers(0, 256, (2, 60, 60), np.uint8)
    colour = np.repeat(grey[..., None], 3, axis=3)
    assert np.allclose(crops_only.classify(grey).crowd, crops_only.classify(colour).crowd, atol=1e-3)


@pytest.mark.parametrize(
    "crops",
    [
        np.zeros((48, 48), np.uint8),
        np.zeros((1, 48, 48, 4), np.uint8),
        np.zeros((1, 48, 48), np.float32),
        np.zeros((1, 1, 48, 48, 3), np.uint8),
        np.zeros((1, 0, 48), np.uint8),
        np.zeros((48, 48, 3), np.uint8),
        np.zeros((48, 48, 4), np.uint8),
    ],
    ids=lambda crops: f"{crops.dtype} {crops.shape}",
)
def test_other_crops_are_refused(crops_only: Recognizer, crops: np.ndarray):
    with pytest.raises(ImageError, match="crops"):
        crops_only.classify(crops)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"model": "nonsense"}, ModelError),
        ({"detector": "nonsense"}, ConfigError),
        ({"detector_size": 5}, ConfigError),
        ({"max_pixels": 0}, ConfigError),
        ({"threads": 0}, ConfigError),
        ({"threads": -1, "detector": "none"}, ConfigError),
        ({"threads": 100_000, "detector": "none"}, ConfigError),
        ({"threads": 100_000}, ConfigError),
    ],
    ids=str,
)
def test_impossible_options_are_refused(options: dict, error: type[Exception]):
    with pytest.raises(error):
        Recognizer(**options)


def test_threads_change_no_answer(recognizer: Recognizer, astronaut: Path):
    single = Recognizer(threads=1)
    assert_alike(single.predict(astronaut), recognizer.predict(astronaut))
    with ThreadPoolExecutor(4) as pool:  # one recogniser, several threads
        for faces in pool.map(single.predict, [astronaut] * 6):
            assert_alike(faces, recognizer.predict(astronaut))


def test_a_model_of_ones_own(tiny_model: Path):
    recognizer = Recognizer(tiny_model, detector="none")
    assert recognizer.model == "tiny"
    assert recognizer.predict(small(0))[0].expression in EXPRESSIONS


def test_more_pixels_than_allowed(examples: Path):
    with pytest.raises(ImageError, match=r"astronaut\.jpg: 512×512 is more than the limit"):
        Recognizer(detector="none", max_pixels=512 * 512 - 1).predict(examples / "astronaut.jpg")


def test_drawing_reads_the_picture_again(recognizer: Recognizer, astronaut: Path, tmp_path: Path):
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(astronaut.read_bytes())
    faces = next(recognizer.predict_many([copy]))
    drawn = faces.draw()
    assert drawn.size == (512, 512)
    assert np.any(np.asarray(drawn) != np.asarray(Image.open(copy).convert("RGB")))
    copy.unlink()
    with pytest.raises(ImageError, match=r"copy\.jpg: no such file"):
        faces.draw()


def test_arrays_and_photographs_of_telephones_are_drawn_on_when_given_again(
    recognizer: Recognizer, astronaut: Path
):
    upright = Image.open(astronaut).convert("RGB")
    lying = upright.transpose(Image.Transpose.ROTATE_90)
    lying.getexif()[0x0112] = 6  # turn it by 90 degrees to see it upright
    faces = recognizer.predict(lying)
    drawn = faces.draw(lying)
    assert drawn.size == upright.size
    assert np.array_equal(drawn, draw_faces(np.asarray(upright), faces))
    with pytest.raises(ImageError, match="has changed since it was read"):
        faces.draw(np.zeros((9, 9), np.uint8))


def test_a_stream_is_not_kept_for_drawing(recognizer: Recognizer, astronaut: Path):
    with astronaut.open("rb") as file:
        faces = recognizer.predict(file)
    with pytest.raises(ImageError, match=r"its pixels were not kept: give the picture again, draw\(image\)"):
        faces.draw()
    assert np.array_equal(faces.draw(astronaut), recognizer.predict(astronaut).draw())
    with contextlib.closing(io.BytesIO(astronaut.read_bytes())) as stream:
        assert_alike(next(recognizer.predict_many([stream])), faces)


def test_a_face_of_few_pixels_is_told_to_be_unclear(examples: Path):
    recognizer = Recognizer(detector_size=1280)
    unclear = []
    for side in (512, 64, 40):  # the face is about a fifth as wide: 90, 11 and 7 pixels
        picture = Image.new("RGB", (640, 640), (120, 130, 140))
        picture.paste(
            Image.open(examples / "astronaut.jpg").resize((side, side), Image.Resampling.LANCZOS), (60, 60)
        )
        (face,) = recognizer.predict(picture)
        unclear.append(face.unclear)
    assert unclear == sorted(unclear)
    assert unclear[0] < 0.1
    assert unclear[2] > 0.5


def test_pictures_without_a_face_are_not_held_back_for_ever():
    drawn = 0

    def blanks():
        nonlocal drawn
        for _ in range(40):
            drawn += 1
            yield np.full((64, 64, 3), 128, np.uint8)

    first = next(Recognizer().predict_many(blanks(), batch_size=4))
    assert len(first) == 0
    assert drawn <= 4 + 3  # a batch, and what is read ahead


def test_a_model_of_other_classes_reads_pictures(own_model: Path, examples: Path):
    recognizer = mien.Recognizer(own_model, prior="even")
    assert recognizer.classes == OWN
    (face,) = recognizer.predict(examples / "astronaut.jpg")
    assert list(face.probabilities) == list(OWN)
    assert (face.crowd, face.fer2013, face.unclear) == ({}, {}, 0.0)
    assert face.expression in OWN
    nobody = recognizer.predict(examples / "cat.jpg")
    assert (len(nobody), nobody.classes) == (0, OWN)
    (broken,) = recognizer.predict_many([b""])
    assert (broken.rows(), broken.classes) == ([], OWN)
    assert recognizer.classify(np.zeros((2, 48, 48), np.uint8)).classes == OWN
    assert mien.Recognizer().classes == EXPRESSIONS


def test_a_prior_must_name_the_models_expressions(own_model: Path):
    with pytest.raises(ConfigError, match="lacks negative, neutral, quite positive"):
        mien.Recognizer(own_model, prior={})
