"""Videos as rows of pictures, through PyAV (FFmpeg): read them frame by frame, write annotated copies.

with Clip("party.mp4") as clip:
    for time, image in clip:        # seconds; RGB uint8 (height, width, 3), upright
        ...
"""

import os
from collections.abc import Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.errors import ConfigError, VideoError
from mien.image import DEFAULT_MAX_PIXELS, describe

try:
    import av
except ImportError as missing:
    raise ConfigError('videos need PyAV: pip install "mien[video]"') from missing

if TYPE_CHECKING:
    from av.audio.codeccontext import AudioCodecContext
    from av.audio.stream import AudioStream
    from av.container import InputContainer

ClipSource: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO

# FFmpeg counts what decoders add at the borders too: less than 64 pixels a side, of sides of 65,536 at most.
_BORDERS: Final = 64 * 2 * 65_536
# What FFmpeg also takes for videos: pictures, and texts drawn as on a terminal.
_NO_FILM: Final = {"image2", "tty", "ico", "bin", "adf", "idf", "xbin"}
# A video that ends so great a part of it before it says it does was cut short; within these bounds, in seconds.
_SHORT: Final = (0.1, 0.5)
_SHORT_PART: Final = 0.1
# Where the clock goes back by more, in seconds, another video begins that was joined on.
_JOINED: Final = 1.0
# Pixels are at most so many times as wide as high, or as high as wide (HDV and DVD have 1.4): more is damage.
_STRETCHED: Final = 4.0
# The clock of what is written, ticks a second, as MPEG has it: fine enough for any frame rate.
_CLOCK: Final = 90_000
# Sound that browsers play from an MP4 file, and that is copied as it is.
_COPIED: Final = {"aac", "mp3"}
# Sound that is silent for less, in seconds, goes on without a gap.
_GAP: Final = 0.1
_AAC_RATES: Final = {8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000}


class Clip:
    """A video, read from its beginning to its end.

    Attributes:
        name: its path as given, "<bytes>" or a file object's name.
        rate: frames a second, on average, as the video states it; None when it does not.
        duration: in seconds, as the video states it; None when it does not.
        max_pixels: that a frame may have.
        damaged: pieces so far that the file marks as damaged or the decoder could not read: their frames are
            missing, or shown as the decoder mends them. Damage that it mends without a word is not counted.
    """

    def __init__(self, source: ClipSource, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        """Opens a video.

        Args:
            source: a path, the bytes of a file, or a binary file object that can seek (it is left open).
            max_pixels: videos that say that their frames have more pixels are refused before they are decoded.
                Frames that turn out to have more are too; of those far above, nothing is decoded, and they count
                as damaged.

        Raises:
            VideoError: it is missing, no video, without pictures, or too large.
        """
        self.name = describe(source)
        self.damaged = 0
        self.max_pixels = max_pixels
        self._own = isinstance(source, str | os.PathLike)
        self._file = self._open_file(source)
        try:
            self._container = self._open_container()
            self._stream = self._choose_stream()
        except BaseException:
            self.close()
            raise
        stream, container = self._stream, self._container
        self.rate = float(stream.average_rate) if stream.average_rate else None
        self.duration = container.duration / av.time_base if container.duration else None
        self._start = (container.start_time or 0) / av.time_base
        self._reached = 0.0
        stream.thread_type = "AUTO"
        stream.codec_context.options = _most(max_pixels)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as they are stored, in pixels: before they are turned upright and made square."""
        return self._stream.codec_context.width, self._stream.codec_context.height

    @property
    def count(self) -> int | None:
        """How many frames there are about; None when the video does not say."""
        if self.duration and self.rate:
            return round(self.duration * self.rate)
        return self._stream.frames or None

    def __iter__(self) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """Each frame in the order in which they are shown; works once.

        Yields:
            The time in seconds since the video's beginning, strictly rising, also where several were joined; and
            the picture, upright, RGB uint8 (height, width, 3), its pixels made square.

        Raises:
            VideoError: after the last frame that could be read, if the video was cut short or holds none.
        """
        count, last = 0, -1e-6
        reformatter = av.video.reformatter.VideoReformatter()
        for frame in self._decode():
            self._check(frame.width, frame.height)
            following = last + 1 / (self.rate or 25) if last >= 0 else 0.0
            stated = following if frame.time is None else frame.time - self._start
            if stated < last - _JOINED:
                self._start -= following - stated
                stated = following
            last = max(stated, last + 1e-6)
            try:
                width, height = self._shown(frame.width, frame.height)
                rgb = reformatter.reformat(frame, width, height, format="rgb24", threads=1).to_ndarray()
            except (av.FFmpegError, ValueError):  # damage may change the format in mid-video
                self.damaged += 1
                continue
            count += 1
            yield last, np.ascontiguousarray(np.rot90(rgb, frame.rotation // 90))
        if not count:
            raise VideoError(
                f"{self._printed}: holds no frame that can be read, of {self.max_pixels:,} pixels at most: get it "
                "anew, or raise max_pixels"
            )
        if self.duration is None:
            return
        if self._reached < self.duration - min(max(_SHORT_PART * self.duration, _SHORT[0]), _SHORT[1]):
            raise VideoError(
                f"{self._printed}: is cut short or damaged: it breaks off after {last:.1f} s of "
                f"{self.duration:.1f} s; what came before was read"
            )

    def __enter__(self) -> Self:
        """Is the video itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the video."""
        self.close()

    def close(self) -> None:
        """Closes the video; its file too, if it was given as a path."""
        if hasattr(self, "_container"):
            self._container.close()
        if self._own:
            self._file.close()

    @property
    def _printed(self) -> str:
        return self.name if self.name.isprintable() else ascii(self.name)

    def _open_file(self, source: ClipSource) -> BinaryIO:
        if isinstance(source, bytes):
            return BytesIO(source)
        if not isinstance(source, str | os.PathLike):
            return source
        try:
            return Path(source).open("rb")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise VideoError(f"{self._printed}: no such file: check the path") from error
        except IsADirectoryError as error:
            raise VideoError(f"{self._printed}: is a folder: name a video in it") from error
        except PermissionError as error:
            raise VideoError(f"{self._printed}: may not be read: check its permissions") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise VideoError(f"{self._printed}: cannot be opened ({reason}): check the path") from error

    def _open_container(self) -> "InputContainer":
        try:
            if not self._file.seekable():
                raise VideoError(f"{self._printed}: cannot be wound back: save it as a file")
            if not self._file.read(1):
                raise VideoError(f"{self._printed}: is empty: a video was expected")
            self._file.seek(0)
            container = _open(self._file, self.max_pixels)
        except (av.FFmpegError, ValueError, OSError) as error:
            raise VideoError(
                f"{self._printed}: is no video, or is damaged or cut short beyond reading: get it anew"
            ) from error
        names = set(container.format.name.split(","))
        if names & _NO_FILM or any(name.endswith("_pipe") for name in names):
            container.close()
            raise VideoError(f"{self._printed}: is no video ({container.format.long_name})")
        return container

    def _choose_stream(self) -> "av.VideoStream":
        pictures = [
            stream
            for stream in self._container.streams.video
            if not stream.disposition & av.stream.Disposition.attached_pic  # the cover of a record
        ]
        if not pictures:
            raise VideoError(f"{self._printed}: has no video stream: name a video with pictures")
        best = self._container.streams.best("video")
        stream = next((stream for stream in pictures if stream == best), pictures[0])
        if stream.codec_context is None:
            raise VideoError(f"{self._printed}: is in a format that cannot be decoded: convert it to H.264")
        self._check(stream.codec_context.width, stream.codec_context.height)
        return stream

    def _shown(self, width: int, height: int) -> tuple[int, int]:
        """The size at which a stored frame is shown: pixels of television are no squares, and none is lost."""
        ratio = float(self._stream.sample_aspect_ratio or 1)
        if not 1 / _STRETCHED <= ratio <= _STRETCHED:
            return width, height
        size = (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio))
        return size if size[0] * size[1] <= self.max_pixels else (width, height)

    def _check(self, width: int, height: int) -> None:
        if width * height > self.max_pixels:
            raise VideoError(
                f"{self._printed}: {width}×{height} is more than the limit of {self.max_pixels:,} pixels: "
                f"shrink it or raise max_pixels"
            )

    def _decode(self) -> "Iterator[av.VideoFrame]":
        """All frames that can be decoded; what cannot is counted."""
        packets = self._container.demux()
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError):  # the file breaks off here, or its disk fails
                self.damaged += 1
                packet = None
            if packet is None:
                break
            # A frame that was left out, as AVI marks it: a decoder would take it for the end.
            if not packet.size:
                continue
            if packet.pts is not None:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base) - self._start
                self._reached = max(self._reached, end)
            if packet.stream is self._stream:
                yield from self._decode_packet(packet)
        end_of_all: av.Packet[Any] = av.Packet()
        if self._stream.time_base is not None:  # of the frames that the decoder still holds
            end_of_all.time_base = self._stream.time_base
        yield from self._decode_packet(end_of_all)

    def _decode_packet(self, packet: "av.Packet[Any]") -> "list[av.VideoFrame]":
        damaged = packet.is_corrupt
        frames = []
        try:
            frames = self._stream.codec_context.decode(packet)
        except av.error.EOFError:  # wound up already
            pass
        except av.FFmpegError:
            damaged = True
        if damaged or any(frame.is_corrupt for frame in frames):
            self.damaged += 1
        return frames


class ClipWriter:
    """Writes an annotated copy of a video: H.264 in MP4, which browsers play, with the sound of the original."""

    ENDINGS: Final = (".mp4", ".m4v", ".mov")

    def __init__(self, path: Path, original: Clip | None = None) -> None:
        """Begins a file.

        Args:
            path: the file, ending in .mp4.
            original: the video whose sound and frame rate are taken over; it must have been given as a path.

        Raises:
            ConfigError: the file cannot be written.
        """
        if path.suffix.lower() not in self.ENDINGS:
            raise ConfigError(f"{path}: annotated videos are MP4 files: let the name end in .mp4")
        try:
            path.open("wb").close()  # the system's own error comes first, and in words
            form = "mov" if path.suffix.lower() == ".mov" else "mp4"  # by .m4v FFmpeg means less
            self._container = av.open(
                str(path.absolute()), "w", format=form, options={"movflags": "+faststart"}
            )
        except (OSError, av.FFmpegError) as error:
            raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error
        self._path = path
        rate = Fraction(original.rate).limit_denominator(1001) if original and original.rate else 30
        self._video = self._container.add_stream(
            "libx264", rate=rate, options={"crf": "20", "preset": "veryfast"}
        )
        self._video.pix_fmt = "yuv420p"
        self._video.time_base = self._video.codec_context.time_base = Fraction(1, _CLOCK)
        self._last = -1
        self._sound = None if original is None else _Sound.of(original, self._container)

    def write(self, image: Image.Image, time: float) -> None:
        """Writes the next frame, RGB, shown at a time in seconds.

        Raises:
            ConfigError: the file cannot be written to any more.
        """
        context = self._video.codec_context
        if self._last < 0:  # H.264 with halved colours has even sides
            context.width, context.height = (side + side % 2 for side in image.size)
        size = context.width, context.height
        if image.size != size:
            image = _fit(image, size)
        frame = av.VideoFrame.from_ndarray(np.asarray(image), format="rgb24")
        self._last = max(round(time * _CLOCK), self._last + 1)
        frame.pts, frame.time_base = self._last, Fraction(1, _CLOCK)
        try:
            self._container.mux(self._video.encode(frame))
            if self._sound is not None:
                self._sound.copy_until(time)
        except av.FFmpegError as error:
            raise ConfigError(f"{self._path}: cannot be written ({error.strerror})") from error

    def close(self, *, whole: bool = True) -> None:
        """Ends the file, so that it can be played.

        Args:
            whole: whether the video came to its end, so that its sound may too.

        Raises:
            ConfigError: the file cannot be written to any more.
        """
        try:
            if self._last >= 0:
                self._container.mux(self._video.encode(None))
            if self._sound is not None:
                self._sound.close(whole and self._last >= 0)
            self._container.close()
        except av.FFmpegError as error:
            raise ConfigError(f"{self._path}: cannot be written ({error.strerror})") from error


class _Sound:
    """The sound of one video, taken over into another: copied where a browser can play it, else made AAC."""

    def __init__(self, source: "InputContainer", stream: "AudioStream", start: float, out: Any) -> None:
        self._source, self._stream, self._start, self._out = source, stream, start, out
        self._packets = source.demux(stream)
        self._encoder: AudioCodecContext | None = None
        self._resampler: av.AudioResampler | None = None
        self._next = 0  # where the next sample goes
        self._form: tuple[str, str, int] | None = None  # of the frames that the resampler takes
        if stream.codec_context.codec.canonical_name in _COPIED:  # the name may be a decoder's, as mp3float
            self._target = out.add_stream_from_template(stream)
        else:
            layout = "mono" if stream.codec_context.channels == 1 else "stereo"
            rate = stream.rate if stream.rate in _AAC_RATES else 48_000
            self._target = out.add_stream("aac", rate=rate, layout=layout)
            self._encoder = self._target.codec_context
            self._encoder.format = av.AudioFormat("fltp")
        self._reached = 0.0
        self._last = -float("inf")  # the decoding time of what was copied last, in seconds

    @classmethod
    def of(cls, original: Clip, out: Any) -> "_Sound | None":
        """The sound of a video; None if there is none, or none that can be decoded."""
        file = Path(original.name).open("rb")  # noqa: SIM115 - the container keeps it, and lets it go when closed
        source = _open(file, original.max_pixels)
        stream = next(iter(source.streams.audio), None)
        if stream is None or stream.codec_context is None:
            source.close()
            return None
        return cls(source, stream, (source.start_time or 0) / av.time_base, out)

    def copy_until(self, time: float) -> None:
        """Takes over the sound up to a time in seconds since the video's beginning."""
        while self._reached <= time:
            try:
                packet = next(self._packets, None)
            except (av.FFmpegError, OSError):  # the original breaks off here, or its disk fails
                packet = None
            if packet is None:
                self._reached = float("inf")
            elif packet.pts is not None:
                self._take(packet)

    def close(self, whole: bool) -> None:
        """Ends the sound; with what is left of it, if the video came to its end."""
        if whole:
            self.copy_until(1e12)
        if self._encoder is not None and self._encoder.is_open:
            self._encode(None, self._encoder)
            self._out.mux(self._target.encode(None))
        self._source.close()

    def _take(self, packet: Any) -> None:
        stated = float(packet.pts * packet.time_base) - self._start
        if stated < self._reached - _JOINED:
            self._start -= self._reached - stated
            stated = self._reached
        self._reached = stated
        shift = round(self._start / packet.time_base)
        if self._encoder is None:
            packet.pts -= shift
            packet.dts = packet.pts if packet.dts is None else packet.dts - shift
            at = float(packet.dts * packet.time_base)
            if at > self._last:  # MP4 has no place for what does not follow
                self._last = at
                packet.stream = self._target
                self._out.mux(packet)
            return
        try:
            frames = packet.decode()
        except av.FFmpegError:
            return
        for frame in frames:
            if frame.pts is not None:
                frame.pts -= round(self._start / frame.time_base)
            self._encode(frame, self._encoder)

    def _encode(self, frame: "av.AudioFrame | None", encoder: "AudioCodecContext") -> None:
        """Encodes what comes next, or what is held back; its form may change, as between two programmes."""
        form = None if frame is None else (frame.layout.name, frame.format.name, frame.sample_rate)
        if form != self._form and self._resampler is not None:
            self._write(self._resampler.resample(None))
            self._resampler = None
        self._form = form
        if frame is None:
            return
        if self._resampler is None:
            self._resampler = av.AudioResampler("fltp", encoder.layout, encoder.sample_rate)
        self._write(self._resampler.resample(frame))

    def _write(self, parts: "list[av.AudioFrame]") -> None:
        for part in parts:
            stated = self._next
            if part.pts is not None and part.time_base is not None:
                stated = round(part.pts * part.time_base * part.sample_rate)
            # Times are rounded; and where programmes were joined, one may begin before the other has ended.
            if abs(stated - self._next) < _GAP * part.sample_rate:
                stated = self._next
            part.pts, part.time_base = max(stated, self._next), Fraction(1, part.sample_rate)
            self._next = part.pts + part.samples
            self._out.mux(self._target.encode(part))


def _open(file: BinaryIO, max_pixels: int) -> "InputContainer":
    """Opens a video; FFmpeg, which decodes a frame to learn what is in it, takes none far above `max_pixels`.

    In formats that have no head, such as MPEG-TS, it cannot be told so and may decode one before ours is checked.
    """
    # Nothing but the video itself is opened: a playlist that names other files, or addresses, is refused.
    reading: dict[str, Any] = {"options": {"protocol_whitelist": "none", **_most(max_pixels)}}
    if int(av.__version__.split(".")[0]) < 19:  # PyAV 19 never fails on titles in another encoding
        reading["metadata_errors"] = "replace"
    container: InputContainer = av.open(file, "r", **reading)
    return container


def _most(max_pixels: int) -> dict[str, str]:
    """The option that makes a decoder refuse larger frames before it takes memory for them."""
    return {"max_pixels": str(min(max_pixels + _BORDERS, 2**31 - 1))}


def _fit(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A picture brought to a size: a row or column repeated where one is missing, else scaled."""
    across, down = size[0] - image.width, size[1] - image.height
    if across in (0, 1) and down in (0, 1):
        return Image.fromarray(np.pad(np.asarray(image), ((0, down), (0, across), (0, 0)), mode="edge"))
    return image.resize(size)
