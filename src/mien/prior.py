"""How often each expression is to be expected, which is not the same in every heap of pictures.

An answer leans towards the expressions that it takes to be common. Where other shares are known to hold, it can be
moved there without training anew (Saerens, Latinne and Decaestecker 2002, Neural Computation 14(1), equation 4).
What it leans towards need not be the shares of the faces that were learnt from: an answer may be made to dare the
rare ones. So it is measured when a model is made (`leanings`), and stated in its file as ``mien.prior``.
"""

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError

EVEN: Final = "even"

# Ten are enough for any sample tried; a step changes no factor by more than e.
_NEWTON_STEPS: Final = 50

Prior: TypeAlias = Mapping[str, float] | Literal["even"]
"""A number for each expression, in proportion to its share; or ``even``, all alike."""


def parse_prior(given: str | None) -> Prior | None:
    """What a person gives on the command line: nothing, ``even``, or the path of a file.

    Raises:
        ConfigError: see `read_prior`.
    """
    if given is None:
        return None
    return EVEN if given == EVEN else read_prior(Path(given))


def read_prior(path: Path) -> dict[str, float]:
    """Reads a prior from a file: TOML, or JSON if its name ends so, with one number for each expression.

    Raises:
        ConfigError: the file cannot be read, or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content: Any = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(
            f"prior {path}: cannot be read ({error.strerror}); give {EVEN} or a file"
        ) from error
    except (ValueError, RecursionError) as error:  # of JSON, TOML and UTF-8 alike
        reason = " ".join(str(error).split())
        raise ConfigError(f"prior {path}: is neither TOML nor JSON as its name says ({reason})") from error
    if not isinstance(content, dict):
        raise ConfigError(f"prior {path}: must hold one number for each expression, like happy = 0.3")
    return content


def prior_shares(prior: Prior, expressions: Sequence[str]) -> NDArray[np.float64]:
    """The shares (K,) that a prior gives to the expressions; their sum is 1.

    Raises:
        ConfigError: an expression is missing, a name is none, or a number is negative, not finite, or all are 0.
    """
    if isinstance(prior, str) and prior == EVEN:
        return np.full(len(expressions), 1 / len(expressions))
    if not isinstance(prior, Mapping):
        raise ConfigError(f"prior {prior!r}: give {EVEN!r}, or a number for each of {', '.join(expressions)}")
    missing = [name for name in expressions if name not in prior]
    strange = [str(name) for name in prior if name not in expressions]
    if missing or strange:
        trouble = f"lacks {', '.join(missing)}" if missing else f"names {', '.join(strange)}"
        raise ConfigError(f"prior: {trouble}; it needs one number for each of {', '.join(expressions)}")
    for name, value in prior.items():
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not number or not _is_finite(value) or value < 0:
            raise ConfigError(f"prior: {name} = {value!r}, must be a number of 0 or more")
    shares = np.array([float(prior[name]) for name in expressions])
    if not shares.any():
        raise ConfigError("prior: all numbers are 0; at least one expression must be possible")
    # The largest first: the sum of huge numbers might be infinite.
    shares /= shares.max()
    relative: NDArray[np.float64] = shares / shares.sum()
    return relative


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond any float
        return False


def shift(
    probabilities: NDArray[np.float32], old: NDArray[np.float64], new: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Moves answers from the shares under which they were made to others.

    Args:
        probabilities: (N, K), each row sums to 1.
        old: (K,), the shares that `probabilities` lean towards, all above 0.
        new: (K,), the shares that are to be expected.

    Returns:
        (N, K), in proportion to ``probabilities · new / old``; where that leaves nothing, `new`.
    """
    weighted = probabilities.astype(np.float64) * (new / old)
    total = weighted.sum(axis=1, keepdims=True)
    moved = np.divide(weighted, total, out=np.tile(new, (len(weighted), 1)), where=total > 0)
    result: NDArray[np.float32] = moved.astype(np.float32)
    return result


def leanings(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """The shares that answers lean towards: those from which `shift` moves them nearest to the truth.

    They are fitted as factors of the classes by maximum likelihood (the bias correction of Alexandari, Kundaje and
    Shrikumar 2020, ICML). The logarithms of the factors are held near zero by a normal prior of unit variance, so
    that a class of few faces does not run away.

    Args:
        probabilities: (N, K), answers to faces that were not learnt from; each row sums to 1.
        truth: (N,), what is right, 0 to K - 1.

    Returns:
        (K,), with the sum 1; 0 for a class without a face.
    """
    count, classes = probabilities.shape
    scores = np.log(probabilities.astype(np.float64).clip(min=1e-9))
    shares = np.bincount(truth, minlength=classes) / count
    bias = np.zeros(classes)
    for _ in range(_NEWTON_STEPS):
        moved = np.exp(scores + bias - (scores + bias).max(axis=1, keepdims=True))
        moved /= moved.sum(axis=1, keepdims=True)
        mean = moved.mean(axis=0)
        slope = mean - shares + bias / count
        curvature = np.diag(mean) - moved.T @ moved / count + np.eye(classes) / count
        step = np.linalg.solve(curvature, slope)
        bias -= step / max(1.0, float(np.abs(step).max()))
    relative = shares / np.exp(bias)
    result: NDArray[np.float64] = relative / relative.sum()
    return result
