"""Speed, accuracy and memory of reading films.

    python benchmarks/video.py [MINUTES]

Films of 640×360 at 30 frames a second are made from the photographs in examples/ (see clips.py). Measured are: how
quick one with one face is read, and what the time goes into; how far its faces and probabilities are from those
of a search of every frame; and whether memory and speed stay the same while that film is read again and again,
through one tracker and all writers, until MINUTES of film (default 60) have gone by. Wall clock times count only
on an idle machine; the processor's time, which is given beside them, hangs less on what else runs.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from clips import Shot, cross, fade, pan, write_clip, zoom
from common import model_sha256, write_result
from mien.recognize import Recognizer
from mien.video.clip import Clip, ClipWriter
from mien.video.follow import FaceTracker, Seen, VideoFrame
from mien.video.reader import default_threads, read_video
from mien.video.summary import write_summary
from mien.video.timeline import Timeline
from mien.video.writers import open_video_writer

RATE = 30
MEBIBYTE = 1 << 20
BATCH = 8


def main(minutes: float = 60) -> None:
    """Measures and writes ``results/video.json``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loop = folder / "loop.mp4"
        write_clip(loop, (frame for frame, _ in pan("astronaut", 300)))
        result = {
            "model_sha256": model_sha256("base"),
            "load_average_at_the_start": [round(load, 1) for load in os.getloadavg()],
            "frames": f"640×360, {RATE} a second",
            "speed": speed(loop),
            "processor_time_by_part": parts(loop),
            "against_searching_every_frame": distance(),
            "memory": memory(loop, folder, minutes),
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


def memory(path: Path, folder: Path, minutes: float) -> dict[str, Any]:
    """Memory and speed in the course of a long film, through the tracker, the timeline and all the writers."""
    tracker = FaceTracker(Recognizer(threads=default_threads()))
    timeline = Timeline(RATE)
    early, late = min(2.0, minutes / 3), minutes
    notes: dict[str, float] = {}
    annotated = 0
    with ExitStack() as stack:
        writers = [
            stack.enter_context(open_video_writer(folder / f"a{ending}"))
            for ending in (".parquet", ".csv", ".jsonl")
        ]
        copy = ClipWriter(folder / "copy.mp4")
        frames, speeds, began = 0, [], (0, time.process_time())
        for moment, image in looped(path, minutes * 60):
            frame = tracker.update(image, moment, pixels=True)
            timeline.add(frame)
            for writer in writers:
                writer.write(frame)
            if frames % 30 == 0:  # encoding would be most of the work
                copy.write(Image.fromarray(image), moment)
                annotated += 1
            frames += 1
            if frames % (30 * RATE) == 0:
                now = time.process_time()
                speeds.append((frames - began[0]) / (now - began[1]))
                began = frames, now
            if "early" not in notes and moment >= early * 60:
                notes["early"] = resident()
        notes["late"] = resident()
        copy.close()
    timeline.end()
    page = write_summary(timeline, title="film", model="base")
    tenth = max(1, len(speeds) // 10)
    return {
        "minutes_of_film": round(late, 2),
        "frames": frames,
        "frames_encoded": annotated,
        f"resident_mib_at_minute_{early:g}": round(notes["early"], 1),
        "resident_mib_at_the_end": round(notes["late"], 1),
        "growth_mib": round(notes["late"] - notes["early"], 1),
        "frames_a_second_of_processor_time": {
            "first_tenth": round(float(np.mean(speeds[:tenth])), 1),
            "last_tenth": round(float(np.mean(speeds[-tenth:])), 1),
        },
        "summary_page_kib": round(len(page) / 1024),
    }


def looped(path: Path, seconds: float) -> Iterator[tuple[float, np.ndarray[Any, np.dtype[np.uint8]]]]:
    """The frames of a film again and again, as if it were one of so many seconds."""
    start = 0.0
    for _ in count():
        last = start
        with Clip(path) as clip:
            for moment, image in clip:
                last = start + moment
                if last >= seconds:
                    return
                yield last, image
        start = last + 1 / RATE


def resident() -> float:
    """Memory of this process that lies in RAM, in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE


if __name__ == "__main__":
    main(*(float(argument) for argument in sys.argv[1:]))
