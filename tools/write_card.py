"""Writes the model cards, src/mien/model/*/README.md, from what stands beside them in JSON.

    python tools/write_card.py            # rewrites the cards
    python tools/write_card.py --check    # only says whether they are up to date

A card is made from metrics.json, which `mien train` writes, and evaluation.json, which tools/reproduce.py writes.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from mien.labels import CROWD, EXPRESSIONS
from mien.model_file import find_model, shipped_models
from mien.train.recipe import Recipe
from pages.found import file_size

PROBES = {
    "tighter_15": "framed 15 % tighter",
    "wider_15": "framed 15 % wider",
    "shift_8": "shifted by 8 % of the side",
    "turn_15": "turned by 15°",
    "shrunk_32": "shrunk to 32 pixels and back",
}
USES = {
    "base": "The model that mien uses unless told otherwise.",
    "nano": "A model for small boards and small downloads: the smallest file, at some cost in accuracy. It computes in floats: where a "
    "processor is quick with 8-bit integers, it saves more bytes than time.",
}


def main(check: bool) -> int:
    """Returns 1 if `check` finds a card out of date."""
    late = []
    for name in shipped_models():
        folder = find_model(name).parent
        text = card(name, folder)
        path = folder / "README.md"
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            late.append(name)
    if check:
        print(
            f"out of date: {', '.join(late)}; run this without --check"
            if late
            else "the cards are up to date"
        )
    return int(bool(late))


def card(name: str, folder: Path) -> str:
    """The card of a model, in Markdown."""
    trained = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    measured = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    recipe = Recipe.from_dict(trained["recipe"])
    sections = [
        head(name, folder, trained, recipe),
        uses(),
        data(trained),
        numbers(name, measured, recipe),
        classes(measured),
        calibration(measured),
        robustness(measured),
        reproduce(name, folder, trained),
    ]
    return "\n\n".join(sections) + "\n"


def head(name: str, folder: Path, trained: dict[str, Any], recipe: Recipe) -> str:
    """What it is."""
    size = file_size((folder / "model.onnx").stat().st_size)
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    before = f", after those of `{recipe.first}`" if recipe.first else ""
    seen = "" if recipe.hold_out else ", which this model has learnt too, so that they are too high"
    larger = f", which it enlarges to {recipe.side}×{recipe.side}" if recipe.side else ""
    operations = f" and {trained['macs'] / 1e6:,.0f} million multiplications a face"
    return f"""<!-- Written by tools/write_card.py from metrics.json and evaluation.json. Do not edit by hand. -->
# {name}

{USES.get(name, "An expression model that comes with mien.")} It reads grey faces of 48×48 pixels{larger}: a network of \
{trained["parameters"]:,} parameters{operations}, one trunk with two heads, trained by `mien train` with the recipe in \
`recipe.toml` ({recipe.epochs} epochs{before}). `model.onnx` is {size}; SHA-256 `{digest}`.

| file | what |
|---|---|
| `model.onnx` | what inference reads: grey levels in, three readings out, each with its temperature; sealed with its SHA-256 |
| `model.safetensors` | the weights in 16 bits, for training on |
| `recipe.toml` | what was trained, and how |
| `metrics.json` | of the training run: measures on the validation tenth of Training{seen} |
| `evaluation.json` | every number of this card, by `mien evaluate` on PublicTest |
| `history.csv` | loss, and accuracy on the same tenth, by epoch |

## Without mien

`model.onnx` needs ONNX Runtime alone:

| | name | type and shape | what |
|---|---|---|---|
| in | `faces` | uint8 (N, 48, 48) | grey faces (ITU-R 601), framed from above the brows to the chin; no normalising |
| out | `probabilities` | float32 (N, 7) | {", ".join(EXPRESSIONS)} |
| out | `crowd` | float32 (N, 10) | {", ".join(CROWD)} |
| out | `fer2013` | float32 (N, 7) | as `probabilities` |

Each row sums to 1: softmax, temperatures{" and the mirror image" if recipe.mirror else ""} are in the file. What is not: that faces of less than 32 pixels \
are believed less, and a prior, which `mien` computes from the file's metadata.

Licence: MIT. The pictures it learnt from were gathered for research and are not passed on."""


def uses() -> str:
    """What it is for, and what not."""
    return """## What it is for, and what not

**For:** estimating what share of people would call a face by each expression, in photographs of people who may be
photographed and read so: research on pictures, sorting one's own pictures, teaching, art.

**Not for:** what somebody feels, thinks or intends. A facial expression is no reliable readout of an emotion (Barrett
et al. 2019, [doi 10.1177/1529100619832930](https://doi.org/10.1177/1529100619832930)). Not for decisions about people.
Not for what Article 5(1)(f) of Regulation (EU) 2024/1689 (the AI Act) bans: inferring emotions at work and in
education, medical and safety reasons excepted. Elsewhere in the Union systems that infer emotions are high-risk, and the
people exposed to one must be told (Article 50(3))."""


def data(trained: dict[str, Any]) -> str:
    """What it learnt from."""
    votes = "with the votes of FER+" if trained["has_votes"] else "by one label a face, without votes"
    held_out = trained["validation"].get("held_out", True)
    which = (
        "copies of held-out faces left out"
        if held_out
        else "all there are; what is fitted on a tenth of them was fitted with the readings of an earlier "
        "stretch, which had not learnt that tenth"
        if trained["validation"]["fitted_on_held_out"]
        else "all there are, those too that temperatures were fitted on"
    )
    return f"""## Data

{trained["training_faces"]:,} faces of FER-2013's Training part, {votes}; {which}. \
Nothing was learnt from PublicTest or PrivateTest; which of several finished trainings ships was decided knowing what \
each reads on PublicTest. FER-2013 was gathered by an image search in 2013: its \
pictures are small and grey. \
Whom it shows was not measured here: no number below says how the model does by age, sex or skin colour."""


def numbers(name: str, measured: dict[str, Any], recipe: Recipe) -> str:
    """Accuracies with their protocols."""
    lines = [
        "## Numbers",
        "",
        f"`mien evaluate DATA --model {name} --split PublicTest --robustness`; {recipe.looks}; "
        f"{measured['protocol']['intervals']}.",
        "",
        "| reading | held against | n | accuracy | mean recall | macro F1 | right in the first two |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{row['reading']}` | {row['title']} | {row['n']:,} | **{share(row['accuracy'])}** | "
        f"{share(row['mean_recall'])} | {share(row['macro_f1'])} | {percent(row['top2'])} |"
        for row in measured["accuracy"].values()
    ]
    fresh = measured["without_copies_in_training"]
    if fresh:
        parts = [
            f"{percent(fresh[key]['accuracy']['value'])} of {fresh[key]['n']:,} ({row['title']})"
            for key, row in measured["accuracy"].items()
        ]
        lines += [
            "",
            f"{fresh['copies']:,} of these faces have a near copy in Training, a flaw of the data set. Without them: "
            f"{'; '.join(parts)}.",
        ]
    agreement, distance = measured["votes"]["agreement"], measured["votes"]["distance"]
    low, high = agreement["difference"]["interval_95"]
    lines += [
        "",
        f"**Against people.** With the plurality of nine annotators the model agrees in {share(agreement['model'])}, "
        f"the tenth annotator in {share(agreement['person'])}: {100 * agreement['difference']['value']:+.1f} points "
        f"({100 * low:+.1f} to {100 * high:+.1f}; n = {measured['votes']['n']:,}, ten answers, no face left out). Its "
        f"shares are {distance['total_variation']['model']:.3f} from the ten people's (total variation); one person's "
        f"answer is {distance['total_variation']['one_person']:.3f}, the best constant guess "
        f"{distance['total_variation']['best_constant']:.3f}.",
    ]
    noise = measured["label_noise"]
    lines += [
        "",
        f"**Label noise.** Of its {noise['mistakes_on_original_labels']:,} mistakes on the original labels, the FER+ "
        f"majority sides with the model in {percent(noise['crowd_sides_with_model']['share'])}, with the label in "
        f"{percent(noise['crowd_sides_with_label']['share'])}.",
    ]
    return "\n".join(lines)


def classes(measured: dict[str, Any]) -> str:
    """Where it is weak."""
    rows = list(measured["accuracy"].values())
    words = list(dict.fromkeys(word for row in rows for word in row["classes"]))
    lines = [
        "## By class",
        "",
        "Recall / precision, and the number of faces.",
        "",
        "| class | " + " | ".join(f"`{row['reading']}`, {row['title']}" for row in rows) + " |",
        "|---" * (len(rows) + 1) + "|",
    ]
    for word in words:
        cells = []
        for row in rows:
            found = row["classes"].get(word)
            cells.append(
                "–"
                if found is None
                else f"{percent(found['recall'], 0)} / {percent(found['precision'], 0)} ({found['n']:,})"
            )
        lines.append(f"| {word} | {' | '.join(cells)} |")
    first = rows[0]["classes"]
    known = [word for word in first if first[word]["recall"] is not None]
    weakest = sorted(known, key=lambda word: first[word]["recall"])[:3]
    lines += [
        "",
        f"The weakest of `{rows[0]['reading']}` by recall: "
        + ", ".join(
            f"{word} ({percent(first[word]['recall'], 0)} of {first[word]['n']:,})" for word in weakest
        )
        + ".",
    ]
    return "\n".join(lines)


def calibration(measured: dict[str, Any]) -> str:
    """Whether its probabilities can be believed."""
    lines = [
        "## Calibration",
        "",
        "Expected calibration error (15 bins of equal mass), what it would be by chance, 95 times in 100, if every "
        "answer were right as often as it says, Brier score and log-loss; in brackets before the temperature stored in "
        "the model, which was fitted on the validation tenth of Training.",
        "",
        "| reading | held against | n | calibration error | by chance | Brier | log-loss |",
        "|---|---|---|---|---|---|---|",
    ]
    for key, row in measured["calibration"].items():
        cells = [
            f"{row['after'][score]:.3f}" + (f" ({row['before'][score]:.3f})" if row["before"] else "")
            for score in ("expected_calibration_error", "brier", "log_loss")
        ]
        cells.insert(1, " – ".join(f"{edge:.3f}" for edge in row["after"]["by_chance_95"]))
        title = measured["accuracy"][key]["title"]
        lines.append(f"| `{row['reading']}` | {title} | {row['after']['n']:,} | {' | '.join(cells)} |")
    first = next(iter(measured["calibration"].values()))
    left_out = [
        f"{percent(row['accuracy'])} without the least certain {left.replace('%', ' %')}"
        for left, row in first["risk_coverage"]["least_certain_left_out"].items()
        if left != "0%"
    ]
    lines += [
        "",
        "`crowd` is fitted to the shares of people, not to how often the word of most of them is right, so that its error "
        "here is large by design: take `probabilities` for a probability.",
        "",
        f"Accuracy of `{first['reading']}`: {', '.join(left_out)}.",
    ]
    return "\n".join(lines)


def robustness(measured: dict[str, Any]) -> str:
    """What spoilt faces cost."""
    found = measured.get("robustness")
    if found is None:
        return "## Robustness\n\nNot measured yet: `python tools/reproduce.py DATA --write` does."
    key = next(iter(found["clean"]))
    curves = found["curves"].values()
    worst = sorted(curves, key=lambda curve: sum(curve["accuracy"][key]))[:3]
    titles = [measured["accuracy"][truth]["title"] for truth in found["clean"]]
    lines = [
        "## Robustness",
        "",
        f"Over {len(curves)} ways of spoiling at five strengths each it keeps {percent(found['kept'][key], 0)} of its "
        f"accuracy ({measured['accuracy'][key]['title']}, {found['faces_of_the_curves']:,} faces). It suffers most from "
        f"{', '.join(curve['title'] for curve in worst)}.",
        "",
        "Points of accuracy lost when faces are cut out otherwise than in training, on all faces:",
        "",
        "| the face is | " + " | ".join(titles) + " |",
        "|---" * (len(titles) + 1) + "|",
    ]
    for probe, title in PROBES.items():
        lost = [
            f"{round(100 * found['probes'][probe][truth]['lost'], 1) + 0.0:.1f}" for truth in found["clean"]
        ]
        lines.append(f"| {title} | {' | '.join(lost)} |")
    return "\n".join(lines)


def reproduce(name: str, folder: Path, trained: dict[str, Any]) -> str:
    """How to get all this again."""
    where = f"src/mien/model/{folder.name}"
    versions = trained["versions"]
    took = f"these {trained['recipe']['epochs']} epochs in {trained['minutes']:.0f} minutes on {trained['machine']}"
    others = [name for name in (*trained["recipe"]["teachers"], trained["recipe"]["first"]) if name]
    learnt = " and ".join(f"`{other}`" for other in others)
    return f"""## How to measure it again, and to train one like it

```
make reproduce DATA=fer2013-dev.parquet      # every number of this card, and what differs
mien train fer2013-dev.parquet --recipe {where}/recipe.toml
```
{f"It learnt from {learnt} as that was then; the command learns from today's. " if learnt else ""}Trained with mien {versions["mien"]} and PyTorch {versions["torch"]}: {took}. What each number means: \
`docs/evaluation.md` of the repository."""


def share(value: dict[str, Any]) -> str:
    """A share with its interval."""
    low, high = value["interval_95"]
    return f"{100 * value['value']:.1f}% ({100 * low:.1f}–{100 * high:.1f})"


def percent(value: float | None, digits: int = 1) -> str:
    """A share; a dash where there is none."""
    return "–" if value is None else f"{100 * value:.{digits}f}%"


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
