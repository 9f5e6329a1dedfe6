import os
import subprocess
import sys
from pathlib import Path


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
