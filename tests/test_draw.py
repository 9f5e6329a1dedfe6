"""Drawing: the right size, inside the picture, legible, and nothing on top of something else."""

import numpy as np
import pytest
from PIL import Image

from mien import draw
from mien.draw import COLOURS, UNCLEAR, colours_of, draw_faces, relative_luminance
from mien.labels import CROWD, EXPRESSIONS
from mien.result import Face


def make_face(
    x: float, y: float, width: float, height: float, expression: str = "happy", unclear: float = 0.0
) -> Face:
    probabilities = {name: 0.88 if name == expression else 0.02 for name in EXPRESSIONS}
    crowd = dict.fromkeys(CROWD, 0.0) | {"happy": 1 - unclear, "unknown": unclear}
    return Face((x, y, x + width, y + height), None, 0.9, probabilities, crowd, probabilities)


def differs(drawn: Image.Image, picture: np.ndarray) -> np.ndarray:
    return (np.asarray(drawn) != picture).any(axis=2)


@pytest.mark.parametrize("size", [(1, 1), (9, 4), (48, 48), (64, 64), (640, 480), (480, 640), (6000, 200)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_any_size_on_any_grey(size: tuple[int, int], value: int) -> None:
    picture = np.full((size[1], size[0], 3), value, np.uint8)
    face = make_face(0.3 * size[0], 0.3 * size[1], 0.3 * size[0], 0.4 * size[1])
    drawn = draw_faces(picture, [face])
    assert (drawn.mode, drawn.size) == ("RGB", size)
    assert differs(drawn, picture).any()
    assert (picture == value).all()  # the picture given stays as it was


def test_pillow_images_stay_as_they_were() -> None:
    for mode in ("RGB", "L", "P"):
        image = Image.new(mode, (200, 200))
        before = image.tobytes()
        assert draw_faces(image, [make_face(50, 50, 90, 90)]).mode == "RGB"
        assert image.tobytes() == before


def test_nobody_changes_nothing() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(draw_faces(picture, [])), picture)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_box_label_and_bars(expression: str) -> None:
    picture = np.full((480, 640, 3), 255, np.uint8)
    drawn = np.asarray(draw_faces(picture, [make_face(200, 150, 120, 150, expression)]))
    coloured = (drawn == COLOURS[expression]).all(axis=2)
    assert coloured[150:300, 196:206].any(axis=1).mean() > 0.9  # the box's left side
    assert coloured[110:148, 200:320].sum() > 500  # the label's plate above
    assert coloured[150:300, 330:].sum() > 100  # the bar beside
    assert not differs(draw_faces(picture, [make_face(200, 150, 120, 150)]), picture)[160:290, 212:308].any()


@pytest.mark.parametrize("place", [(0, 0), (540, 0), (0, 360), (540, 360), (0, 180), (270, 0), (-30, -30)])
def test_faces_at_the_border_are_labelled(place: tuple[int, int]) -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    drawn = np.asarray(draw_faces(picture, [make_face(*place, 100, 120)]))
    assert (drawn == COLOURS["happy"]).all(axis=2).sum() > 1800


def test_a_crop_is_labelled_inside() -> None:
    picture = np.zeros((300, 300, 3), np.uint8)
    drawn = draw_faces(picture, [make_face(0, 0, 300, 300)])
    assert (np.asarray(drawn)[:60] == COLOURS["happy"]).all(axis=2).sum() > 900
    assert not differs(drawn, picture)[60:280, 20:280].any()


def test_unclear_faces_are_called_unclear() -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    drawn = np.asarray(draw_faces(picture, [make_face(0, 100, 120, 150, unclear=0.7)]))
    assert (drawn[:, :130] == UNCLEAR).all(axis=2).sum() > 1000
    assert not (drawn[:, :122] == COLOURS["happy"]).all(axis=2).any()


def test_crowd_without_overlaps(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    faces = [
        make_face(
            12 + 78 * (k % 12) + rng.uniform(-8, 8), 12 + 88 * (k // 12) + rng.uniform(-8, 8), s, 1.2 * s
        )
        for k, s in enumerate(rng.uniform(14, 60, 72))
    ]
    picture = np.zeros((560, 960, 3), np.uint8)
    places = []
    for name in ("_draw_label", "_draw_bars"):
        real = getattr(draw, name)
        monkeypatch.setattr(draw, name, lambda *args, real=real: places.append(real(*args)) or places[-1])
    draw_faces(picture, faces)
    taken = [place for place in places if place is not None]
    assert len(taken) > 60
    boxes = [tuple(round(value) for value in face.box) for face in faces]
    for number, (x1, y1, x2, y2) in enumerate(taken):
        assert x1 >= 0
        assert y1 >= 0
        assert x2 <= 960
        assert y2 <= 560
        for other in (*taken[:number], *boxes):
            assert x2 <= other[0] or other[2] <= x1 or y2 <= other[1] or other[3] <= y1


@pytest.mark.parametrize("plate", [*COLOURS.values(), UNCLEAR])
def test_text_contrasts_with_its_plate(plate: tuple[int, int, int]) -> None:
    light, dark = sorted((relative_luminance(plate), relative_luminance(draw._ink(plate))), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_colours() -> None:
    assert tuple(COLOURS) == EXPRESSIONS
    assert len({*COLOURS.values(), UNCLEAR}) == 8


def own_face(probabilities: dict[str, float]) -> Face:
    return Face((40.0, 60.0, 160.0, 200.0), None, 0.9, probabilities, {}, {})


def bars(drawn: Image.Image, colour: tuple[int, int, int]) -> int:
    """How many pixels beside the face have a colour."""
    return int((np.asarray(drawn)[:, 165:] == colour).all(axis=2).sum())


@pytest.mark.parametrize("count", [2, 3, 7])
def test_classes_of_your_own_have_colours_of_their_own(count: int) -> None:
    names = tuple(f"class {number}" for number in range(count))
    colours = colours_of(names)
    assert len({*colours.values(), UNCLEAR}) == count + 1
    assert colours_of(names) == colours
    picture = np.full((300, 500, 3), 128, np.uint8)
    drawn = draw_faces(picture, [own_face(dict.fromkeys(names, 1 / count))])
    assert all(bars(drawn, colour) for colour in colours.values())


def test_known_words_keep_their_colours_among_others() -> None:
    colours = colours_of(("angry", "bored", "happy", "neutral", "x", "y"))
    assert all(colours[name] == COLOURS[name] for name in ("angry", "happy", "neutral"))
    assert len(set(colours.values())) == 6


def test_of_many_classes_the_most_probable_are_drawn() -> None:
    weights = np.r_[np.full(22, 1.0), 40, 30, 20] / 112
    names = [f"class {number}" for number in range(25)]
    picture = np.full((500, 700, 3), 128, np.uint8)
    drawn = draw_faces(picture, [own_face(dict(zip(names, weights.tolist(), strict=True)))])
    colours = colours_of(tuple(names))
    lengths = [bars(drawn, colours[name]) for name in names[-3:]]
    assert lengths == sorted(lengths, reverse=True)
    assert min(lengths) > 0
    below = np.asarray(drawn)[300:, 165:]
    assert (below == 128).all()  # the panel is no longer than one of eight


def test_a_long_name_of_a_class_is_cut() -> None:
    picture = np.full((300, 700, 3), 128, np.uint8)
    drawn = draw_faces(picture, [own_face({"an expression of " * 5: 0.9, "müde": 0.1})])
    assert bars(drawn, colours_of(("an expression of " * 5, "müde"))["müde"]) > 0
    accents = draw_faces(picture, [own_face({"an expression o…": 0.9, "mude": 0.1})])
    assert np.array_equal(np.asarray(accents), np.asarray(drawn))
