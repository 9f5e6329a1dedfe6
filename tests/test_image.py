"""Every way into mien.image, and every way it can go wrong."""

import io
import os
import struct
import subprocess
import sys
import threading
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from mien.errors import ImageError
from mien.image import DEFAULT_MAX_PIXELS, describe, read_image

EXAMPLES = Path(__file__).parent.parent / "examples"
PHOTO = Image.open(EXAMPLES / "coffee.jpg").convert("RGB").resize((36, 24))
RGB = np.asarray(PHOTO)
GREY = np.asarray(PHOTO.convert("L"))
# Four corners of four colours: any wrong turn shows.
CORNERS = np.zeros((16, 24, 3), np.uint8)
CORNERS[:8, :12, 0] = CORNERS[:8, 12:, 1] = CORNERS[8:, :12, 2] = 255


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = (
        png_chunk(b"IHDR", header),
        *extra,
        png_chunk(b"IDAT", zlib.compress(rows)),
        png_chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def assert_picture(picture: np.ndarray) -> None:
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[2] == 3
    assert picture.flags.c_contiguous


# --- formats and modes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "options", "tolerance"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}, 4),
        ("JPEG", {"quality": 95, "subsampling": 0, "progressive": True}, 4),
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 8),
        ("BMP", {}, 0),
        ("GIF", {}, 8),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("TIFF", {"compression": "tiff_deflate"}, 0),
        ("TIFF", {"compression": "packbits"}, 0),
    ],
)
def test_formats(form: str, options: dict[str, object], tolerance: int) -> None:
    picture = read_image(encoded(PHOTO, form, **options))
    assert_picture(picture)
    assert picture.shape == RGB.shape
    assert np.abs(picture.astype(int) - RGB).mean() <= tolerance


@pytest.mark.parametrize(
    ("form", "mode", "tolerance"),
    [
        ("PNG", "L", 0),
        ("PNG", "1", 0),
        ("PNG", "P", 0),
        ("PNG", "LA", 0),
        ("PNG", "RGBA", 0),
        ("BMP", "L", 0),
        ("BMP", "1", 0),
        ("BMP", "P", 0),
        ("GIF", "L", 0),
        ("GIF", "P", 0),
        ("TIFF", "L", 0),
        ("TIFF", "1", 0),
        ("TIFF", "P", 0),
        ("TIFF", "LA", 0),
        ("TIFF", "RGBA", 0),
        ("TIFF", "CMYK", 0),
        ("TIFF", "YCbCr", 4),
        ("JPEG", "L", 8),
        ("JPEG", "CMYK", 10),
        ("JPEG", "YCbCr", 10),
        ("WEBP", "RGBA", 10),
    ],
)
def test_modes(form: str, mode: str, tolerance: int) -> None:
    image = PHOTO.convert(mode)
    expected = np.asarray(image.convert("RGB")).astype(int)
    picture = read_image(encoded(image, form))
    assert_picture(picture)
    assert np.abs(picture.astype(int) - expected).mean() <= tolerance
    np.testing.assert_array_equal(read_image(image), np.asarray(image.convert("RGB")))


def test_lab() -> None:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    image = ImageCms.buildTransform(srgb, lab, "RGB", "LAB").apply(PHOTO)
    for source in (image, encoded(image, "TIFF")):
        assert np.abs(read_image(source).astype(int) - RGB).mean() < 3


def test_transparent_shows_white() -> None:
    rgba = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])
    rgba[:, :10, 3] = 0
    rgba[:, 10:20, 3] = 128
    for source in (rgba, encoded(Image.fromarray(rgba), "PNG"), encoded(Image.fromarray(rgba), "TIFF")):
        picture = read_image(source).astype(int)
        assert (picture[:, :10] == 255).all()
        assert np.abs(picture[:, 10:20] - (RGB[:, 10:20].astype(int) + 255) / 2).max() <= 2
        np.testing.assert_array_equal(picture[:, 20:], RGB[:, 20:])


def test_transparent_palette_and_key_colours() -> None:
    palette = Image.fromarray(CORNERS).quantize(4)
    clear = palette.getpixel((0, 0))
    for form in ("PNG", "GIF"):
        picture = read_image(encoded(palette, form, transparency=clear))
        assert (picture[:8, :12] == 255).all()
        np.testing.assert_array_equal(picture[:, 12:], CORNERS[:, 12:])
    key = read_image(encoded(Image.fromarray(CORNERS), "PNG", transparency=(255, 0, 0)))
    assert (key[:8, :12] == 255).all()
    grey = png(
        2, 1, 16, 0, b"\0" + struct.pack(">HH", 500, 32896), png_chunk(b"tRNS", struct.pack(">H", 500))
    )
    np.testing.assert_array_equal(read_image(grey)[0, :, 0], [255, 128])


def test_sixteen_bits() -> None:
    deep = GREY.astype(np.uint16) * 257
    expected = np.dstack([GREY] * 3)
    for source in (deep, encoded(Image.fromarray(deep), "PNG"), encoded(Image.fromarray(deep), "TIFF")):
        np.testing.assert_array_equal(read_image(source), expected)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in RGB.astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_image(png(36, 24, 16, 2, rows)), RGB)


def test_first_frame_of_gif_and_tiff() -> None:
    frames = [Image.fromarray(CORNERS), Image.new("RGB", (24, 16), "white")]
    for form in ("GIF", "TIFF"):
        data = encoded(frames[0], form, save_all=True, append_images=frames[1:])
        np.testing.assert_array_equal(read_image(data), CORNERS)


# --- EXIF --------------------------------------------------------------------------------------------

STORED = {  # what a camera stores so that the orientation turns it into CORNERS
    1: CORNERS,
    2: CORNERS[:, ::-1],
    3: CORNERS[::-1, ::-1],
    4: CORNERS[::-1],
    5: CORNERS.swapaxes(0, 1),
    6: np.rot90(CORNERS, 1),
    7: CORNERS[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90(CORNERS, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(form, {})
    data = encoded(Image.fromarray(np.ascontiguousarray(STORED[orientation])), form, exif=exif, **options)
    for source in (data, Image.open(io.BytesIO(data))):
        picture = read_image(source)
        assert_picture(picture)
        assert picture.shape == CORNERS.shape
        assert np.abs(picture.astype(int) - CORNERS).max() <= 12


@pytest.mark.parametrize(
    "block", [b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(60), b"Exif\0\0nonsense"]
)
def test_damaged_exif_spoils_nothing_and_says_nothing(block: bytes) -> None:
    data = encoded(PHOTO, "JPEG")
    damaged = data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_image(damaged), read_image(data))


# --- sources -----------------------------------------------------------------------------------------


def test_sources_agree(tmp_path: Path) -> None:
    path = tmp_path / "Käse 面.png"
    PHOTO.save(path)
    with path.open("rb") as stream, Image.open(path) as image:
        stream.seek(7)  # read from the start, wherever it stands
        for source in (path, str(path), path.read_bytes(), stream, image, RGB):
            np.testing.assert_array_equal(read_image(source), RGB)
        assert not stream.closed


def test_stream_that_cannot_seek() -> None:
    inlet, outlet = os.pipe()
    data = encoded(PHOTO, "PNG")
    writer = threading.Thread(target=lambda: os.fdopen(outlet, "wb").write(data))
    writer.start()
    with os.fdopen(inlet, "rb") as pipe:
        np.testing.assert_array_equal(read_image(pipe), RGB)
    writer.join()


def test_describe(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    PHOTO.save(path)
    assert describe("a/../b.jpg") == "a/../b.jpg"
    assert describe(path) == str(path)
    assert describe(b"") == "<bytes>"
    assert describe(RGB) == "<array>"
    assert describe(PHOTO) == "<image>"
    assert describe(io.BytesIO()) == "<file>"
    assert describe(sys.__stdin__.buffer) == "<stdin>"
    with path.open("rb") as stream, Image.open(path) as image:
        assert describe(stream) == describe(image) == str(path)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (GREY, np.dstack([GREY] * 3)),
        (GREY[:, :, None], np.dstack([GREY] * 3)),
        (RGB, RGB),
        (RGB[::-1, ::2], RGB[::-1, ::2]),
        (RGB.astype(np.float32) / 255, RGB),
        (RGB.astype(np.float64) / 255, RGB),
        (RGB.astype(np.uint16) * 257, RGB),
        (np.zeros((2, 3), np.uint16), np.zeros((2, 3, 3))),
        (np.full((1, 1), 7, np.uint8), np.full((1, 1, 3), 7)),
    ],
)
def test_arrays(array: np.ndarray, expected: np.ndarray) -> None:
    picture = read_image(array)
    assert_picture(picture)
    np.testing.assert_array_equal(picture, expected)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((0, 5, 3), np.uint8), "no pixels"),
        (np.zeros((5, 0), np.uint8), "no pixels"),
        (np.zeros(5, np.uint8), "shape"),
        (np.zeros((3, 48, 48), np.uint8), "channels last"),
        (np.zeros((5, 5, 2), np.uint8), "shape"),
        (np.zeros((5, 5), np.int64), "convert them to uint8"),
        (np.zeros((5, 5), bool), "convert them to uint8"),
        (np.zeros((5, 5), object), "convert them to uint8"),
        (np.full((5, 5), 200.0), "[0, 1]"),
        (np.full((5, 5), -0.1), "[0, 1]"),
        (np.full((5, 5), np.nan), "[0, 1]"),
        (np.full((5, 5), 200, np.uint16), "two things"),
    ],
)
def test_ambiguous_arrays_are_refused(array: np.ndarray, words: str) -> None:
    with pytest.raises(ImageError) as caught:
        read_image(array)
    assert words in str(caught.value)
    assert str(caught.value).startswith("<array>: ")


def test_unreadable_pillow_images() -> None:
    for image in (Image.new("RGB", (0, 3)), Image.new("I", (3, 3), 70000), Image.new("F", (3, 3), 9.0)):
        with pytest.raises(ImageError, match=r"^<image>: "):
            read_image(image)


def test_a_picture_that_is_open_as_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(PHOTO, "JPEG"))
    with (tmp_path / "a.jpg").open() as file, pytest.raises(ImageError, match=r"a\.jpg: is open as text"):
        read_image(file)  # type: ignore[arg-type]


def test_a_pipe_without_a_buffer_is_read_to_its_end() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise), "PNG")
    assert len(content) > 1 << 16  # more than a pipe holds
    write = "import sys; sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read()))"
    with subprocess.Popen(
        [sys.executable, "-c", write], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        process.stdin.write(content.hex().encode())
        process.stdin.close()
        assert (read_image(process.stdout) == noise).all()


@pytest.mark.parametrize("source", [None, 7, ["a.jpg"], io.StringIO("x")])
def test_other_things_are_refused(source: object) -> None:
    with pytest.raises(ImageError):
        read_image(source)  # type: ignore[arg-type]


# --- files that are no picture -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"hello, world, this is text", "convert it"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "convert it"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "convert it"),
        (b"BM", "damaged"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (encoded(PHOTO, "JPEG")[:-40], "damaged or cut short"),
        (encoded(PHOTO, "PPM"), "convert it"),
    ],
)
def test_no_pictures(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    for source in (path, content):
        with pytest.raises(ImageError) as caught:
            read_image(source)
        assert str(caught.value).startswith(f"{describe(source)}: ")
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


def test_missing_folder_forbidden(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for path, words in (
        (tmp_path / "none.jpg", "no such file"),
        (tmp_path / "file" / "a.jpg", "no such file"),
        (tmp_path, "is a folder"),
        (tmp_path / ("x" * 300), "cannot be opened"),
        ("a\0b.jpg", "cannot be opened"),
        ("two\nlines.jpg", "no such file"),
        ("\udcff.jpg", "no such file"),
    ):
        with pytest.raises(ImageError, match=words) as caught:
            read_image(path)
        assert str(caught.value).isprintable()
        assert caught.value.__cause__ is not None


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs files that may not be read")
def test_forbidden(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.touch(mode=0)
    with pytest.raises(ImageError, match="permissions"):
        read_image(path)


def test_closed_file() -> None:
    stream = io.BytesIO(encoded(PHOTO, "PNG"))
    stream.close()
    with pytest.raises(ImageError, match="closed"):
        read_image(stream)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_renamed_and_one_pixel(tmp_path: Path, form: str) -> None:
    path = tmp_path / "renamed.txt"
    path.write_bytes(encoded(Image.new("RGB", (1, 1), "white"), form))
    np.testing.assert_array_equal(read_image(path), np.full((1, 1, 3), 255))


# --- bombs -------------------------------------------------------------------------------------------

BOMBS = {
    "PNG": png(30_000, 30_000, 8, 0, bytes(1000)),
    "GIF": b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0)
    + b"," + struct.pack("<HHHHB", 0, 0, 60_000, 60_000, 0) + b"\x08\x01\0\0;",
    "BMP": b"BM" + struct.pack("<IHHI", 0, 0, 0, 54)
    + struct.pack("<IiiHHIIiiII", 40, 30_000, 30_000, 1, 24, 0, 0, 0, 0, 0, 0),
    "WEBP": b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + b"\xfe\xff\0" * 2,
    "JPEG": encoded(PHOTO, "JPEG").replace(struct.pack(">HH", 24, 36), struct.pack(">HH", 60_000, 60_000)),
}  # fmt: skip


@pytest.mark.parametrize("form", BOMBS)
def test_bombs_are_refused_at_once(form: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start = time.process_time()
        with pytest.raises(ImageError, match=r"limit|memory"):
            read_image(BOMBS[form])
        assert time.process_time() - start < 0.1


def many_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is there `count` times more."""
    data = encoded(PHOTO, "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * count + data[-2:]


def test_a_jpeg_of_many_scans_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    data = many_scans(1000)
    path = tmp_path / "scans.jpg"
    path.write_bytes(data)
    with path.open("rb") as file:
        for source in (path, data, file, io.BytesIO(data)):
            with pytest.raises(ImageError) as caught:
                read_image(source)
            expected = f"{describe(source)}: is a JPEG of more than 1,000 scans: save it anew"
            assert str(caught.value) == expected
    assert_picture(read_image(many_scans(900)))


def test_scans_are_counted_wherever_they_begin() -> None:
    """The file is looked at in pieces, and a marker may lie across two of them."""
    data, scans = encoded(PHOTO, "JPEG"), b"\xff\xda" * 1000
    for before in ((1 << 20) - 1, 1 << 20):
        with pytest.raises(ImageError, match="scans"):
            read_image(data + bytes(before - len(data)) + scans)


def test_a_gif_is_measured_before_anything_is_made_of_it() -> None:
    """One whose first frame is to be covered with the background, for which Pillow takes memory at once."""
    side = 13_000
    bomb = (
        b"GIF89a" + struct.pack("<HHBBB", side, side, 0, 0, 0) + b"!\xf9\x04\x08\0\0\0\0"
        b"," + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x08\x01\0\0;"
    )  # fmt: skip
    before = Image.core.get_stats()["new_count"]
    with pytest.raises(ImageError, match="13000×13000 is more than the limit"):
        read_image(bomb)
    assert Image.core.get_stats()["new_count"] == before


def test_pixel_limit() -> None:
    data = encoded(PHOTO, "PNG")
    read_image(data, max_pixels=36 * 24)
    for source in (data, PHOTO, RGB):
        with pytest.raises(ImageError, match="36×24 is more than the limit of 863 pixels"):
            read_image(source, max_pixels=36 * 24 - 1)


def test_pillows_own_limit_neither_interferes_nor_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for form in ("JPEG", "PNG", "BMP"):
        read_image(encoded(PHOTO, form))
    assert Image.MAX_IMAGE_PIXELS == 10
    assert DEFAULT_MAX_PIXELS == 100_000_000


# --- damage ------------------------------------------------------------------------------------------

SEEDS = [
    encoded(PHOTO, "JPEG"),
    encoded(PHOTO, "JPEG", progressive=True),
    encoded(PHOTO.convert("CMYK"), "JPEG"),
    encoded(PHOTO, "JPEG", exif=Image.Exif()),
    encoded(PHOTO, "PNG"),
    encoded(PHOTO.convert("P"), "PNG", transparency=3),
    encoded(PHOTO.convert("LA"), "PNG"),
    encoded(PHOTO, "WEBP"),
    encoded(PHOTO, "WEBP", lossless=True),
    encoded(PHOTO, "GIF"),
    encoded(PHOTO, "TIFF"),
    encoded(PHOTO, "TIFF", compression="tiff_lzw"),
    encoded(PHOTO, "TIFF", compression="tiff_deflate"),
    encoded(PHOTO, "BMP"),
    encoded(PHOTO.convert("P"), "BMP"),
]


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_cut_short_is_refused_or_whole(seed: int) -> None:
    whole = read_image(SEEDS[seed])
    for length in [*range(0, len(SEEDS[seed]), 37), len(SEEDS[seed]) - 1]:
        try:
            picture = read_image(SEEDS[seed][:length])
        except ImageError:
            continue
        np.testing.assert_array_equal(picture, whole)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        # Half of the damage goes to the first 64 bytes, where the headers are.
        limit = draw(st.sampled_from([min(64, len(data)), len(data)]))
        place = draw(st.integers(0, limit))
        length = draw(st.integers(1, 40))
        match draw(st.sampled_from(["flip", "cut", "insert", "delete", "splice", "zero", "ones"])):
            case "flip":
                data[place : place + 1] = bytes([draw(st.integers(0, 255))])
            case "cut":
                del data[place:]
            case "insert":
                data[place:place] = draw(st.binary(min_size=1, max_size=8))
            case "delete":
                del data[place : place + length]
            case "splice":
                other = draw(st.sampled_from(SEEDS))
                data[place : place + length] = other[place : place + 2 * length]
            case "zero":
                data[place : place + length] = bytes(length)
            case "ones":
                data[place : place + length] = b"\xff" * length
    return bytes(data)


def outcome_of(data: bytes) -> np.ndarray | ImageError:
    try:
        return read_image(data, max_pixels=1_000_000)
    except ImageError as error:
        return error


@settings(
    max_examples=2500,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(data=mutated())
def test_mutations_give_pictures_or_image_errors(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcome = outcome_of(data)
    if isinstance(outcome, ImageError):
        assert str(outcome).startswith("<bytes>: ")
        assert str(outcome).isprintable()
    else:
        assert_picture(outcome)
        assert 0 < outcome.size <= 3_000_000


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files as Linux shows them")
def test_no_file_stays_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    kept = []
    for number, data in enumerate(SEEDS):
        for content in (data, data[: len(data) // 2], data[:20]):
            path = tmp_path / f"{number}-{len(content)}"
            path.write_bytes(content)
            try:
                kept.append(read_image(path))
            except ImageError as error:
                kept.append(error)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_threads_read_side_by_side() -> None:
    filters = list(warnings.filters)
    results: list[bool] = []
    data = encoded(PHOTO, "PNG")

    def work() -> None:
        results.extend(np.array_equal(read_image(data), RGB) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 200
    assert warnings.filters == filters
