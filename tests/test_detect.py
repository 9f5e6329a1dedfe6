"""Finding faces in real pictures, turned, mirrored, shrunk and set side by side."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mien.detect import DETECTORS, CenterFace, Detections, create_detector, nms
from mien.errors import ConfigError
from mien.image import read_image

PORTRAITS = ["astronaut", "biden", "grace_hopper", "obama", "obama_speech", "tilted"]


@pytest.fixture(scope="module")
def detector() -> CenterFace:
    return CenterFace()


@pytest.fixture(scope="module")
def read(examples: Path):
    def read(name: str) -> np.ndarray:
        return np.asarray(Image.open(examples / f"{name}.jpg").convert("RGB"))

    return read


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    common = np.prod((np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(0))
    return float(common / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common))


def check_form(found: Detections, image: np.ndarray) -> None:
    n = len(found)
    height, width = image.shape[:2]
    assert found.boxes.shape == (n, 4)
    assert found.scores.shape == (n,)
    assert found.landmarks.shape == (n, 5, 2)
    assert {found.boxes.dtype, found.scores.dtype, found.landmarks.dtype} == {np.dtype(np.float32)}
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [width, height, width, height]).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
    assert ((found.scores >= 0.5) & (found.scores <= 1)).all()
    assert (np.diff(found.scores) <= 0).all()


@pytest.mark.parametrize("name", PORTRAITS)
def test_one_face_with_its_landmarks(detector: CenterFace, read, name: str) -> None:
    image = read(name)
    found = detector.detect(image)
    check_form(found, image)
    assert len(found) == 1
    (x1, y1, x2, y2), points = found.boxes[0], found.landmarks[0]
    assert ((points > [x1, y1]) & (points < [x2, y2])).all()
    left_eye, right_eye, nose, left_mouth, right_mouth = points
    assert left_eye[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    # Eyes above the nose, the nose above the mouth: also in the face that is tilted by 35 degrees.
    assert (left_eye + right_eye)[1] / 2 < nose[1] < (left_mouth + right_mouth)[1] / 2


def test_where_the_astronauts_eyes_are(detector: CenterFace, read) -> None:
    """Read off the picture by eye."""
    points = detector.detect(read("astronaut")).landmarks[0]
    assert np.abs(points[:2] - [[205, 103], [248, 103]]).max() < 5


def test_four_faces_side_by_side(detector: CenterFace, read) -> None:
    image = read("together")
    found = detector.detect(image)
    check_form(found, image)
    assert len(found) == 4


@pytest.mark.parametrize("name", ["cat", "coffee"])
@pytest.mark.parametrize("size", [640, 320, 128])
def test_nobody_there(read, name: str, size: int) -> None:
    image = read(name)
    found = CenterFace(size=size).detect(image)
    check_form(found, image)
    assert len(found) == 0


def test_the_mirrored_picture_gives_mirrored_faces(detector: CenterFace, read) -> None:
    image = read("together")
    width = image.shape[1]
    found, mirrored = detector.detect(image), detector.detect(np.ascontiguousarray(image[:, ::-1]))
    assert len(found) == len(mirrored)
    back = np.stack(
        [width - mirrored.boxes[:, 2], mirrored.boxes[:, 1], width - mirrored.boxes[:, 0]], axis=1
    )
    back = np.column_stack([back, mirrored.boxes[:, 3]])
    for box, points in zip(found.boxes, found.landmarks, strict=True):
        twin = max(range(len(back)), key=lambda i: overlap(box, back[i]))
        assert overlap(box, back[twin]) > 0.75
        unmirrored = mirrored.landmarks[twin][[1, 0, 2, 4, 3]] * [-1, 1] + [width, 0]
        assert np.abs(unmirrored - points).max() < 0.1 * (box[3] - box[1])


@pytest.mark.parametrize("shift", [(1, 0), (0, 3), (17, 5), (40, 40)])
def test_a_moved_picture_moves_its_face(detector: CenterFace, read, shift: tuple[int, int]) -> None:
    image = read("grace_hopper")
    x, y = shift
    moved = np.pad(image, ((y, 0), (x, 0), (0, 0)), mode="edge")
    before, after = detector.detect(image), detector.detect(moved)
    assert len(after) == 1
    assert overlap(before.boxes[0] + [x, y, x, y], after.boxes[0]) > 0.8


def test_two_pictures_side_by_side(detector: CenterFace, read) -> None:
    one = read("astronaut")
    two = np.hstack([one, one])
    found = detector.detect(two)
    check_form(found, two)
    assert len(found) == 2
    left, right = found.boxes[np.argsort(found.boxes[:, 0])]
    assert np.abs(left + np.float32([one.shape[1], 0, one.shape[1], 0]) - right).max() < 8


def test_a_face_lying_on_its_side(detector: CenterFace, read) -> None:
    image = np.ascontiguousarray(np.rot90(read("astronaut")))
    found = detector.detect(image)
    check_form(found, image)
    width = read("astronaut").shape[1]
    x1, y1, x2, y2 = detector.detect(read("astronaut")).boxes[0]
    assert len(found) == 1
    assert overlap(found.boxes[0], np.array([y1, width - x2, y2, width - x1])) > 0.5


@pytest.mark.parametrize("long_side", [64, 100, 333, 1000, 3001])
def test_pictures_of_every_size(detector: CenterFace, examples: Path, long_side: int) -> None:
    with Image.open(examples / "obama.jpg") as picture:
        factor = long_side / max(picture.size)
        small = picture.convert("RGB").resize(
            (round(picture.width * factor), round(picture.height * factor)), Image.Resampling.BICUBIC
        )
        whole = np.asarray(picture.convert("RGB"))
    image = np.asarray(small)
    found = detector.detect(image)
    check_form(found, image)
    assert len(found) == 1
    assert overlap(found.boxes[0] / np.float32(factor), detector.detect(whole).boxes[0]) > 0.7


@pytest.mark.parametrize("name", PORTRAITS)
def test_a_face_that_fills_the_picture(detector: CenterFace, read, name: str) -> None:
    image = read(name)
    x1, y1, x2, y2 = detector.detect(image).boxes[0].astype(int)
    crop = np.ascontiguousarray(image[y1:y2, x1:x2])
    found = detector.detect(crop)
    check_form(found, crop)
    assert len(found) == 1
    assert np.prod(found.boxes[0, 2:] - found.boxes[0, :2]) > 0.5 * crop.shape[0] * crop.shape[1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (3, 3), (31, 33), (2000, 7)])
def test_odd_shapes(detector: CenterFace, shape: tuple[int, int]) -> None:
    for value in (0, 128, 255):
        image = np.full((*shape, 3), value, np.uint8)
        check_form(detector.detect(image), image)


def test_read_only_and_strided_pictures(detector: CenterFace, read) -> None:
    image = read("astronaut")
    mirrored = image[:, ::-1]
    image.setflags(write=False)
    assert len(detector.detect(image)) == len(detector.detect(mirrored)) == 1


def test_a_larger_size_finds_smaller_faces(read) -> None:
    """A crowd of 12-pixel faces in 1280 pixels."""
    small = Image.fromarray(read("together"))
    small = small.resize((96, round(96 * small.height / small.width)), Image.Resampling.BOX)
    crowd = np.full((600, 1280, 3), 120, np.uint8)
    for x in range(40, 1200, 200):
        crowd[200 : 200 + small.height, x : x + small.width] = small
    assert len(CenterFace(size=1280).detect(crowd)) > len(CenterFace(size=640).detect(crowd))


def test_names() -> None:
    assert DETECTORS == ("centerface", "none")
    assert create_detector("none") is None
    assert isinstance(create_detector("centerface", size=320, threads=1), CenterFace)
    with pytest.raises(ConfigError, match=r"'haar'.*centerface, none"):
        create_detector("haar")


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize(
    ("changes", "says"), [({"size": 5}, "detector size 5"), ({"max_faces": 0}, "max_faces 0")]
)
def test_impossible_limits_are_refused_of_any_detector(name: str, changes: dict[str, int], says: str):
    with pytest.raises(ConfigError, match=says):
        create_detector(name, **changes)


@pytest.mark.parametrize("arguments", [{"size": 0}, {"size": 31}, {"size": 100_000}, {"size": -640}])
def test_sizes_out_of_range(arguments: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="32 to 4096"):
        CenterFace(**arguments)


@pytest.mark.parametrize("arguments", [{"threshold": 0.0}, {"threshold": 1.5}, {"threads": 0}])
def test_other_values_out_of_range(arguments: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="detector thre"):
        CenterFace(**arguments)


def test_importing_it_loads_no_onnxruntime() -> None:
    code = "import sys, mien.detect; sys.exit('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@st.composite
def scored_boxes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(0, 30))
    numbers = st.floats(0, 100, width=32)
    corners = np.array([[draw(numbers) for _ in range(4)] for _ in range(n)], np.float32).reshape(n, 4)
    corners[:, 2:] = corners[:, :2] + np.abs(corners[:, 2:]) / 2 + 1
    return corners, np.array([draw(st.floats(0, 1, width=32)) for _ in range(n)], np.float32)


@given(scored_boxes(), st.sampled_from([0.1, 0.3, 0.5, 0.9]))
def test_nms_keeps_the_best_and_no_two_that_overlap(given_boxes, limit: float) -> None:
    boxes, scores = given_boxes
    kept = nms(boxes, scores, limit)
    assert len(set(kept.tolist())) == len(kept)
    assert (np.diff(scores[kept]) <= 0).all()
    if len(boxes):
        assert scores[kept[0]] == scores.max()
    for i, a in enumerate(kept):
        assert all(overlap(boxes[a], boxes[b]) < limit + 1e-5 for b in kept[:i])
    for dropped in set(range(len(boxes))) - set(kept.tolist()):
        better = [b for b in kept if scores[b] >= scores[dropped]]
        assert any(overlap(boxes[dropped], boxes[b]) > limit - 1e-5 for b in better)


def test_of_many_faces_the_surest_are_kept(examples: Path):
    picture = read_image(examples / "together.jpg")
    every, two = CenterFace(threads=1).detect(picture), CenterFace(max_faces=2, threads=1).detect(picture)
    assert (len(every), len(two)) == (4, 2)
    assert np.array_equal(two.scores, every.scores[:2])
    assert np.array_equal(two.boxes, every.boxes[:2])
    with pytest.raises(ConfigError, match="max_faces 0"):
        CenterFace(max_faces=0)
