"""Where the claimed 85.36 % came from: the original author's network, trained again, epoch by epoch.

    python benchmarks/plain.py DATA FOLDER [RECIPE]

Trains the recipe (`plain`, the default, or `plain-augmented`) on all of Training and reads PublicTest after every
epoch, as the author's notebook does; nothing is chosen on it, the last epoch counts. FOLDER/RECIPE becomes a model
folder as `mien train` makes them, and a run that was stopped goes on. Writes ``results/RECIPE.json`` and draws
``docs/plain.png`` from what is there of both.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from common import RESULTS, model_sha256, share, write_result
from mien.classify import Classifier
from mien.datasets import Dataset, read_dataset, split_validation
from mien.train.finish import finish
from mien.train.fit import fit, predict_logits
from mien.train.journal import draw_curves, read_history
from mien.train.processes import launch
from mien.train.recipe import load_recipe

PICTURE = Path(__file__).parent.parent / "docs" / "plain.png"
PANELS = {"plain": "as the author trained it", "plain-augmented": "the same, faces augmented"}
CLAIMED, ON_TEST = 0.8536, 0.6264
"""What the author's project reports: accuracy in training, and on Kaggle's test folder."""


def main(data: str, out: str, name: str = "plain") -> None:
    """Trains, measures, writes ``results/NAME.json`` and draws the picture."""
    recipe, fabric = load_recipe(name), launch()
    training, test = read_dataset(data, "train"), read_dataset(data, "PublicTest")
    folder = Path(out) / name
    folder.mkdir(parents=True, exist_ok=True)
    network = fit(training, test, recipe, folder, fabric=fabric)
    held = {"held_out": False, "fitted_on_held_out": False}
    finish(network, training, split_validation(training)[1], recipe, folder, fabric, held=held)
    classifier = Classifier(folder)
    history = read_history(folder / "history.csv")
    draw_curves(history, folder / "history.png", f"{name}: {len(training):,} faces, validation on PublicTest")
    # In an epoch; what fills no batch is left out.
    shown = len(training) // recipe.batch_size * recipe.batch_size
    result = {
        "recipe": asdict(recipe),
        "model_sha256": model_sha256(str(folder)),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "minutes": round(sum(row.seconds for row in history) / 60, 1),
        "while_training": share(round(history[-1].accuracy * shown), shown),
        "Training": measure(classifier, training),
        "PublicTest": measure(classifier, test),
        "PublicTest_without_dividing_by_255": undivided(network, test),
        "epochs": {
            "while_training": [round(row.accuracy, 4) for row in history],
            "PublicTest": [round(row.validation_labels, 4) for row in history],
        },
    }
    write_result(name, result, script="plain")
    draw()


def measure(classifier: Classifier, faces: Dataset) -> dict[str, Any]:
    """Accuracy on the original labels, one view a face, nothing dropped out."""
    right = classifier.classify(faces.images).fer2013.argmax(axis=1) == faces.labels
    return share(int(right.sum()), len(faces))


def undivided(network: torch.nn.Module, faces: Dataset) -> dict[str, Any]:
    """Accuracy where pixels stay 0 to 255, as the author's test program has them; training had 0 to 1."""

    class Undivided(torch.nn.Module):
        def forward(self, pictures: torch.Tensor) -> Any:
            return network((pictures + 1) * 255 - 1)  # the network adds 1 and halves: 0 to 1 becomes 0 to 255

    answers = predict_logits(Undivided(), faces, torch.device("cpu")).labels.argmax(dim=1).numpy()
    return share(int((answers == faces.labels).sum()), len(faces))


def draw() -> None:
    """Draws the curves of both recipes, as far as they have been trained."""
    found = {name: RESULTS / f"{name}.json" for name in PANELS if (RESULTS / f"{name}.json").is_file()}
    figure = Figure(figsize=(5.2 * len(found), 3.8), layout="constrained")
    for axes, (name, path) in zip(
        figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True
    ):
        curves = json.loads(path.read_text(encoding="utf-8"))["epochs"]
        for key, label, colour in (
            ("while_training", "faces it learns from", "#d95f02"),
            ("PublicTest", "faces it never saw (PublicTest)", "#1f77b4"),
        ):
            axes.plot(range(1, len(curves[key]) + 1), curves[key], color=colour, label=label)
        for value, text in ((CLAIMED, "claimed: 85.36 %"), (ON_TEST, "its author's test images: 62.64 %")):
            axes.axhline(value, color="#888888", linewidth=0.8, linestyle="--")
            axes.annotate(
                text, (1, value), (0, 3), textcoords="offset points", fontsize="small", color="#555555"
            )
        axes.set(title=PANELS[name], xlabel="epoch", ylabel="accuracy, original labels", ylim=(0.2, 1.0))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize="small", loc="lower right")
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main(*sys.argv[1:])
