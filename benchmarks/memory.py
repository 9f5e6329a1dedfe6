"""Whether memory stays flat over thousands of photographs.

    python benchmarks/memory.py [COUNT]

COUNT photographs (default 5,000) of many sizes, made from those in examples/, are read from disk by one
recogniser. The process's peak memory is noted after a tenth of them and at the end.
"""

import resource
import sys
import tempfile
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from PIL import Image

from common import model_sha256, write_result
from mien.recognize import Recognizer

EXAMPLES = Path(__file__).parent.parent / "examples"
VARIANTS = 200
MEBIBYTE_IN_KIBIBYTES = 1024


def main(count: int = 5000) -> None:
    """Measures and writes ``results/memory.json``."""
    with tempfile.TemporaryDirectory() as folder:
        files = list(make_photographs(Path(folder)))
        faces, peaks = 0, {}
        recognizer = Recognizer()
        for number, result in enumerate(recognizer.predict_many(islice(cycle(files), count)), start=1):
            faces += len(result)
            if number in (count // 10, count):
                peaks[number] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEBIBYTE_IN_KIBIBYTES
    early, late = peaks[count // 10], peaks[count]
    write_result(
        "memory",
        {
            "photographs": count,
            "model_sha256": model_sha256("base"),
            "different_photographs": VARIANTS,
            "faces_found": faces,
            f"peak_mib_after_{count // 10}": round(early, 1),
            f"peak_mib_after_{count}": round(late, 1),
            "growth": round(late / early - 1, 4),
        },
    )


def make_photographs(folder: Path) -> Iterator[Path]:
    """Photographs of many sizes: those in examples/, scaled, mirrored and cut at random."""
    random = np.random.default_rng(0)
    originals = [Image.open(path).convert("RGB") for path in sorted(EXAMPLES.glob("*.jpg"))]
    for number in range(VARIANTS):
        image = originals[number % len(originals)]
        scale = float(np.exp(random.uniform(np.log(0.3), np.log(2.5))))
        image = image.resize((max(1, int(image.width * scale)), max(1, int(image.height * scale))))
        width, height = (int(side * random.uniform(0.6, 1)) for side in image.size)
        left, top = (
            int(random.integers(0, image.width - width + 1)),
            int(random.integers(0, image.height - height + 1)),
        )
        image = image.crop((left, top, left + width, top + height))
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        path = folder / f"{number}.jpg"
        image.save(path, quality=88)
        yield path


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
