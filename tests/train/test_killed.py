"""Training that is killed again and again, and started again with the same command."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

# Forks for each run, so that PyTorch is imported once. Prints where each was killed, and ends when one is done.
DRIVER = """
import os, random, signal, sys, time
from pathlib import Path

import torch

import mien.train.run  # with all that it imports
from mien.cli import main

torch.set_num_threads(1)
out, kills, moments, command = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(), sys.argv[4:]
random.seed(0)


def begin():
    child = os.fork()
    if child == 0:
        sys.argv = ["mien", *command, "--out", str(out)]
        try:
            main()
        except SystemExit as ended:
            os._exit(ended.code or 0)
        os._exit(0)
    return child


def wait_until(there, seconds, child):
    deadline = time.monotonic() + seconds
    while not there() and time.monotonic() < deadline and os.waitid(
        os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT
    ) is None:
        pass


for moment in moments:  # a file that is there for as long as another is written, or from then on
    child = begin()
    wait_until((out / moment).exists, 60, child)
    print("at", moment, (out / moment).exists(), flush=True)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
for kill in range(kills):
    begun = time.monotonic()
    child = begin()
    if kill % 2 == 0:
        where = "in a checkpoint"
        wait_until((out / "killed" / "checkpoint.safetensors.part").exists, 60, child)
        first = time.monotonic() - begun  # from the start to a first checkpoint, on this machine
    else:
        where = "somewhere"
        wait_until(lambda: False, random.uniform(0, 2 * first), child)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    print(where, round(time.monotonic() - begun, 2), status, flush=True)
    if status == 0:
        break
else:
    _, status = os.waitpid(begin(), 0)
    print("the last run", status)
sys.exit(status != 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_run_killed_at_random_moments_ends_with_the_same_weights(
    made_folders: Path, tiny_recipe: Path, tmp_path: Path
):
    recipe = tmp_path / "killed.toml"
    recipe.write_text(
        tiny_recipe.read_text()
        .replace('"tiny"', '"killed"')
        .replace("epochs = 3", "epochs = 60\nrefine_epochs = 20\nmixup = 0.5")
        .replace("dropout = 0.0", "dropout = 0.3")
    )

    def run(out: Path, kills: int) -> str:
        command = ["train", str(made_folders), "--recipe", str(recipe)]
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, out, str(kills), "", *command],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(tmp_path / "whole", 0)
    story = run(tmp_path / "broken", 8)
    assert story.count("in a checkpoint") == 4, story
    weights, states, histories = [], [], []
    for out in ("whole", "broken"):
        folder = tmp_path / out / "killed"
        assert not (folder / "checkpoint.safetensors.part").exists()
        weights.append((folder / "model.safetensors").read_bytes())
        with safe_open(folder / "checkpoint.safetensors", framework="pt") as file:
            assert file.metadata()["epochs_done"] == "60"
            states.append({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 - no mapping
        with (folder / "history.csv").open(newline="") as file:
            histories.append(
                [{name: row[name] for name in row if name != "seconds"} for row in csv.DictReader(file)]
            )
    assert weights[0] == weights[1], story  # rounded to 16 bits; all that was trained is in the checkpoint
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items()), story
    assert histories[0] == histories[1]
    assert len(histories[0]) == 60


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_chain_of_runs_killed_between_them_ends_with_the_same_weights(
    made_folders: Path, tiny_recipe: Path, tmp_path: Path
):
    recipe = tmp_path / "then.toml"
    recipe.write_text(
        f"name = 'then'\nfirst = '{tiny_recipe}'\nbatch_size = 16\nepochs = 2\nrefine_epochs = 1\n"
    )
    moments = [
        "tiny/model.onnx.part",
        "tiny/metrics.json",
        "then/checkpoint.safetensors",
        "then/model.onnx.part",
    ]
    found = {}
    command = ["train", str(made_folders), "--recipe", str(recipe)]
    for out, killed in (("whole", []), ("broken", moments)):
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, tmp_path / out, "0", " ".join(killed), *command],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert [line for line in done.stdout.splitlines() if line.startswith("at ")] == [
            f"at {moment} True" for moment in killed
        ]
        found[out] = {
            f"{name}/{file}": (tmp_path / out / name / file).read_bytes()
            for name in ("tiny", "then")
            for file in ("model.onnx", "model.safetensors")
        }
        assert not list((tmp_path / out).rglob("*.part"))
    assert found["whole"] == found["broken"]
