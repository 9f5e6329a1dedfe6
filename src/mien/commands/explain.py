"""`mien explain`: a photograph in; which parts of each face the answer rests on out, as a picture."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from mien.console import complain, tell_path
from mien.errors import ConfigError
from mien.explain import draw_explanations
from mien.explain import explain as explain_faces
from mien.files import replacing
from mien.inputs import same
from mien.prior import parse_prior
from mien.recognize import Recognizer

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


def explain(
    picture: Path,
    /,
    *,
    out: Path,
    expressions: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    max_faces: int = 8,
    detector: Literal["centerface", "none"] = "centerface",
    detector_size: int = 640,
    model: str = "base",
    max_pixels: int = 100_000_000,
    threads: int | None = None,
    prior: str | None = None,
) -> int:
    """Shows which parts of a face the answer rests on.

    Parts of a face are hidden, about half of them at a time and in many ways, and the model is asked again: where
    the share of an expression falls when a part is hidden, the answer rests on that part.

    Parameters
    ----------
    picture
        A photograph.
    out
        The picture to draw, PNG or JPEG.
    expressions
        The expressions to explain; by default the three likeliest of each face.
    max_faces
        How many faces to explain, the surest first.
    detector
        What finds the faces; none reads the picture as one face that is cut out already.
    detector_size
        Long side in pixels at which the picture is searched.
    model
        An expression model: base, nano, a folder that mien train made, or an .onnx file.
    max_pixels
        Pictures with more pixels are refused before they are decoded.
    threads
        CPU threads to use; by default all.
    prior
        How often each expression is to be expected in your pictures: even, or a TOML or JSON file with a number
        for each. By default answers are left as the model was made.
    """
    if out.suffix.lower() not in _FORMATS:
        raise ConfigError(f"--out {out}: must end in {' or '.join(_FORMATS)}")
    if same(out, str(picture)):
        raise ConfigError(f"--out {out}: is the picture itself, name another file")
    recognizer = Recognizer(
        model,
        detector=detector,
        detector_size=detector_size,
        max_pixels=max_pixels,
        threads=threads,
        prior=parse_prior(prior),
    )
    found = explain_faces(picture, recognizer=recognizer, expressions=expressions, max_faces=max_faces)
    if not found:
        complain(f"{picture}: no face was found, so there is nothing to explain")
        return 2
    sheet = draw_explanations(found)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as part:
        sheet.save(part, _FORMATS[out.suffix.lower()], quality=92)
    tell_path(out)
    return 0
