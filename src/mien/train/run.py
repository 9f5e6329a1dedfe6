"""One training run, from a data set to a model folder."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

import mien
from mien.classify import Classifier, Trust
from mien.datasets import SIDE, Dataset, crowd_majority, read_dataset, split_validation
from mien.labels import EXPRESSIONS
from mien.train.calibrate import fit_temperature, fit_weight
from mien.train.export import Readings, export_onnx, log_mean
from mien.train.fit import fit, predict_logits, vote_shares
from mien.train.network import FaceNet
from mien.train.recipe import Recipe

SMALL_SIDES = (4, 6, 8, 10, 12, 16, 20, 24, 32)
"""Sides in pixels at which it is measured how far a face is believed."""


def train(data: str | Path, recipe: Recipe, out: Path) -> Path:
    """Trains a model on a data set's training split and writes its folder.

    A run that was stopped goes on from its last whole epoch when it is started again.

    Args:
        data: FER-2013 in any shape that `mien.datasets.read_dataset` knows.
        recipe: how to train.
        out: the folder in which the model's own folder, called as the recipe is, is made.

    Returns:
        The model's folder, with ``model.onnx``, ``model.safetensors``, ``recipe.toml``, ``metrics.json``,
        ``history.csv`` and ``checkpoint.safetensors``.

    Raises:
        DatasetError: the data cannot be read.
        ConfigError: the folder holds the checkpoint of another recipe.
    """
    training, validation = split_validation(read_dataset(data, "train"))
    if training.votes is None:
        print(f"{data}: has no FER+ votes; the crowd is learnt from one label a face", file=sys.stderr)
    folder = out / recipe.name
    folder.mkdir(parents=True, exist_ok=True)
    network = fit(training, validation, recipe, folder)
    recipe.save(folder / "recipe.toml")
    export(network, validation, folder, name=recipe.name)
    summary = {
        "mien": mien.__version__,
        "torch": torch.__version__,
        "recipe": asdict(recipe),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "training_faces": len(training),
        "has_votes": training.votes is not None,
        "validation": measure(folder, validation),
    }
    (folder / "metrics.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return folder


def export(network: FaceNet, validation: Dataset, folder: Path, *, name: str) -> None:
    """Fits what is fitted on the validation part, and writes ``model.onnx`` and ``model.safetensors``."""
    readings = calibrated(network, validation)
    export_onnx(readings, folder / "model.onnx", name=name, trust=measured_trust(readings, validation))
    weights = {
        key: tensor.half() if tensor.is_floating_point() else tensor
        for key, tensor in network.state_dict().items()
    }
    save_file(weights, folder / "model.safetensors")


def calibrated(network: FaceNet, validation: Dataset) -> Readings:
    """The network with the three temperatures that fit the validation part best."""
    logits = predict_logits(network, validation, torch.device("cpu"))
    crowd = fit_temperature(logits.crowd, torch.from_numpy(vote_shares(validation)))
    fer2013 = fit_temperature(logits.fer2013, _one_hot(validation.labels))
    truth = answer_truth(validation)
    known = torch.from_numpy(truth >= 0)
    mean = log_mean((logits.crowd / crowd).softmax(dim=1), (logits.fer2013 / fer2013).softmax(dim=1))
    answer = fit_temperature(mean[known], _one_hot(truth[truth >= 0]))
    return Readings(network, crowd=crowd, fer2013=fer2013, answer=answer).eval()


def measured_trust(readings: Readings, validation: Dataset) -> Trust:
    """How far faces of few pixels are believed: what fits the validation faces best when they are shrunk."""
    truth = answer_truth(validation)
    known = validation.take(truth >= 0)
    targets = _one_hot(truth[truth >= 0])
    unseen = targets.float().mean(dim=0)
    weights = []
    for side in SMALL_SIDES:
        shrunk = np.array([_shrink(image, side) for image in known.images])
        with torch.inference_mode():
            answers = torch.cat([readings(batch)[0] for batch in torch.from_numpy(shrunk).split(256)])
        weights.append(fit_weight(answers, targets, unseen))
    labels = _one_hot(validation.labels).float().mean(dim=0)
    return Trust(
        sides=[0.0, *SMALL_SIDES, SIDE],
        # More pixels never tell less: what says so is the noise of a small sample.
        weights=[0.0, *np.maximum.accumulate(weights).tolist(), 1.0],
        probabilities=[round(share, 5) for share in unseen.tolist()],
        fer2013=[round(share, 5) for share in labels.tolist()],
    )


def _shrink(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A face as it is after it was photographed with `side` pixels and enlarged again."""
    small = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(small.resize(image.shape[::-1], Image.Resampling.BICUBIC))


def _one_hot(labels: NDArray[np.int64]) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.from_numpy(labels), len(EXPRESSIONS))


def answer_truth(data: Dataset) -> NDArray[np.int64]:
    """What the answer is held against: the crowd's majority where it is one of the seven, else -1; (N,).

    Where the data has no votes, the original label.
    """
    if data.votes is None:
        return data.labels
    majority = crowd_majority(data.votes)
    return np.where(majority < len(EXPRESSIONS), majority, -1)


def measure(folder: Path, data: Dataset) -> dict[str, Any]:
    """Accuracies of the ONNX file in a folder, one view a face, with the number of faces behind each."""
    readings = Classifier(folder).classify(data.images)
    truth = answer_truth(data)
    result: dict[str, Any] = {
        "fer2013": _accuracy(readings.fer2013, data.labels),
        "probabilities": _accuracy(readings.probabilities, truth),
    }
    if data.votes is not None:
        # The literature's eight classes: unknown and not_a_face are no answers under its protocol.
        result["crowd"] = _accuracy(readings.crowd[:, :8], crowd_majority(data.votes))
    return result


def _accuracy(scores: NDArray[np.float32], truth: NDArray[np.int64]) -> dict[str, float | int]:
    counted = truth >= 0
    right = scores[counted].argmax(axis=1) == truth[counted]
    return {"accuracy": round(float(right.mean()), 5), "n": int(counted.sum())}
