"""mien reads facial expressions in photographs, and says what share of people would agree.

>>> import mien
>>> faces = mien.predict("examples/astronaut.jpg")
>>> faces[0].expression
'happy'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mien.errors import (
    ConfigError,
    DatasetError,
    DivergedError,
    ImageError,
    MienError,
    ModelError,
    VideoError,
)
from mien.labels import CROWD, EXPRESSIONS

if TYPE_CHECKING:
    from mien.recognize import Recognizer, predict
    from mien.result import Face, Faces, Predictions
    from mien.video.follow import FaceTracker, TrackedFace, VideoFrame
    from mien.video.reader import read_video

__version__ = "0.1.0"

__all__ = [
    "CROWD",
    "EXPRESSIONS",
    "ConfigError",
    "DatasetError",
    "DivergedError",
    "Face",
    "FaceTracker",
    "Faces",
    "ImageError",
    "MienError",
    "ModelError",
    "Predictions",
    "Recognizer",
    "TrackedFace",
    "VideoError",
    "VideoFrame",
    "predict",
    "read_video",
]

# Loaded when first used, so that `import mien` is quick.
_LAZY = {
    "Face": "mien.result",
    "FaceTracker": "mien.video.follow",
    "Faces": "mien.result",
    "Predictions": "mien.result",
    "Recognizer": "mien.recognize",
    "TrackedFace": "mien.video.follow",
    "VideoFrame": "mien.video.follow",
    "predict": "mien.recognize",
    "read_video": "mien.video.reader",
}


if not TYPE_CHECKING:  # type checkers know the names above, and would take any other for one of these

    def __getattr__(name: str) -> Any:
        if name not in _LAZY:
            raise AttributeError(f"module 'mien' has no attribute {name!r}")
        return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
