"""Data sets whose faults are known."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mien.datasets import FERPLUS_COLUMNS
from mien.labels import EXPRESSIONS
from support import drawn_face, png

HAPPY = {"happiness": 10}
SAD = {"sadness": 7, "neutral": 3}


def brighter(face: np.ndarray) -> np.ndarray:
    """The same picture in other grey levels."""
    return (face // 2 + 60).astype(np.uint8)


def make_faulty_table(folder: Path) -> Path:
    """A Parquet file whose faults are known: see the rows' last words."""
    random = np.random.default_rng(5)
    a, b, c, d, e, f, g, h = (drawn_face(label % 7, random) for label in range(8))
    blank = np.full((48, 48), 200, np.uint8)
    rows = [
        ("Training", "happy", a, HAPPY),  # 0: copied in 1, 2 and in PublicTest 0
        ("Training", "happy", a, HAPPY),  # 1
        ("Training", "sad", a, HAPPY),  # 2: with another label, that nobody voted for
        ("Training", "happy", b, HAPPY),  # 3: copied in 4
        ("Training", "happy", b, HAPPY),  # 4
        ("Training", "sad", c, SAD),  # 5: its mirror image is 6
        ("Training", "sad", c[:, ::-1], SAD),  # 6
        ("Training", "sad", d, SAD),  # 7: brighter in PublicTest 1
        ("Training", "fear", blank, {"NF": 9, "unknown": 1}),  # 8: blank, no face, label without a vote
        ("Training", "happy", e, HAPPY),  # 9: nothing wrong
        ("Training", "happy", f, HAPPY),  # 10: copied in 11 with another label, and none has a majority
        ("Training", "sad", f, SAD),  # 11
        ("PublicTest", "happy", a, HAPPY),  # 0
        ("PublicTest", "sad", brighter(d), SAD),  # 1
        ("PublicTest", "happy", g, HAPPY),  # 2: copied in 3
        ("PublicTest", "happy", g, HAPPY),  # 3
        ("PublicTest", "happy", h, {}),  # 4: nobody voted at all
    ]
    path = folder / "faulty.parquet"
    pq.write_table(
        pa.Table.from_pylist(
            [
                {
                    "usage": usage,
                    "emotion": label,
                    "image": png(face),
                    "ferplus_votes": [votes.get(name, 0) for name in FERPLUS_COLUMNS],
                }
                for usage, label, face, votes in rows
            ]
        ),
        path,
    )
    return path


def make_own_folders(root: Path) -> Path:
    """A person's own folders, with other classes, sizes and colours, and files that are no pictures."""
    random = np.random.default_rng(6)
    for word, count in (("smile", 4), ("<b>none", 2)):
        (root / word).mkdir(parents=True)
        for number in range(count):
            face = Image.fromarray(drawn_face(EXPRESSIONS.index("happy"), random))
            face.convert("RGB").resize((96, 96)).save(root / word / f"{number}.png")
    (root / "smile" / "a: broken.jpg").write_text("no picture")
    (root / "smile" / "zz.png").write_bytes((root / "smile" / "0.png").read_bytes()[:300])
    (root / "<b>none" / "copy.png").write_bytes((root / "smile" / "1.png").read_bytes())
    (root / "smile" / "notes.txt").write_text("not looked at")
    return root
