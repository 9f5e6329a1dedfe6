"""`mien predict`: photographs in, expressions out."""

import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from PIL import Image

from mien.console import complain, progress
from mien.detect import DetectorName
from mien.errors import ConfigError, ImageError
from mien.files import replacing
from mien.inputs import MAX_STDIN, STDIN, Picture, find_pictures, same
from mien.prior import parse_prior
from mien.recognize import Recognizer
from mien.result import Faces, columns
from mien.writers import Format, format_of, heed_sigterm, held_interrupt, open_writer


def predict(
    # A lone hyphen is an input, so all that begin with one come here.
    *inputs: Annotated[str, Parameter(required=True, allow_leading_hyphen=True)],
    detector: DetectorName = "centerface",
    detector_size: int = 640,
    max_faces: int | None = None,
    model: str = "base",
    format: Format | None = None,
    out: Path | None = None,
    annotate: Path | None = None,
    max_pixels: int = 100_000_000,
    threads: int | None = None,
    prior: str | None = None,
) -> int:
    """Finds the faces in photographs and reads their expressions.

    Parameters
    ----------
    inputs
        Pictures, folders (searched to any depth, but for links to folders), glob patterns, or - for a picture on
        standard input.
    detector
        What finds the faces; none reads each picture as one face that is cut out already, from above the brows to
        the chin.
    detector_size
        Long side in pixels at which a picture is searched; larger finds smaller faces and takes longer.
    max_faces
        Of more faces in a picture only the surest are read; by default all are.
    model
        An expression model: base, nano, a folder that mien train made, or an .onnx file.
    format
        How to write the results; by default a table, or what the ending of --out says.
    out
        File for the results instead of standard output.
    annotate
        Folder for copies of the pictures with the faces drawn on them.
    max_pixels
        Pictures with more pixels are refused before they are decoded.
    threads
        CPU threads to use; by default all.
    prior
        How often each expression is to be expected in your pictures: even, or a TOML or JSON file with a number
        for each. By default answers are left as the model was made.
    """
    for name in inputs:
        if name.startswith("-") and name != STDIN:
            raise ConfigError(
                f"unknown option {name} (see mien predict --help); a file of that name is ./{name}"
            )
    format = format_of(out, format)
    pictures, complaints = find_pictures(inputs, skip=annotate)
    for complaint in complaints:
        complain(complaint)
    if not pictures:
        return 2
    if out is not None and any(same(out, picture.path) for picture in pictures):
        raise ConfigError(f"--out {out}: is one of the pictures, name another file")
    recognizer = Recognizer(
        model,
        detector=detector,
        detector_size=detector_size,
        max_faces=max_faces,
        max_pixels=max_pixels,
        threads=threads,
        prior=parse_prior(prior),
    )
    heed_sigterm()
    album = None if annotate is None else _Album(annotate, pictures)
    names = [picture.path for picture in pictures]
    # As bytes, standard input can be drawn on too.
    sources = (_read_stdin() if name == STDIN else name for name in names)
    # Small batches: results should come as they are made, and larger ones would save little.
    results = recognizer.predict_many(sources, batch_size=8)
    failed = 0
    with (
        progress(len(pictures), out, format) as advance,
        open_writer(format, out, names, columns=columns(recognizer.classes)) as writer,
    ):
        for picture, faces in zip(pictures, results, strict=True):
            if picture.path == STDIN:
                error = faces.error and faces.error.replace("<bytes>", "<stdin>", 1)
                faces = replace(faces, source="<stdin>", error=error)
            with held_interrupt():
                writer.write(faces)
            if faces.error is not None:
                failed += 1
                complain(faces.error)
            elif album is not None and (trouble := album.add(faces, picture)):
                complaints.append(trouble)
                complain(trouble)
            advance()
    if failed == len(pictures):
        return 2
    return 1 if failed or complaints else 0


def _read_stdin() -> bytes:
    """What is on standard input; nothing, with a complaint, where it cannot be read."""
    try:
        return sys.stdin.buffer.read(MAX_STDIN)
    except OSError as error:
        complain(f"standard input: cannot be read ({error.strerror})")
        return b""


_MARK = b"Faces drawn by mien"
"""Comment of the pictures that are drawn, by which they are known: nobody else's is written over."""


def _is_ours(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return image.info.get("comment") == _MARK
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


class _Album:
    """A folder of annotated pictures, each named as its original."""

    def __init__(self, folder: Path, pictures: Iterable[Picture]) -> None:
        self._paths: dict[str, Path] = {}
        taken: set[str] = set()  # without regard to case, as some disks have it
        for picture in pictures:
            path = folder / picture.relative.with_suffix(".jpg")
            number = 2
            while str(path).casefold() in taken:
                path = folder / picture.relative.with_name(f"{picture.relative.stem}-{number}.jpg")
                number += 1
            taken.add(str(path).casefold())
            self._paths[picture.path] = path
        # os.path, not Path, follows the links: Path raises where they lead in a circle.
        originals = {os.path.realpath(picture.path) for picture in pictures if picture.path != STDIN}
        if any(os.path.realpath(path) in originals for path in self._paths.values()) or any(
            same(folder, Path(original).parent) for original in originals
        ):
            raise ConfigError(f"--annotate {folder}: the pictures themselves lie there, name another folder")
        strange = next((path for path in self._paths.values() if path.exists() and not _is_ours(path)), None)
        if strange is not None:
            raise ConfigError(
                f"--annotate {folder}: {strange} lies there, and is no picture that mien drew; name another folder"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--annotate {folder}: cannot make the folder ({error.strerror})") from error

    def add(self, faces: Faces, picture: Picture) -> str | None:
        """Draws the faces on their picture and saves it as JPEG; never over one of the same run.

        Returns:
            What went wrong, if anything did.
        """
        path = self._paths[picture.path]
        try:
            drawn = faces.draw()
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as part:
                drawn.save(part, "JPEG", quality=92, comment=_MARK)
        except ImageError as error:  # files come and go
            return f"not annotated: {error}"
        except (OSError, ValueError) as error:  # no space, no permission, or too long a side for a JPEG
            return f"not annotated: {path}: cannot be written ({getattr(error, 'strerror', None) or error})"
        return None
