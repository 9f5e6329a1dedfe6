"""Two processes on gloo, started as people start them."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from filelock import FileLock
from safetensors.torch import load_file
from torch import nn

from mien.errors import ConfigError
from mien.train.processes import launch, share_norms, told_once


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
        "--dropout",
        "0.3",
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
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{tmp_path / out / 'tiny'}\n"  # said by one process
        assert done.stderr.count("has no votes of FER+") == 1
    first, second = (load_file(tmp_path / out / "tiny" / "checkpoint.safetensors") for out in ("one", "two"))
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        if name.startswith("average."):
            # Float sums in another order, 21 steps long; the weights themselves are of the order of 0.1.
            assert torch.allclose(tensor.float(), second[name].float(), atol=2e-3, rtol=1e-2), name


class Activated(nn.BatchNorm2d):
    """A norm that holds what comes after it, as timm's do."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.drop = nn.Identity()
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.drop(super().forward(x)))


def test_what_one_process_cannot_do_is_told_once_and_ends_all(
    made_folders: Path, tiny_recipe: Path, tmp_path: Path
):
    command = [sys.executable, "-m", "mien", "train", str(made_folders), "--recipe", str(tiny_recipe)]
    with FileLock(tmp_path / ".tiny.lock"):
        done = subprocess.run(
            [*command, "--out", str(tmp_path), "--devices", "2"],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("another process trains in it") == 1
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "tiny").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--batch-size", "9"), "batch_size 9: must be a multiple of 2"),
        (("--learning-rate", "1e30"), "the loss or a weight is no longer a number"),
    ],
)
def test_what_all_processes_run_into_is_told_once(
    options: tuple[str, ...], said: str, made_folders: Path, tiny_recipe: Path, tmp_path: Path
):
    command = [sys.executable, "-m", "mien", "train", str(made_folders), "--recipe", str(tiny_recipe)]
    done = subprocess.run(
        [*command, "--out", str(tmp_path), "--devices", "2", *options],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count(said) == 1, done.stderr
    assert "Traceback" not in done.stderr


def test_what_one_process_alone_runs_into_is_told_by_it():
    class Second:
        is_global_zero = False

        @staticmethod
        def broadcast(failed: bool) -> bool:
            return False  # what the first process says of itself

    with pytest.raises(ConfigError, match="only here"), told_once(Second()):  # type: ignore[arg-type]
        raise ConfigError("only here")


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, Activated, nn.BatchNorm1d])
@pytest.mark.parametrize("training", [True, False])
def test_a_shared_norm_does_what_the_norm_did(kind: type[nn.Module], training: bool, tmp_path: Path):
    torch.manual_seed(0)
    last = [nn.Flatten(2)] if kind is nn.BatchNorm1d else []
    plain = nn.Sequential(nn.Conv2d(1, 4, 3), *last, kind(4)).train(training)
    plain[-1].bias.data.normal_()
    shared = share_norms(copy.deepcopy(plain))
    assert type(shared[-1]) is not kind
    faces = [torch.randn(8, 1, 6, 6, requires_grad=True) for _ in range(2)]
    faces[1].data.copy_(faces[0])
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        outputs = [network(x) for network, x in zip((plain, shared), faces, strict=True)]
        for output in outputs:
            output.square().sum().backward()
    finally:
        dist.destroy_process_group()
    assert torch.allclose(*outputs, atol=1e-5)
    assert torch.allclose(faces[0].grad, faces[1].grad, atol=1e-4)
    for name, tensor in plain.state_dict().items():
        assert torch.allclose(tensor, shared.state_dict()[name], atol=1e-5), name


def test_no_process_is_refused():
    with pytest.raises(ConfigError, match="devices 0: choose 1 or more"):
        launch(0)
