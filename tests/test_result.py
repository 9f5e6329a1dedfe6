"""Face, Faces and Predictions: what callers hold, and what is written of it."""

import builtins
import dataclasses
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.errors import ConfigError, ImageError
from mien.image import read_image
from mien.labels import CROWD, EXPRESSIONS
from mien.result import COLUMNS, Face, Faces, Predictions, columns, percent

EXAMPLES = Path(__file__).parent.parent / "examples"

FACE = Face(
    box=(212.4444, 80.06, 301.0, 190.75),
    landmarks=((234.123, 121.0), (278.9, 119.2), (256.0, 145.3), (238.8, 168.0), (276.2, 166.94)),
    detection_score=0.998123,
    probabilities=dict(zip(EXPRESSIONS, (0.01, 0.0, 0.0, 0.930049, 0.009951, 0.02, 0.03), strict=True)),
    crowd=dict(zip(CROWD, (0.0, 0.0, 0.0, 0.9, 0.0, 0.03, 0.04, 0.01, 0.015, 0.005), strict=True)),
    fer2013=dict(zip(EXPRESSIONS, (0.1, 0.0, 0.0, 0.8, 0.0, 0.05, 0.05), strict=True)),
)
BARE = dataclasses.replace(FACE, landmarks=None, detection_score=None)


def test_face_properties() -> None:
    assert FACE.expression == "happy"
    assert FACE.probability == 0.930049
    assert FACE.unclear == pytest.approx(0.02)
    assert repr(FACE) == "Face(happy 93%, unclear 2%, box=(212, 80, 301, 191))"


def test_face_record() -> None:
    record = FACE.to_dict()
    assert list(record) == [
        *("box", "detection_score", "landmarks", "expression", "probability", "unclear"),
        *("probabilities", "crowd"),
    ]
    assert record["box"] == [212.4, 80.1, 301.0, 190.8]
    assert record["detection_score"] == 0.9981
    assert record["landmarks"][0] == [234.1, 121.0]
    assert (record["expression"], record["probability"], record["unclear"]) == ("happy", 0.93, 0.02)
    assert list(record["probabilities"]) == list(EXPRESSIONS)
    assert list(record["crowd"]) == list(CROWD)
    assert FACE.probability == 0.930049  # only the record is rounded
    bare = BARE.to_dict()
    assert bare["landmarks"] is None
    assert bare["detection_score"] is None


def test_faces_are_a_sequence() -> None:
    faces = Faces("party.jpg", 640, 480, (FACE, BARE))
    assert len(faces) == 2
    assert faces[0] is FACE
    assert faces[-1] is BARE
    assert faces[:1] == (FACE,)
    assert list(faces) == [FACE, BARE]
    assert FACE in faces
    assert faces == Faces("party.jpg", 640, 480, (FACE, BARE), _origin="elsewhere.jpg")
    assert pickle.loads(pickle.dumps(faces)) == faces
    assert not Faces("empty.jpg", 640, 480)


def test_faces_record() -> None:
    record = json.loads(json.dumps(Faces("party.jpg", 640, 480, (FACE,)).to_dict()))
    assert list(record) == ["source", "width", "height", "error", "faces"]
    assert record == {
        **{"source": "party.jpg", "width": 640, "height": 480, "error": None},
        "faces": [FACE.to_dict()],
    }
    assert Faces("a.jpg", None, None, error="a.jpg: no such file").to_dict() == {
        **{"source": "a.jpg", "width": None, "height": None, "error": "a.jpg: no such file"},
        "faces": [],
    }


def test_repr() -> None:
    assert repr(Faces("a.jpg", 640, 480, (FACE,))) == "Faces('a.jpg', 640×480: happy 93%)"
    assert repr(Faces("a.jpg", 640, 480)) == "Faces('a.jpg', 640×480: nobody)"
    assert repr(Faces("a.jpg", None, None, error="a.jpg: gone")) == "Faces('a.jpg', error='a.jpg: gone')"
    assert repr(Faces("a.jpg", 640, 480, (FACE,) * 10)).endswith("happy 93%, and 2 more)")


def test_rows_say_what_the_record_says() -> None:
    rows = Faces("party.jpg", 640, 480, (FACE, BARE)).rows()
    assert [tuple(row) for row in rows] == [COLUMNS, COLUMNS]
    record = FACE.to_dict()
    assert [rows[0][name] for name in ("x1", "y1", "x2", "y2")] == record["box"]
    assert [rows[0][f"probability_{name}"] for name in EXPRESSIONS] == list(record["probabilities"].values())
    assert [rows[0][f"crowd_{name}"] for name in CROWD] == list(record["crowd"].values())
    assert [rows[0]["right_mouth_x"], rows[0]["right_mouth_y"]] == record["landmarks"][4]
    assert [row["face"] for row in rows] == [0, 1]
    assert rows[1]["nose_x"] is rows[1]["detection_score"] is None


def test_pandas() -> None:
    pytest.importorskip("pandas")
    table = Faces("party.jpg", 640, 480, (FACE, BARE)).to_pandas()
    assert tuple(table.columns) == COLUMNS
    assert table["expression"].tolist() == ["happy", "happy"]
    assert table["nose_x"].isna().tolist() == [False, True]
    empty = Faces("empty.jpg", 640, 480).to_pandas()
    assert tuple(empty.columns) == COLUMNS
    assert empty.empty
    words = ["source", "expression"]
    assert empty.dtypes.drop(words).equals(table.dtypes.drop(words))


def test_a_column_of_nothing_keeps_its_type() -> None:
    types = Faces("a.jpg", 640, 480, (FACE,)).to_pandas().dtypes
    for faces in ((BARE,), (dataclasses.replace(FACE, crowd={}, detection_score=None, landmarks=None),)):
        assert Faces("a.jpg", 640, 480, faces).to_pandas().dtypes.equals(types)


def test_pandas_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_pandas(name: str, *args: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without_pandas)
    with pytest.raises(ConfigError, match=r'pip install "mien\[pandas\]"'):
        Faces("a.jpg", 640, 480).to_pandas()


def test_draw_reads_the_picture_again(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.open(EXAMPLES / "astronaut.jpg").save(path)
    pixels = read_image(path)
    face = dataclasses.replace(FACE, box=(175.0, 70.0, 270.0, 195.0))
    for origin in (path, path.read_bytes(), pixels, Image.open(path)):
        drawn = Faces("a.png", 512, 512, (face,), _origin=origin).draw()
        assert (drawn.mode, drawn.size) == ("RGB", (512, 512))
        assert (np.asarray(drawn) != pixels).any()
    faces = Faces(str(path), 512, 512, (face,), _origin=path)
    Image.new("RGB", (100, 100)).save(path)
    with pytest.raises(ImageError, match="has changed"):
        faces.draw()
    path.unlink()
    with pytest.raises(ImageError, match="no such file"):
        faces.draw()


def test_draw_says_why_not() -> None:
    with pytest.raises(ImageError, match=r"^a\.jpg: no such file$"):
        Faces("a.jpg", None, None, error="a.jpg: no such file").draw()
    with pytest.raises(ImageError, match="its pixels were not kept: give the picture again"):
        Faces("frame 7", 640, 480, (FACE,)).draw()


def test_predictions() -> None:
    seven = np.eye(7, dtype=np.float32)[[3, 6]]
    predictions = Predictions(seven, np.eye(10, dtype=np.float32)[[3, 6]], seven)
    assert len(predictions) == 2
    assert predictions.expressions == ["happy", "neutral"]
    none = Predictions(seven[:0], np.zeros((0, 10), np.float32), seven[:0])
    assert (len(none), none.expressions) == (0, [])


def test_importing_results_brings_only_numpy() -> None:
    code = "import sys, mien.result; print(*{'torch', 'pandas', 'PIL', 'onnxruntime'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0%"),
        (0.001, "<1%"),
        (0.005, "<1%"),
        (0.006, "1%"),
        (0.5, "50%"),
        (0.994, "99%"),
        (0.9998, ">99%"),
        (1.0, "100%"),
    ],
)
def test_percent_never_says_certain_of_what_is_only_likely(share: float, text: str):
    assert percent(share) == text


def test_unclear_is_what_could_not_be_told() -> None:
    seven = np.full((1, 7), 1 / 7, np.float32)
    crowd = np.array([[0, 0, 0, 0, 0, 0, 0.25, 0.25, 0.25, 0.25]], np.float32)
    assert Predictions(seven, crowd, seven).unclear.tolist() == [0.5]


OWN = ("calm", "tired", "very_x")
OWN_FACE = dataclasses.replace(
    FACE, probabilities=dict(zip(OWN, (0.2, 0.7, 0.1), strict=True)), crowd={}, fer2013={}
)


def test_a_face_of_other_classes() -> None:
    assert (OWN_FACE.expression, OWN_FACE.probability, OWN_FACE.unclear) == ("tired", 0.7, 0.0)
    record = OWN_FACE.to_dict()
    assert record["probabilities"] == {"calm": 0.2, "tired": 0.7, "very_x": 0.1}
    assert (record["crowd"], record["unclear"]) == ({}, 0.0)


def test_tables_have_the_columns_of_the_models_classes() -> None:
    names = columns(OWN)
    assert [name for name in names if name.startswith("probability_")] == [
        f"probability_{name}" for name in OWN
    ]
    assert not [name for name in names if name.startswith("crowd_")]
    assert [name for name in COLUMNS if not name.startswith(("crowd_", "probability_"))] == [
        name for name in names if not name.startswith("probability_")
    ]
    faces = Faces("a.jpg", 640, 480, (OWN_FACE,), classes=OWN)
    (row,) = faces.rows()
    assert tuple(row) == faces.columns == names
    assert (row["expression"], row["probability_very_x"], row["nose_x"]) == ("tired", 0.1, 256.0)
    assert tuple(Faces("a.jpg", 640, 480, classes=OWN).to_pandas().columns) == names


def test_the_seven_without_a_crowd_keep_their_columns() -> None:
    (row,) = Faces("a.jpg", 640, 480, (dataclasses.replace(FACE, crowd={}),)).rows()
    assert tuple(row) == COLUMNS
    assert (row["crowd_happy"], row["probability_happy"]) == (None, 0.93)


def test_predictions_of_other_classes() -> None:
    none = np.empty((2, 0), np.float32)
    predictions = Predictions(np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]], np.float32), none, none, OWN)
    assert predictions.expressions == ["very_x", "calm"]
    assert predictions.unclear.tolist() == [0.0, 0.0]
    assert predictions.of_face(1) == {
        "probabilities": {"calm": 0.5, "tired": 0.25, "very_x": 0.25},
        "crowd": {},
        "fer2013": {},
    }
