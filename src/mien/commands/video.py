"""`mien video`: a video in, its faces over time out."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mien.console import complain, progress
from mien.errors import ConfigError, VideoError
from mien.inputs import same
from mien.labels import EXPRESSIONS
from mien.prior import parse_prior
from mien.recognize import Recognizer
from mien.result import percent
from mien.video.clip import Clip, ClipWriter
from mien.video.follow import SEARCH_EVERY, SMOOTHING, VideoFrame
from mien.video.reader import VideoReader, default_threads
from mien.video.summary import clock, write_summary
from mien.video.timeline import Timeline
from mien.video.writers import check_ending, open_video_writer
from mien.writers import heed_sigterm, held_interrupt


def video(
    clip: Path,
    /,
    *,
    out: Path | None = None,
    annotate: Path | None = None,
    summary: Path | None = None,
    smoothing: float = SMOOTHING,
    search_every: float = SEARCH_EVERY,
    detector_size: int = 640,
    model: str = "base",
    max_pixels: int = 100_000_000,
    threads: int | None = None,
    prior: str | None = None,
) -> int:
    """Follows the faces in a video and reads their expressions over time.

    Prints a line for each track: a face from its coming to its going.

    Parameters
    ----------
    clip
        The video: whatever FFmpeg reads.
    out
        File for the readings of each frame: .parquet (exact), .csv or .jsonl.
    annotate
        File for a copy of the video with the faces drawn on it: .mp4, with the sound of the original.
    summary
        File for a page that shows each face's expressions over time: .html.
    smoothing
        Time constant in seconds of the smoothed readings; 0 leaves them as they are.
    search_every
        Seconds between two searches of the whole frame, which find who is new; 0 searches each frame whole.
    detector_size
        Long side in pixels at which a frame is searched; larger finds smaller faces and takes longer.
    model
        An expression model: base, nano, a folder that mien train made, or an .onnx file.
    max_pixels
        Videos whose frames have more pixels are refused before they are decoded.
    threads
        CPU threads for each of the two networks, which run at once; by default half of all.
    prior
        How often each expression is to be expected in the video: even, or a TOML or JSON file with a number
        for each. By default answers are left as the model was made.
    """
    heed_sigterm()
    _check_outputs(clip, out, annotate, summary)
    threads = default_threads() if threads is None else threads
    recognizer = Recognizer(
        model,
        detector_size=detector_size,
        threads=threads,
        prior=parse_prior(prior),
    )
    reader = VideoReader(
        clip,
        recognizer=recognizer,
        smoothing=smoothing,
        search_every=search_every,
        pixels=annotate is not None or summary is not None,
        max_pixels=max_pixels,
    )
    timeline = Timeline(reader.clip.rate)
    trouble = None
    with ExitStack() as stack:
        stack.enter_context(reader)
        sinks: list[Callable[[VideoFrame], None]] = [timeline.add]
        if summary is not None:
            settings = _settings(smoothing, search_every)
            stack.enter_context(_page(summary, timeline, reader, recognizer, settings, lambda: trouble))
        if annotate is not None:
            sinks.append(stack.enter_context(_copy(annotate, reader.clip)))
        if out is not None:
            sinks.append(stack.enter_context(open_video_writer(out)).write)
        advance = stack.enter_context(progress(reader.clip.count, None, "table", "frames"))
        try:
            for frame in reader:
                with held_interrupt():
                    for take in sinks:
                        take(frame)
                advance()
        except VideoError as error:  # what came before it is delivered
            if not timeline.frames:
                raise
            trouble = str(error)
        if trouble is None and reader.clip.damaged:
            what = "frames are missing or mended there; the rest was read"
            trouble = f"{clip}: {reader.clip.damaged} damaged pieces: {what}"
    if trouble is not None:
        complain(trouble)
    timeline.end()
    for row in _table(timeline):
        print(row)
    return 0 if trouble is None else 1


def _settings(smoothing: float, search_every: float) -> str:
    calmed = f"smoothed, time constant {smoothing:g} s" if smoothing else "not smoothed"
    return f"{calmed} · searched whole {f'every {search_every:g} s' if search_every else 'in each frame'}"


def _check_outputs(clip: Path, *outputs: Path | None) -> None:
    """Refuses outputs of which one would be written over another, or over the video; before anything is done."""
    out, annotate, summary = outputs
    if out is not None:
        check_ending(out)
    if annotate is not None and annotate.suffix.lower() not in ClipWriter.ENDINGS:
        raise ConfigError(f"--annotate {annotate}: is written as MP4: let the name end in .mp4")
    if summary is not None and summary.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--summary {summary}: is a page: let the name end in .html")
    given = [path for path in outputs if path is not None]
    for path in given:
        if same(path, clip):
            raise ConfigError(f"{path}: is the video itself, name another file")
        if not path.parent.is_dir():
            raise ConfigError(f"{path}: there is no folder {path.parent}: make it first")
        if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
            raise ConfigError(f"{path}: cannot be written: it is a folder, or its permissions forbid it")


@contextmanager
def _copy(path: Path, clip: Clip) -> Iterator[Callable[[VideoFrame], None]]:
    """An annotated copy; whole whatever happens in between."""
    writer = ClipWriter(path, clip)
    try:
        yield lambda frame: writer.write(frame.draw(), frame.time)
    except BaseException:
        with held_interrupt():
            writer.close(whole=False)
        raise
    with held_interrupt():
        writer.close()


@contextmanager
def _page(
    path: Path,
    timeline: Timeline,
    reader: VideoReader,
    recognizer: Recognizer,
    settings: str,
    trouble: Callable[[], str | None],
) -> Iterator[None]:
    """A page about the video, or about as much of it as was read when the rest was given up."""
    try:
        path.touch()  # what cannot be written is told before the work, not after it
        note: str | None = "Reading was stopped before the video's end."
        try:
            yield
            note = trouble()
        finally:
            with held_interrupt():
                timeline.end()
                title = Path(reader.clip.name).name
                page = write_summary(
                    timeline, title=title, model=recognizer.model, settings=settings, note=note
                )
                path.write_text(page, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ConfigError(f"--summary {path}: cannot be written ({error.strerror or error})") from error


def _table(timeline: Timeline) -> Iterator[str]:
    """A line a track, for people."""
    if not timeline.lines:
        yield "nobody found"
        return
    yield "track     from       to  in sight  expressions, by the time for which each was the likeliest"
    for line in timeline.lines:
        ranked = sorted(zip(line.seconds, EXPRESSIONS, strict=True), reverse=True)
        shares = ", ".join(
            f"{name} {percent(float(seconds / line.present))}" for seconds, name in ranked if seconds > 0
        )
        first, end = clock(line.first, exact=True), clock(line.last, exact=True)
        yield f"{line.track:5d} {first:>8} {end:>8}  {clock(line.present, exact=True):>8}  {shares}"
    if timeline.dropped:
        yield f"and {timeline.dropped:,} shorter tracks"
