"""The whole road in one place: picture → faces → aligned crops → expressions."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.align import align_faces, crop_sides, whole_picture
from mien.classify import Classifier
from mien.detect import Detections, Detector, create_detector
from mien.errors import ConfigError, ImageError
from mien.image import DEFAULT_MAX_PIXELS, ImageSource, describe, read_image
from mien.prior import Prior
from mien.result import Face, Faces, Predictions


class Recognizer:
    """Finds the faces in pictures and reads their expressions.

    One recogniser may be shared by several threads.

        recognizer = mien.Recognizer()
        faces = recognizer.predict("party.jpg")
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = "base",
        *,
        detector: str | Detector = "centerface",
        detector_size: int = 640,
        max_faces: int | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        threads: int | None = None,
        prior: Prior | None = None,
    ) -> None:
        """Loads the models.

        Args:
            model: the name of a model that comes with mien, a folder that `mien train` made, or an ONNX file.
            detector: ``centerface``; ``none`` for pictures that are face crops already; or one of your own, of
                which `detector_size` and `max_faces` change nothing: `mien.detect.CenterFace(threshold=0.7)`.
            detector_size: long side in pixels at which a picture is searched; larger finds smaller faces.
            max_faces: of more faces in a picture only the surest are read; None reads all.
            max_pixels: pictures with more pixels are refused before they are decoded.
            threads: CPU threads to use; None leaves it to ONNX Runtime.
            prior: how often each expression is to be expected in your pictures: a number for each, or ``even``.
                The `probabilities` are moved there (see `mien.prior`); None leaves them as the model was made.

        Raises:
            ModelError: there is no such model, or it is damaged.
            ConfigError: there is no such detector, a number is out of range, or the prior lacks an expression.
        """
        if max_pixels < 1:
            raise ConfigError(f"max_pixels {max_pixels}: choose 1 or more")
        # Before the detector: it is told here what is wrong with the number of threads.
        self._classifier = Classifier(model, threads=threads, prior=prior)
        self._detector = (
            create_detector(detector, size=detector_size, max_faces=max_faces, threads=threads)
            if isinstance(detector, str)
            else detector
        )
        self._max_pixels = max_pixels

    @property
    def model(self) -> str:
        """The name of the expression model, as its file states it."""
        return self._classifier.name

    @property
    def classes(self) -> tuple[str, ...]:
        """The words of the answer: the model's classes, in its order."""
        return self._classifier.classes

    @property
    def detector(self) -> Detector | None:
        """What finds the faces; None when pictures are face crops already."""
        return self._detector

    @property
    def max_pixels(self) -> int:
        """Pictures with more pixels are refused before they are decoded."""
        return self._max_pixels

    @property
    def classifier(self) -> Classifier:
        """What reads the expressions of faces that are cut out."""
        return self._classifier

    def predict(self, image: ImageSource) -> Faces:
        """Reads one picture.

        Args:
            image: a path, the bytes of a file, a binary file object, a NumPy array (RGB uint8; of OpenCV's
                BGR give ``image[:, :, ::-1]``) or a PIL image.

        Returns:
            The faces, surest first; empty when nobody is there.

        Raises:
            ImageError: the picture cannot be read.
        """
        found = self._find(image)
        if found.error is not None:
            raise found.error
        return self._read([found])[0]

    def predict_many(self, images: Iterable[ImageSource], *, batch_size: int = 32) -> Iterator[Faces]:
        """Reads many pictures, in constant memory, however many there are.

        A picture that cannot be read becomes a `Faces` whose `error` says why; the rest go on. What `images`
        itself raises comes after the faces of all pictures before.

        Args:
            images: pictures as `predict` takes them, drawn one by one as they are needed; a list, a generator, or
                one array (N, H, W, 3).
            batch_size: faces that go through the expression network at once, at least 1. Results come as soon
                as so many faces, or pictures, have been gathered.

        Yields:
            The faces of each picture, in the order given.

        Raises:
            ConfigError: `batch_size` is below 1, or `images` is a single picture.
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size {batch_size}: choose 1 or more")
        if (
            isinstance(images, str | os.PathLike | bytes | bytearray | memoryview | Image.Image)
            or hasattr(images, "read")  # an open file would be taken line by line
            # An array of paths is many.
            or (isinstance(images, np.ndarray) and images.ndim < 4 and images.dtype.kind not in "OU")
        ):
            one = describe(cast("ImageSource", images))
            raise ConfigError(f"images: {one} is one picture, must be several; predict reads one")
        return self._predict_many(images, batch_size)

    def _predict_many(self, images: Iterable[ImageSource], batch_size: int) -> Iterator[Faces]:
        waiting: list[_Found] = []
        gathered = 0
        try:
            for image, decoded in _ahead(self._keep, images):
                waiting.append(self._find(image, decoded))
                gathered += max(1, len(waiting[-1].crops))
                if gathered >= batch_size:
                    full, waiting, gathered = waiting, [], 0
                    yield from self._read(full, batch_size)
        except Exception:  # of whoever gives the pictures: those before are done
            yield from self._read(waiting, batch_size)
            raise
        yield from self._read(waiting, batch_size)

    def classify(self, crops: NDArray[np.uint8], *, batch_size: int = 64) -> Predictions:
        """Reads faces that are cut out already; nothing is searched or turned.

        Args:
            crops: uint8 (N, H, W) grey or (N, H, W, 3) RGB, framed as FER-2013 frames its faces: from above the
                brows to the chin, the face filling the square.
            batch_size: faces that go through the network at once.

        Returns:
            The readings of each face, float32, in the order given.

        Raises:
            ImageError: the array has another shape or type.
            ConfigError: `batch_size` is below 1.
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size {batch_size}: choose 1 or more")
        if not isinstance(crops, np.ndarray):
            raise ImageError(
                f"crops: a {type(crops).__name__}, must be one uint8 array, as np.stack makes of several "
                "of one size; Recognizer(detector='none').predict_many() reads crops of any sizes"
            )
        if crops.dtype != np.uint8 or crops.ndim not in (3, 4) or (crops.ndim == 4 and crops.shape[3] != 3):
            raise ImageError(f"crops: {crops.dtype} {crops.shape}, must be uint8 (N, H, W) or (N, H, W, 3)")
        if 0 in crops.shape[1:]:
            raise ImageError(f"crops: {crops.shape} have no pixels")
        if crops.ndim == 3 and crops.shape[2] in (3, 4):
            raise ImageError(
                f"crops: {crops.shape} is one picture in colour, must be several; give crops[None]"
            )
        size = self._classifier.size
        sides = np.full(len(crops), max(crops.shape[1:3]), np.float64)
        if crops.shape[1:] != (size, size):
            crops = np.array([whole_picture(crop, size=size) for crop in crops], np.uint8)
            crops = crops.reshape(-1, size, size)
        return self._classifier.classify(crops, sides=sides, batch_size=batch_size)

    def _keep(self, image: ImageSource) -> "NDArray[np.uint8] | ImageError":
        """As `_decode`, in memory of its own: an array may be overwritten before it is looked at."""
        pixels = self._decode(image)
        if (
            isinstance(image, np.ndarray)
            and isinstance(pixels, np.ndarray)
            and np.may_share_memory(image, pixels)
        ):
            return pixels.copy()
        return pixels

    def _decode(self, image: ImageSource) -> "NDArray[np.uint8] | ImageError":
        try:
            return read_image(image, max_pixels=self._max_pixels)
        except ImageError as error:
            return error

    def _find(self, image: ImageSource, decoded: "NDArray[np.uint8] | ImageError | None" = None) -> "_Found":
        """Everything of a picture but the expressions: faces, landmarks, aligned crops."""
        pixels = self._decode(image) if decoded is None else decoded
        size = self._classifier.size
        # Only what stays small and does not change is kept for drawing: no pixels, and no file read to its end.
        origin = image if isinstance(image, str | os.PathLike | bytes) else None
        if isinstance(pixels, ImageError):
            crops, sides = np.empty((0, size, size), np.uint8), np.empty(0)
            return _Found(describe(image), origin, (None, None), None, crops, sides, pixels)
        height, width = pixels.shape[:2]
        if self._detector is None:
            crops, sides = whole_picture(pixels, size=size)[None], np.array([max(height, width)], np.float64)
            return _Found(describe(image), origin, (width, height), None, crops, sides, None)
        detections = self._detector.detect(pixels)
        crops = align_faces(pixels, detections.boxes, detections.landmarks, size=size)
        sides = crop_sides(detections.boxes)
        return _Found(describe(image), origin, (width, height), detections, crops, sides, None)

    def _read(self, pictures: "list[_Found]", batch_size: int = 64) -> list[Faces]:
        """The expressions of all the faces of several pictures."""
        if not pictures:
            return []
        readings = self._classifier.classify(
            np.concatenate([picture.crops for picture in pictures]),
            sides=np.concatenate([picture.sides for picture in pictures]),
            batch_size=batch_size,
        )
        results, first = [], 0
        for picture in pictures:
            rows = range(first, first + len(picture.crops))
            faces = tuple(_face(picture, row - first, readings, row) for row in rows)
            width, height = picture.width_height
            error = None if picture.error is None else str(picture.error)
            results.append(
                Faces(
                    picture.source,
                    width,
                    height,
                    faces,
                    error,
                    _origin=picture.origin,
                    classes=self.classes,
                )
            )
            first = rows.stop
        return results


def predict(image: ImageSource) -> Faces:
    """Reads one picture with the default models, which are loaded at the first call.

    Args:
        image: a path, the bytes of a file, a binary file object, a NumPy array (RGB uint8; of OpenCV's
            BGR give ``image[:, :, ::-1]``) or a PIL image.

    Returns:
        The faces, surest first; empty when nobody is there.

    Raises:
        ImageError: the picture cannot be read.
    """
    return default_recognizer().predict(image)


@cache
def default_recognizer() -> Recognizer:
    """The recogniser of all functions that are given none: the default models, loaded at the first call."""
    return Recognizer()


@dataclass(frozen=True, slots=True)
class _Found:
    """A picture whose faces are found and cut out, and not yet read."""

    source: str
    origin: ImageSource | None
    width_height: tuple[int | None, int | None]
    detections: Detections | None
    crops: NDArray[np.uint8]  # (n, size, size), grey
    sides: NDArray[np.float64]  # (n,), pixels that the side of each crop had in the picture
    error: ImageError | None


def _face(picture: _Found, index: int, readings: Predictions, row: int) -> Face:
    found = picture.detections
    width, height = picture.width_height
    return Face(
        box=(0.0, 0.0, float(width or 0), float(height or 0))
        if found is None
        else _floats(found.boxes[index]),
        landmarks=None if found is None else tuple(_floats(point) for point in found.landmarks[index]),
        detection_score=None if found is None else float(found.scores[index]),
        **readings.of_face(row),
    )


def _floats(values: NDArray[np.float32]) -> Any:
    return tuple(float(value) for value in values)


def _ahead(work: Any, items: Iterable[Any], depth: int = 2) -> Iterator[tuple[Any, Any]]:
    """Each item with the result of `work` on it, done in a thread up to `depth` items ahead of the reader.

    What `items` raises is raised after the items before have been given.
    """
    pending: deque[tuple[Any, Future[Any]]] = deque()
    source = iter(items)
    with ThreadPoolExecutor(1) as pool:
        trouble: list[Exception] = []

        def draw(count: int) -> None:
            try:
                for item in islice(source, 0 if trouble else count):
                    if isinstance(item, str | os.PathLike | bytes):
                        pending.append((item, pool.submit(work, item)))
                        continue
                    # Whoever gave an open file or an array may close or reuse it as soon as the next one is drawn;
                    # and standard input may keep us waiting, where Ctrl-C must end it.
                    done: Future[Any] = Future()
                    done.set_result(work(item))
                    pending.append((item, done))
            except Exception as error:
                trouble.append(error)

        try:
            draw(depth)
            while pending:
                item, result = pending.popleft()
                worked = result.result()
                draw(1)
                yield item, worked
            if trouble:
                raise trouble[0]
        finally:
            pool.shutdown(cancel_futures=True)
