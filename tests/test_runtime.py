import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from mien.runtime import version_of


def test_reading_a_face_leaves_no_trace_of_telemetry(tmp_path: Path, examples: Path):
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    program = f"import mien; assert len(mien.predict({str(examples / 'obama.jpg')!r})) == 1"
    subprocess.run([sys.executable, "-c", program], env=environment | {"TMPDIR": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []


def test_whoever_wants_telemetry_may_have_it():
    program = (
        "import os, mien.runtime; mien.runtime.onnx_runtime(); print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"ORT_DISABLE_TELEMETRY": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "0"


def test_versions_are_told_also_of_modules_that_come_with_another_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "some_runtime.py").write_text('__version__ = "1.2.3"')
    monkeypatch.syspath_prepend(tmp_path)
    assert version_of("numpy") == version("numpy")
    assert version_of("some-runtime") == "1.2.3"
