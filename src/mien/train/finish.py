"""What a trained network leaves behind: the ONNX file with all that is fitted, weights, curves, `metrics.json`."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from mien.classify import Classifier, Trust
from mien.datasets import SIDE, Dataset, crowd_majority, data_sha256
from mien.files import replacing
from mien.labels import EXPRESSIONS
from mien.prior import leanings
from mien.train import provenance
from mien.train.calibrate import fit_answer, fit_temperature, fit_weight
from mien.train.export import Readings, Temperatures, export_onnx
from mien.train.fit import predict_logits
from mien.train.journal import draw_curves, read_history
from mien.train.networks import FaceNet, as_exported
from mien.train.recipe import Recipe
from mien.train.start import known_by, save_weights
from mien.train.targets import vote_shares

SMALL_SIDES = (4, 6, 8, 10, 12, 16, 20, 24, 32)
"""Sides in pixels at which it is measured how far a face is believed."""

EXAMPLES = 512
"""Faces of the training part on which the ranges of integers are measured, and of the validation part to check."""


def finish(
    network: FaceNet,
    training: Dataset,
    validation: Dataset,
    recipe: Recipe,
    folder: Path,
    fabric: Fabric,
    *,
    held: Mapping[str, bool],
    fitted: FaceNet | None = None,
) -> None:
    """Writes everything that a run leaves beside its history and checkpoint; see `export`.

    ``metrics.json`` is written last, and an older one is taken away first: where it is, all is there. It gets
    `held` too: whether the network had not learnt the validation part (``held_out``), and whether what is fitted
    on it was fitted with one that had not (``fitted_on_held_out``).
    """
    (folder / "metrics.json").unlink(missing_ok=True)
    export(network, training, validation, folder, recipe, fitted=fitted)
    recipe.save(folder / "recipe.toml")
    exported = as_exported(network, recipe)
    history = read_history(folder / "history.csv")
    known = "" if held["held_out"] else ", validation faces learnt too"
    draw_curves(history, folder / "history.png", f"{recipe.name}: {len(training):,} faces{known}")
    summary = {
        "versions": provenance.versions(recipe),
        "commit": provenance.commit(),
        "recipe": asdict(recipe),
        "parameters": sum(parameter.numel() for parameter in exported.parameters()),
        "macs": count_macs(exported),
        "onnx_bytes": (folder / "model.onnx").stat().st_size,
        "minutes": round(sum(row.seconds for row in history) / 60, 1),
        "machine": provenance.machine(fabric),
        "precision": str(fabric.strategy.precision.precision),
        "training_faces": len(training),
        "classes": training.classes,
        "has_votes": training.votes is not None,
        "validation": {
            **measure(folder, validation),
            "sha256": data_sha256(validation),
            "known_by": known_by(validation),
            **held,
        },
    }
    with replacing(folder / "metrics.json") as part:
        part.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def export(
    network: FaceNet,
    training: Dataset,
    validation: Dataset,
    folder: Path,
    recipe: Recipe,
    *,
    fitted: FaceNet | None = None,
) -> None:
    """Fits what is fitted on the validation part, and writes ``model.onnx`` and the weights, in 16 bits.

    Args:
        network: what was trained.
        training: some of its faces show the ranges of integers.
        validation: what is fitted on.
        folder: where the files go.
        recipe: of the run.
        fitted: the network with whose readings it is fitted, if not with those of `network`: where that has
            learnt from the validation part, it is surer of it than of other faces.
    """
    held_out = {image.tobytes() for image in validation.images}
    drawn = [
        row
        for row in np.random.default_rng(recipe.seed).permutation(len(training))
        if training.images[row].tobytes() not in held_out
    ][:EXAMPLES]
    readings = calibrated(as_exported(fitted or network, recipe), validation)
    trust, shares = measured_trust(readings, validation), measured_leanings(readings, validation)
    readings.network = as_exported(network, recipe).eval()
    export_onnx(
        readings,
        folder / "model.onnx",
        name=recipe.name,
        trust=trust,
        leanings=shares,
        classes=validation.classes,
        weight_bits=recipe.weight_bits,
        views=2 if recipe.mirror else 1,
        examples=(training.images[drawn], validation.images[:EXAMPLES]) if recipe.integers else None,
    )
    save_weights(network, folder / "model.safetensors")


def calibrated(network: FaceNet, validation: Dataset) -> Readings:
    """The network with the temperatures and the way from heads to answer that fit the validation part."""
    logits = predict_logits(network, validation, torch.device("cpu"))
    labels = fit_temperature(logits.labels, _one_hot(validation.labels, validation))
    if validation.classes != EXPRESSIONS:
        return Readings(network, Temperatures(1.0, labels), None).eval()
    voted = logits.crowd.shape[1] > 0
    crowd = fit_temperature(logits.crowd, torch.from_numpy(vote_shares(validation))) if voted else labels
    readings = Readings(network, Temperatures(crowd, labels), None)
    truth = answer_truth(validation)
    known = torch.from_numpy(truth >= 0)
    of_crowd, of_labels = readings.heads(logits)
    readings.answer = fit_answer(of_crowd[known], of_labels[known], torch.from_numpy(truth)[known])
    return readings.eval()


def measured_trust(readings: Readings, validation: Dataset) -> Trust:
    """How far faces of few pixels are believed: what fits the validation faces best when they are shrunk."""
    truth = answer_truth(validation)
    known = validation.take(truth >= 0)
    targets = _one_hot(truth[truth >= 0], validation)
    unseen = targets.float().mean(dim=0)
    weights = []
    for side in SMALL_SIDES:
        shrunk = np.array([_shrink(image, side) for image in known.images])
        with torch.inference_mode():
            answers = torch.cat([readings(batch)[0] for batch in torch.from_numpy(shrunk).split(256)])
        weights.append(fit_weight(answers, targets, unseen))
    labels = _one_hot(validation.labels, validation).float().mean(dim=0)
    return Trust(
        sides=[0.0, *SMALL_SIDES, SIDE],
        # More pixels never tell less: what says so is the noise of a small sample.
        weights=[0.0, *np.maximum.accumulate(weights).tolist(), 1.0],
        probabilities=[round(share, 5) for share in unseen.tolist()],
        fer2013=[round(share, 5) for share in labels.tolist()] if validation.classes == EXPRESSIONS else [],
    )


def measured_leanings(readings: Readings, validation: Dataset) -> list[float]:
    """The class shares that the answers lean by, measured where the truth is known; (K,)."""
    truth = answer_truth(validation)
    known = validation.take(truth >= 0)
    with torch.inference_mode():
        answers = torch.cat([readings(batch)[0] for batch in torch.from_numpy(known.images).split(256)])
    return [float(share) for share in leanings(answers.numpy(), truth[truth >= 0])]


def _shrink(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A face as it is after it was photographed with `side` pixels and enlarged again."""
    small = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(small.resize(image.shape[::-1], Image.Resampling.BICUBIC))


def _one_hot(labels: NDArray[np.int64], data: Dataset) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.from_numpy(labels), len(data.classes))


def answer_truth(data: Dataset) -> NDArray[np.int64]:
    """What the answer is held against: the crowd's majority where it is one of the seven, else -1; (N,).

    Where nobody voted, the label.
    """
    if data.votes is None:
        return data.labels
    majority = crowd_majority(data.votes)
    truth = np.where(majority < len(EXPRESSIONS), majority, -1)
    return np.where(data.votes.any(axis=1), truth, data.labels)


def measure(folder: Path, data: Dataset) -> dict[str, Any]:
    """Accuracies of the ONNX file in a folder, with the number of faces behind each."""
    readings = Classifier(folder).classify(data.images)
    result: dict[str, Any] = {"probabilities": _accuracy(readings.probabilities, answer_truth(data))}
    if data.classes == EXPRESSIONS:
        result["fer2013"] = _accuracy(readings.fer2013, data.labels)
    if data.votes is not None:
        # The literature's eight classes: unknown and not_a_face are no answers under its protocol.
        result["crowd"] = _accuracy(readings.crowd[:, :8], crowd_majority(data.votes))
    return result


def count_macs(network: FaceNet) -> int:
    """Multiply-accumulate operations for one face of 48×48."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 1, SIDE, SIDE))
    return int(counter.get_total_flops()) // 2


def _accuracy(scores: NDArray[np.float32], truth: NDArray[np.int64]) -> dict[str, float | int | None]:
    counted = truth >= 0
    right = scores[counted].argmax(axis=1) == truth[counted]
    return {"accuracy": round(float(right.mean()), 5) if len(right) else None, "n": int(counted.sum())}
