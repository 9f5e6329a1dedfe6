"""Faces followed through frames of which it is known where each face is."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from clips import FACES, Shot, cross, hide, move
from mien import FaceTracker, Recognizer, TrackedFace
from mien.detect import CenterFace, Detections
from mien.draw import COLOURS, UNCLEAR
from mien.errors import ConfigError, ImageError
from mien.image import DEFAULT_MAX_PIXELS
from mien.labels import CROWD, EXPRESSIONS
from mien.video.follow import VIDEO_COLUMNS
from mien.video.overlay import draw_frame

RATE = 30


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer(threads=1)


def follow(recognizer: Recognizer, shot: Shot, **options) -> list[mien.VideoFrame]:
    tracker = FaceTracker(recognizer, **options)
    return [tracker.update(frame, number / RATE) for number, (frame, _) in enumerate(shot)]


def drift(name: str, count: int, *, step: float = 5, width: float = 600) -> Shot:
    """A camera that moves `step` pixels of the photograph a frame."""
    x1, y1, x2, y2 = next(iter(FACES[name].values()))
    return move(name, count, lambda t: ((x1 + x2) / 2 + step * count * (t - 0.5), (y1 + y2) / 2, width))


def iou(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    common = np.prod((high - low).clip(0))
    area = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1])
    return float(common / (area - common))


def test_a_moving_face_is_followed_to_where_it_is(recognizer: Recognizer):
    shot = drift("astronaut", 24)
    quick = follow(recognizer, shot)
    assert [[face.track for face in frame] for frame in quick] == [[1]] * len(shot)
    assert (
        np.mean([iou(frame[0].box, faces["collins"]) for frame, (_, faces) in zip(quick, shot, strict=True)])
        > 0.8
    )
    every = follow(recognizer, shot[::6], search_every=0)
    for frame, whole in zip(quick[::6], every, strict=True):
        assert iou(frame[0].box, whole[0].box) > 0.75
        assert frame[0].expression == whole[0].expression == "happy"
    assert [frame.number for frame in quick] == list(range(len(shot)))
    assert not any(frame.cut for frame in quick)


def test_a_known_face_is_found_again_without_searching_the_whole_frame(recognizer: Recognizer, monkeypatch):
    whole: list[int] = []
    detect = CenterFace.detect

    def counted(self: CenterFace, image: np.ndarray) -> Detections:
        whole.append(number)
        return detect(self, image)

    monkeypatch.setattr(CenterFace, "detect", counted)
    shot = drift("astronaut", 20)
    tracker = FaceTracker(recognizer, search_every=0.5)
    for number, (frame, _) in enumerate(shot):
        assert len(tracker.update(frame, number / RATE)) == 1
    assert whole == [0, 15]
    # A cut is searched whole at once, and so is the frame in which a known face is lost.
    number = 20
    (after, _), gone = drift("biden", 1)[0], np.full_like(shot[0][0], 90)
    assert tracker.update(after, 20 / RATE).cut
    number = 21
    assert len(tracker.update(np.where(gone > 0, 90, gone), 21 / RATE)) == 0
    assert whole == [0, 15, 20, 21]


def test_a_face_keeps_its_id_while_it_is_covered_and_loses_it_at_a_cut(recognizer: Recognizer):
    shot = hide(drift("astronaut", 30, step=2), 8, 18) + drift("obama", 2) + drift("astronaut", 2)
    frames = follow(recognizer, shot)
    ids = [[face.track for face in frame] for frame in frames]
    assert ids[:8] == [[1]] * 8
    assert ids[8:18] == [[]] * 10
    assert ids[29] == [1]
    assert {id for frame in ids[18:30] for id in frame} == {1}
    assert ids[30:] == [[2], [2], [3], [3]]
    assert [frame.number for frame in frames if frame.cut] == [30, 32]


def test_two_people_who_pass_each_other_keep_their_ids(recognizer: Recognizer):
    shot = cross(40, apart=160)
    who: dict[int, str] = {}
    for frame, (_, faces) in zip(follow(recognizer, shot), shot, strict=True):
        assert len(frame) == 2
        for face in frame:
            name = max(faces, key=lambda name: iou(faces[name], face.box))
            assert who.setdefault(face.track, name) == name
    assert sorted(who.values()) == ["collins", "hopper"]


def test_smoothed_readings_are_told_beside_raw_ones(recognizer: Recognizer):
    """The photograph becomes another one under the same box, in a dissolve of no time, without a cut."""
    tracker = FaceTracker(recognizer, smoothing=0.3, search_every=0)
    plain = FaceTracker(recognizer, smoothing=0, search_every=0)
    happy, other = (drift(name, 1, width=500)[0][0] for name in ("astronaut", "astronaut"))
    other = np.asarray(Image.fromarray(other).rotate(8))
    for number, frame in enumerate([happy, other, other]):
        calm, raw = tracker.update(frame, number / RATE)[0], plain.update(frame, number / RATE)[0]
        assert calm.probabilities == raw.probabilities
        assert raw.smoothed == pytest.approx(raw.probabilities, abs=1e-7)
        assert sum(calm.smoothed.values()) == pytest.approx(1, abs=1e-6)
        if number == 0:
            assert calm.smoothed == pytest.approx(calm.probabilities, abs=1e-7)
            before = calm.smoothed
        elif number == 1:
            share = 1 - np.exp(-1 / RATE / 0.3)
            for name in EXPRESSIONS:
                expected = before[name] + share * (calm.probabilities[name] - before[name])
                assert calm.smoothed[name] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("unclear", "expression"), [(0.1, "happy"), (0.1, "sad"), (0.9, "sad")])
def test_a_drawn_face_shows_what_is_smoothed(unclear: float, expression: str):
    smoothed = dict.fromkeys(EXPRESSIONS, 0.05) | {expression: 0.7}
    raw = dict.fromkeys(EXPRESSIONS, 0.0) | {"fear": 1.0}
    crowd = dict.fromkeys(CROWD, 0.0) | {"fear": 1.0}
    face = TrackedFace(
        box=(200.0, 120.0, 340.0, 260.0),
        landmarks=None,
        detection_score=0.9,
        probabilities=raw,
        crowd=crowd,
        fer2013=raw,
        track=7,
        smoothed=smoothed,
        smoothed_unclear=unclear,
    )
    drawn = np.asarray(draw_frame(np.full((360, 640, 3), 255, np.uint8), [face]))
    colour = UNCLEAR if unclear > 0.5 else COLOURS[expression]
    edge = (drawn[130:250, 198:206] == colour).all(axis=2)
    assert edge.any(axis=1).mean() > 0.9  # the box's left side
    widths = {
        name: int((drawn[262:275, 200:340] == COLOURS[name]).all(axis=2).any(axis=0).sum())
        for name in EXPRESSIONS
    }
    assert widths == pytest.approx({name: 140 * share for name, share in smoothed.items()}, abs=2)


def test_a_frame_tells_itself_in_records_rows_and_pictures(recognizer: Recognizer):
    pixels = drift("astronaut", 1)[0][0]
    frame = FaceTracker(recognizer, source="camera 1").update(pixels, 12.3456789, pixels=True)
    record = frame.to_dict()
    assert list(record) == ["source", "frame", "time", "cut", "width", "height", "faces"]
    assert (record["source"], record["frame"], record["time"]) == ("camera 1", 0, 12.345679)
    (face,) = record["faces"]
    assert next(iter(face)) == "track"
    assert list(face)[-4:] == ["smoothed_expression", "smoothed_probability", "smoothed_unclear", "smoothed"]
    (row,) = frame.rows()
    assert tuple(row) == VIDEO_COLUMNS
    assert row["smoothed_happy"] == face["smoothed"]["happy"]
    assert row["left_eye_x"] == face["landmarks"][0][0]
    assert list(frame.to_pandas().columns) == list(VIDEO_COLUMNS)
    drawn = frame.draw()
    assert drawn.size == (640, 360)
    assert (np.asarray(drawn) != pixels).any()
    assert isinstance(frame[0], mien.TrackedFace)
    empty = FaceTracker(recognizer).update(np.zeros((48, 64, 3), np.uint8), 0)
    assert (empty.rows(), list(empty.to_pandas().columns)) == ([], list(VIDEO_COLUMNS))
    with pytest.raises(ImageError, match="pixels=True"):
        empty.draw()
    assert empty.draw(np.zeros((48, 64), np.uint8)).size == (64, 48)
    with pytest.raises(ImageError, match="is not of the frame's size"):
        empty.draw(pixels)


def test_a_frame_of_more_pixels_than_usual_may_be_given_to_draw_on():
    side = DEFAULT_MAX_PIXELS + 1
    frame = mien.VideoFrame("huge.mp4", side, 1, number=0, time=0.0)
    with pytest.raises(ImageError, match="is not of the frame's size"):  # and not that it is too large
        frame.draw(np.broadcast_to(np.uint8(0), (side, 1)))


def test_frames_of_opencv_are_taken_when_their_channels_are_turned_round(recognizer: Recognizer):
    pixels = drift("astronaut", 1)[0][0]
    bgr = np.ascontiguousarray(pixels[:, :, ::-1])
    (face,), (turned,) = (FaceTracker(recognizer).update(image, 0) for image in (pixels, bgr[:, :, ::-1]))
    assert turned == face


@pytest.mark.parametrize(
    ("image", "time", "says"),
    [
        (np.zeros((4, 4), np.uint8), 1, "must be RGB uint8"),
        (np.zeros((4, 4, 3), np.float32), 1, "must be RGB uint8"),
        (np.zeros((0, 4, 3), np.uint8), 1, "must be RGB uint8"),
        (np.zeros((4, 4, 3), np.uint8), 0, "later than the one before"),
        (np.zeros((4, 4, 3), np.uint8), float("nan"), "later than the one before"),
    ],
)
def test_what_is_no_frame_is_refused(recognizer: Recognizer, image: np.ndarray, time: float, says: str):
    tracker = FaceTracker(recognizer)
    tracker.update(np.zeros((4, 4, 3), np.uint8), 0)
    with pytest.raises(ImageError, match=says):
        tracker.update(image, time)
    assert tracker.update(np.zeros((8, 4, 3), np.uint8), 2).number == 1


@pytest.mark.parametrize("options", [{"smoothing": -1}, {"smoothing": float("nan")}, {"search_every": 61}])
def test_impossible_options_are_refused(recognizer: Recognizer, options: dict[str, float]):
    with pytest.raises(ConfigError, match=next(iter(options))):
        FaceTracker(recognizer, **options)


def test_a_recogniser_without_detector_is_refused():
    with pytest.raises(ConfigError, match="centerface"):
        FaceTracker(Recognizer(detector="none"))


def test_a_model_of_other_classes_is_refused(own_model: Path):
    with pytest.raises(ConfigError, match="videos need the seven expressions"):
        FaceTracker(Recognizer(own_model))
