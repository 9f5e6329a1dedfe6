"""Tells where one scene of a video ends and another begins."""

import numpy as np
from numpy.typing import NDArray

# Frames are compared on a grid of so many cells, coarse enough that motion changes little in it.
_ROWS, _COLUMNS = 9, 16
# Points in each cell, on each axis, that its mean is taken of.
_POINTS = 4
# A cut: the grids of two frames agree (as a correlation) less than this, and so much less than those before them.
_UNLIKE = 0.6
_DROP = 0.3
# Frames with less contrast than this (standard deviation, of 255) show nothing.
_BLANK = 4.0


class CutFinder:
    """Finds cuts, frame by frame: a frame that looks unlike the one before it begins a new scene.

    Brightness and contrast do not count, so that a lamp, a flash or a fade is no cut. Nor is a frame of one
    colour: the one after it is compared with the one before it. A camera that swings round changes much from frame
    to frame, but does not begin to at once.
    """

    def __init__(self) -> None:
        """Begins before the first frame."""
        self._last: NDArray[np.float32] | None = None
        self._alike = 1.0

    def update(self, image: NDArray[np.uint8]) -> bool:
        """Takes the next frame, RGB uint8 (height, width, 3), and says whether a new scene begins with it."""
        grid = _grid(image)
        spread = float(grid.std())
        if spread < _BLANK:
            return False
        grid = (grid - grid.mean()) / spread
        last, self._last = self._last, grid
        alike = 1.0 if last is None else float((grid * last).mean())
        cut = alike < _UNLIKE and self._alike - alike > _DROP
        self._alike = 1.0 if cut else alike
        return cut


def _grid(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The mean colours of a coarse grid of cells, float32 (rows, columns, 3), 0 to 255."""
    height, width = image.shape[:2]
    rows = np.linspace(0, height - 1, _ROWS * _POINTS).round().astype(np.intp)
    columns = np.linspace(0, width - 1, _COLUMNS * _POINTS).round().astype(np.intp)
    points = image[np.ix_(rows, columns)].astype(np.float32)
    means: NDArray[np.float32] = points.reshape(_ROWS, _POINTS, _COLUMNS, _POINTS, 3).mean(axis=(1, 3))
    return means
