"""What fer says of faces that are cut out already: runs in fer's own environment, with nothing of mien.

python predict.py FACES.npy SAID.csv        # uint8 (N, 48, 48) in; row,angry,…,neutral out
"""

import csv
import sys
from pathlib import Path

import cv2
import numpy as np
from fer.fer import FER

WORDS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
# fer widens every box by 10 pixels on each side: this box becomes the whole face of 48×48.
BOX = (10, 10, 28, 28)


class Unrounded(FER):
    """fer, that also keeps its scores as they were before it rounds them to two digits."""

    def _classify_emotions(self, gray_faces):
        self.scores = super()._classify_emotions(gray_faces)
        return self.scores


def main(source: str, target: str) -> None:
    """Reads faces one by one, by fer's public method, with its default weights (TFLite)."""
    detector = Unrounded()
    assert tuple(detector._get_labels().values()) == WORDS
    with Path(target).open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(["row", *WORDS])
        for row, face in enumerate(np.load(source)):
            detector.detect_emotions(cv2.cvtColor(face, cv2.COLOR_GRAY2BGR), face_rectangles=[BOX])
            scores = np.asarray(detector.scores[0], np.float64)
            write.writerow([row, *(f"{score:.5f}" for score in scores / scores.sum())])


if __name__ == "__main__":
    main(*sys.argv[1:])
