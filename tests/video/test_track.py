"""Who is who over time, on made sequences of which the truth is known; no pixels."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clips import FACES, cross, darken, fade, move, pan, zoom
from mien.video.cuts import CutFinder
from mien.video.track import PATIENCE, Smoother, Tracks

SIDE = 100.0


def box(x: float, y: float, side: float = SIDE) -> list[float]:
    """A square around a point."""
    return [x - side / 2, y - side / 2, x + side / 2, y + side / 2]


def follow(frames: list[tuple[float, list[list[float]]]]) -> list[list[int]]:
    """The ids of each frame's boxes."""
    tracks = Tracks()
    return [tracks.update(np.array(boxes, np.float32).reshape(-1, 4), time) for time, boxes in frames]


# --- tracks -------------------------------------------------------------------------------------------


def test_faces_are_numbered_from_1_in_any_frame_rate_and_order():
    frames = [(n / 10, [box(100, 100), box(400, 100)][:: 1 if n % 2 else -1]) for n in range(20)]
    ids = follow(frames)
    assert ids == [[2, 1] if n % 2 else [1, 2] for n in range(20)]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([10, 25, 60]), st.floats(0, 4 * SIDE))
def test_a_face_that_shakes_and_moves_keeps_its_id(seed: int, rate: int, speed: float):
    random = np.random.default_rng(seed)
    frames = [
        (n / rate, [(np.array(box(speed * n / rate, 200)) + random.normal(0, 4, 4)).tolist()])
        for n in range(rate)
    ]
    assert {id for ids in follow(frames) for id in ids} == {1}


@given(
    angle=st.floats(0, 2 * math.pi),
    speed=st.floats(0.5, 4),
    apart=st.floats(1.3, 4),
    sizes=st.tuples(st.floats(0.8, 1.25), st.floats(0.8, 1.25)),
    misses=st.sets(st.integers(5, 54), max_size=12),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_two_faces_that_cross_at_a_distance_never_swap(
    angle: float, speed: float, apart: float, sizes: tuple[float, float], misses: set[int], seed: int
):
    """They pass each other 1.3 or more sides apart, at up to 8 sides a second, shaking, one missed at times."""
    random = np.random.default_rng(seed)
    along = np.array([math.cos(angle), math.sin(angle)]) * SIDE
    beside = np.array([-math.sin(angle), math.cos(angle)]) * SIDE
    frames, who = [], []
    for n in range(60):
        t = n / 30
        places = [along * speed * (t - 1) + beside * apart / 2, along * speed * (1 - t) - beside * apart / 2]
        boxes = [
            (np.array(box(*place, SIDE * size)) + random.normal(0, 2, 4)).tolist()
            for place, size in zip(places, sizes, strict=True)
        ]
        present = [1] if n in misses else [0, 1]
        frames.append((t, [boxes[one] for one in present]))
        who.append(present)
    for present, ids in zip(who, follow(frames), strict=True):
        assert ids == [one + 1 for one in present]


def test_a_face_that_passes_in_front_of_another_takes_no_id_from_it():
    frames = []
    for n in range(60):
        near, far = box(100 + 8 * n, 200), box(572 - 8 * n, 200)
        hidden = abs((100 + 8 * n) - (572 - 8 * n)) < 60
        frames.append((n / 30, [near] if hidden else [near, far]))
    assert all(len(boxes) == len(ids) for (_, boxes), ids in zip(frames, follow(frames), strict=True))
    assert all(ids in ([1], [1, 2]) for ids in follow(frames))


@pytest.mark.parametrize("gap", [1, 5, 15, 29])
def test_an_occlusion_of_less_than_a_second_ends_no_track(gap: int):
    frames = [(n / 30, [] if 30 <= n < 30 + gap else [box(100 + 3 * n, 200)]) for n in range(90)]
    assert {id for ids in follow(frames) for id in ids} == {1}


def test_who_is_away_for_long_comes_back_as_another():
    frames = [(0.0, [box(100, 100)]), (PATIENCE + 0.1, [box(100, 100)]), (PATIENCE + 0.2, [box(100, 100)])]
    assert follow(frames) == [[1], [2], [2]]


def test_a_cut_ends_tracks_and_no_id_is_used_twice():
    tracks = Tracks()
    assert tracks.update(np.array([box(100, 100)]), 0.0) == [1]
    tracks.end()
    assert len(tracks.expected(0.1)) == 0
    assert tracks.update(np.array([box(100, 100)]), 0.1) == [2]


@pytest.mark.parametrize("other", [box(260, 100), box(100, 100, 3 * SIDE)], ids=["far", "large"])
def test_what_is_far_or_of_another_size_is_somebody_else(other: list[float]):
    assert follow([(0.0, [box(100, 100)]), (0.04, [other])]) == [[1], [2]]


def test_a_missing_face_is_told_of_until_it_is_given_up():
    tracks = Tracks()
    tracks.update(np.array([box(100, 100)]), 0.0)
    assert not tracks.missing
    tracks.update(np.empty((0, 4)), 0.5)
    assert tracks.missing
    tracks.update(np.empty((0, 4)), 1.5)
    assert not tracks.missing


# --- smoothing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [5, 30, 240])
@pytest.mark.parametrize("seconds", [0.2, 1.0])
def test_after_the_time_constant_63_percent_of_a_change_is_told(rate: int, seconds: float):
    smoother = Smoother(seconds)
    smoother.update([1], np.array([[1.0, 0.0]]), 0.0)
    for n in range(1, round(rate * seconds) + 1):
        calm = smoother.update([1], np.array([[0.0, 1.0]]), n / rate)
    assert calm[0, 1] == pytest.approx(1 - math.exp(-1), abs=1e-9)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.001, 0.9), st.integers(0, 2**32 - 1)), min_size=1, max_size=30))
def test_smoothed_distributions_are_distributions_and_know_no_future(steps: list[tuple[float, int]]):
    times = np.cumsum([step for step, _ in steps])
    rows = [np.random.default_rng(seed).dirichlet(np.ones(7), 1) for _, seed in steps]
    smoother = Smoother(0.3)
    calm = [smoother.update([1], row, time) for row, time in zip(rows, times, strict=True)]
    assert np.allclose([row.sum() for row in calm], 1)
    assert all((row >= 0).all() for row in calm)
    half = len(steps) // 2
    again = Smoother(0.3)
    for row, time, expected in zip(rows[:half], times[:half], calm[:half], strict=True):
        assert (again.update([1], row, time) == expected).all()


def test_tracks_do_not_mix_and_0_smooths_nothing():
    one, two = np.eye(7)[[0]], np.eye(7)[[1]]
    smoother = Smoother(0.3)
    smoother.update([1, 2], np.vstack([one, two]), 0.0)
    assert (smoother.update([2, 1], np.vstack([two, one]), 0.1) == np.vstack([two, one])).all()
    none = Smoother(0)
    none.update([1], one, 0.0)
    assert (none.update([1], two, 0.1) == two).all()


# --- cuts ---------------------------------------------------------------------------------------------


def cuts(frames: list[np.ndarray]) -> list[int]:
    finder = CutFinder()
    return [number for number, frame in enumerate(frames) if finder.update(frame)]


def drift(name: str, count: int) -> list[np.ndarray]:
    """A camera that moves a little over a photograph."""
    x, y = next(((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in FACES[name].values())
    return images(move(name, count, lambda t: (x + 4 * count * t, y, 500)))


def images(shot: list) -> list[np.ndarray]:
    return [frame for frame, _ in shot]


def test_a_cut_is_found_where_it_is():
    frames = drift("astronaut", 8) + drift("obama", 2) + drift("grace_hopper", 6) + drift("biden", 3)
    assert cuts(frames) == [8, 10, 16]


@pytest.mark.parametrize(
    "shot",
    [
        lambda: pan("astronaut", 60),
        lambda: zoom("obama", 30),
        lambda: darken(zoom("grace_hopper", 30)),
        lambda: fade(zoom("biden", 30), zoom("obama", 30)),
        lambda: cross(30),
    ],
    ids=["pan", "zoom", "to black and back", "dissolve", "people pass"],
)
def test_motion_and_fades_are_no_cuts(shot):
    assert cuts(images(shot())) == []


def test_a_flash_and_a_blank_frame_are_no_cuts_but_what_follows_may_be():
    one, other = drift("astronaut", 6), drift("biden", 6)
    white, black = np.full_like(one[0], 255), np.zeros_like(one[0])
    brighter = (one[3] * 0.5 + 127).astype(np.uint8)
    assert cuts([*one[:3], white, brighter, *one[4:]]) == []
    assert cuts([*one, black, black, *other]) == [8]
