"""What a person sees of an evaluation: one HTML page that needs nothing beside it, and the files beside it."""

import base64
import io
import json
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from PIL import Image

from mien.evaluate import faces as look
from mien.evaluate.answers import write_predictions
from mien.evaluate.figures import figures
from mien.evaluate.robustness import PROBES
from mien.evaluate.run import Evaluation
from mien.evaluate.truths import chosen, people_of, shares_for
from mien.files import replacing
from mien.labels import CROWD

PROBE_TITLES = {
    "tighter_15": "framed 15 % tighter",
    "wider_15": "framed 15 % wider",
    "shift_8": "shifted by 8 % of the side",
    "turn_15": "turned by 15°",
    "shrunk_32": "shrunk to 32 pixels and back",
}
assert PROBE_TITLES.keys() == PROBES.keys()


def write_report(evaluation: Evaluation, folder: Path) -> None:
    """Writes ``metrics.json``, ``predictions.parquet``, ``figures/*.png`` and ``report.html``.

    The page shows faces of the data set: its terms say whether it may be passed on.
    """
    pictures = figures(evaluation.metrics)
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    with replacing(folder / "metrics.json") as part:
        part.write_text(to_json(evaluation.metrics), encoding="utf-8")
    write_predictions(folder / "predictions.parquet", evaluation.answers, evaluation.data)
    for picture in pictures.values():
        picture.save(folder / "figures")
    drawn = {name: picture.svg() for name, picture in pictures.items() if not name.startswith("confusion-")}
    page = (
        environment()
        .from_string(template("report.html.jinja"))
        .render(
            m=evaluation.metrics,
            notes=evaluation.notes,
            figures=drawn,
            albums=albums(evaluation),
            probe_titles=PROBE_TITLES,
            data_n=len(evaluation.data),
        )
    )
    # Names of files may hold bytes that are no text.
    with replacing(folder / "report.html") as part:
        part.write_text(page, encoding="utf-8", errors="backslashreplace")


def write_comparison(found: dict[str, Any], path: Path) -> None:
    """Writes a record of `mien.evaluate.compare.compare` as one HTML page that needs nothing beside it."""
    page = environment().from_string(template("compare.html.jinja")).render(m=found)
    with replacing(path) as part:
        part.write_text(page, encoding="utf-8", errors="backslashreplace")


def template(name: str) -> str:
    """The text of a template of this package."""
    return (files("mien.evaluate") / name).read_text(encoding="utf-8")


def environment() -> Environment:
    """Jinja with the filters by which numbers are written."""
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {
        "pct": percent,
        "points": points,
        "span": lambda pair: f"{100 * pair[0]:.1f}–{100 * pair[1]:.1f}%",
        "count": lambda value: f"{value:,}",
    }
    made.globals |= {"style": template("style.css")}
    return made


def percent(share: float | None, digits: int = 1) -> str:
    """A share for people; a dash where there is none."""
    return "–" if share is None else f"{100 * share:.{digits}f}%"


def points(difference: float) -> str:
    """A difference of shares in points, with its sign."""
    # Adding nothing turns a negative nothing into a plain one.
    return f"{round(100 * difference, 1) + 0.0:+.1f}"


def to_json(record: Any) -> str:
    """JSON for people: indented, but a list of numbers on one line."""
    text = json.dumps(record, indent=2, ensure_ascii=False)
    flat = re.sub(r"\[\s*([^][{}\"]*?)\s*\]", lambda found: "[" + re.sub(r"\s+", " ", found[1]) + "]", text)
    return flat + "\n"


@dataclass(frozen=True, slots=True)
class Bar:
    """One word of a face's card: the share of the people, None where there are no votes, and the model's."""

    word: str
    people: float | None
    model: float


@dataclass(frozen=True, slots=True)
class Card:
    """One face of the report."""

    picture: str
    row: int
    said: str
    probability: float
    label: str
    bars: list[Bar]


@dataclass(frozen=True, slots=True)
class Album:
    """Some faces under one heading."""

    title: str
    reading_aid: str
    cards: list[Card]


def albums(evaluation: Evaluation) -> list[Album]:
    """The faces that a person should look at."""
    truth = evaluation.truths[0]
    shares, graded = shares_for(truth, evaluation.answers.readings)
    votes = people_of(evaluation.data).votes
    chosen: list[tuple[str, str, Any]] = []
    if graded:
        chosen.append(
            (
                "Most confident mistakes",
                f"The surest answers that are wrong by {truth.title}. Would you have sided with the model?",
                look.confident_mistakes(shares, truth.labels),
            )
        )
    if votes is not None:
        chosen.append(
            (
                "Most disputed by people",
                "Here ten people gave the most different answers: no model can be right.",
                look.most_disputed(votes),
            )
        )
    if graded:
        chosen.append(
            ("Least certain", "Where the model is least sure of its answer.", look.least_certain(shares))
        )
        typical = [look.most_typical(shares, truth.labels, word) for word in range(len(truth.words))]
        chosen.append(
            (
                "Most typical of each class",
                "The right answers that the model is surest of: what it takes each word to look like.",
                np.concatenate(typical),
            )
        )
    return [
        Album(title, aid, [_card(evaluation, shares, int(row)) for row in rows])
        for title, aid, rows in chosen
        if len(rows)
    ]


def _card(evaluation: Evaluation, shares: Any, row: int) -> Card:
    data, people = evaluation.data, people_of(evaluation.data)
    truth = evaluation.truths[0]
    answer = int(chosen(shares[[row]])[0])
    reading = evaluation.answers.readings.get("crowd")
    said = (
        dict(zip(reading.words, reading.shares[row], strict=True))
        if reading is not None and people.votes is not None
        else dict(zip(truth.words, shares[row], strict=True))
    )
    voted: dict[str, float] = {}
    if people.votes is not None:
        counts = people.votes[row]
        voted = dict(zip(CROWD, counts / max(1, counts.sum()), strict=True))
    words = sorted({*said, *voted}, key=lambda word: -max(said.get(word, 0), voted.get(word, 0)))[:4]
    return Card(
        picture=_png(data.images[row]),
        row=row,
        said=truth.words[answer] if answer >= 0 else "no answer",
        probability=float(shares[row].max()),
        label=people.classes[people.labels[row]],
        bars=[
            Bar(word, float(voted.get(word, 0)) if voted else None, float(said.get(word, 0)))
            for word in words
            if max(said.get(word, 0), voted.get(word, 0)) >= 0.05
        ],
    )


def _png(image: Any) -> str:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
