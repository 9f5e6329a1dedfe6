"""Cuts faces out of a picture, upright and framed as FER-2013 frames its faces.

    crops = align_faces(image, found.boxes, found.landmarks)     # grey uint8 (n, 48, 48)

A network reads faces best in the framing that it learnt. Where FER-2013's crops lie about their faces was
measured on its Training part by benchmarks/framing.py; the constants here are those of
benchmarks/results/framing.json. A crop's place and size are told twice, by the detector's box and by its five
landmarks; the mean of both is taken, whose usual (median) error is less than that of either.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# From framing.json, `constants`, `area`: the crop's side as a multiple of the root of the box's area, and how
# far its centre lies below the box's, in shares of the side.
_FACTOR = 1.1622
_SHIFT_DOWN = -0.0133
# From framing.json, `landmarks`: where the five landmarks lie in a crop, x + y·i in shares of its side.
_LANDMARKS = np.array([0.316 + 0.3995j, 0.684 + 0.3995j, 0.5 + 0.5996j, 0.3549 + 0.759j, 0.6451 + 0.759j])
# Landmarks are not believed if they are no numbers, if the crop that they ask for is so many times larger or
# smaller than the box's, or if its centre is half a side away from the box's.
_DOUBT = 1.8
# Pixels around a crop that bicubic sampling may look at.
_MARGIN = 3


def align_faces(
    image: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    landmarks: NDArray[np.float32],
    *,
    size: int = 48,
) -> NDArray[np.uint8]:
    """Cuts out faces, turned upright and framed as FER-2013 frames its own.

    What lies beyond the picture's border is filled with the nearest pixels inside.

    Args:
        image: RGB uint8 (height, width, 3).
        boxes: (n, 4), `x1, y1, x2, y2` in pixels.
        landmarks: (n, 5, 2), `x, y` in pixels of left eye, right eye, nose, left and right mouth corner, as
            the viewer sees them. A face whose landmarks make no sense is framed by its box alone.
        size: Side of the crops in pixels.

    Returns:
        Grey (ITU-R 601) uint8 (n, size, size).
    """
    height, width = image.shape[:2]
    crops = np.empty((len(boxes), size, size), np.uint8)
    for crop, centre, edge in zip(crops, *_frame(boxes, landmarks, width, height), strict=True):
        crop[:] = _cut(image, complex(centre), complex(edge), size)
    return crops


def crop_sides(boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """About how many pixels of the picture the side of each face's crop has: boxes (n, 4) to (n,)."""
    width, height = (boxes[:, 2:] - boxes[:, :2]).T.astype(np.float64)
    sides: NDArray[np.float64] = _FACTOR * np.sqrt(width * height)
    return sides


def whole_picture(image: NDArray[np.uint8], *, size: int = 48) -> NDArray[np.uint8]:
    """Makes a picture that is the crop of a face already into the classifier's input.

    The longer side is scaled to `size`; the shorter is filled up with its outermost pixels, so that the face is
    not distorted.

    Args:
        image: uint8, RGB (height, width, 3) or grey (height, width).
        size: Side of the result in pixels.

    Returns:
        Grey (ITU-R 601) uint8 (size, size).
    """
    height, width = image.shape[:2]
    factor = size / max(height, width)
    across, down = max(1, round(width * factor)), max(1, round(height * factor))
    small = np.asarray(_grey(image).resize((across, down), Image.Resampling.BICUBIC))
    left, top = (size - across) // 2, (size - down) // 2
    return np.pad(small, ((top, size - down - top), (left, size - across - left)), mode="edge")


def _frame(
    boxes: NDArray[np.float32], landmarks: NDArray[np.float32], width: int, height: int
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Where the crops lie.

    Points are complex numbers, x + y·i, so that a product turns and scales.

    Returns:
        The crops' centres (n,); and their upper edges (n,): as long as a side, pointing from left to right.
    """
    left, top, right, bottom = boxes.T.astype(np.float64)
    centre = (left + right + 1j * (top + bottom)) / 2
    side = crop_sides(boxes)

    # The similarity that brings the usual landmarks nearest to these, by least squares (Umeyama 1991).
    usual = _LANDMARKS - _LANDMARKS.mean()
    points = np.where(np.isfinite(landmarks), landmarks, np.nan).astype(np.float64) @ [1, 1j]
    middle = points.mean(axis=1)
    edge = (points - middle[:, None]) @ usual.conj() / (np.abs(usual) ** 2).sum()
    by_points = middle + edge * (0.5 + 0.5j - _LANDMARKS.mean())
    length = np.abs(edge)
    believed = (length > side / _DOUBT) & (length < side * _DOUBT) & (np.abs(by_points - centre) < side / 2)

    turn = np.divide(edge, length, out=np.ones_like(edge), where=believed)
    by_box = centre + side * turn * _SHIFT_DOWN * 1j
    # Of a face cut off by the picture's border the box shows a part, but the landmarks the whole.
    cut_off = (left <= 0) | (top <= 0) | (right >= width) | (bottom >= height)
    weight = np.where(cut_off, 1.0, 0.5)
    centre = np.where(believed, by_points * weight + by_box * (1 - weight), by_box)
    return (
        centre.real.clip(0, width) + 1j * centre.imag.clip(0, height),
        np.where(believed, turn * length**weight * side ** (1 - weight), side),
    )


def _cut(image: NDArray[np.uint8], centre: complex, edge: complex, size: int) -> NDArray[np.uint8]:
    """Cuts out one square, given by its centre and its upper edge, and scales it to `size`."""
    height, width = image.shape[:2]
    # The part of the picture that the turned square touches; the rest need not be made grey.
    reach = (abs(edge.real) + abs(edge.imag)) / 2 + _MARGIN
    left, right = math.floor(centre.real - reach), math.ceil(centre.real + reach)
    top, bottom = math.floor(centre.imag - reach), math.ceil(centre.imag + reach)
    inside = image[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    beyond = (max(0, -top), max(0, bottom - height)), (max(0, -left), max(0, right - width))
    part = Image.fromarray(np.pad(np.asarray(_grey(inside)), beyond, mode="edge"))

    # Sampled at least as finely as the picture is, then shrunk by Pillow's resize, which averages.
    fine = size * max(1, math.ceil(abs(edge) / size))
    right_step = edge / fine
    down_step = right_step * 1j
    corner = centre - (edge + edge * 1j) / 2 - complex(left, top)
    matrix = (right_step.real, down_step.real, corner.real, right_step.imag, down_step.imag, corner.imag)
    square = part.transform((fine, fine), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
    return np.asarray(square.resize((size, size), Image.Resampling.BICUBIC))


def _grey(image: NDArray[np.uint8]) -> Image.Image:
    """Grey as Pillow makes it (ITU-R 601-2 luma), which is what FER-2013's pictures are."""
    return Image.fromarray(image).convert("L")
