"""What it buys to start from a model when faces are few: three classes, from scratch against from `base`.

    python benchmarks/transfer.py DATA MODEL [SEEDS [WAY...]]

DATA is FER-2013 in any shape that mien reads; MODEL the name or folder of the model to start from, which has not
learnt the validation tenth of it (base has, base-third had not); SEEDS how often each is repeated (default: 5).
With WAYs only these are measured, and the others stay as an earlier run with the same MODEL and SEEDS left them.
About forty minutes on two cores with 5 seeds: so trainings are short, and 1,000 test faces are read.

The classes: positive is happy, neutral is neutral, negative is angry, disgust, fear and sad; surprise, which may
be either, is left out. The faces to learn from are drawn, anew for each seed and as many of each class, from the
validation tenth of Training, which MODEL never learnt from. The test faces are from PublicTest, without those that
have a near copy in Training. Nothing is chosen on them: each training is read after its last epoch.

Compared are: MODEL's network from random weights (`same_network`, by the recipe `base-first`) and a small one
(`scratch`, `quick`), which learn for many epochs; MODEL's whole trunk at a tenth of the heads' rate
(`whole_trunk`), and MODEL's trunk as it is (`frozen_trunk`; both by the recipe `transfer`).
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch

from common import RESULTS, model_sha256, write_result
from mien.datasets import Dataset, has_twin, read_dataset, split_validation
from mien.labels import EXPRESSIONS
from mien.train.fit import fit, predict_logits
from mien.train.recipe import Recipe, load_recipe
from mien.train.start import has_learnt, with_network

CLASSES = ("negative", "neutral", "positive")
MEANING = {
    "angry": "negative",
    "disgust": "negative",
    "fear": "negative",
    "sad": "negative",
    "neutral": "neutral",
    "happy": "positive",
}
TEST_FACES = 1000
EPOCHS = {10: (100, 20), 50: (60, 10), 200: (30, 5)}
"""Faces a class: epochs from scratch, and from a model."""


def main(data: str, model: str, seeds: str = "5", *ways: str) -> None:
    """Measures and writes ``results/transfer.json``."""
    started = time.process_time()
    training = read_dataset(data, "train")
    validation = split_validation(training)[1]
    if has_learnt(model, validation):
        raise SystemExit(
            f"{model}: learnt the faces that are drawn here; name the model that it started from"
        )
    pool = three_classes(validation)
    test = read_dataset(data, "PublicTest")
    test = three_classes(test.take(~has_twin(test.images, training.images)))
    test = test.take(np.random.default_rng(0).permutation(len(test))[:TEST_FACES])
    before: dict[str, Any] = {"faces_a_class": {}, "core_minutes": 0.0}
    if ways:
        before = earlier(model, int(seeds))
    results = before["faces_a_class"]
    for count in EPOCHS:
        measured: dict[str, list[dict[str, float]]] = {}
        for seed in range(int(seeds)):
            drawn = draw(pool, count, seed)
            for way, recipe in recipes(model, count, seed).items():
                if not ways or way in ways:
                    measured.setdefault(way, []).append(measure(recipe, drawn, test))
                    print(f"{count} a class, seed {seed}, {way}: {measured[way][-1]}", file=sys.stderr)
        results.setdefault(str(count), {}).update({way: summary(runs) for way, runs in measured.items()})
    write_result(
        "transfer",
        {
            "model": Path(model).name,
            "model_sha256": model_sha256(model),
            "torch": torch.__version__,
            "classes": {name: [word for word in MEANING if MEANING[word] == name] for name in CLASSES},
            "test_faces": {name: int((test.labels == index).sum()) for index, name in enumerate(CLASSES)},
            "faces_to_draw_from": {
                name: int((pool.labels == index).sum()) for index, name in enumerate(CLASSES)
            },
            "seeds": int(seeds),
            "epochs": {
                str(count): {"scratch": scratch, "from_model": begun}
                for count, (scratch, begun) in EPOCHS.items()
            },
            "faces_a_class": results,
            "core_minutes": round(before["core_minutes"] + (time.process_time() - started) / 60, 1),
        },
    )


def earlier(model: str, seeds: int) -> dict[str, Any]:
    """The record of an earlier run, if it was of the same."""
    record: dict[str, Any] = json.loads((RESULTS / "transfer.json").read_text(encoding="utf-8"))
    epochs = {int(count): (row["scratch"], row["from_model"]) for count, row in record["epochs"].items()}
    if (record["model_sha256"], record["seeds"], epochs) != (model_sha256(model), seeds, EPOCHS):
        raise SystemExit("the earlier run was of another model, or of other settings; name no ways")
    return record


def three_classes(data: Dataset) -> Dataset:
    """The faces with the three classes for labels, without those that have none."""
    to_class = np.array([CLASSES.index(MEANING[word]) if word in MEANING else -1 for word in EXPRESSIONS])
    labels = to_class[data.labels]
    known = labels >= 0
    return Dataset(data.images[known], labels[known].astype(np.int64), None, CLASSES)


def draw(pool: Dataset, count: int, seed: int) -> Dataset:
    """So many faces of each class, drawn at random."""
    random = np.random.default_rng(seed)
    rows = [
        random.choice(np.flatnonzero(pool.labels == index), count, replace=False)
        for index in range(len(CLASSES))
    ]
    return pool.take(np.concatenate(rows))


def recipes(model: str, count: int, seed: int) -> dict[str, Recipe]:
    """The ways that are compared, for so many faces a class."""
    from_scratch, from_model = EPOCHS[count]
    common = {"batch_size": min(32, 3 * count), "seed": seed}
    scratch = load_recipe("quick").changed(epochs=from_scratch, learning_rate=0.05, **common)
    same = load_recipe("base-first").changed(init=model, epochs=from_scratch, learning_rate=0.05, **common)
    whole = load_recipe("transfer").changed(init=model, epochs=from_model, **common)
    return {
        "same_network": with_network(same).changed(init=""),
        "scratch": scratch,
        "whole_trunk": with_network(whole),
        "frozen_trunk": with_network(whole.changed(trunk_rate=0.0)),
    }


def measure(recipe: Recipe, drawn: Dataset, test: Dataset) -> dict[str, float]:
    """Trains once; accuracy and mean recall of the classes on the test faces."""
    with tempfile.TemporaryDirectory() as folder:
        # The history's accuracies on held-out faces tell nothing here: a few faces do.
        network = fit(drawn, drawn.take(np.arange(8)), recipe, Path(folder))
    answers = predict_logits(network, test, torch.device("cpu")).labels.argmax(dim=1).numpy()
    right = answers == test.labels
    recalls = [right[test.labels == index].mean() for index in range(len(CLASSES))]
    return {
        "accuracy": round(float(right.mean()), 4),
        "mean_recall": round(float(np.mean(recalls)), 4),
    }


def summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    """Mean and standard deviation over the seeds, and each seed's value."""
    result: dict[str, Any] = {}
    for name in ("mean_recall", "accuracy"):
        values = [run[name] for run in runs]
        spread = round(stdev(values), 4) if len(values) > 1 else None
        result[name] = {"mean": round(mean(values), 4), "sd": spread, "seeds": values}
    return result


if __name__ == "__main__":
    main(*sys.argv[1:])
