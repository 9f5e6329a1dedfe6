"""What every caller gets: a Face, the Faces of one picture, and the Predictions of bare crops."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError, ImageError
from mien.labels import CROWD, EXPRESSIONS

if TYPE_CHECKING:
    import pandas
    from PIL import Image

    from mien.image import ImageSource

_LANDMARKS: Final = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")


def columns(expressions: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of Faces.rows(), and so of CSV, Parquet and pandas tables, in their order.

    Args:
        expressions: the words of the model that reads. What a crowd would say is known of mien's seven only.
    """
    return (
        *("source", "width", "height", "face", "x1", "y1", "x2", "y2", "detection_score"),
        *("expression", "probability", "unclear"),
        *(f"probability_{name}" for name in expressions),
        *(f"crowd_{name}" for name in CROWD if expressions == EXPRESSIONS),
        *(f"{name}_{axis}" for name in _LANDMARKS for axis in "xy"),
    )


COLUMNS: Final = columns(EXPRESSIONS)
"""The columns for the models of mien's seven expressions."""


def _type_of(column: str) -> str:
    if column in ("source", "expression"):
        return "object"
    return "int64" if column in ("width", "height", "face") else "float64"


def percent(share: float) -> str:
    """A share as people read it; never 0 % or 100 % of what is merely unlikely or likely."""
    if 0 < share <= 0.005:
        return "<1%"
    return ">99%" if 0.995 <= share < 1 else f"{share:.0%}"


@dataclass(frozen=True, slots=True, repr=False)
class Face:
    """One face: where it is, and how people would call its expression. Nothing in it is rounded.

    Attributes:
        box: (x1, y1, x2, y2) in pixels of the upright picture, inside it.
        landmarks: five (x, y): left eye, right eye, nose, left and right corner of the mouth, as the viewer
            sees them, outside the picture where its border cuts the face off; None when no detector ran.
        detection_score: the detector's confidence in [0, 1]; None when no detector ran.
        probabilities: the seven expressions (mien.labels.EXPRESSIONS, in order), or the classes of a model that
            was trained on others; their sum is 1.
        crowd: the shares of ten people's answers (mien.labels.CROWD, in order); their sum is 1. Empty where the
            model has classes of its own.
        fer2013: the seven expressions as FER-2013's original labels would have it; their sum is 1. Empty as
            `crowd`.
    """

    box: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...] | None
    detection_score: float | None
    probabilities: dict[str, float]
    crowd: dict[str, float]
    fer2013: dict[str, float]

    @property
    def expression(self) -> str:
        """The most probable of the expressions."""
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def probability(self) -> float:
        """The probability of `expression`."""
        return self.probabilities[self.expression]

    @property
    def unclear(self) -> float:
        """The share of people who would say that they cannot tell, or that this is no face; 0 without `crowd`."""
        return self.crowd["unknown"] + self.crowd["not_a_face"] if self.crowd else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The face as in the JSON record: pixels rounded to 1 decimal, scores and shares to 4."""
        return {
            "box": [round(value, 1) for value in self.box],
            "detection_score": None if self.detection_score is None else round(self.detection_score, 4),
            "landmarks": None
            if self.landmarks is None
            else [[round(x, 1), round(y, 1)] for x, y in self.landmarks],
            "expression": self.expression,
            "probability": round(self.probability, 4),
            "unclear": round(self.unclear, 4),
            "probabilities": {name: round(value, 4) for name, value in self.probabilities.items()},
            "crowd": {name: round(value, 4) for name, value in self.crowd.items()},
        }

    def __repr__(self) -> str:
        box = ", ".join(f"{value:.0f}" for value in self.box)
        return f"Face({self.expression} {percent(self.probability)}, unclear {percent(self.unclear)}, box=({box}))"


@dataclass(frozen=True, repr=False)
class Faces(Sequence[Face]):
    """The faces of one picture, a sequence of Face; empty when nobody is there.

    Attributes:
        source: the picture's name: its path as given, "<bytes>", "<array>", ...
        width: of the upright picture, in pixels; None when it could not be read.
        height: of the upright picture, in pixels; None when it could not be read.
        faces: surest first; in a `VideoFrame`, longest in sight first.
        error: why the picture could not be read, or None.
        classes: the words of the model that read it.
    """

    source: str
    width: int | None
    height: int | None
    faces: tuple[Face, ...] = ()
    error: str | None = None
    # What the picture was read from, for draw(): never decoded pixels, so that thousands of Faces stay small.
    _origin: "ImageSource | None" = field(default=None, compare=False, kw_only=True)
    classes: tuple[str, ...] = field(default=EXPRESSIONS, kw_only=True)

    @property
    def columns(self) -> tuple[str, ...]:
        """The keys of rows(), in their order."""
        return columns(self.classes)

    @property
    def expressions(self) -> list[str]:
        """The most probable expression of each face."""
        return [face.expression for face in self.faces]

    @overload
    def __getitem__(self, index: int) -> Face: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Face, ...]: ...
    def __getitem__(self, index: int | slice) -> Face | tuple[Face, ...]:
        return self.faces[index]

    def __len__(self) -> int:
        return len(self.faces)

    def __iter__(self) -> Iterator[Face]:
        return iter(self.faces)

    def to_dict(self) -> dict[str, Any]:
        """The picture's JSON record: source, width, height, error, faces (see Face.to_dict)."""
        return {
            "source": self.source,
            "width": self.width,
            "height": self.height,
            "error": self.error,
            "faces": [face.to_dict() for face in self.faces],
        }

    def rows(self) -> list[dict[str, Any]]:
        """One flat dict a face, with the keys columns(expressions) and the values of the JSON record, rounded.

        `face` counts from 0. A picture without a face, or with an error, has no rows.
        """
        rows = []
        names = columns(self.classes)
        crowd = [name.removeprefix("crowd_") for name in names if name.startswith("crowd_")]
        for number, face in enumerate(self.faces):
            record = face.to_dict()
            places = record["landmarks"] or [[None, None]] * len(_LANDMARKS)
            values = (
                *(self.source, self.width, self.height, number, *record["box"], record["detection_score"]),
                *(record["expression"], record["probability"], record["unclear"]),
                *(record["probabilities"][name] for name in self.classes),
                *(record["crowd"].get(name) for name in crowd),
                *(value for place in places for value in place),
            )
            rows.append(dict(zip(names, values, strict=True)))
        return rows

    def to_pandas(self) -> "pandas.DataFrame":
        """A table of rows(): one row a face, all the columns even when there is no face.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ConfigError('to_pandas() needs pandas: pip install "mien[pandas]"') from error
        table = pd.DataFrame(self.rows(), columns=list(self.columns))
        # Where a column holds nothing pandas takes it for objects, which spoils a table that it is joined with.
        return table.astype({name: _type_of(name) for name in self.columns if table[name].isna().all()})

    def draw(self, image: "ImageSource | None" = None) -> "Image.Image":
        """The upright picture in RGB with the faces drawn on it.

        Args:
            image: the picture again, as `mien.predict` takes it. None reads it again from the path or the bytes
                that it was read from; arrays, PIL images and open files are not kept, and must be given.

        Raises:
            ImageError: the picture could not be read, is gone, is another one by now, or must be given.
        """
        from mien.draw import draw_faces
        from mien.image import DEFAULT_MAX_PIXELS, read_image

        if self.error is not None or self.width is None or self.height is None:
            raise ImageError(self.error or f"{self.source}: was not read, so there is nothing to draw on")
        origin = self._origin if image is None else image
        if origin is None:
            raise ImageError(f"{self.source}: its pixels were not kept: give the picture again, draw(image)")
        pixels = read_image(origin, max_pixels=max(DEFAULT_MAX_PIXELS, self.width * self.height))
        if pixels.shape[:2] != (self.height, self.width):
            raise ImageError(f"{self.source}: has changed since it was read: predict it again")
        return draw_faces(pixels, self.faces)

    def __repr__(self) -> str:
        if self.error is not None:
            return f"Faces({self.source!r}, error={self.error!r})"
        found = ", ".join(f"{face.expression} {percent(face.probability)}" for face in self.faces[:8])
        more = f", and {len(self) - 8} more" if len(self) > 8 else ""
        return f"Faces({self.source!r}, {self.width}×{self.height}: {found or 'nobody'}{more})"


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Three readings of N faces, float32, each row a distribution.

    A model that was trained on other classes than mien's seven gives one reading; the other two have no columns.

    Attributes:
        probabilities: (N, K), the columns `classes`; K = 7 for the models of mien.
        crowd: (N, 10), the columns mien.labels.CROWD; or (N, 0).
        fer2013: (N, 7), the columns mien.labels.EXPRESSIONS; or (N, 0).
        classes: the words of `probabilities`.
    """

    probabilities: NDArray[np.float32]
    crowd: NDArray[np.float32]
    fer2013: NDArray[np.float32]
    classes: tuple[str, ...] = EXPRESSIONS

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def expressions(self) -> list[str]:
        """The most probable expression of each face."""
        return [self.classes[index] for index in self.probabilities.argmax(axis=1)]

    @property
    def unclear(self) -> NDArray[np.float32]:
        """The share of people who could not tell, or would say that this is no face: (N,); 0 without `crowd`."""
        unsaid = [CROWD.index("unknown"), CROWD.index("not_a_face")]
        if not self.crowd.shape[1]:
            return np.zeros(len(self), np.float32)
        shares: NDArray[np.float32] = self.crowd[:, unsaid].sum(axis=1)
        return shares

    def of_face(self, row: int) -> dict[str, dict[str, float]]:
        """The readings of one face by name, each with its words: what Face is made with."""
        words = {"probabilities": self.classes, "crowd": CROWD, "fer2013": EXPRESSIONS}
        return {
            name: dict(zip(words[name], values.tolist(), strict=True)) if len(values) else {}
            for name, values in (
                ("probabilities", self.probabilities[row]),
                ("crowd", self.crowd[row]),
                ("fer2013", self.fer2013[row]),
            )
        }
