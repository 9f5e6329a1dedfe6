"""Crops of faces: framing, turning, filling at borders, shrinking."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien import align
from mien.align import align_faces, whole_picture

FRAMING = json.loads(
    (Path(__file__).parents[1] / "benchmarks/results/framing.json").read_text(encoding="utf-8")
)
USUAL = np.array(FRAMING["landmarks"])
AREA = FRAMING["constants"]["area"]


def usual_face(centre: complex, edge: complex) -> tuple[np.ndarray, np.ndarray]:
    """The box (1, 4) and landmarks (1, 5, 2) of a face that is framed by a square, exactly as is usual.

    The square is given by its centre and its upper edge, as complex numbers.
    """
    side = abs(edge)
    middle = centre - edge * AREA["shift_down"] * 1j
    half = side / AREA["factor"] / 2
    box = [middle.real - half, middle.imag - half, middle.real + half, middle.imag + half]
    points = centre + edge * ((USUAL - 0.5) @ [1, 1j])
    return np.array([box], np.float32), np.stack([points.real, points.imag], axis=-1)[None].astype(np.float32)


def smooth(height: int, width: int) -> np.ndarray:
    """A picture that changes slowly, brighter to the right and, less so, towards the foot."""
    y, x = np.mgrid[:height, :width]
    return np.repeat((20 + 150 * x / width + 70 * y / height)[:, :, None], 3, axis=2).astype(np.uint8)


def test_the_constants_are_those_measured() -> None:
    assert AREA["factor"] == align._FACTOR
    assert AREA["shift_down"] == align._SHIFT_DOWN
    assert np.array_equal(USUAL @ [1, 1j], align._LANDMARKS)


@pytest.mark.parametrize("side", [30, 48, 100, 250])
def test_the_crop_is_the_square_that_frames_the_face(side: int) -> None:
    image = smooth(400, 400)
    crop = align_faces(image, *usual_face(200 + 190j, side))[0]
    left, top = 200 - side / 2, 190 - side / 2
    box = (left, top, left + side, top + side)
    expected = Image.fromarray(image).convert("L").resize((48, 48), Image.Resampling.BOX, box=box)
    assert crop.shape == (48, 48)
    assert crop.dtype == np.uint8
    assert np.abs(crop.astype(int) - np.asarray(expected)).max() <= 2


@pytest.mark.parametrize("degrees", [-90, -35, -10, 10, 35, 90, 180])
def test_a_turned_face_is_turned_upright(degrees: int) -> None:
    turn = np.exp(1j * np.radians(degrees))
    upright = Image.fromarray(smooth(300, 300))
    # Pillow turns anticlockwise; y points down here, so a positive angle is clockwise.
    turned = np.asarray(upright.rotate(-degrees, Image.Resampling.BICUBIC))
    straight = align_faces(np.asarray(upright), *usual_face(150 + 150j, 120))[0]
    crop = align_faces(turned, *usual_face(150 + 150j, 120 * turn))[0]
    # The usual face's box here is that of its upright square, so it is turned about that square's centre only
    # up to the constants' shift.
    assert np.abs(crop.astype(int) - straight).max() <= 8


def test_photograph_turned_by_a_known_angle(examples: Path) -> None:
    """One face, its landmarks turned with the picture: the crops agree."""
    photograph = Image.open(examples / "astronaut.jpg").convert("RGB").crop((100, 0, 356, 256))
    centre, edge = 128 + 128j, 110.0
    box, points = usual_face(centre, edge)
    straight = align_faces(np.asarray(photograph), box, points)[0].astype(float)
    for degrees in (-30, 20, 45):
        turned = np.asarray(photograph.rotate(-degrees, Image.Resampling.BICUBIC))
        box, points = usual_face(centre, edge * np.exp(1j * np.radians(degrees)))
        crop = align_faces(turned, box, points)[0]
        assert np.corrcoef(crop.ravel(), straight.ravel())[0, 1] > 0.98


@pytest.mark.parametrize("corner", [0j, 199 + 0j, 0 + 199j, 199 + 199j])
@pytest.mark.parametrize("edge", [100, 100 * np.exp(0.6j), 30, 300])
def test_beyond_the_border_the_nearest_pixels_go_on(corner: complex, edge: complex) -> None:
    image = np.full((200, 200, 3), 180, np.uint8)
    assert (align_faces(image, *usual_face(corner, edge)) == 180).all()


def test_fine_patterns_shrink_to_flat_grey() -> None:
    y, x = np.mgrid[:600, :600]
    board = np.repeat((((x + y) % 2) * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    for edge in (400, 400 * np.exp(0.3j), 130):
        crop = align_faces(board, *usual_face(300 + 300j, edge))[0]
        assert np.abs(crop.astype(int) - 128).max() <= 12
    assert np.abs(whole_picture(board).astype(int) - 128).max() <= 2


@pytest.mark.parametrize(
    "landmarks",
    [
        np.full((1, 5, 2), np.nan),
        np.full((1, 5, 2), np.inf),
        np.full((1, 5, 2), 100.0),
        np.full((1, 5, 2), -1e30),
        np.arange(10.0).reshape(1, 5, 2) * 1000,
    ],
    ids=["nan", "infinite", "coincident", "far away", "scattered"],
)
@pytest.mark.filterwarnings("error")
def test_senseless_landmarks_leave_the_box_to_decide(landmarks: np.ndarray) -> None:
    image = smooth(300, 300)
    box, points = usual_face(150 + 150j, 120)
    crop = align_faces(image, box, landmarks.astype(np.float32))
    assert np.abs(crop.astype(int) - align_faces(image, box, points)).max() <= 1


def test_a_face_cut_off_is_framed_by_its_landmarks() -> None:
    image = smooth(300, 300)
    box, points = usual_face(40 + 150j, 120)
    cut = box.copy()
    cut[0, 0] = 0
    assert np.abs(align_faces(image, cut, points).astype(int) - align_faces(image, box, points)).max() <= 3


def test_many_faces_and_none() -> None:
    image = smooth(300, 400)
    faces = [usual_face(c, e) for c, e in ((100 + 100j, 50), (300 + 200j, 90), (200 + 150j, 10))]
    boxes, points = (np.concatenate(part) for part in zip(*faces, strict=True))
    crops = align_faces(image, boxes, points, size=32)
    assert crops.shape == (3, 32, 32)
    for crop, (box, landmarks) in zip(crops, faces, strict=True):
        assert np.array_equal(crop, align_faces(image, box, landmarks, size=32)[0])
    none = align_faces(image, np.empty((0, 4), np.float32), np.empty((0, 5, 2), np.float32))
    assert none.shape == (0, 48, 48)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (2, 2)])
def test_tiny_pictures(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 90, np.uint8)
    box = np.array([[0, 0, shape[1], shape[0]]], np.float32)
    crop = align_faces(image, box, np.full((1, 5, 2), np.nan, np.float32))
    assert (crop == 90).all()
    assert (whole_picture(image) == 90).all()


def test_a_large_picture_is_touched_only_where_the_face_is() -> None:
    # 100 megapixels that take no memory: were they copied or made grey, this would take 100 MB and more.
    image = np.broadcast_to(np.uint8([10, 20, 30]), (10_000, 10_000, 3))
    assert (align_faces(image, *usual_face(5000 + 5000j, 200)) == 18).all()


def test_whole_picture_leaves_a_crop_of_fer2013s_size_alone() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    assert np.array_equal(whole_picture(np.repeat(grey[:, :, None], 3, axis=2)), grey)


def test_whole_picture_fills_up_what_is_not_square() -> None:
    image = np.zeros((100, 50, 3), np.uint8)
    image[:, :25] = 200
    crop = whole_picture(image)
    assert (crop[:, :22] > 195).all()
    assert (crop[:, 26:] < 5).all()


def test_grey_is_pillows() -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    assert np.array_equal(whole_picture(image), np.asarray(Image.fromarray(image).convert("L")))


@pytest.mark.fer2013
def test_fer2013s_own_crops_come_back(fer2013: Path) -> None:
    """Faces of FER-2013, enlarged, found and cut out: most crops resemble the originals."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from mien.detect import CenterFace

    table = pq.read_table(fer2013, columns=["usage", "image"])
    images = table.filter(pc.equal(table["usage"], "Training"))["image"]
    detector = CenterFace(size=192)
    likeness = []
    for row in range(0, 4000, 50):
        face = Image.open(io.BytesIO(images[row].as_py())).convert("L")
        canvas = Image.fromarray(np.pad(np.asarray(face), 24, mode="edge")).resize((192, 192))
        image = np.asarray(canvas.convert("RGB"))
        found = detector.detect(image)
        if len(found):
            crop = align_faces(image, found.boxes[:1], found.landmarks[:1])[0]
            if crop.std() > 0:
                likeness.append(np.corrcoef(crop.ravel(), np.asarray(face).ravel())[0, 1])
    assert len(likeness) >= 20
    assert np.median(likeness) > 0.6
