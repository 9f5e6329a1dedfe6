"""Films as files: read to their end or to where they break, and written so that browsers play them."""

import io
import struct
import subprocess
import sys
import threading
import time
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import mien
from clips import FACES, move, write_clip
from mien.errors import ConfigError, VideoError
from mien.video.clip import Clip, ClipWriter

RATE = 30


@pytest.fixture(scope="module")
def recognizer() -> mien.Recognizer:
    return mien.Recognizer(threads=1, detector_size=320)


def patterns(count: int, size: tuple[int, int] = (64, 48)) -> list[np.ndarray]:
    """Frames with a red corner at the upper left, and noise that makes the file long."""
    random = np.random.default_rng(0)
    frames = []
    for _ in range(count):
        frame = random.integers(60, 120, (size[1], size[0], 3), np.uint8)
        frame[:16, :16] = (250, 0, 0)
        frames.append(frame)
    return frames


def red_corner(image: np.ndarray) -> str:
    """Where the red corner is."""
    red = image[..., 0].astype(int) - image[..., 1]
    height, width = red.shape
    corners = {
        "upper left": red[:12, :12],
        "upper right": red[:12, width - 12 :],
        "lower left": red[height - 12 :, :12],
        "lower right": red[height - 12 :, width - 12 :],
    }
    return max(corners, key=lambda name: float(corners[name].mean()))


def read(source) -> tuple[list[float], list[np.ndarray], str | None]:
    """Times, frames, and what went wrong after them."""
    times, images = [], []
    with Clip(source) as clip:
        try:
            for time, image in clip:
                times.append(time)
                images.append(image)
        except VideoError as error:
            return times, images, str(error)
    return times, images, None


# --- reading ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "options"),
    [
        ("mp4", {"tone": True}),
        ("mov", {}),
        ("mkv", {"tone": True, "audio_codec": "pcm_s16le"}),
        ("webm", {"codec": "libvpx", "audio_codec": "libopus", "tone": True}),
        ("avi", {"codec": "mpeg4"}),
        ("ts", {}),
    ],
)
def test_films_of_many_kinds_are_read_whole(tmp_path: Path, ending: str, options: dict):
    path = tmp_path / f"film.{ending}"
    write_clip(path, patterns(12), rate=RATE, **options)
    times, images, error = read(path)
    assert error is None
    assert len(images) == 12
    assert np.diff(times) == pytest.approx([1 / RATE] * 11, abs=0.0015)
    assert 0 <= times[0] < 0.1
    assert {(image.shape, image.dtype, red_corner(image)) for image in images} == {
        ((48, 64, 3), np.dtype(np.uint8), "upper left")
    }
    assert images[3][:12, :12].mean(axis=(0, 1)) == pytest.approx([250, 0, 0], abs=25)


def test_frames_that_were_left_out_do_not_end_a_film(tmp_path: Path):
    times = np.delete(np.arange(30) / RATE, [10, 11])
    write_clip(tmp_path / "gap.avi", patterns(28), times=times, codec="huffyuv")
    found, _, error = read(tmp_path / "gap.avi")
    assert error is None
    assert found == pytest.approx(times, abs=0.001)


@pytest.mark.parametrize(
    ("aspect", "shape"), [((64, 45), (48, 91)), ((8, 9), (54, 64)), ((100, 1), (48, 64))]
)
def test_pixels_that_are_no_squares_are_made_so(
    tmp_path: Path, aspect: tuple[int, int], shape: tuple[int, int]
):
    write_clip(tmp_path / "film.mkv", patterns(3), aspect=Fraction(*aspect))
    assert {image.shape for image in read(tmp_path / "film.mkv")[1]} == {(*shape, 3)}


def test_a_film_comes_from_a_path_bytes_or_an_open_file(tmp_path: Path):
    path = tmp_path / "film.mp4"
    write_clip(path, patterns(3))
    with path.open("rb") as file:
        sources = [path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), file]
        assert [len(read(source)[1]) for source in sources] == [3] * 5
        assert not file.closed


def test_frames_of_unequal_length_keep_their_times(tmp_path: Path):
    stated = np.cumsum([0, 0.02, 0.5, 0.01, 0.3, 1.0])
    write_clip(tmp_path / "film.mp4", patterns(6), times=stated)
    times, _, error = read(tmp_path / "film.mp4")
    assert error is None
    assert times == pytest.approx(stated, abs=0.001)


@pytest.mark.parametrize(
    ("matrix", "corner", "shape"),
    [
        ((0, 1, -1, 0), "upper right", (64, 48, 3)),
        ((-1, 0, 0, -1), "lower right", (48, 64, 3)),
        ((0, -1, 1, 0), "lower left", (64, 48, 3)),
    ],
    ids=["90 clockwise", "180", "90 anticlockwise"],
)
def test_a_telephones_film_is_turned_upright(
    tmp_path: Path, matrix: tuple[int, ...], corner: str, shape: tuple[int, ...]
):
    """The matrix of MP4's tkhd: x' = a·x + c·y, y' = b·x + d·y (ISO/IEC 14496-12, 8.3.2)."""
    path = tmp_path / "film.mp4"
    write_clip(path, patterns(2))
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    _, images, _ = read(bytes(content))
    assert [(red_corner(image), image.shape) for image in images] == [(corner, shape)] * 2
    assert all(image.flags.c_contiguous for image in images)


@pytest.mark.parametrize(
    ("ending", "options"),
    [("mkv", {}), ("webm", {"codec": "libvpx"}), ("mp4", {"options": {"movflags": "faststart"}})],
)
def test_a_film_that_is_cut_short_is_delivered_to_its_break(tmp_path: Path, ending: str, options: dict):
    path = tmp_path / f"film.{ending}"
    write_clip(path, patterns(60), **options)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    _, images, error = read(path)
    assert 15 <= len(images) <= 45
    assert error is not None
    assert error.startswith(f"{path}: is cut short or damaged: it breaks off after ")
    assert error.endswith("s of 2.0 s; what came before was read")
    assert "\n" not in error


def test_sound_that_goes_on_after_the_pictures_is_no_break(tmp_path: Path):
    path = tmp_path / "film.mkv"
    write_clip(path, patterns(6), tone=True, times=[n / 30 for n in range(5)] + [3.0])
    assert read(path)[2] is None


def test_damage_inside_a_film_costs_only_what_is_damaged(tmp_path: Path):
    path = tmp_path / "film.mp4"
    write_clip(path, patterns(40), options={"movflags": "faststart"})
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(byte ^ 0x5A for byte in content[middle : middle + 3000])
    with Clip(bytes(content)) as clip:
        frames = list(clip)
        assert 1 <= clip.damaged <= 10
    assert 25 <= len(frames) < 40
    assert frames[-1][0] > 1.2


def test_a_piece_that_the_file_marks_as_damaged_is_counted(tmp_path: Path):
    path = tmp_path / "film.ts"
    write_clip(path, patterns(40))
    content = bytearray(path.read_bytes())
    # MPEG-TS numbers the packets of each stream, 188 bytes long: one that is out of turn tells of a loss.
    packets = range(len(content) // 188 // 2 * 188, len(content), 188)
    middle = next(
        start for start in packets if content[start + 1] & 0x1F == 1 and not content[start + 1] & 0x40
    )
    content[middle + 3] ^= 0x0F
    with Clip(bytes(content)) as clip:
        assert 30 <= len(list(clip)) <= 40
        assert clip.damaged >= 1
    with Clip(path) as whole:
        assert len(list(whole)) == 40
        assert whole.damaged == 0


def one_picture(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(patterns(1)[0]).save(stream, kind)
    return stream.getvalue()


def sound_only(folder: Path) -> Path:
    with av.open(str(folder / "tone.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return folder / "tone.m4a"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: folder / "missing.mp4", "no such file"),
        (lambda folder: folder, "is a folder"),
        (lambda folder: b"", "is empty"),
        (lambda folder: b"dear diary " * 100, "is no video"),
        (lambda folder: bytes(5000), "is no video"),
        (lambda folder: one_picture("JPEG"), "is no video"),
        (lambda folder: one_picture("PNG"), "is no video"),
        (sound_only, "has no video stream"),
    ],
)
def test_what_is_no_film_is_told_in_one_line(tmp_path: Path, make, says: str):
    with pytest.raises(VideoError, match=says) as caught:
        Clip(make(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "list_of_films", ["#EXTM3U\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile {}\n"]
)
@pytest.mark.parametrize("how", [Path, Path.read_bytes])
def test_a_playlist_opens_no_other_file(tmp_path: Path, list_of_films: str, how):
    write_clip(tmp_path / "secret.mkv", patterns(2))
    names = tmp_path / "list.m3u8"
    names.write_text(list_of_films.format(tmp_path / "secret.mkv"))
    with pytest.raises(VideoError, match="is no video"):
        Clip(how(names))


def test_a_film_with_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path):
    write_clip(tmp_path / "film.mp4", patterns(2))
    with pytest.raises(VideoError, match="64×48 is more than the limit of 3,000 pixels"):
        Clip(tmp_path / "film.mp4", max_pixels=3000)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def black_png(side: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes((side * 3 + 1) * side)))
    return b"\x89PNG\r\n\x1a\n" + header + rows + chunk(b"IEND", b"")


def png_film(pictures: list[bytes]) -> bytes:
    """A film of PNGs, of which the file says that they have 64×64 pixels."""
    out = io.BytesIO()
    with av.open(out, "w", format="mov") as container:
        stream = container.add_stream("png", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "rgb24"
        for number, picture in enumerate(pictures):
            packet = av.Packet(picture)
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base = Fraction(1, 10)
            container.mux(packet)
    return out.getvalue()


# Far above the limit, in a process of its own, since what a process used most is never taken back.
PEAK = """
import sys
from pathlib import Path
from mien.errors import VideoError
from mien.video.clip import Clip, ClipWriter

def peak():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024

film, copy = map(Path, sys.argv[1:])
before = peak()
try:
    with Clip(film, max_pixels=1_000_000) as clip:
        ClipWriter(copy, clip).close()  # it opens the film for its sound
        list(clip)
except VideoError as error:
    print(error)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux tells it")
def test_frames_far_larger_than_the_file_says_take_no_memory(tmp_path: Path):
    film = tmp_path / "bomb.mov"
    film.write_bytes(png_film([black_png(6000)]))
    done = subprocess.run(
        [sys.executable, "-c", PEAK, film, tmp_path / "copy.mp4"], capture_output=True, text=True, check=True
    )
    message, mebibytes = done.stdout.splitlines()
    assert message.startswith(f"{film}: holds no frame that can be read, of 1,000,000 pixels at most")
    assert float(mebibytes) < 50  # one such frame has 103


@pytest.mark.parametrize("size", [(1000, 1000), (2, 60_000), (60_000, 2)])
def test_frames_of_just_the_limit_are_read(tmp_path: Path, size: tuple[int, int]):
    """Decoders add some to the sides, which FFmpeg's own limit would count."""
    path = tmp_path / "film.mkv"
    frame = np.zeros((size[1], size[0], 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height = size
        stream.pix_fmt = "bgr0"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    with Clip(path, max_pixels=size[0] * size[1]) as clip:
        assert [image.shape for _, image in clip] == [frame.shape]
    with pytest.raises(VideoError, match="is more than the limit"):
        Clip(path, max_pixels=size[0] * size[1] - 1)


# --- faces --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 frames of a camera that moves over one face, with sound."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    x1, y1, x2, y2 = FACES["astronaut"]["collins"]
    shot = move("astronaut", 20, lambda t: ((x1 + x2) / 2 + 60 * t, (y1 + y2) / 2, 500))
    write_clip(path, [frame for frame, _ in shot], tone=True, options={"movflags": "faststart"})
    return path


def test_read_video_gives_the_faces_of_each_frame(recognizer: mien.Recognizer, film: Path):
    with mien.read_video(film, recognizer=recognizer) as frames:
        assert (frames.clip.count, frames.clip.rate) == (20, pytest.approx(30, abs=0.01))
        found = list(frames)
    assert [frame.number for frame in found] == list(range(20))
    assert [frame.time for frame in found] == pytest.approx([n / 30 for n in range(20)], abs=0.001)
    assert [[(face.track, face.expression) for face in frame] for frame in found] == [[(1, "happy")]] * 20
    assert {frame.source for frame in found} == {str(film)}
    assert all(frame.image is None for frame in found)


def test_the_two_threads_give_what_one_would(recognizer: mien.Recognizer, film: Path):
    tracker = mien.FaceTracker(recognizer, source=str(film))
    with Clip(film) as clip:
        alone = [tracker.update(image, time) for time, image in clip]
    for one, other in zip(alone, mien.read_video(film, recognizer=recognizer), strict=True):
        assert one[0].box == other[0].box
        # A batch of faces is summed in another order than one face.
        assert one[0].smoothed == pytest.approx(other[0].smoothed, abs=1e-5)


def test_what_came_before_a_break_is_delivered(recognizer: mien.Recognizer, film: Path):
    content = film.read_bytes()
    frames, found = mien.read_video(content[: len(content) * 2 // 3], recognizer=recognizer), []
    with pytest.raises(VideoError, match="cut short"):  # noqa: PT012 - what came before is looked at too
        for frame in frames:
            found.append(frame)  # noqa: PERF402 - it raises
    assert found
    assert found[0][0].expression == "happy"


def test_whoever_stops_early_leaves_no_thread(recognizer: mien.Recognizer, film: Path):
    before = threading.active_count()
    with mien.read_video(film, recognizer=recognizer, pixels=True) as frames:
        assert next(frames).image is not None
    assert threading.active_count() == before
    with pytest.raises(StopIteration):
        next(frames)
    mien.read_video(film, recognizer=recognizer).close()
    assert threading.active_count() == before


def test_frames_that_are_found_ahead_are_few_when_they_grow_large(recognizer: mien.Recognizer):
    film = png_film([black_png(64)] + [black_png(2000)] * 40)
    with mien.read_video(film, recognizer=recognizer) as frames:
        assert next(frames).width == 64
        found = frames._frames.gi_frame.f_locals["finder"]._found
        before = -1
        while before < (before := found.qsize()):
            time.sleep(1)
    assert before <= 4  # of 12 MB each


def test_errors_come_when_the_film_is_opened(recognizer: mien.Recognizer):
    with pytest.raises(VideoError, match="no such file"):
        mien.read_video("missing.mp4", recognizer=recognizer)


@pytest.fixture
def joined(tmp_path: Path) -> Path:
    """Two seconds of a film with a tone, and the same once more behind it, as recorders write it."""
    write_clip(tmp_path / "once.ts", patterns(50), rate=25, tone=True, codec="mpeg4")
    (tmp_path / "twice.ts").write_bytes((tmp_path / "once.ts").read_bytes() * 2)
    return tmp_path / "twice.ts"


def test_time_goes_on_where_another_video_was_joined_on(joined: Path):
    times, images, _ = read(joined)
    assert len(images) == 100
    assert np.diff(times) == pytest.approx([1 / 25] * 99, abs=0.005)
    assert times[-1] == pytest.approx(3.96, abs=0.1)


def test_a_joined_video_is_copied_with_its_sound(joined: Path, tmp_path: Path):
    copy(joined, tmp_path / "copy.mp4")
    made = streams(tmp_path / "copy.mp4")
    assert made["video"][1] == pytest.approx(4.0, abs=0.2)
    assert made["audio"][1] == pytest.approx(4.0, abs=0.3)


class FailingDisk(io.BytesIO):
    """A file that cannot be read any more, once its disk fails."""

    fails = False

    def read(self, size: int | None = -1) -> bytes:
        if self.fails:
            raise OSError(5, "Input/output error")
        return super().read(size)


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_a_disk_that_fails_is_a_video_that_breaks_off(tmp_path: Path, codec: str):
    write_clip(tmp_path / "film.ts", patterns(50), rate=25, tone=True, codec=codec)
    disk = FailingDisk((tmp_path / "film.ts").read_bytes())
    times = []
    with Clip(disk) as clip, pytest.raises(VideoError, match=r"breaks off after \d"):  # noqa: PT012 - frames come before it
        for time, _ in clip:
            times.append(time)
            disk.fails = True
    assert 0 < len(times) < 50
    assert np.isfinite(times).all()
    with pytest.raises(VideoError, match="beyond reading"):
        Clip(disk)


# --- writing ------------------------------------------------------------------------------------------


def copy(source: Path, path: Path, *, frames: int | None = None) -> None:
    with Clip(source) as clip:
        writer = ClipWriter(path, clip)
        for number, (time, image) in enumerate(clip):
            if number == frames:
                break
            writer.write(Image.fromarray(image), time)
        writer.close(whole=frames is None)


def streams(path: Path) -> dict[str, tuple[str, float]]:
    """The codec and the length in seconds of each stream, by its type."""
    with av.open(str(path)) as container:
        return {
            stream.type: (stream.codec_context.name, float(stream.duration * stream.time_base))
            for stream in container.streams
        }


@pytest.mark.parametrize(
    ("ending", "options"),
    [
        ("mp4", {"tone": True}),
        ("mkv", {"tone": True, "audio_codec": "pcm_s16le"}),
        ("webm", {"tone": True, "codec": "libvpx", "audio_codec": "libopus"}),
        ("mp4", {}),
    ],
)
def test_a_copy_plays_in_browsers_and_keeps_sound_and_times(tmp_path: Path, ending: str, options: dict):
    source, path = tmp_path / f"film.{ending}", tmp_path / "copy.mp4"
    times = np.cumsum([0, *[0.02, 0.1, 0.05] * 10])
    write_clip(source, patterns(31), times=times, **options)
    copy(source, path)
    found = streams(path)
    assert found["video"][0] == "h264"
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.format.name == "yuv420p"
    assert read(path)[0] == pytest.approx(read(source)[0], abs=0.002)
    if options:
        assert found["audio"] == ("aac", pytest.approx(times[-1], abs=0.1))
    else:
        assert "audio" not in found
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # so that it plays while it still loads


@pytest.mark.parametrize("ending", ["mp4", "m4v"])
def test_sound_that_browsers_play_is_copied_as_it_is(tmp_path: Path, ending: str):
    write_clip(tmp_path / "film.mkv", patterns(31), tone=True, audio_codec="libmp3lame")
    copy(tmp_path / "film.mkv", tmp_path / f"copy.{ending}")
    packets = []
    for path in (tmp_path / "film.mkv", tmp_path / f"copy.{ending}"):
        with av.open(str(path)) as container:
            assert container.streams.audio[0].codec_context.codec.canonical_name == "mp3"
            packets.append([bytes(packet) for packet in container.demux(audio=0) if packet.size])
    assert packets[0]
    assert packets[1] == packets[0]


def test_a_copy_of_which_the_film_was_not_read_to_its_end_is_whole(tmp_path: Path, film: Path):
    copy(film, tmp_path / "copy.mp4", frames=8)
    times, _, error = read(tmp_path / "copy.mp4")
    assert (len(times), error) == (8, None)
    assert streams(tmp_path / "copy.mp4")["audio"][1] < 0.4


@pytest.mark.parametrize("ending", ["mp4", "m4v", "mov"])
def test_sound_that_changes_its_form_goes_on(tmp_path: Path, ending: str):
    """As between programmes on television, of which one is in mono."""
    parts = []
    for number, layout in enumerate(("mono", "stereo")):
        write_clip(tmp_path / f"{number}.ts", patterns(60), tone=True, audio_codec="mp2", layout=layout)
        parts.append((tmp_path / f"{number}.ts").read_bytes())
    (tmp_path / "joined.ts").write_bytes(b"".join(parts))
    copy(tmp_path / "joined.ts", tmp_path / f"copy.{ending}")
    made = streams(tmp_path / f"copy.{ending}")
    assert made["audio"] == ("aac", pytest.approx(4.0, abs=0.3))
    assert made["video"][1] == pytest.approx(4.0, abs=0.2)


def test_frames_with_odd_sides_are_written_too(tmp_path: Path):
    writer = ClipWriter(tmp_path / "odd.mp4")
    for number, frame in enumerate(patterns(4, (63, 47))):
        writer.write(Image.fromarray(frame), number / 30)
    writer.close()
    assert [image.shape for image in read(tmp_path / "odd.mp4")[1]] == [(48, 64, 3)] * 4


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path):
    with pytest.raises(ConfigError, match="No such file"):
        ClipWriter(tmp_path / "missing" / "film.mp4")
    with pytest.raises(ConfigError, match="let the name end in"):
        ClipWriter(tmp_path / "film.webm")
