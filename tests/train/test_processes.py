"""Two processes on gloo, started as people start them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mien.errors import ConfigError
from mien.train.processes import launch


@pytest.mark.parametrize("starter", ["--devices", "torchrun"])
def test_two_processes_make_what_one_makes(
    starter: str, made_folders: Path, tiny_recipe: Path, tmp_path: Path
):
    common = [
        "train",
        str(made_folders),
        "--recipe",
        str(tiny_recipe),
        "--precision",
        "32-true",
        "--mixup",
        "0.5",
        "--refine-epochs",
        "1",
        "--sharpness",
        "0.05",
    ]
    one = [sys.executable, "-m", "mien", *common]
    if starter == "torchrun":
        two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        two += ["-m", "mien", *common]
    else:
        two = [*one, "--devices", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for command, out in ((one, "one"), (two, "two")):
        done = subprocess.run(
            [*command, "--out", str(tmp_path / out)],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        assert done.stdout == f"{tmp_path / out / 'tiny'}\n"  # said by one process
        assert done.stderr.count("has no votes of FER+") == 1
    first, second = (load_file(tmp_path / out / "tiny" / "checkpoint.safetensors") for out in ("one", "two"))
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        if name.startswith("average."):
            # Float sums in another order, 21 steps long; the weights themselves are of the order of 0.1.
            assert torch.allclose(tensor.float(), second[name].float(), atol=2e-3, rtol=1e-2), name


def test_no_process_is_refused():
    with pytest.raises(ConfigError, match="devices 0: choose 1 or more"):
        launch(0)
