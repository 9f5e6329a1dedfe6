"""Finds the faces in a picture: where each is, how sure that is, and five points on it.

    detector = create_detector("centerface")
    found = detector.detect(image)          # image: RGB uint8 (height, width, 3)
    found.boxes, found.scores, found.landmarks

The detector is CenterFace, one fully convolutional network that says for every cell of 4×4 pixels how likely
it is the centre of a face, how large that face is, and where its eyes, nose and mouth corners are (Xu et al.
2020, CenterFace: Joint Face Detection and Alignment Using Face as Point, arXiv:1911.03599). Its weights lie in
`model/detector/`, whose README says where they come from and how the file is made.
"""

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.errors import ConfigError, ModelError
from mien.runtime import onnx_runtime

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

DetectorName = Literal["centerface", "none"]
DETECTORS: tuple[str, ...] = get_args(DetectorName)

# The network's strides: its inputs' sides are multiples of 32, its outputs have a cell for 4 pixels.
_STRIDE = 32
_CELL = 4
# Two boxes of which the overlap is at least this share of their union are one face (as in CenterFace's code).
OVERLAP = 0.3
_SIZES = (32, 4096)
# A small picture is enlarged four times at most: more finds no more faces and costs as much as a large one.
_ENLARGE = 4
# A face that fills a picture is larger, at the usual size, than those the network learnt. So where nothing is
# found, the picture is looked at again at this long side, which takes little time.
_SECOND_LOOK = 128
# A known face is looked for in a square of so many times its longer side, which is scaled to so many pixels: the
# face may go half its own way between two pictures, and fills half the square, as the network likes it.
_NEAR_REACH = 2.0
_NEAR_SIDE = 128


@dataclass(frozen=True, slots=True)
class Detections:
    """The faces found in one picture, surest first.

    Attributes:
        boxes: float32 (n, 4), `x1, y1, x2, y2` in pixels, inside the picture.
        scores: float32 (n,), 0 to 1, falling.
        landmarks: float32 (n, 5, 2), `x, y` in pixels of left eye, right eye, nose, left and right mouth
            corner; left and right as the viewer sees them. They may lie outside the picture when the face
            is cut off by its border.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    landmarks: NDArray[np.float32]

    def __len__(self) -> int:
        """How many faces were found."""
        return len(self.scores)


class Detector(Protocol):
    """Whatever finds faces."""

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Finds the faces in an RGB picture, uint8 (height, width, 3)."""
        ...

    def detect_near(self, image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> list[Detections]:
        """Finds known faces again, each near the place (n, 4) where it is thought to be: for each, one or none."""
        ...


class CenterFace:
    """CenterFace (Xu et al. 2020) on ONNX Runtime."""

    def __init__(
        self,
        *,
        size: int = 640,
        threshold: float = 0.5,
        max_faces: int | None = None,
        threads: int | None = None,
    ) -> None:
        """Loads the network.

        Args:
            size: The picture is scaled so that its long side has this many pixels, 32 to 4096, before it is
                searched (small pictures: four times their own at most). Larger finds smaller faces; time and
                memory grow with the square.
            threshold: Faces with a score below this are left out, above 0 to 1.
            max_faces: Of more faces in a picture only the surest are kept; None keeps all.
            threads: Threads that ONNX Runtime computes with; None leaves the choice to it.

        Raises:
            ConfigError: A value is out of range.
            ModelError: The network's file is missing or damaged.
        """
        _check_limits(size, max_faces)
        if not 0 < threshold <= 1:
            raise ConfigError(f"detector threshold {threshold}: choose above 0 and at most 1")
        if threads is not None and threads < 1:
            raise ConfigError(f"detector threads {threads}: choose 1 or more, or None")
        self.size = size
        self.threshold = threshold
        self.max_faces = max_faces
        self._session = _load(threads)

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Finds the faces in an RGB picture.

        Args:
            image: uint8 (height, width, 3), RGB.

        Returns:
            The faces found, surest first; none is no error.
        """
        side = min(self.size, _ENLARGE * max(image.shape[:2]))
        found = self._search(image, side)
        if not len(found) and side > _SECOND_LOOK:
            found = self._search(image, _SECOND_LOOK)
        surest = slice(self.max_faces)
        return Detections(found.boxes[surest], found.scores[surest], found.landmarks[surest])

    def detect_near(self, image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> list[Detections]:
        """Finds known faces again, each near the place where it is thought to be: a tenth of the work of `detect`.

        Args:
            image: uint8 (height, width, 3), RGB.
            boxes: (n, 4), `x1, y1, x2, y2` in pixels: where the faces are thought to be.

        Returns:
            For each box one face, whose centre lies in it, or none. A face that reaches beyond the part of the
            picture that was searched counts as not found.
        """
        height, width = image.shape[:2]
        parts = [_around(box, width, height) for box in boxes]
        searched = [part for part in parts if part is not None]
        if not searched:
            return [_NOTHING for _ in boxes]
        batch = np.zeros((len(searched), 3, _NEAR_SIDE, _NEAR_SIDE), np.float32)
        sizes = []
        for place, (left, top, right, bottom) in zip(batch, searched, strict=True):
            region = image[top:bottom, left:right]
            prepared, size = _prepare(region, min(_NEAR_SIDE, _ENLARGE * max(region.shape[:2])))
            place[:, : prepared.shape[2], : prepared.shape[3]] = prepared[0]
            sizes.append(size)
        outputs = iter(zip(zip(*self._run(batch), strict=True), sizes, strict=True))
        results = []
        for part, box in zip(parts, boxes, strict=True):
            if part is None:
                results.append(_NOTHING)
                continue
            maps, size = next(outputs)
            found = self._read_maps(maps, size, (part[2] - part[0], part[3] - part[1]))
            results.append(_nearest(found, part, box, (width, height)))
        return results

    def _search(self, image: NDArray[np.uint8], side: int) -> Detections:
        """Finds the faces in a picture scaled to a long side of `side` pixels."""
        height, width = image.shape[:2]
        batch, size = _prepare(image, side)
        return self._read_maps(tuple(output[0] for output in self._run(batch)), size, (width, height))

    def _run(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The network's four maps of each picture of a batch."""
        outputs: list[NDArray[np.float32]] = self._session.run(
            ["heatmap", "scale", "offset", "landmarks"], {"image": batch}
        )
        return outputs

    def _read_maps(
        self, maps: tuple[NDArray[np.float32], ...], size: tuple[int, int], picture: tuple[int, int]
    ) -> Detections:
        """The faces that the maps of one picture tell of.

        Args:
            maps: heatmap, scale, offset and landmarks, as `_decode` takes them.
            size: width and height of the part of the network's input that the picture fills.
            picture: width and height of the picture, in whose pixels the faces are told.
        """
        boxes, scores, landmarks = _decode(*maps, threshold=self.threshold)
        (across, down), (width, height) = size, picture
        factor = np.array([width / across, height / down], np.float32)
        boxes = (boxes.reshape(-1, 2, 2) * factor).clip(0, [width, height]).reshape(-1, 4).astype(np.float32)
        landmarks = landmarks * factor
        keep = nms(boxes, scores, OVERLAP)
        keep = keep[(boxes[keep, 2:] > boxes[keep, :2]).all(axis=1)]
        return Detections(boxes[keep], scores[keep], landmarks[keep])


_NOTHING = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32))


def _around(box: NDArray[np.float32], width: int, height: int) -> tuple[int, int, int, int] | None:
    """The part of a picture in which a known face is looked for; None when it lies outside the picture."""
    centre, side = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).max() * _NEAR_REACH
    left, top = np.maximum(np.floor(centre - side / 2), 0)
    right, bottom = np.minimum(np.ceil(centre + side / 2), [width, height])
    if right - left < 1 or bottom - top < 1:
        return None
    return int(left), int(top), int(right), int(bottom)


def _nearest(
    found: Detections,
    part: tuple[int, int, int, int],
    box: NDArray[np.float32],
    picture: tuple[int, int],
) -> Detections:
    """Of the faces in a part of a picture, the one nearest to where it was thought to be; or none.

    Args:
        found: the faces, in pixels of the part.
        part: `x1, y1, x2, y2` of the part in the picture.
        box: (4,), where the face is thought to be.
        picture: width and height.
    """
    corner = np.array(part[:2], np.float32)
    boxes = found.boxes + np.tile(corner, 2)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    near = (centres >= box[:2]) & (centres <= box[2:])
    # Cut off by the part's border, and not by the picture's: where the face ends is not known.
    cut_off = (boxes[:, :2] <= corner) & (corner > 0)
    cut_off |= (boxes[:, 2:] >= part[2:]) & (np.array(part[2:]) < picture)
    candidates = np.flatnonzero((near & ~cut_off).all(axis=1))
    if not len(candidates):
        return _NOTHING
    distances = np.square(centres[candidates] - (box[:2] + box[2:]) / 2).sum(axis=1)
    best = candidates[[distances.argmin()]]
    return Detections(boxes[best], found.scores[best], found.landmarks[best] + corner)


def create_detector(
    name: str, *, size: int = 640, max_faces: int | None = None, threads: int | None = None
) -> Detector | None:
    """Makes a detector by its name.

    Args:
        name: One of `DETECTORS`. "none" says that every picture is the crop of a face already.
        size: The long side, in pixels, to which a picture is scaled before it is searched.
        max_faces: Of more faces in a picture only the surest are kept; None keeps all.
        threads: Threads to compute with; None leaves the choice to ONNX Runtime.

    Returns:
        The detector, or None for "none": the whole picture is to be read as one face.

    Raises:
        ConfigError: The name is unknown, or a value is out of range.
    """
    if name not in DETECTORS:
        raise ConfigError(f"detector {name!r} is unknown: choose from {', '.join(DETECTORS)}")
    _check_limits(size, max_faces)
    return CenterFace(size=size, max_faces=max_faces, threads=threads) if name == "centerface" else None


def _check_limits(size: int, max_faces: int | None) -> None:
    if not _SIZES[0] <= size <= _SIZES[1]:
        raise ConfigError(f"detector size {size}: choose from {_SIZES[0]} to {_SIZES[1]} pixels")
    if max_faces is not None and max_faces < 1:
        raise ConfigError(f"max_faces {max_faces}: choose 1 or more, or None")


def nms(boxes: NDArray[np.float32], scores: NDArray[np.float32], limit: float) -> NDArray[np.intp]:
    """Non-maximum suppression: of boxes that overlap, keeps the one with the highest score.

    Args:
        boxes: (n, 4), `x1, y1, x2, y2`.
        scores: (n,).
        limit: Boxes whose intersection over union with a kept one is at least this are dropped.

    Returns:
        Indices of the kept boxes, by falling score.
    """
    order = np.argsort(-scores, kind="stable")
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    kept = []
    while order.size:
        best, order = order[0], order[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[order, :2])
        high = np.minimum(boxes[best, 2:], boxes[order, 2:])
        common = np.prod((high - low).clip(0), axis=1)
        order = order[common < limit * (areas[best] + areas[order] - common)]
    return np.array(kept, np.intp)


def _decode(
    heatmap: NDArray[np.float32],
    scale: NDArray[np.float32],
    offset: NDArray[np.float32],
    points: NDArray[np.float32],
    *,
    threshold: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Turns the network's four maps of one picture into boxes, scores and landmarks (Xu et al. 2020, 3.2).

    Args:
        heatmap: (1, h, w), how likely each cell is the centre of a face.
        scale: (2, h, w), natural logarithms of a face's height and width in cells.
        offset: (2, h, w), from the cell's middle to the face's centre, y and x in cells.
        points: (10, h, w), y and x of each landmark from the box's upper left corner, in shares of the box.
        threshold: Cells below this are no faces.

    Returns:
        Boxes (n, 4), scores (n,) and landmarks (n, 5, 2), in pixels of the network's input.
    """
    rows, columns = np.nonzero(heatmap[0] >= threshold)
    cells = np.stack([columns, rows], axis=1)
    sides = np.exp(scale[::-1, rows, columns].T) * _CELL
    centres = (cells + offset[::-1, rows, columns].T + np.float32(0.5)) * _CELL
    corners = centres - sides / 2
    shares = points[:, rows, columns].T.reshape(-1, 5, 2)[:, :, ::-1]
    landmarks = corners[:, None] + shares * sides[:, None]
    boxes = np.concatenate([corners, corners + sides], axis=1)
    return (
        boxes.astype(np.float32),
        heatmap[0, rows, columns],
        landmarks.astype(np.float32),
    )


def _prepare(image: NDArray[np.uint8], side: int) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Scales a picture to a long side of `side` and pads it, right and below, to multiples of 32.

    Returns:
        The network's input, float32 (1, 3, h, w), RGB 0 to 255; and the width and height of the part of it
        that the picture fills.
    """
    height, width = image.shape[:2]
    factor = side / max(height, width)
    across, down = max(1, round(width * factor)), max(1, round(height * factor))
    # Pillow's resize averages over all pixels that fall into one when it shrinks; reducing_gap does the
    # bulk of that by whole numbers first, which is quicker for large pictures.
    scaled = Image.fromarray(image).resize((across, down), Image.Resampling.BILINEAR, reducing_gap=2.0)
    padded = np.zeros((-(-down // _STRIDE) * _STRIDE, -(-across // _STRIDE) * _STRIDE, 3), np.float32)
    padded[:down, :across] = np.asarray(scaled)
    return np.ascontiguousarray(padded.transpose(2, 0, 1)[None]), (across, down)


def _load(threads: int | None) -> "InferenceSession":
    """Opens the network's file."""
    # Imported here because it takes a sixth of a second, which `import mien` should not.
    ort = onnx_runtime()

    options = ort.SessionOptions()
    options.enable_mem_pattern = False  # it pays for inputs of one size, and costs 40 MB where sizes vary
    if threads is not None:
        options.intra_op_num_threads = threads
    file = files("mien") / "model/detector/centerface.onnx"
    try:
        return ort.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        reason = " ".join(str(error).split())
        raise ModelError(
            f"{file}: the detector's file cannot be loaded ({reason}); reinstall mien"
        ) from error
