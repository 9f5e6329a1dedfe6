"""What a person sees of a study: one page with Optuna's plots, and its best recipe as a TOML file."""

import os
import warnings
from collections.abc import Callable
from dataclasses import asdict
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import optuna
import tomli_w
from optuna import visualization
from optuna.trial import FrozenTrial, TrialState
from plotly.graph_objects import Figure
from plotly.offline import get_plotlyjs

from mien.errors import MienError
from mien.train.recipe import Recipe
from mien.train.tune.space import with_values
from mien.train.tune.study import describe

PLOTS: dict[str, tuple[str, Callable[[optuna.Study], Figure]]] = {
    "Scores": ("Each dot is a trial that was trained to its end.", visualization.plot_optimization_history),
    "Epochs": (
        "The score of each trial after each epoch; lines that end early were stopped.",
        visualization.plot_intermediate_values,
    ),
    "What mattered": (
        "How much of the difference between good and bad trials goes with each field (PED-ANOVA).",
        visualization.plot_param_importances,
    ),
    "Field by field": (
        "The score over each field's values; the darker, the later.",
        visualization.plot_slice,
    ),
    "All fields at once": (
        "A line for each trial; drag along an axis to choose some.",
        visualization.plot_parallel_coordinate,
    ),
    "When": ("Which trials ran when, and how they ended.", visualization.plot_timeline),
}
"""The sections of the page: what is drawn, and how to read it."""

PAGE = Template("""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2rem auto; padding: 0 1rem; color: #222 }
h2 { margin: 2.5rem 0 0 } p { margin: .3rem 0 1rem } pre { background: #f5f5f5; padding: 1rem; overflow: auto }
table { border-collapse: collapse } .wide { overflow-x: auto }
th, td { padding: .2rem .8rem .2rem 0; text-align: left; white-space: nowrap; font-variant-numeric: tabular-nums }
th { border-bottom: 1px solid #999 } .best { font-weight: bold }
</style>
<script>$script</script>
<h1>$title</h1>
<p>$summary</p>
<p>A trial counts by the validation part's accuracy on the labels and, where votes are learnt, its mean with that
on the crowd's answer, after its last epoch. The best of many such numbers is an optimistic one: measure the
trained model on a test split.</p>
<h2>The best recipe</h2><pre>$recipe</pre>
$plots
<h2>Trials</h2><div class="wide"><table>$rows</table></div>
</html>
""")


def summary_of(study: optuna.Study) -> str:
    """How many trials there were, and what the best reached, in a line."""
    trials = study.get_trials(deepcopy=False)
    counts = {state: sum(trial.state == state for trial in trials) for state in TrialState}
    parts = [
        f"{counts[state]} {words}"
        for state, words in (
            (TrialState.COMPLETE, "trained to the end"),
            (TrialState.PRUNED, "stopped early"),
            (TrialState.RUNNING, "under way"),
            (TrialState.WAITING, "waiting"),
            (TrialState.FAIL, "broken off"),
        )
        if counts[state]
    ]
    best = best_of(study)
    return (
        f"{len(trials)} trials: {', '.join(parts)}. The best is trial {best.number}, score {best.value:.4f}."
    )


def best_of(study: optuna.Study) -> FrozenTrial:
    """The trial with the highest score.

    Raises:
        MienError: none was trained to its end.
    """
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        raise MienError(f"study {study.study_name}: no trial was trained to its end; run more of them")
    return study.best_trial


def save_best(study: optuna.Study, recipe: Recipe, epochs: int, path: Path) -> Recipe:
    """Writes the recipe with the best trial's values, named as the study is.

    Args:
        study: has a finished trial.
        recipe: as it was before it was shortened for the trials.
        epochs: of a trial.
        path: a TOML file.
    """
    best = with_values(recipe, best_of(study).params).changed(name=study.study_name)
    said = f"# {summary_of(study)}\n# Trials had {epochs} epochs; this has {best.epochs}.\n"
    _write(path, said + tomli_w.dumps(asdict(best)))
    return best


def write_report(study: optuna.Study, recipe: str, epochs: int, path: Path) -> None:
    """Writes one HTML file that needs no other: plotly's script is in it.

    Args:
        study: has a finished trial.
        recipe: the best recipe's TOML.
        epochs: of a trial.
        path: the file.
    """
    page = PAGE.substitute(
        title=escape(f"Study {study.study_name}"),
        script=get_plotlyjs(),
        summary=escape(summary_of(study)),
        recipe=escape(recipe),
        plots="\n".join(_section(study, title) for title in PLOTS),
        rows="\n".join(_rows(study, epochs)),
    )
    _write(path, page)


def _section(study: optuna.Study, title: str) -> str:
    reading, plot = PLOTS[title]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the page says how many trials there are
            figure = plot(study)
    except (ValueError, RuntimeError) as error:  # too few trials to draw it, or all alike
        return f"<h2>{title}</h2><p>Not drawn: {escape(str(error))}</p>"
    figure.update_layout(title=None, template="plotly_white", margin={"t": 30})
    drawn = figure.to_html(full_html=False, include_plotlyjs=False)
    return f'<h2>{title}</h2><p>{reading}</p><div class="wide">{drawn}</div>'


def _rows(study: optuna.Study, epochs: int) -> list[str]:
    trials = study.get_trials(deepcopy=False)
    names = sorted({name for trial in trials for name in trial.params})
    best = best_of(study).number
    rows = [_row("th", ["trial", *names])]
    for trial in trials:
        cells = [describe(trial, epochs), *(shown(trial.params.get(name, "")) for name in names)]
        rows.append(_row("td", cells, "best" if trial.number == best else ""))
    return rows


def _row(tag: str, cells: list[str], kind: str = "") -> str:
    return f'<tr class="{kind}">' + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def shown(value: Any) -> str:
    """A value as people read it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _write(path: Path, text: str) -> None:
    """Writes a file whole, whoever else may write the same one."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
