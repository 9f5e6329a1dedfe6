"""Speed and accuracy of reading films.

    python benchmarks/video.py

Films of 640×360 at 30 frames a second are made from the photographs in examples/ (see clips.py). Measured are how
quick one with one face is read, and what the time goes into; and how far its faces and probabilities are from a
search of every frame. Wall clock times count only on an idle machine; the processor's time, which is given beside
them, hangs less on what else runs. benchmarks/video_memory.py reads for an hour.
"""

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from clips import Shot, cross, fade, pan, write_clip, zoom
from common import model_sha256, write_result
from mien.recognize import Recognizer
from mien.video.clip import Clip
from mien.video.follow import FaceTracker, Seen, VideoFrame
from mien.video.reader import default_threads, read_video

RATE = 30
BATCH = 8


def main() -> None:
    """Measures and writes ``results/video.json``."""
    with tempfile.TemporaryDirectory() as name:
        loop = Path(name) / "loop.mp4"
        write_clip(loop, (frame for frame, _ in pan("astronaut", 300)))
        result = {
            "model_sha256": model_sha256("base"),
            "load_average_at_the_start": [round(load, 1) for load in os.getloadavg()],
            "frames": f"640×360, {RATE} a second",
            "speed": speed(loop),
            "processor_time_by_part": parts(loop),
            "against_searching_every_frame": distance(),
        }
    write_result("video", result)


def speed(path: Path) -> dict[str, Any]:
    """How many times faster than it plays a film with one face is read, decoding included."""
    recognizer = Recognizer(threads=default_threads())
    rows = []
    for _ in range(3):
        wall, processor = time.perf_counter(), time.process_time()
        frames = sum(1 for _ in read_video(path, recognizer=recognizer))
        rows.append((time.perf_counter() - wall, time.process_time() - processor))
    wall, processor = np.median(rows, axis=0)
    return {
        "frames": frames,
        "times_real_time": round(frames / RATE / wall, 2),
        "processor_milliseconds_a_frame": round(processor / frames * 1000, 2),
        "times_real_time_if_two_cores_were_kept_busy": round(2 * frames / RATE / processor, 2),
    }


def parts(path: Path) -> dict[str, Any]:
    """Processor time of each part on one thread, as shares of the whole."""
    tracker = FaceTracker(Recognizer(threads=1))
    spent = dict.fromkeys(("decode", "find and follow", "cut out and classify"), 0.0)

    def timed(part: str, work: Callable[[], Any]) -> Any:
        start = time.process_time()
        result = work()
        spent[part] += time.process_time() - start
        return result

    waiting: list[Seen] = []
    number = 0
    with Clip(path) as clip:
        images = iter(clip)
        while (item := timed("decode", lambda: next(images, None))) is not None:
            moment, image = item
            number += 1
            waiting.append(timed("find and follow", partial(tracker.find, image, moment)))
            if len(waiting) == BATCH:
                timed("cut out and classify", partial(tracker.read, waiting))
                waiting = []
    timed("cut out and classify", partial(tracker.read, waiting))
    whole = sum(spent.values())
    return {
        part: {"milliseconds_a_frame": round(seconds / number * 1000, 2), "share": round(seconds / whole, 3)}
        for part, seconds in spent.items()
    }


def distance() -> dict[str, Any]:
    """How far readings are from those of a tracker that searches every frame whole."""
    films: dict[str, Shot] = {
        "pan": pan("astronaut", 90),
        "zoom": zoom("obama", 60),
        "cut, then zoom": pan("biden", 90)[:30] + zoom("grace_hopper", 60)[:30],
        "dissolve": fade(zoom("biden", 60), zoom("obama", 60)),
        "two pass at a distance": cross(60, apart=160),
    }
    recognizer = Recognizer(threads=1)
    rows = {}
    total: list[tuple[float, float, float]] = []
    for name, shot in films.items():
        quick, every = (follow(recognizer, shot, seconds) for seconds in (1.0, 0.0))
        pairs, missed, extra = compare(quick, every)
        total += pairs
        rows[name] = {"faces": len(pairs) + missed, "missed": missed, "extra": extra} | spread(pairs)
    return {"films": rows, "all": spread(total)}


def follow(recognizer: Recognizer, shot: Shot, seconds: float) -> list[VideoFrame]:
    """All frames of a shot, the whole searched every so many seconds."""
    tracker = FaceTracker(recognizer, search_every=seconds)
    return [tracker.update(frame, number / RATE) for number, (frame, _) in enumerate(shot)]


def compare(
    quick: list[VideoFrame], every: list[VideoFrame]
) -> tuple[list[tuple[float, float, float]], int, int]:
    """Of faces that both found: the IoU of their boxes, and the total variation of their probabilities."""
    pairs, missed, extra = [], 0, 0
    for one, other in zip(quick, every, strict=True):
        found = 0
        for face in other:
            near = max(one.faces, key=lambda candidate: iou(candidate.box, face.box), default=None)
            if near is None or iou(near.box, face.box) < 0.3:
                missed += 1
                continue
            found += 1
            raw = (
                sum(abs(near.probabilities[word] - face.probabilities[word]) for word in face.probabilities)
                / 2
            )
            calm = sum(abs(near.smoothed[word] - face.smoothed[word]) for word in face.smoothed) / 2
            pairs.append((iou(near.box, face.box), raw, calm))
        extra += len(one) - found
    return pairs, missed, extra


def spread(pairs: list[tuple[float, float, float]]) -> dict[str, float]:
    """Means, and what one in twenty is worse than."""
    boxes, raw, calm = np.array(pairs).T
    return {
        "box_iou_mean": round(float(boxes.mean()), 3),
        "box_iou_5_percent_below": round(float(np.percentile(boxes, 5)), 3),
        "probabilities_apart_mean": round(float(raw.mean()), 4),
        "probabilities_apart_5_percent_above": round(float(np.percentile(raw, 95)), 4),
        "smoothed_apart_mean": round(float(calm.mean()), 4),
    }


def iou(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Intersection over union."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    common = float(np.prod((high - low).clip(0)))
    area = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1])
    return common / (area - common)


if __name__ == "__main__":
    main()
