"""Sets a FER-2013 face into a larger picture that continues it smoothly, as if the photograph were still there."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter


def extend(face: NDArray[np.uint8], above: int, below: int, left: int, right: int) -> NDArray[np.uint8]:
    """Continues a grey face, uint8 (H, W), by so many pixels on each side.

    The outermost pixels are repeated, and blurred more and more away from the face, so that neither the face's
    border nor streaks are seen.
    """
    padded = np.pad(face, ((above, below), (left, right)), mode="edge")
    blurred = np.asarray(Image.fromarray(padded).filter(ImageFilter.GaussianBlur(5)))
    down, across = np.arange(padded.shape[0]), np.arange(padded.shape[1])
    outside_down = np.maximum(above - down, down - (above + face.shape[0] - 1))
    outside_across = np.maximum(left - across, across - (left + face.shape[1] - 1))
    blur = np.clip(np.maximum(outside_down[:, None], outside_across[None, :]) / 6, 0, 1)
    extended: NDArray[np.uint8] = np.rint(padded * (1 - blur) + blurred * blur).astype(np.uint8)
    return extended


def photograph(
    face: NDArray[np.uint8], side: int, width: int, height: int, corner: tuple[int, int]
) -> NDArray[np.uint8]:
    """Enlarges a face to `side` pixels in a picture: grey uint8 (48, 48) to RGB uint8 (height, width, 3).

    Args:
        face: the face.
        side: side in pixels of the enlarged face.
        width: of the picture.
        height: of the picture.
        corner: x and y of the enlarged face's upper left corner.
    """
    factor = side / len(face)
    # In the face's own pixels, with some to spare; the rest is cut off after enlarging.
    left, above = int(np.ceil(corner[0] / factor)), int(np.ceil(corner[1] / factor))
    right = int(np.ceil((width - corner[0] - side) / factor))
    below = int(np.ceil((height - corner[1] - side) / factor))
    small = Image.fromarray(extend(face, above, below, left, right))
    large = small.resize(
        (round(small.width * factor), round(small.height * factor)), Image.Resampling.BICUBIC
    )
    x, y = round(left * factor) - corner[0], round(above * factor) - corner[1]
    return np.asarray(large.crop((x, y, x + width, y + height)).convert("RGB"))
