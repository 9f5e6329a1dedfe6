"""What can go wrong, as a tree of exceptions.

    MienError
    ├── ImageError     a picture cannot be read
    ├── VideoError     a video cannot be read, or only in part
    ├── ModelError     a model file is missing, damaged, or not what it claims to be
    ├── DatasetError   a data set is not laid out as expected
    ├── DivergedError  a training's loss or weights are no longer numbers
    └── ConfigError    an option, a recipe or an argument has an impossible value

Each message is one line that names what was wrong, where, and what to do about it.
"""


class MienError(Exception):
    """Base class of every error that mien raises on purpose."""


class ImageError(MienError):
    """A picture cannot be read: missing, not a picture, damaged, or too large."""


class VideoError(MienError):
    """A video cannot be read, or breaks off: missing, no video, damaged, cut short, or too large."""


class ModelError(MienError):
    """A model file is missing, damaged, or its labels, shapes or hash do not fit."""


class DatasetError(MienError):
    """A data set is not laid out as expected, or its contents do not fit together."""


class DivergedError(MienError):
    """A training's loss or weights are no longer numbers."""


class ConfigError(MienError):
    """An option, a recipe or an argument has an impossible value, or needs a part not installed."""
