"""Reads a picture from wherever it lies: path, bytes, file object, array or Pillow image → upright RGB."""

import contextlib
import io
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from mien.errors import ImageError

ImageSource: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO | NDArray[Any] | Image.Image

DEFAULT_MAX_PIXELS: Final = 100_000_000
# A scan of a JPEG takes few bytes and goes over all its pixels once more, so that some thousands take minutes
# (libjpeg-turbo, "Two Issues with the JPEG Standard", LJT-01-003). Encoders make a dozen at most. Thumbnails, and
# the video that a telephone may append, have some of their own, and by chance the same two bytes.
_MAX_SCANS: Final = 1000
_JPEG: Final = b"\xff\xd8\xff"
_SCAN: Final = b"\xff\xda"
_CHUNK: Final = 1 << 20


class _FirstOfGif(GifImagePlugin.GifImageFile):
    """A GIF of which the first frame is read: what is to become of it before the second one does not matter.

    Pillow prepares for that when it opens the file, with memory for the frame whatever its size.
    """

    @property
    def disposal_method(self) -> int:
        return 0

    @disposal_method.setter
    def disposal_method(self, value: int) -> None:
        pass


# The decoders are called by the first bytes of a file, not through Image.open: that would apply Pillow's own
# pixel limit, which belongs to the host program, and try decoders that are a way in for hostile files (EPS).
_READERS: Final[dict[bytes, Callable[[BinaryIO, str], ImageFile.ImageFile]]] = {
    _JPEG: JpegImagePlugin.jpeg_factory,
    b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile,
    b"RIFF": WebPImagePlugin.WebPImageFile,
    b"GIF8": _FirstOfGif,
    b"II*\0": TiffImagePlugin.TiffImageFile,
    b"MM\0*": TiffImagePlugin.TiffImageFile,
    b"II+\0": TiffImagePlugin.TiffImageFile,
    b"MM\0+": TiffImagePlugin.TiffImageFile,
    b"BM": BmpImagePlugin.BmpImageFile,
}
# What cannot be wound back is kept in memory whole; an endless pipe must not fill it.
_MAX_STREAM: Final = 512 << 20
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_EXIF_ORIENTATION: Final = 0x0112


def read_image(source: ImageSource, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> NDArray[np.uint8]:
    """Reads a picture, turned upright as its EXIF orientation says.

    Files may be JPEG, PNG, WebP, BMP, TIFF or GIF (the first frame), in any of their colour modes with 8 bits a
    channel and the commoner ones with 16; what is transparent shows white. Arrays have shape (H, W), (H, W, 1),
    (H, W, 3) or (H, W, 4), the channels in the order R, G, B, alpha, and are uint8 in [0, 255], uint16 in
    [0, 65535] or floating in [0, 1]. Arrays that could mean two things (other types, floats outside [0, 1],
    uint16 with no value above 255) are refused.

    Args:
        source: a path, the bytes of a file, a binary file object (read from its start, left open), a NumPy
            array or a Pillow image.
        max_pixels: a picture with more pixels is refused, before it is decoded.

    Returns:
        RGB, uint8, shape (H, W, 3), contiguous. Of an array given in just this form, a view that
            cannot be written to.

    Raises:
        ImageError: the picture is missing, unreadable, no picture, damaged, cut short or too large.
    """
    try:
        if isinstance(source, np.ndarray):
            return _from_array(source, max_pixels)
        if isinstance(source, Image.Image):
            return _from_pillow(source, max_pixels)
        if isinstance(source, bytes | bytearray | memoryview):
            return _from_stream(io.BytesIO(source), max_pixels)
        if isinstance(source, str | os.PathLike):
            with _open(source) as stream:
                return _from_stream(stream, max_pixels)
        if hasattr(source, "read"):
            return _from_stream(source, max_pixels)
        raise ImageError(
            f"cannot read a {type(source).__name__}: give a path, bytes, a file object, array or Pillow image"
        )
    except ImageError as error:
        name = describe(source)
        name = name if name.isprintable() else ascii(name)  # a message is one line, whatever the name
        raise ImageError(f"{name}: {error}") from error.__cause__


def describe(source: ImageSource) -> str:
    """Names a picture for messages and records: its path as given, a file object's name, or "<array>"."""
    match source:
        case str() | os.PathLike():
            return os.fsdecode(source)
        case bytes() | bytearray() | memoryview():
            return "<bytes>"
        case np.ndarray():
            return "<array>"
        case Image.Image():
            name, unnamed = getattr(source, "filename", None), "<image>"
        case _:
            name, unnamed = getattr(source, "name", None), "<file>"
    return name if isinstance(name, str) and name else unnamed


def _open(path: str | os.PathLike[str]) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageError("no such file: check the path") from error
    except IsADirectoryError as error:
        raise ImageError("is a folder: give the pictures in it") from error
    except PermissionError as error:
        raise ImageError("may not be read: check its permissions") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"cannot be opened ({reason}): check the path") from error


def _from_stream(stream: BinaryIO, max_pixels: int) -> NDArray[np.uint8]:
    try:
        if isinstance(stream, io.TextIOBase):
            raise ImageError("is open as text: open it in binary mode")
        try:
            stream.seek(0)
        except (AttributeError, OSError):  # a pipe, or a response of a web server
            content = _read_all(stream)
            if len(content) > _MAX_STREAM:
                raise ImageError(f"is longer than {_MAX_STREAM >> 20} MiB: save it as a file") from None
            stream = io.BytesIO(content)
        prefix = stream.read(12)
        if not prefix:
            raise ImageError("is empty: a picture was expected")
        stream.seek(0)
        if prefix.startswith(_JPEG):
            _check_scans(stream)
        for start, reader in _READERS.items():
            if prefix.startswith(start) and (start != b"RIFF" or prefix.endswith(b"WEBP")):
                with _quiet():
                    image = reader(stream, "")
                return _from_pillow(image, max_pixels)
    except ImageError:
        raise
    except Exception as error:  # damaged data makes decoders raise nearly anything
        raise _damaged(error) from error
    raise ImageError("is not a JPEG, PNG, WebP, BMP, TIFF or GIF picture: convert it to one of these")


def _read_all(stream: BinaryIO) -> bytes:
    """What a stream holds, or a byte more than may be read; one without a buffer gives a piece at a time."""
    content = bytearray()
    while len(content) <= _MAX_STREAM and (piece := stream.read(_MAX_STREAM + 1 - len(content))):
        content += piece
    return bytes(content)


def _check_scans(stream: BinaryIO) -> None:
    """Refuses a JPEG of too many scans; leaves the stream at its start."""
    count, last = 0, b""
    while count <= _MAX_SCANS and (chunk := stream.read(_CHUNK)):
        count += (last + chunk).count(_SCAN)
        last = chunk[-1:]  # a marker may lie across two chunks
    if count > _MAX_SCANS:
        raise ImageError(f"is a JPEG of more than {_MAX_SCANS:,} scans: save it anew")
    stream.seek(0)


def _from_pillow(image: Image.Image, max_pixels: int) -> NDArray[np.uint8]:
    _check_size(image.width, image.height, max_pixels)
    try:
        # Decoding a TIFF reads its EXIF data again; the others have been heard, and decode side by side.
        with _quiet() if image.format == "TIFF" else contextlib.nullcontext():
            image.load()
        rgb = _to_rgb(image)
        method = _UPRIGHT.get(_orientation(image))
        return np.array(rgb if method is None else rgb.transpose(method))
    except ImageError:
        raise
    except Exception as error:
        raise _damaged(error) from error


def _from_array(array: NDArray[Any], max_pixels: int) -> NDArray[np.uint8]:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageError(
            f"shape {array.shape} is no picture: (H, W), (H, W, 3) or (H, W, 4) is, channels last"
        )
    _check_size(array.shape[1], array.shape[0], max_pixels)
    if array.dtype == np.uint16 and 0 < array.max() < 256:
        raise ImageError("uint16 with no value above 255 may mean two things: convert it to uint8")
    pixels = _to_uint8(array)
    if pixels.shape[2:] == (4,):
        return np.array(_over_white(Image.fromarray(pixels)))
    return np.ascontiguousarray(
        np.broadcast_to(pixels.reshape(*pixels.shape[:2], -1), (*pixels.shape[:2], 3))
    )


def _to_uint8(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.uint16:
        return ((values + np.uint32(128)) // np.uint32(257)).astype(np.uint8)
    if np.issubdtype(values.dtype, np.floating):
        if not (values.min() >= 0 and values.max() <= 1):  # written so that NaN is refused too
            raise ImageError("floating values must lie in [0, 1]: divide by the largest, or convert to uint8")
        return (values * 255 + 0.5).astype(np.uint8)
    raise ImageError(f"{values.dtype} values have no agreed range: convert them to uint8")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint16)
        if isinstance(clear := image.info.get("transparency"), int):
            grey[grey == clear] = 65535
        return Image.fromarray(_to_uint8(grey)).convert("RGB")
    if image.mode in ("I", "F"):
        return Image.fromarray(_to_uint8(np.asarray(image))).convert("RGB")
    if image.mode == "LAB":
        from PIL import ImageCms

        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(lab, srgb, "LAB", "RGB").apply(image)
    if image.has_transparency_data:
        if image.mode == "La":
            image = image.convert("LA")
        return _over_white(image if image.mode == "RGBA" else image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _over_white(rgba: Image.Image) -> Image.Image:
    rgb = Image.new("RGB", rgba.size, "white")
    rgb.paste(rgba, mask=rgba)
    return rgb


def _orientation(image: Image.Image) -> int:
    try:
        with _quiet():
            value = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # damaged metadata spoils no picture
        return 1
    return value if isinstance(value, int) else 1


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if not width or not height:
        raise ImageError(f"has no pixels ({width}×{height}): a picture has at least one")
    if width * height > max_pixels:
        raise ImageError(
            f"{width}×{height} is more than the limit of {max_pixels:,} pixels: shrink it or raise max_pixels"
        )


def _damaged(error: Exception) -> ImageError:
    if isinstance(error, MemoryError | Image.DecompressionBombError):  # the latter by parts of a TIFF or WebP
        return ImageError("needs more memory than may be used: shrink it")
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return ImageError(
        f"is damaged or cut short, or of a kind that is not read: get it anew, as JPEG or PNG ({reason})"
    )


_warning_filters = threading.Lock()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences Pillow's warnings about damaged metadata; one thread at a time, as the filters are global."""
    with _warning_filters, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
