"""Whether memory and speed stay the same while a long film is read.

    python benchmarks/video_memory.py [MINUTES]

A film of 640×360 at 30 frames a second with one face (see clips.py) is read again and again, through one tracker,
the timeline and all writers, until MINUTES of film (default 60) have gone by. Speeds are in the processor's time.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from clips import pan, write_clip
from common import model_sha256, write_result
from mien.recognize import Recognizer
from mien.video.clip import Clip, ClipWriter
from mien.video.follow import FaceTracker
from mien.video.reader import default_threads
from mien.video.summary import write_summary
from mien.video.timeline import Timeline
from mien.video.writers import open_video_writer

RATE = 30
MEBIBYTE = 1 << 20


def main(minutes: float = 60) -> None:
    """Measures and writes ``results/video_memory.json``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loop = folder / "loop.mp4"
        write_clip(loop, (frame for frame, _ in pan("astronaut", 300)))
        result = {
            "model_sha256": model_sha256("base"),
            "load_average_at_the_start": [round(load, 1) for load in os.getloadavg()],
            "frames": f"640×360, {RATE} a second",
        } | memory(loop, folder, minutes)
    write_result("video_memory", result)


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
    page = write_summary(timeline, title="film", model="base", settings="not smoothed")
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
