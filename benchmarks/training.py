"""How much of the machine training uses: its images/s as a share of a bare forward and backward pass.

    python benchmarks/training.py

An epoch of `mien.train.fit` (augmentation, loss, optimiser, moving average, validation, checkpoint and all) and as
many steps of the same network on random tensors are run in turn, `ROUNDS` times after a first that does not count.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from common import write_result
from mien.datasets import Dataset
from mien.labels import CROWD, EXPRESSIONS
from mien.train.fit import Options, fit, loss_of
from mien.train.journal import Epoch
from mien.train.networks import FaceNet
from mien.train.processes import launch
from mien.train.recipe import load_recipe

ROUNDS, STEPS = 5, 60


def main() -> None:
    """Measures and writes ``results/training.json``."""
    # All epochs at 48 pixels, as the bare pass has them.
    recipe = load_recipe("seresnet").changed(epochs=ROUNDS + 1, refine_epochs=0, sizes=())
    fabric = launch()
    network = FaceNet(recipe).to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    faces = torch.rand(recipe.batch_size, 1, 48, 48, device=fabric.device)
    faces = faces.contiguous(memory_format=torch.channels_last)
    crowd = torch.full((recipe.batch_size, len(CROWD)), 1 / len(CROWD), device=fabric.device)
    labels = torch.full((recipe.batch_size, len(EXPRESSIONS)), 1 / len(EXPRESSIONS), device=fabric.device)
    bare: list[float] = []
    whole: list[float] = []

    ended = time.perf_counter()

    def measure_bare(epoch: Epoch) -> None:
        """Called by the loop after each epoch's checkpoint; the next epoch begins when this returns."""
        nonlocal ended
        started = time.perf_counter()
        whole.append(STEPS * recipe.batch_size / (started - ended))
        for _ in range(STEPS):
            with fabric.autocast():
                loss = loss_of(network(faces), crowd, labels, 1.0)
            network.zero_grad()
            loss.backward()
        if fabric.device.type == "cuda":
            torch.cuda.synchronize()
        ended = time.perf_counter()
        bare.append(STEPS * recipe.batch_size / (ended - started))

    with tempfile.TemporaryDirectory() as folder:
        count = STEPS * recipe.batch_size
        fit(_noise(count), _noise(count // 9), recipe, Path(folder), options=Options(watch=measure_bare))
    ratios = [a / b for a, b in zip(whole[1:], bare[1:], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    write_result(
        "training",
        {
            "network": recipe.model,
            "batch_size": recipe.batch_size,
            "threads": torch.get_num_threads(),
            "precision": str(fabric.strategy.precision.precision),
            "torch": torch.__version__,
            "rounds": ROUNDS,
            "steps_a_round": STEPS,
            "images_per_second": {
                "mien.train.fit": round(statistics.median(whole[1:]), 1),
                "bare forward and backward": round(statistics.median(bare[1:]), 1),
            },
            "share": {"median": round(middle, 3), "quartiles": [round(low, 3), round(high, 3)]},
        },
    )


def _noise(count: int) -> Dataset:
    random = np.random.default_rng(count)
    images = random.integers(0, 256, (count, 48, 48), dtype=np.uint8)
    votes = random.multinomial(10, np.full(len(CROWD), 1 / len(CROWD)), count).astype(np.uint8)
    return Dataset(images, random.integers(0, len(EXPRESSIONS), count), votes)


if __name__ == "__main__":
    main()
